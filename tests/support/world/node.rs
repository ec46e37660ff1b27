//! One simulated node: its engine while it is up, its disk, its clocks, its ends of connections.

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::engine::{
    CommandId, Config, ConnId, Engine, Receipt, Refusal, RequestTag, StreamTag,
};
use cairn_core::event::Event;
use cairn_core::fact::EncodedFact;
use cairn_core::id::{FactId, NodeId};
use cairn_core::signature::SigningKey;
use cairn_core::testing::MemStore;
use cairn_core::time::{Instant, Millis, Now, UnixTime};
use cairn_core::verified::Verified;
use cairn_core::wire::Class;

use crate::disk::Disk;
use crate::evil::Evil;

/// The wall clock of a world at its first instant: 2026-01-01.
const EPOCH: u64 = 1_767_225_600_000;

/// One end of a connection. Streams are independent of each other; within one, order is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) to: usize,
    pub(crate) peer: ConnId,
    /// When both ends know of it.
    pub(crate) opened_at: u64,
    /// When the last frame of the control stream arrives; what follows does not overtake it.
    pub(crate) control_at: u64,
    /// The same for the announce stream.
    pub(crate) announce_at: u64,
    /// When the line is free again.
    pub(crate) line_free: u64,
    /// This end is told by the other that it is revoked.
    pub(crate) dismissed: bool,
}

/// A node's clocks, as they differ from the world's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clocks {
    /// Added to the world's wall clock.
    pub skew: i64,
    /// Nobody vouched for the wall clock.
    pub unconfirmed: bool,
    /// How long the monotonic clock stood still while the machine slept.
    pub(crate) slept: Millis,
}

impl Clocks {
    pub(crate) fn at(&self, now: u64) -> Now {
        let wall = (EPOCH + now).saturating_add_signed(self.skew);
        let wall_confirmed = !self.unconfirmed;
        Now { instant: Instant(now - self.slept), wall: UnixTime(wall), wall_confirmed }
    }
}

/// What passed through a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    /// Bytes of frames sent.
    pub sent: u64,
    /// Bytes of frames received.
    pub received: u64,
    /// Inputs handled.
    pub inputs: u64,
}

/// One simulated node.
pub struct Node {
    pub(crate) engine: Option<Engine>,
    /// Its disk.
    pub disk: Disk,
    /// Its key.
    pub key: SigningKey,
    pub(crate) config: Config,
    pub(crate) introduction: Vec<Verified<EncodedFact>>,
    pub(crate) life: u64,
    pub(crate) ends: BTreeMap<ConnId, End>,
    pub(crate) next_stream: u64,
    pub(crate) streams: BTreeMap<(ConnId, StreamTag), (RequestTag, Class)>,
    pub(crate) wake_at: Option<u64>,
    /// Ticks in a row at one instant that brought nothing.
    pub(crate) idle_ticks: u32,
    /// Its life, and since when in it it has links to whom its set knows to be revoked.
    pub(crate) overdue: (u64, BTreeMap<NodeId, Instant>),
    /// It was told to write nothing.
    pub(crate) read_only: bool,
    /// Its clocks.
    pub clocks: Clocks,
    /// Until then it sleeps, and what is meant for it waits.
    pub(crate) asleep_until: u64,
    /// What is hostile about it, if anything.
    pub(crate) evil: Option<Evil>,
    /// Replies by command.
    pub replies: BTreeMap<CommandId, Result<Receipt, Refusal>>,
    /// Commands to stop.
    pub(crate) stops: Vec<CommandId>,
    /// Facts that this node promised to keep.
    pub acknowledged: BTreeSet<FactId>,
    /// Events in the order they came.
    pub events: Vec<Event>,
    /// Its disk returned rotten rows and was replaced, or it was wiped.
    pub wiped: bool,
    /// What passed through it.
    pub traffic: Traffic,
}

impl Node {
    pub(crate) fn new(
        key: SigningKey,
        config: Config,
        introduction: &[Verified<EncodedFact>],
    ) -> Self {
        Self {
            engine: None,
            disk: Disk::joined(&config.params, introduction),
            key,
            config,
            introduction: introduction.to_vec(),
            life: 0,
            ends: BTreeMap::new(),
            next_stream: 0,
            streams: BTreeMap::new(),
            wake_at: None,
            idle_ticks: 0,
            overdue: (0, BTreeMap::new()),
            read_only: false,
            clocks: Clocks::default(),
            asleep_until: 0,
            evil: None,
            replies: BTreeMap::new(),
            stops: Vec::new(),
            acknowledged: BTreeSet::new(),
            events: Vec::new(),
            wiped: false,
            traffic: Traffic::default(),
        }
    }

    /// The engine, while the node is up.
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// What the node has stored.
    pub fn view(&self) -> &MemStore {
        self.disk.view()
    }

    /// Who it is.
    pub fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// When it hears that it was told to stop; 0 if it was not.
    pub(crate) fn stops_at(&self) -> u64 {
        if self.stops.is_empty() { 0 } else { self.asleep_until }
    }

    /// Whether it keeps the rules.
    pub fn is_honest(&self) -> bool {
        self.evil.is_none()
    }
}
