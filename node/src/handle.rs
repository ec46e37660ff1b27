//! What everything but the driver holds of a running node: commands go in, answers, states and news
//! come out. Queries read the store's views and never wait for the engine.

use std::net::SocketAddr;
use std::sync::Arc;

use cairn_core::engine::{Command, PeerStatus, Published, Receipt, Refusal, Status};
use cairn_core::fact::{Body, EncodedFact, Fact, FactError};
use cairn_core::id::{FactId, MeshId, NodeId};
use cairn_core::params::Params;
use cairn_core::time::UnixTime;
use cairn_core::verified::Verified;
use cairn_transport_quic::InboxSender;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::data_dir::DataDir;
use crate::driver::{Answer, Told};
use crate::enroll::Enrollment;
use crate::events::EventLog;
use crate::rotation::Rotation;
pub use crate::rotation::RotationError;
use crate::store::{Room, Store, StoreView};
use crate::verify_pool::VerifyPool;

/// Commands waiting for the driver at one time; more callers wait their turn.
const COMMANDS_MAX: usize = 256;
/// Facts signed and published at one time by one caller.
const PUBLISH_FACTS: usize = 2_048;

/// A fact to be signed by this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// When it is said; now, if none.
    pub time: Option<UnixTime>,
    /// What is said.
    pub body: DraftBody,
}

/// What a draft says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftBody {
    /// Something written down.
    Record {
        /// What it is about.
        topic: String,
        /// How to read the bytes.
        media_type: String,
        /// The content.
        bytes: Vec<u8>,
    },
    /// A statement about two facts.
    Relation {
        /// The fact that is spoken of.
        subject: FactId,
        /// How they relate.
        predicate: String,
        /// The other fact.
        object: FactId,
    },
}

impl DraftBody {
    fn body(&self) -> Body<'_> {
        match self {
            Self::Record { topic, media_type, bytes } => Body::Record { topic, media_type, bytes },
            Self::Relation { subject, predicate, object } => {
                Body::Relation { subject: *subject, predicate, object: *object }
            }
        }
    }
}

/// What became of one draft: published in some way, or no fact at all.
pub type DraftOutcome = Result<Published, FactError>;

struct Inner {
    inbox: InboxSender<Told>,
    commands: Semaphore,
    store: Arc<Store>,
    pool: Arc<VerifyPool>,
    events: Arc<EventLog>,
    status: watch::Receiver<Arc<Status>>,
    peers: watch::Receiver<Arc<Vec<PeerStatus>>>,
    mesh: MeshId,
    enrollment: Enrollment,
    rotation: Rotation,
    dir: DataDir,
    listen: SocketAddr,
    room: Room,
    wall: fn() -> UnixTime,
}

/// A running node. Clones are the same node.
#[derive(Clone)]
pub struct NodeHandle(Arc<Inner>);

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeHandle({:?} in {:?})", self.node_id(), self.0.enrollment.params.name)
    }
}

/// The parts that a handle is made of.
pub(crate) struct HandleParts {
    pub(crate) inbox: InboxSender<Told>,
    pub(crate) store: Arc<Store>,
    pub(crate) pool: Arc<VerifyPool>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) peers: watch::Receiver<Arc<Vec<PeerStatus>>>,
    pub(crate) mesh: MeshId,
    pub(crate) enrollment: Enrollment,
    pub(crate) rotation: Rotation,
    pub(crate) dir: DataDir,
    pub(crate) listen: SocketAddr,
    pub(crate) room: Room,
    pub(crate) wall: fn() -> UnixTime,
}

impl NodeHandle {
    pub(crate) fn new(parts: HandleParts) -> Self {
        Self(Arc::new(Inner {
            inbox: parts.inbox,
            commands: Semaphore::new(COMMANDS_MAX),
            store: parts.store,
            pool: parts.pool,
            events: parts.events,
            status: parts.status,
            peers: parts.peers,
            mesh: parts.mesh,
            enrollment: parts.enrollment,
            rotation: parts.rotation,
            dir: parts.dir,
            listen: parts.listen,
            room: parts.room,
            wall: parts.wall,
        }))
    }

