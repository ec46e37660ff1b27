//! N engines, one virtual clock, one seed.
//!
//! A connection is what QUIC gives the engine: reliable streams, ordered within themselves and
//! independent of each other. Loss of packets is delay; a cut stalls the frames, and after a minute
//! both ends see the connection closed. Announcements and requests fail when a queue is full.

mod node;
mod step;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use cairn_core::engine::{Command, CommandId, Config, ConnId, Engine, Frame, PeerAddr};
use cairn_core::fact::EncodedFact;
use cairn_core::id::{MeshId, NodeId};
use cairn_core::limits::Limits;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::time::Millis;
use cairn_core::verified::Verified;

pub(crate) use node::End;
pub use node::{Clocks, Node, Traffic};

use crate::evil::Evil;
use crate::random::Random;
use crate::schedule::{Happening, Scheduled};

/// A stalled connection is given up after this long.
pub(crate) const IDLE_TIMEOUT: Millis = 60_000;

/// How the network and the disks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Least and most delay of a message.
    pub latency: (Millis, Millis),
    /// Packets lost, of a hundred: their frames arrive after one or more timeouts.
    pub loss: u64,
    /// Announcements dropped by a full queue, of a hundred.
    pub announce_loss: u64,
    /// Requests that fail, of a hundred.
    pub request_loss: u64,
    /// Bytes that one connection carries in a millisecond, each way; 0 if there is no cap.
    pub bandwidth: u64,
    /// Least and most time until a batch is durable.
    pub fsync: (Millis, Millis),
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: (1, 30),
            loss: 0,
            announce_loss: 0,
            request_loss: 0,
            bandwidth: 0,
            fsync: (1, 20),
        }
    }
}

/// What a world has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Inputs that engines handled: frames, timers, verdicts, everything.
    pub events: u64,
    /// Milliseconds that nodes were up, summed over the nodes.
    pub node_ms: u64,
    /// What went wrong, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds another world's.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.node_ms += other.node_ms;
        other.faults.iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
    }
}

/// The world.
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The weather.
    pub weather: Weather,
    /// The rules of the mesh.
    pub params: Params,
    /// The one source of chance.
    pub random: Random,
    pub(crate) now: u64,
    order: u64,
    queue: BinaryHeap<Scheduled>,
    pub(crate) next_conn: u64,
    next_command: u64,
    /// Pairs whose first does not reach its second, each with the number of the cut.
    pub(crate) cut: BTreeMap<(usize, usize), u64>,
    /// Frames that wait for a cut to heal.
    pub(crate) stalled: Vec<(usize, ConnId, Frame)>,
    /// What it has seen.
    pub tally: Tally,
    /// Dials made so far, from whom to whom.
    pub dials: BTreeMap<(usize, usize), u64>,
    /// A hash of every input so far: two runs of one seed have the same.
    pub trace: u64,
    /// Prints every input.
    pub verbose: bool,
    /// Nodes that are up.
    up: u64,
}

/// Where node `n` listens.
pub fn address(n: usize) -> PeerAddr {
    PeerAddr(format!("n{n}:7071"))
}

impl World {
    /// A world without nodes.
    pub fn new(seed: u64, params: Params) -> Self {
        Self {
            nodes: Vec::new(),
            weather: Weather::default(),
            params,
            random: Random::new(seed),
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            next_conn: 0,
            next_command: 0,
            cut: BTreeMap::new(),
            stalled: Vec::new(),
            tally: Tally::default(),
            dials: BTreeMap::new(),
            trace: 0,
            verbose: false,
            up: 0,
        }
    }

    /// The mesh.
    pub fn mesh(&self) -> MeshId {
        cairn_core::block::mesh_id(&self.params)
    }

    /// Milliseconds since the world began.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// A new node that dials these others. It holds nothing but genesis, and the facts that admit
    /// it (`introduction`), as after `cairn join`.
    pub fn add_node(
        &mut self,
        key: SigningKey,
        dial: &[usize],
        introduction: &[Verified<EncodedFact>],
    ) -> usize {
        let n = self.add_sleeper(key, dial, introduction);
        self.start(n);
        n
    }

    /// As `add_node`, but it is not started.
    pub fn add_sleeper(
        &mut self,
        key: SigningKey,
        dial: &[usize],
        introduction: &[Verified<EncodedFact>],
    ) -> usize {
        let n = self.nodes.len();
        let config = Config {
            params: self.params.clone(),
            key: key.clone(),
            // A link that was cut is over before a hello on it is late: 0x18 always means a bug.
            limits: Limits { hello_timeout: 2 * IDLE_TIMEOUT, ..Limits::default() },
            seed: [0; 32],
            seal_blocks: true,
            port: 7071,
            agent: format!("n{n}"),
            dial: dial.iter().map(|to| (address(*to), None)).collect(),
            seeds: Vec::new(),
        };
        self.nodes.push(Node::new(key, config, introduction));
        n
    }

    /// Changes a node's configuration; takes effect when it starts next.
    pub fn configure(&mut self, n: usize, change: impl FnOnce(&mut Config)) {
        change(&mut self.nodes[n].config);
    }

    /// From now on a node lies in this way.
    pub fn corrupt(&mut self, n: usize, evil: Evil) {
        self.nodes[n].evil = Some(evil);
    }

    /// Nodes that are up and keep the rules.
    pub fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|n| {
            let node = &self.nodes[*n];
            node.engine.is_some() && node.is_honest()
        })
    }

    /// Keys of the nodes that do not keep the rules.
    pub fn evil_keys(&self) -> BTreeSet<NodeId> {
        self.nodes.iter().filter(|node| !node.is_honest()).map(Node::id).collect()
    }

    /// Starts a node that is down. A node whose disk cannot be read stays down, and its disk is
    /// replaced.
    pub fn start(&mut self, n: usize) {
        let seed = self.random.bytes();
        let node = &mut self.nodes[n];
        node.clocks.slept = 0;
        let now = node.clocks.at(self.now);
        assert!(node.engine.is_none(), "node {n} is up already");
        node.config.seed = seed;
        node.life += 1;
        node.asleep_until = 0;
        match Engine::new(node.config.clone(), &node.disk, now) {
            Ok(engine) => {
                node.engine = Some(engine);
                self.up += 1;
                self.check_promises(n);
                self.tick_at(n, self.now);
            }
            Err(_) => self.replace_disk(n),
        }
    }

    /// Kills a node and starts it again with another key and what it had.
    pub fn rekey(&mut self, n: usize, key: SigningKey) {
        self.kill(n);
        self.nodes[n].config.key = key.clone();
        self.nodes[n].key = key;
        self.start(n);
    }

    /// Whether a machine is suspended.
    pub fn is_asleep(&self, n: usize) -> bool {
        self.nodes[n].asleep_until > self.now
    }

    /// Gives a node a command; the reply is in `Node::replies` some time later.
    pub fn command(&mut self, n: usize, command: Command) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        if command == Command::Stop {
            self.nodes[n].stops.push(id);
        }
        self.schedule(self.now, n, Happening::Command(id, command));
        id
    }

    pub(crate) fn schedule(&mut self, at: u64, node: usize, what: Happening) {
        self.order += 1;
        let life = self.nodes[node].life;
        self.queue.push(Scheduled { at, order: self.order, node, life, what });
    }

    pub(crate) fn between(&mut self, (least, most): (Millis, Millis)) -> Millis {
        least + self.random.below(most - least + 1)
    }

    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.tally.faults.entry(kind).or_default() += 1;
    }
}
