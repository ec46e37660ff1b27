//! A running node, put together from a configuration: for `run`, for `demo`, for tests.
//!
//! Order of the start: the lock, the identity and its mesh, the store, the sockets, the threads, the
//! engine. Each step fails with an error that names the cause and the exit code, and leaves nothing
//! behind that a later start would trip over.
//!
//! Not here: the HTTP API. Its socket is bound here, so that a port in use is noticed at once;
//! whoever serves it takes it with `take_http`.

mod config;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use cairn_core::engine::{Command, Config, Engine, PeerAddr, PeerStatus};
use cairn_core::id::{MeshId, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::Seq;
use cairn_core::wire::Tip;
use cairn_transport_quic::{Endpoint, Inbox, InboxSender, Knock, TransportLimits, inbox};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle as JoinTask;
use zeroize::Zeroizing;

use crate::bootstrap::{open_store, replay};
use crate::clock::Clock;
use crate::data_dir::{DataDir, Lock, Runtime};
use crate::driver::{Driver, Told};
use crate::enroll::{self, Enrollment};
use crate::events::EventLog;
use crate::handle::{HandleParts, NodeHandle};
use crate::keys::{self, KeyError};
use crate::lan;
use crate::outbox::Outbox;
use crate::rotation::{self, Rotation};
use crate::store::{Durability, Profile, Scrub, Store, StoreError};
use crate::verify_pool::VerifyPool;

pub use config::{NodeConfig, StartError};

/// Values of the node's own threads that wait for the driver.
const INBOX_CAPACITY: usize = 1_024;
/// Between two looks at whether the store still answers.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// A write that takes longer will never end.
const STALLED_MS: u64 = 60_000;
/// For the engine to say goodbye when the node stops.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);
/// For the whole stop.
const STOP_WAIT: Duration = Duration::from_millis(4_800);

/// What can be done before the network is there; all of it blocks.
struct Prepared {
    dir: DataDir,
    lock: Lock,
    enrollment: Enrollment,
    store: Store,
    outbox: Outbox,
    token: Zeroizing<String>,
    http: Option<TcpListener>,
}

fn prepare(config: &NodeConfig) -> Result<Prepared, StartError> {
    let dir = DataDir::new(&config.data_dir);
    let lock = dir.lock()?;
    let enrollment = enroll::load_or_open(&dir)?;
    let store = open_store(config, &dir, &enrollment)?;
    let outbox = open_outbox(&dir, &store, &enrollment)?;
    let enrollment = rotation::resume(&dir, enrollment, &store)?;
    let token = keys::token(&dir.token_file())?;
    let http = config.http.map(bind_http).transpose()?;
    Ok(Prepared { dir, lock, enrollment, store, outbox, token, http })
}

/// The outbox; what it holds goes back into a store that lost it.
fn open_outbox(
    dir: &DataDir,
    store: &Store,
    enrollment: &Enrollment,
) -> Result<Outbox, StartError> {
    let path = dir.outbox();
    let fault = |fault| StoreError::fault(store.path(), &fault);
    let last = Seq(store.view().set_row().map_err(fault)?.summary.count);
    let outbox = Outbox::open(&path, last).map_err(|e| StoreError::io(&path, e))?;
    replay(&outbox, store, enrollment)?;
    Ok(outbox)
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
    lan: Option<JoinTask<()>>,
    _scrub: Scrub,
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
        let (sender, inbox) = inbox::<Told>(INBOX_CAPACITY);
        let endpoint = bind_mesh(&config, &prepared.enrollment, sender.clone())?;
        let node = assemble(&config, prepared, endpoint.clone(), sender, inbox);
        if node.is_err() {
            endpoint.shutdown().await;
        }
        node
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

    /// Waits until the mesh knows the new key of this node, which has to be started again then; for
    /// ever, if it has none.
    pub async fn rotated(&self) {
        self.handle.rotation().sealed(&self.handle).await;
    }

    /// Says goodbye to peers, makes everything durable and ends the node, within 5 s.
    ///
    /// # Errors
    /// `StoreError` if the store failed, now or before.
    pub async fn stop(self) -> Result<(), Arc<StoreError>> {
        let deadline = tokio::time::Instant::now() + STOP_WAIT;
        if let Some(lan) = &self.lan {
            lan.abort();
        }
        // Whatever the engine answers, the node stops.
        let _ = tokio::time::timeout(GOODBYE_WAIT, self.handle.command(Command::Stop)).await;
        self.endpoint.shutdown().await;
        let (inbox, driver) = (self.inbox.clone(), self.driver);
        let ended = tokio::task::spawn_blocking(move || {
            // Refused only if the driver has ended already.
            let _ = inbox.send(Told::Quit);
            driver.join()
        });
        let ended = tokio::time::timeout_at(deadline, ended).await;
        self.dir.remove_runtime();
        if let Some(error) = self.fatal.borrow().clone() {
            return Err(error);
        }
        ended.map(|_| ()).map_err(|_| {
            let path = self.handle.store().path().to_owned();
            let seconds = STOP_WAIT.as_secs();
            Arc::new(StoreError::Stalled { path, seconds })
        })
    }
}

fn engine_config(
    config: &NodeConfig,
    enrollment: &Enrollment,
    port: u16,
) -> Result<Config, KeyError> {
    let known = enrollment.dial.iter().map(|(address, node)| (PeerAddr(address.clone()), *node));
    let told = config.peers.iter().map(|address| (PeerAddr(address.clone()), None));
    let mut dial: Vec<(PeerAddr, Option<NodeId>)> = Vec::new();
    // Who is told an address, without a key, is to dial whoever is there.
    for (address, node) in told.chain(known) {
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

fn bind_mesh(
    config: &NodeConfig,
    enrollment: &Enrollment,
    sender: InboxSender<Told>,
) -> Result<Endpoint, StartError> {
    let limits = match config.profile {
        Profile::Tiny => TransportLimits::small(),
        Profile::Small | Profile::Server => TransportLimits::default(),
    };
    let (seed, runtime) = (enrollment.key.seed(), Handle::current());
    let knock = Knock::of(&enroll::mesh_id(&enrollment.params));
    let endpoint = Endpoint::bind(config.listen, seed, knock, limits, &runtime, sender)?;
    Ok(endpoint)
}

/// The threads that work for the driver; they tell it by `sender`, which refuses only when the
/// driver has ended and nobody waits for them.
fn helpers(
    config: &NodeConfig,
    mesh: MeshId,
    store: &Arc<Store>,
    outbox: &Arc<Outbox>,
    sender: &InboxSender<Told>,
) -> Result<(Arc<VerifyPool>, Durability), StartError> {
    let to_driver = sender.clone();
    let done = Box::new(move |done| drop(to_driver.send(Told::Done(done))));
    let pool = VerifyPool::start(config.verify_threads, mesh, keys::random()?, done);
    let to_driver = sender.clone();
    let durable = Box::new(move |durable| drop(to_driver.send(Told::Durable(durable))));
    let outbox = outbox.clone();
    let beside = Box::new(move || outbox.sync().map_err(|e| StoreError::io(outbox.directory(), e)));
    let durability = Durability::start(store.clone(), beside, durable);
    let pool = Arc::new(pool.map_err(StartError::Thread)?);
    Ok((pool, durability.map_err(StartError::Thread)?))
}

/// What an operator looks for first in the log.
fn tell_start(
    config: &NodeConfig,
    enrollment: &Enrollment,
    store: &Store,
    runtime: &Runtime,
) -> Result<(), StartError> {
    let persisted = store.view().peer_rows(config.limits.addresses_in_all());
    let persisted = persisted.map_err(|fault| StoreError::fault(store.path(), &fault))?.len();
    let (node, name) = (enrollment.key.node_id(), enrollment.params.name.as_str());
    tracing::info!(%node, mesh = name, listen = %runtime.mesh, "node starts");
    tracing::info!("Loaded {persisted} persisted peers from database");
    let told = enrollment.dial.len() + config.peers.len() + config.seeds.len();
    if persisted + told == 0 {
        tracing::info!("No peers found - starting as genesis node");
    }
    Ok(())
}

fn assemble(
    config: &NodeConfig,
    prepared: Prepared,
    endpoint: Endpoint,
    sender: InboxSender<Told>,
    inbox: Inbox<Told>,
) -> Result<Node, StartError> {
    let Prepared { dir, lock, enrollment, store, outbox, token, http } = prepared;
    let (store, outbox) = (Arc::new(store), Arc::new(outbox));
    let http_address = http.as_ref().and_then(|socket| socket.local_addr().ok());
    let runtime =
        Runtime { pid: std::process::id(), http: http_address, mesh: endpoint.local_addr() };
    tell_start(config, &enrollment, &store, &runtime)?;
    let mut clock = Clock::new(config.wall, config.clock_vouched);
    let engine_config = engine_config(config, &enrollment, runtime.mesh.port())?;
    let engine = Engine::new(engine_config, &store.view(), clock.now())
        .map_err(|fault| StoreError::fault(store.path(), &fault))?;
    let mesh = enroll::mesh_id(&enrollment.params);
    let (pool, durability) = helpers(config, mesh, &store, &outbox, &sender)?;
    let events = Arc::new(EventLog::new((config.wall)()));
    let (status, status_seen) = watch::channel(Arc::new(engine.status().clone()));
    let (peers, peers_seen) = watch::channel(Arc::new(engine.peers()));
    let handle = NodeHandle::new(HandleParts {
        inbox: sender.clone(),
        store: store.clone(),
        pool: pool.clone(),
        events: events.clone(),
        status: status_seen.clone(),
        peers: peers_seen.clone(),
        mesh,
        enrollment,
        rotation: Rotation::new(&dir)?,
        dir: dir.clone(),
        listen: runtime.mesh,
        room: config.room(),
        wall: config.wall,
    });
    let driver = Driver {
        machine: engine,
        transport: endpoint.clone(),
        inbox,
        store: store.clone(),
        room: config.room(),
        outbox: outbox.clone(),
        durability,
        pool,
        clock,
        events,
        status,
        peers,
    };
    let (fatal_sender, fatal) = watch::channel(None);
    let fatal_sender = Arc::new(fatal_sender);
    dir.write_runtime(&runtime)?;
    let driver = spawn_driver(driver, fatal_sender.clone()).map_err(StartError::Thread)?;
    let scrub = start_scrub(&store, fatal_sender.clone()).map_err(StartError::Thread)?;
    tokio::spawn(watch_store(Arc::downgrade(&store), outbox, peers_seen, fatal_sender));
    let lan = config.lan.then(|| lan::start(handle.clone()));
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
        lan,
        _scrub: scrub,
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

fn start_scrub(store: &Store, fatal: Fatal) -> std::io::Result<Scrub> {
    Scrub::start(store.path(), move |error| {
        tracing::error!(%error, "the scrub found damage; the node ends");
        fatal.send_replace(Some(Arc::new(error)));
    })
}

/// Notices a write that will never return, which the thread that waits for it cannot, and reads
/// that failed in a query; and forgets second copies that are not needed any more.
async fn watch_store(
    store: std::sync::Weak<Store>,
    outbox: Arc<Outbox>,
    peers: watch::Receiver<Arc<Vec<PeerStatus>>>,
    fatal: Fatal,
) {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let Some(store) = store.upgrade() else {
            return;
        };
        let connected: Vec<Tip> = peers
            .borrow()
            .iter()
            .filter(|peer| peer.connected)
            .filter_map(|peer| peer.tip)
            .collect();
        let (outbox, for_pruning) = (outbox.clone(), store.clone());
        let pruned = tokio::task::spawn_blocking(move || outbox.prune(&for_pruning, &connected));
        // A store that cannot be read says so below.
        let _ = pruned.await;
        if store.is_unreadable() {
            let path = store.path().to_owned();
            let what = "something that was written cannot be read; see the log".into();
            fatal.send_replace(Some(Arc::new(StoreError::Damaged { path, what })));
            return;
        }
        let busy = store.busy_for();
        if busy >= STALLED_MS {
            let path = store.path().to_owned();
            let seconds = busy / 1_000;
            fatal.send_replace(Some(Arc::new(StoreError::Stalled { path, seconds })));
            return;
        }
    }
}

#[cfg(test)]
mod tests;