    /// Gives a command and waits until what it did is durable. A caller that goes away does not take
    /// the command back.
    ///
    /// # Errors
    /// `Refusal`; `Stopping` also if the node ended before it answered.
    pub async fn command(&self, command: Command) -> Result<Receipt, Refusal> {
        let permit = self.0.commands.acquire().await;
        let _permit = permit.map_err(|_| Refusal::Stopping)?;
        let (reply, answer) = oneshot::channel::<Answer>();
        self.tell(Told::Command(command, reply)).await?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    async fn tell(&self, told: Told) -> Result<(), Refusal> {
        let Err(told) = self.0.inbox.try_send(told) else {
            return Ok(());
        };
        // Full or gone; only a thread may wait to learn which.
        let inbox = self.0.inbox.clone();
        let sent = tokio::task::spawn_blocking(move || inbox.send(told).is_ok()).await;
        match sent {
            Ok(true) => Ok(()),
            _ => Err(Refusal::Stopping),
        }
    }

    /// Signs drafts on all cores and publishes them; one outcome per draft, in order, once all are
    /// durable.
    ///
    /// # Errors
    /// `Refusal` if a whole part was refused, such as when the node is stopping; what was published
    /// before stays.
    pub async fn sign_and_publish(&self, drafts: Vec<Draft>) -> Result<Vec<DraftOutcome>, Refusal> {
        let mut outcomes = Vec::with_capacity(drafts.len());
        let mut drafts = drafts.into_iter();
        loop {
            let part: Vec<_> = drafts.by_ref().take(PUBLISH_FACTS).collect();
            if part.is_empty() {
                return Ok(outcomes);
            }
            let signed = self.sign(part).await?;
            let facts = signed.iter().filter_map(|fact| fact.as_ref().ok().cloned());
            let mut published = self.publish(facts.collect()).await?.into_iter();
            for fact in signed {
                outcomes.push(match fact {
                    Ok(_) => Ok(published.next().ok_or(Refusal::Stopping)?),
                    Err(error) => Err(error),
                });
            }
        }
    }

    /// Publishes facts that are signed already; one outcome per fact, in order.
    ///
    /// # Errors
    /// As for `command`.
    pub async fn publish(
        &self,
        facts: Vec<Verified<EncodedFact>>,
    ) -> Result<Vec<Published>, Refusal> {
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        match self.command(Command::Publish(facts)).await? {
            Receipt::Published(published) => Ok(published),
            Receipt::Made(_) | Receipt::Pong(_) | Receipt::Done => Ok(Vec::new()),
        }
    }

    /// Signs drafts on all cores; one result per draft, in order.
    ///
    /// # Errors
    /// `Refusal::Stopping` if the pool has ended.
    pub async fn sign(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Result<Verified<EncodedFact>, FactError>>, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let (mesh, key, now) = (self.0.mesh, self.0.enrollment.key.signing().clone(), self.wall());
        let sign = move |draft: &Draft| {
            let fact = Fact {
                author: key.node_id(),
                time: draft.time.unwrap_or(now),
                body: draft.body.body(),
            };
            EncodedFact::sign(fact, &mesh, &key)
        };
        self.0.pool.spread(
            drafts,
            move |part| part.iter().map(&sign).collect(),
            // The caller may have gone.
            move |signed| drop(sender.send(signed)),
        );
        receiver.await.map_err(|_| Refusal::Stopping)
    }

    /// The ledger after the newest commit; take a new one for every query.
    pub fn view(&self) -> StoreView {
        self.0.store.view()
    }

    /// The store, for its sizes.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// How the node is doing, at most 50 ms old.
    pub fn status(&self) -> Arc<Status> {
        self.0.status.borrow().clone()
    }

    /// Live peers and remembered ones, live ones first, at most 50 ms old.
    pub fn peers(&self) -> Arc<Vec<PeerStatus>> {
        self.0.peers.borrow().clone()
    }

    /// The status, to wait for changes on.
    pub fn watch_status(&self) -> watch::Receiver<Arc<Status>> {
        self.0.status.clone()
    }

    /// The news.
    pub fn events(&self) -> &EventLog {
        &self.0.events
    }

    /// The mesh's rules.
    pub fn params(&self) -> &Params {
        &self.0.enrollment.params
    }

    /// The mesh.
    pub fn mesh(&self) -> MeshId {
        self.0.mesh
    }

    /// When the invite expires that this node joined by, if it did.
    pub fn invite_expires(&self) -> Option<UnixTime> {
        self.0.enrollment.invite_expires
    }

    pub(crate) fn rotation(&self) -> &Rotation {
        &self.0.rotation
    }

    /// Begins to go on under a new key: it is kept, and the mesh is told, durably. The node has to
    /// be started again once that is sealed (`Node::rotated`). Returns the key and the fact; called
    /// again before that, the same.
    ///
    /// # Errors
    /// `RotationError`.
    pub async fn rotate(&self) -> Result<(NodeId, FactId), RotationError> {
        self.rotation().begin(self).await
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.0.enrollment.key.node_id()
    }

    /// Its place in the mesh, as `mesh.json` says it.
    pub(crate) fn enrollment(&self) -> &Enrollment {
        &self.0.enrollment
    }

    /// Its files.
    pub(crate) fn data_dir(&self) -> &DataDir {
        &self.0.dir
    }

    /// Where it listens for peers.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.0.listen
    }

    /// How much of the disk it leaves free.
    pub(crate) fn room(&self) -> Room {
        self.0.room
    }

    /// What its wall clock shows.
    pub(crate) fn wall(&self) -> UnixTime {
        (self.0.wall)()
    }
}
