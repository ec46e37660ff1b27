//! A running node, put together from a configuration: for `run`, for `demo`, for tests.
//!
//! Order of the start: the lock, the identity and its mesh, the store, the sockets, the threads, the
//! engine. Each step fails with an error that names the cause and the exit code, and leaves nothing
//! behind that a later start would trip over.
//!
//! Not here: the HTTP API. Its socket is bound here, so that a port in use is noticed at once;
//! whoever serves it takes it with `take_http`.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use cairn_core::engine::{Command, Config, Engine, PeerAddr};
use cairn_core::id::NodeId;
use cairn_core::limits::Limits;
use cairn_transport_quic::{BindError, Endpoint, InboxSender, TransportLimits, inbox};
use tokio::runtime::Handle;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::bootstrap::open_store;
use crate::clock::{self, Clock};
use crate::data_dir::{DataDir, DataDirError, Lock, Runtime};
use crate::driver::{Driver, Told};
use crate::enroll::{self, EnrollError, Enrollment};
use crate::events::EventLog;
use crate::exit;
use crate::handle::{HandleParts, NodeHandle};
use crate::keys::{self, KeyError};
use crate::store::{Durability, Profile, Store, StoreError};
use crate::verify_pool::VerifyPool;

/// Values of the node's own threads that wait for the driver.
const INBOX_CAPACITY: usize = 1_024;
/// Between two looks at whether the store still answers.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// A write that takes longer will never end.
const STALLED_MS: u64 = 60_000;
/// For the engine to say goodbye, and for the driver to end, when the node stops.
const STOP_STEP: Duration = Duration::from_secs(1);

/// Everything a node is told before it starts.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where its files are.
    pub data_dir: PathBuf,
    /// Where its store is, if not in `data_dir`.
    pub db_dir: Option<PathBuf>,
    /// UDP socket of the mesh; port 0 takes any.
    pub listen: SocketAddr,
    /// TCP socket of the HTTP API; port 0 takes any; none serves none.
    pub http: Option<SocketAddr>,
    /// Places to dial always and at once, `host:port`.
    pub peers: Vec<String>,
    /// Places to dial when nothing else connects, `host:port`.
    pub seeds: Vec<String>,
    /// Whether to seal blocks when it is this node's turn.
    pub seal: bool,
    /// How much memory the store and the network may take.
    pub profile: Profile,
    /// Whether the operator vouches for the wall clock.
    pub clock_vouched: bool,
    /// Threads that check signatures; 0 for one per core.
    pub verify_threads: usize,
    /// The engine's tuning.
    pub limits: Limits,
}

impl NodeConfig {
    /// The defaults for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            db_dir: None,
            listen: SocketAddr::from(([0, 0, 0, 0], 7071)),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 7070))),
            peers: Vec::new(),
            seeds: Vec::new(),
            seal: true,
            profile: Profile::default(),
            clock_vouched: false,
            verify_threads: 0,
            limits: Limits::default(),
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The identity or its mesh.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// The API token or the system's randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store belongs to another mesh than the data directory.
    #[error("the store at {} belongs to the mesh \"{name}\", this node to another", path.display())]
    OtherMesh {
        /// Where it is.
        path: PathBuf,
        /// The store's mesh.
        name: String,
    },
    /// The mesh's socket.
    #[error(transparent)]
    Mesh(#[from] BindError),
    /// The HTTP socket.
    #[error("cannot listen for HTTP on {address}: {source}")]
    Http {
        /// The address asked for.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl StartError {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DataDir(e) => e.exit_code(),
            Self::Enroll(e) => e.exit_code(),
            Self::Key(e) => e.exit_code(),
            Self::Store(_) => exit::STORAGE,
            Self::OtherMesh { .. } | Self::Mesh(BindError::Limits(_)) => exit::CONFIG,
            Self::Mesh(BindError::Identity(_)) | Self::Thread(_) => exit::FAILED,
            Self::Mesh(_) | Self::Http { .. } => exit::NETWORK,
        }
    }

    /// What to do next, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::DataDir(e) => e.hint(),
            Self::Enroll(e) => e.hint(),
            Self::Key(e) => e.hint(),
            Self::Store(e) => e.hint(),
            Self::OtherMesh { .. } => "choose another --db or --data-dir".into(),
            Self::Mesh(BindError::PortInUse(address)) => format!(
                "see who has it with `ss -ulpn 'sport = :{}'`, or choose another with --listen",
                address.port()
            ),
            Self::Mesh(_) => "choose another address with --listen".into(),
            Self::Http { .. } => "choose another address with --http".into(),
            Self::Thread(_) => "raise the limit with `ulimit -u`".into(),
        }
    }
}

