//! `demo`: a mesh of real nodes in this process, each with its own directory, store, UDP and HTTP
//! port: the first founds it, the others join by its invite, and what one writes the others see.

mod drive;
mod watch;

use std::time::Duration;

use cairn_core::params::Params;
use cairn_core::time::UnixTime;
use clap::Args;
use serde_json::Value;
use tempfile::TempDir;

use super::output::{field, table};
use super::run::{Served, runtime};
use super::{Context, Outcome, logging};
use crate::app::NodeConfig;
use crate::data_dir::DataDir;
use crate::problem::{Code, Problem};
use crate::{clock, enroll, shutdown};
use drive::Client;

/// Between blocks of the demo's mesh.
const SPACING_MS: u64 = 1_000;
/// Nodes that one process can be asked for.
const NODES: std::ops::RangeInclusive<i64> = 2..=16;
/// Until all nodes agree, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(NODES))]
    nodes: u8,
    /// End as soon as all nodes agree; the exit status tells whether they did
    #[arg(long)]
    exit: bool,
}

pub(super) fn run(args: &DemoArgs, context: &Context) -> Outcome {
    logging::start_quietly(context.global.verbose)?;
    let temp = TempDir::with_prefix("cairn-demo-").map_err(|error| {
        Problem::file("cannot make a directory in", &std::env::temp_dir(), &error)
    })?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let work = demo(args, context, &temp);
        tokio::select! {
            outcome = work => outcome,
            _ = shutdown::requested() => {
                Err(Problem::new(Code::Interrupted, "the demo was interrupted", ""))
            }
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn config(dir: &DataDir) -> NodeConfig {
    let mut config = NodeConfig::new(dir.path());
    config.listen = ([127, 0, 0, 1], 0).into();
    config.http = Some(([127, 0, 0, 1], 0).into());
    config.clock_vouched = true;
    config
}

/// Founds the mesh, starts the founder, then everybody else by its invite.
async fn start(count: u8, temp: &TempDir) -> Result<Vec<Served>, Problem> {
    let dir = |number: u8| DataDir::new(temp.path().join(format!("node-{number}")));
    let first = dir(1);
    let founder = {
        let _lock = first.lock()?;
        enroll::identity(&first)?.node_id()
    };
    let now = clock::wall();
    let mut params = Params::private("demo", &[founder], now)
        .map_err(|error| Problem::new(Code::Failed, error.to_string(), ""))?;
    params.spacing = SPACING_MS;
    let expires = UnixTime(now.0.saturating_add(3_600_000));
    let founded = enroll::found(&first, params, Vec::new(), u32::from(count), expires)?;
    let mut nodes = vec![Served::start(config(&first)).await?];
    let address = nodes[0].node.mesh_address().to_string();
    let invite = founded.invite.ok_or_else(|| Problem::new(Code::Failed, "no invite", ""))?;
    for number in 2..=count {
        let dir = dir(number);
        enroll::join(&dir, &invite, &format!("node-{number}"))?;
        let mut config = config(&dir);
        config.peers = vec![address.clone()];
        nodes.push(Served::start(config).await?);
    }
    Ok(nodes)
}

async fn demo(args: &DemoArgs, context: &Context, temp: &TempDir) -> Outcome {
    let out = &context.out;
    let patience = context.global.timeout.unwrap_or(PATIENCE);
    out.say(format!("starting {} nodes in {}", args.nodes, temp.path().display()));
    let nodes = start(args.nodes, temp).await?;
    let clients: Vec<Client> = nodes.iter().filter_map(Client::of).collect();
    let shown = watch::with_deadline(patience, watch::story(&clients, out)).await;
    let agreed = match shown {
        Ok(document) => {
            out.data(&document, screen)?;
            Ok(0)
        }
        Err(problem) => Err(problem),
    };
    if !args.exit && agreed.is_ok() {
        out.say("\nthe mesh stays up; open a node's address, or try for example:");
        if let Some(client) = clients.first() {
            out.say(format!("  cairn --node {} status", client.base()));
        }
        out.say("Ctrl-C ends it");
        // Nothing can be done about a system that takes no signal handlers.
        let _ = shutdown::requested().await;
    }
    for node in nodes {
        node.stop().await?;
    }
    agreed
}

fn screen(document: &Value) -> String {
    let nodes = super::output::list(document, "nodes").iter();
    let rows = nodes.map(|node| {
        let columns =
            ["/name", "/state", "/facts", "/height", "/tip", "/holder", "/peers", "/http"];
        columns.map(|path| field(node, path)).to_vec()
    });
    let header = ["NODE", "STATE", "FACTS", "HEIGHT", "TIP", "LAPTOP-001", "PEERS", "HTTP"];
    format!("{}\n\nall nodes agree", table(&header, rows))
}
