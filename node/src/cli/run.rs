//! `run`: the node itself, until it is told to stop.

mod recovery;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::watch;

use super::output::Output;
use super::{Context, Outcome, logging, seeds, size};
use crate::api;
use crate::app::{Node, NodeConfig};
use crate::problem::{Code, Problem};
use crate::shutdown;
use crate::store::{Profile, StoreError};
use recovery::Recovery;

/// The usual UDP port of the mesh.
pub(super) const MESH_PORT: u16 = 7071;
/// The usual TCP port of the API.
const HTTP_PORT: u16 = 7070;
/// How long answers that have begun may take when the node stops.
const DRAIN: Duration = Duration::from_millis(1_500);
/// Tries to start again, while what is left of the run before still has the store open.
const RESTARTS: u32 = 40;
/// Between two of them.
const RESTART_PAUSE: Duration = Duration::from_millis(250);
/// The least that a store can be told to take: its journals alone may need half of it.
const DISK_LIMIT_MIN: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Listen for peers on this UDP address; ADDR:PORT, :PORT or PORT
    #[arg(long, value_name = "ADDR", value_parser = any_address)]
    listen: Option<SocketAddr>,
    /// Serve the HTTP API on this address, which must be loopback
    #[arg(long, value_name = "ADDR", value_parser = loopback_address)]
    http: Option<SocketAddr>,
    /// Dial this peer at once and always; may be given again
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = seeds::peer)]
    peer: Vec<String>,
    /// The same, several with commas between
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = seeds::peer)]
    peers: Vec<String>,
    /// Port of --listen
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    p2p_port: Option<u16>,
    /// Port of --http
    #[arg(long, value_name = "PORT", conflicts_with = "http")]
    rpc_port: Option<u16>,
    /// Keep the ledger here instead of in the data dir
    #[arg(long, value_name = "DIR")]
    db: Option<PathBuf>,
    /// Peers to dial only if nobody else can be reached (TOML)
    #[arg(long, value_name = "FILE")]
    seed_peers: Option<PathBuf>,
    /// Whether to seal blocks when it is this node's turn
    #[arg(long, value_enum, default_value = "auto")]
    seal_blocks: Sealing,
    /// How much memory to use: tiny, small or server
    #[arg(long)]
    profile: Option<Profile>,
    /// Take at most this much of the disk, such as 2G; above it the node only reads
    #[arg(long, value_name = "SIZE", value_parser = disk_limit)]
    disk_limit: Option<u64>,
    /// Do not look for nodes on the local network, nor answer those who look
    #[arg(long)]
    no_lan: bool,
    /// How to write the log
    #[arg(long, value_enum, default_value = "text")]
    log_format: logging::Format,
    /// The operator vouches for this machine's clock
    #[arg(long)]
    trust_clock: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sealing {
    Auto,
    Off,
}

fn address(text: &str, default: IpAddr) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok(SocketAddr::new(default, port));
    }
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse().map_err(|_| format!("`{text}` is no address; write ADDR:PORT, :PORT or PORT"))
}

/// An address to listen for peers on: `ADDR:PORT`, or a port of every address.
///
/// # Errors
/// What was expected.
pub fn any_address(text: &str) -> Result<SocketAddr, String> {
    address(text, IpAddr::from([0, 0, 0, 0]))
}

pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    address(text, IpAddr::from([127, 0, 0, 1]))
}

fn disk_limit(text: &str) -> Result<u64, String> {
    let bytes = size::bytes(text)?;
    if bytes < DISK_LIMIT_MIN {
        return Err("the store needs 256M at least".into());
    }
    Ok(bytes)
}

/// Where a node listens for peers that is told nothing else.
pub(super) fn mesh_default() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], MESH_PORT))
}

/// Where it serves its API.
pub(super) fn http_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], HTTP_PORT))
}

impl RunArgs {
    fn config(&self, context: &Context) -> Result<NodeConfig, Problem> {
        let mut config = NodeConfig::new(context.data_dir()?.path());
        let mesh_port = self.p2p_port.unwrap_or(MESH_PORT);
        let http_port = self.rpc_port.unwrap_or(HTTP_PORT);
        config.listen = self.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], mesh_port)));
        let http = self.http.unwrap_or(SocketAddr::from(([127, 0, 0, 1], http_port)));
        if !http.ip().is_loopback() {
            return Err(Problem::new(
                Code::Config,
                format!(
                    "refusing to serve HTTP on {http}: anybody there could read the ledger, and \
                     the token would cross the network unencrypted"
                ),
                "listen on 127.0.0.1 and forward it: ssh -L 7070:127.0.0.1:7070 HOST",
            ));
        }
        config.http = Some(http);
        config.db_dir.clone_from(&self.db);
        config.peers = self.peer.iter().chain(&self.peers).cloned().collect();
        config.seeds = seeds::from_environment()?;
        if let Some(path) = &self.seed_peers {
            let file = seeds::SeedFile::read(path)?;
            file.apply(&mut config);
        }
        config.seal = self.seal_blocks == Sealing::Auto;
        config.lan = !self.no_lan;
        config.disk_limit = self.disk_limit;
        config.clock_vouched = self.trust_clock;
        if let Some(profile) = self.profile {
            config.profile = profile;
        }
        Ok(config)
    }
}