/// What can be done before the network is there; all of it blocks.
struct Prepared {
    dir: DataDir,
    lock: Lock,
    enrollment: Enrollment,
    store: Store,
    token: Zeroizing<String>,
    http: Option<TcpListener>,
}

fn prepare(config: &NodeConfig) -> Result<Prepared, StartError> {
    let dir = DataDir::new(&config.data_dir);
    let lock = dir.lock()?;
    let enrollment = enroll::load_or_open(&dir)?;
    let store = open_store(config, &dir, &enrollment)?;
    let token = keys::token(&dir.token_file())?;
    let http = config.http.map(bind_http).transpose()?;
    Ok(Prepared {
        dir,
        lock,
        enrollment,
        store,
        token,
        http,
    })
}

fn bind_http(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| StartError::Http { address, source })
}

/// A running node. Dropping it without `stop` ends its threads as soon as they notice.
pub struct Node {
    handle: NodeHandle,
    endpoint: Endpoint,
    inbox: InboxSender<Told>,
    driver: JoinHandle<()>,
    fatal: watch::Receiver<Option<Arc<StoreError>>>,
    dir: DataDir,
    http: Option<TcpListener>,
    runtime: Runtime,
    token: Zeroizing<String>,
    _lock: Lock,
}

impl Node {
    /// Starts a node on the current tokio runtime, which needs I/O and time.
    ///
    /// # Errors
    /// `StartError`.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let for_thread = config.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&for_thread)).await;
        let prepared = prepared.map_err(|e| StartError::Thread(e.into()))??;
        assemble(&config, prepared)
    }

    /// What everybody else works with.
    pub fn handle(&self) -> NodeHandle {
        self.handle.clone()
    }

    /// Where the mesh's socket is bound.
    pub fn mesh_address(&self) -> SocketAddr {
        self.runtime.mesh
    }

    /// Where the HTTP socket is bound, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.runtime.http
    }

    /// The HTTP socket (non-blocking), for whoever serves it; once.
    pub fn take_http(&mut self) -> Option<TcpListener> {
        self.http.take()
    }

    /// What requests must show that use the node's key.
    pub fn api_token(&self) -> &str {
        &self.token
    }

    /// Waits until the store fails, which ends the node: exit code 8.
    pub async fn fatal(&self) -> Arc<StoreError> {
        let mut fatal = self.fatal.clone();
        let failed = fatal.wait_for(Option::is_some).await;
        match failed.ok().and_then(|error| error.clone()) {
            Some(error) => error,
            // The driver ended without a failure: somebody is stopping the node.
            None => std::future::pending().await,
        }
    }

    /// Says goodbye to peers, makes everything durable and ends the node, within 5 s.
    ///
    /// # Errors
    /// `StoreError` if the store failed, now or before.
    pub async fn stop(self) -> Result<(), Arc<StoreError>> {
        // Whatever the engine answers, the node stops.
        let _ = tokio::time::timeout(STOP_STEP, self.handle.command(Command::Stop)).await;
        self.endpoint.shutdown().await;
        let (inbox, driver) = (self.inbox.clone(), self.driver);
        let ended = tokio::task::spawn_blocking(move || {
            // Refused only if the driver has ended already.
            let _ = inbox.send(Told::Quit);
            driver.join()
        });
        let ended = tokio::time::timeout(STOP_STEP, ended).await;
        self.dir.remove_runtime();
        if let Some(error) = self.fatal.borrow().clone() {
            return Err(error);
        }
        ended.map(|_| ()).map_err(|_| {
            let path = self.handle.store().path().to_owned();
            let seconds = STOP_STEP.as_secs();
            Arc::new(StoreError::Stalled { path, seconds })
        })
    }
}

