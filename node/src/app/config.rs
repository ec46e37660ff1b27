//! What a node is told before it starts, and why it may not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use cairn_core::limits::Limits;
use cairn_core::time::UnixTime;
use cairn_transport_quic::BindError;

use crate::clock;
use crate::data_dir::DataDirError;
use crate::enroll::EnrollError;
use crate::exit;
use crate::keys::KeyError;
use crate::store::{Profile, Room, StoreError};

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
    /// Whether to look for nodes on the local network, and to answer those who look.
    pub lan: bool,
    /// Most bytes that the store may take on disk; none for as much as there is.
    pub disk_limit: Option<u64>,
    /// Whether the operator vouches for the wall clock.
    pub clock_vouched: bool,
    /// The wall clock; a test may have a wrong one.
    pub wall: fn() -> UnixTime,
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
            lan: false,
            disk_limit: None,
            clock_vouched: false,
            wall: clock::wall,
            verify_threads: 0,
            limits: Limits::default(),
        }
    }

    /// The room that its store keeps, and the most that it may take.
    pub const fn room(&self) -> Room {
        Room::new(self.profile, self.disk_limit)
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