/// The runtime that everything of a node but its own threads runs on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| {
        Problem::new(Code::Failed, format!("cannot start: {error}"), "raise the limit: ulimit -n")
    })
}

/// A node with its API served.
pub(super) struct Served {
    pub(super) node: Node,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(super) async fn start(config: NodeConfig) -> Result<Self, Problem> {
        let mut node = Node::start(config).await?;
        let (stop, stopping) = watch::channel(false);
        let setup = api::Setup {
            node: node.handle(),
            token: node.api_token().to_string().into(),
            listen: node.mesh_address(),
            stop: stopping,
        };
        let listener = node.take_http().map(tokio::net::TcpListener::from_std).transpose();
        let listener = listener.map_err(|error| http_failed(&error))?;
        let listener = listener.ok_or_else(|| http_failed(&std::io::ErrorKind::NotFound.into()))?;
        let server = tokio::spawn(api::serve(listener, setup));
        Ok(Self { node, stop, server })
    }

    /// Ends the streams, lets answers finish, then ends the node.
    pub(super) async fn stop(self) -> Result<(), Problem> {
        self.stop.send_replace(true);
        let abort = self.server.abort_handle();
        if tokio::time::timeout(DRAIN, self.server).await.is_err() {
            abort.abort();
        }
        self.node
            .stop()
            .await
            .map_err(|error| Problem::new(Code::Storage, error.to_string(), error.hint()))
    }
}

fn http_failed(error: &std::io::Error) -> Problem {
    let message = format!("cannot serve HTTP: {error}");
    Problem::new(Code::Network, message, "choose another address: cairn run --http ADDR:PORT")
}

pub(super) fn run(args: &RunArgs, context: &Context) -> Outcome {
    let config = args.config(context)?;
    logging::start(args.log_format, context.global.verbose, context.global.quiet)?;
    recovery::exit_on_panics_of_the_store(&config);
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config, &context.out));
    // A read that hangs on a dying disk must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// Why a node that was served ended.
enum Ended {
    Asked,
    Store(std::sync::Arc<StoreError>),
    Rotated,
    Http,
}

async fn serve(mut config: NodeConfig, out: &Output) -> Outcome {
    let mut signal = std::pin::pin!(shutdown::requested());
    let mut recovery = Recovery::new(&config);
    let mut served = Served::start(config.clone()).await?;
    loop {
        announce(&served.node, out);
        // A later start has to be found where this one was.
        config.listen = served.node.mesh_address();
        config.http = served.node.http_address();
        let ended = tokio::select! {
            _ = &mut signal => Ended::Asked,
            error = served.node.fatal() => Ended::Store(error),
            () = served.node.rotated() => Ended::Rotated,
            _ = &mut served.server => Ended::Http,
        };
        let error = match ended {
            Ended::Asked => {
                out.say("stopping");
                served.stop().await?;
                return Ok(0);
            }
            Ended::Http => {
                // What failed is what is told; the rest ends as well as it can.
                let _ = served.node.stop().await;
                return Err(http_failed(&std::io::ErrorKind::BrokenPipe.into()));
            }
            Ended::Rotated => {
                out.say("the mesh knows the new key: starting again with it");
                served.stop().await?;
                served = restart(&config).await?;
                continue;
            }
            Ended::Store(error) => error,
        };
        let _ = served.stop().await;
        let again = tokio::select! {
            // First: who is stopped learns of a failure that nothing is waited for.
            biased;
            again = recovery.ready(&error) => again,
            _ = &mut signal => return Ok(0),
        };
        if !again {
            return Err(Problem::new(Code::Storage, error.to_string(), error.hint()));
        }
        served = restart(&config).await?;
    }
}

/// Starts again, as soon as whoever still answers a query lets go of the store.
async fn restart(config: &NodeConfig) -> Result<Served, Problem> {
    for _ in 1..RESTARTS {
        match Served::start(config.clone()).await {
            Err(problem) if matches!(problem.code, Code::Storage | Code::Network) => {
                tokio::time::sleep(RESTART_PAUSE).await;
            }
            started => return started,
        }
    }
    Served::start(config.clone()).await
}

fn announce(node: &Node, out: &Output) {
    let handle = node.handle();
    let http = node.http_address().map_or_else(|| "off".into(), |http| format!("http://{http}"));
    out.say(format!("node  {}", handle.node_id()));
    out.say(format!("mesh  {}  {}", handle.params().name, handle.mesh()));
    out.say(format!("peers {} (UDP)", node.mesh_address()));
    out.say(format!("http  {http}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_leave_out_what_is_usual() {
        let at = |text: &str| loopback_address(text).map(|address| address.to_string());
        assert_eq!(at("7"), Ok("127.0.0.1:7".into()));
        assert_eq!(at(":0"), Ok("127.0.0.1:0".into()));
        assert_eq!(at("[::1]:9"), Ok("[::1]:9".into()));
        assert_eq!(at("localhost:9"), Ok("127.0.0.1:9".into()));
        assert_eq!(any_address("7071").map(|a| a.to_string()), Ok("0.0.0.0:7071".into()));
        for wrong in ["", "x", "1.2.3.4", "1.2.3.4:99999"] {
            assert!(loopback_address(wrong).is_err(), "{wrong}");
        }
    }
}