fn engine_config(
    config: &NodeConfig,
    enrollment: &Enrollment,
    port: u16,
) -> Result<Config, KeyError> {
    let known = enrollment
        .dial
        .iter()
        .map(|(address, node)| (PeerAddr(address.clone()), *node));
    let told = config
        .peers
        .iter()
        .map(|address| (PeerAddr(address.clone()), None));
    let mut dial: Vec<(PeerAddr, Option<NodeId>)> = Vec::new();
    for (address, node) in known.chain(told) {
        if !dial.iter().any(|(other, _)| *other == address) {
            dial.push((address, node));
        }
    }
    Ok(Config {
        params: enrollment.params.clone(),
        key: enrollment.key.signing().clone(),
        limits: config.limits.clone(),
        seed: keys::random()?,
        seal_blocks: config.seal,
        port,
        agent: concat!("cairn/", env!("CARGO_PKG_VERSION")).into(),
        dial,
        seeds: config.seeds.iter().cloned().map(PeerAddr).collect(),
    })
}

fn assemble(config: &NodeConfig, prepared: Prepared) -> Result<Node, StartError> {
    let Prepared {
        dir,
        lock,
        enrollment,
        store,
        token,
        http,
    } = prepared;
    let store = Arc::new(store);
    let (sender, inbox) = inbox::<Told>(INBOX_CAPACITY);
    let limits = match config.profile {
        Profile::Tiny => TransportLimits::small(),
        Profile::Small | Profile::Server => TransportLimits::default(),
    };
    let seed = enrollment.key.seed();
    let runtime = Handle::current();
    let endpoint = Endpoint::bind(config.listen, seed, limits, &runtime, sender.clone())?;
    let runtime = Runtime {
        pid: std::process::id(),
        http: http
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
        mesh: endpoint.local_addr(),
    };

    let mut clock = Clock::new(config.clock_vouched);
    let engine_config = engine_config(config, &enrollment, runtime.mesh.port())?;
    let engine = Engine::new(engine_config, &store.view(), clock.now())
        .map_err(|fault| StoreError::fault(store.path(), &fault))?;
    let to_driver = sender.clone();
    // Refused only when the driver has ended: then nobody waits for it.
    let done = Box::new(move |done| drop(to_driver.send(Told::Done(done))));
    let pool = VerifyPool::start(config.verify_threads, keys::random()?, done);
    let pool = Arc::new(pool.map_err(StartError::Thread)?);
    let to_driver = sender.clone();
    let durable = Box::new(move |durable| drop(to_driver.send(Told::Durable(durable))));
    let durability = Durability::start(store.clone(), durable).map_err(StartError::Thread)?;
    let events = Arc::new(EventLog::new(clock::wall()));
    let (status, status_seen) = watch::channel(Arc::new(engine.status().clone()));

    let mesh = enroll::mesh_id(&enrollment.params);
    let handle = NodeHandle::new(HandleParts {
        inbox: sender.clone(),
        store: store.clone(),
        pool: pool.clone(),
        events: events.clone(),
        status: status_seen,
        params: enrollment.params.clone(),
        mesh,
        key: enrollment.key.signing().clone(),
    });
    let driver = Driver {
        machine: engine,
        transport: endpoint.clone(),
        inbox,
        store: store.clone(),
        durability,
        pool,
        clock,
        events,
        status,
    };
    let (fatal_sender, fatal) = watch::channel(None);
    let fatal_sender = Arc::new(fatal_sender);
    let driver = spawn_driver(driver, fatal_sender.clone()).map_err(StartError::Thread)?;
    tokio::spawn(watch_store(Arc::downgrade(&store), fatal_sender));
    dir.write_runtime(&runtime)?;
    Ok(Node {
        handle,
        endpoint,
        inbox: sender,
        driver,
        fatal,
        dir,
        http,
        runtime,
        token,
        _lock: lock,
    })
}

type Fatal = Arc<watch::Sender<Option<Arc<StoreError>>>>;

fn spawn_driver(driver: Driver<Engine, Endpoint>, fatal: Fatal) -> std::io::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name("cairn-driver".into());
    builder.spawn(move || {
        if let Err(error) = driver.run() {
            tracing::error!(%error, "the store failed; the node ends");
            fatal.send_replace(Some(Arc::new(error)));
        }
    })
}

/// Notices a write that will never return, which the thread that waits for it cannot.
async fn watch_store(store: std::sync::Weak<Store>, fatal: Fatal) {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let Some(store) = store.upgrade() else {
            return;
        };
        let busy = store.busy_for();
        if busy >= STALLED_MS {
            let path = store.path().to_owned();
            let seconds = busy / 1_000;
            fatal.send_replace(Some(Arc::new(StoreError::Stalled { path, seconds })));
            return;
        }
    }
}
