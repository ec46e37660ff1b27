//! N engines, one virtual clock, one seed.
//!
//! A connection is a reliable, ordered, delayed pipe (that is what QUIC gives), except that
//! announcements may be dropped. A partition stalls it; after a minute both ends see it closed.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};

use cairn_core::engine::{
    Command, CommandId, Config, ConnId, Engine, Job, Output, PeerAddr, Receipt, Refusal,
    RequestTag, StreamTag,
};
use cairn_core::event::Event;
use cairn_core::fact::{EncodedFact, verify_batch};
use cairn_core::id::MeshId;
use cairn_core::ledger::create::genesis_batch;
use cairn_core::limits::Limits;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::testing::MemStore;
use cairn_core::time::{Instant, Millis, Now, UnixTime};
use cairn_core::verified::Verified;

use crate::disk::Disk;
use crate::random::Random;
use crate::schedule::{Happening, Scheduled};

/// A stalled connection is given up after this long.
pub(crate) const IDLE_TIMEOUT: Millis = 60_000;
/// An engine that asks for this many ticks in a row and does nothing with them never stops.
const IDLE_TICKS_MAX: u32 = 8;
/// The wall clock of a world at its first instant: 2026-01-01.
const EPOCH: u64 = 1_767_225_600_000;

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) to: usize,
    pub(crate) peer: ConnId,
    /// When the last thing sent arrives; what follows never overtakes it.
    pub(crate) busy_until: u64,
}

/// One simulated node.
pub struct Node {
    pub(crate) engine: Option<Engine>,
    /// Its disk.
    pub disk: Disk,
    /// Its key.
    pub key: SigningKey,
    config: Config,
    life: u64,
    pub(crate) ends: BTreeMap<ConnId, End>,
    pub(crate) next_stream: u64,
    pub(crate) streams: BTreeMap<(ConnId, StreamTag), RequestTag>,
    wake_at: Option<u64>,
    /// Ticks in a row at one instant that brought nothing.
    idle_ticks: u32,
    /// Added to the world's wall clock.
    clock_skew: i64,
    /// Replies in the order they came.
    pub replies: BTreeMap<CommandId, Result<Receipt, Refusal>>,
    /// Events in the order they came.
    pub events: Vec<Event>,
}

impl Node {
    /// The engine, while the node is up.
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// What the node has stored.
    pub fn view(&self) -> &MemStore {
        self.disk.view()
    }
}

/// Knobs of the network and disks.
#[derive(Debug, Clone)]
pub struct Weather {
    /// Least and most delay of a message.
    pub latency: (Millis, Millis),
    /// Announcements lost, of a hundred.
    pub announce_loss: u64,
    /// Least and most time until a batch is durable.
    pub fsync: (Millis, Millis),
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency: (1, 30), announce_loss: 0, fsync: (1, 20) }
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
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Inputs handled so far.
    pub steps: u64,
    /// A hash of every input so far, if it is wanted: two runs of one seed have the same.
    pub trace: Option<u64>,
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
            cut: BTreeSet::new(),
            steps: 0,
            trace: None,
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
        let n = self.nodes.len();
        let genesis = cairn_core::block::genesis(&self.params);
        let mut disk = Disk::with(&genesis_batch(&self.params, &genesis));
        disk.seed(&self.params, introduction);
        let config = Config {
            params: self.params.clone(),
            key: key.clone(),
            // A link that was cut is over before a hello on it is late: 0x18 always means a bug.
            limits: Limits { hello_timeout: 2 * IDLE_TIMEOUT, ..Limits::default() },
            seed: self.random.bytes(),
            seal_blocks: true,
            port: 7071,
            agent: format!("n{n}"),
            dial: dial.iter().map(|to| (address(*to), None)).collect(),
            seeds: Vec::new(),
        };
        self.nodes.push(Node {
            engine: None,
            disk,
            key,
            config,
            life: 0,
            ends: BTreeMap::new(),
            next_stream: 0,
            streams: BTreeMap::new(),
            wake_at: None,
            idle_ticks: 0,
            clock_skew: 0,
            replies: BTreeMap::new(),
            events: Vec::new(),
        });
        self.start(n);
        n
    }

    /// Changes a node's configuration; takes effect when it starts next.
    pub fn configure(&mut self, n: usize, change: impl FnOnce(&mut Config)) {
        change(&mut self.nodes[n].config);
    }

    /// Steps a node's wall clock to this far from the world's.
    pub fn set_clock(&mut self, n: usize, skew: i64) {
        self.nodes[n].clock_skew = skew;
        self.tick_at(n, self.now);
    }

    fn clocks(&self, n: usize) -> Now {
        let wall = (EPOCH + self.now).saturating_add_signed(self.nodes[n].clock_skew);
        Now { instant: Instant(self.now), wall: UnixTime(wall), wall_confirmed: true }
    }

    /// Starts a node that is down.
    pub fn start(&mut self, n: usize) {
        let now = self.clocks(n);
        let seed = self.random.bytes();
        let node = &mut self.nodes[n];
        node.config.seed = seed;
        node.life += 1;
        let engine = Engine::new(node.config.clone(), node.disk.view(), now);
        node.engine = Some(engine.expect("a node starts from what it stored"));
        self.tick_at(n, self.now);
    }

    /// The power of a node fails: what was not durable is gone, and its peers notice in time.
    pub fn crash(&mut self, n: usize) {
        self.nodes[n].disk.crash();
        self.kill(n);
    }

    /// The process of a node ends: what it wrote is there, and its peers notice in time.
    pub fn kill(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.engine = None;
        node.life += 1;
        node.disk.settle();
        node.streams.clear();
        node.wake_at = None;
        for (_, end) in std::mem::take(&mut node.ends) {
            let at = self.now + IDLE_TIMEOUT;
            self.schedule(at, end.to, Happening::Closed(end.peer, None, false));
        }
    }

    /// Nothing passes between two nodes any more.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Nothing passes from one node to another any more; their links die of it.
    pub fn cut_one_way(&mut self, a: usize, b: usize) {
        self.cut.insert((a, b));
        for (from, to) in [(a, b), (b, a)] {
            let ends: Vec<_> = self.nodes[from]
                .ends
                .iter()
                .filter(|(_, end)| end.to == to)
                .map(|(conn, _)| *conn)
                .collect();
            for conn in ends {
                self.schedule(self.now + IDLE_TIMEOUT, from, Happening::Closed(conn, None, false));
            }
        }
    }

    /// Cuts every link between the two groups.
    pub fn split(&mut self, left: &[usize], right: &[usize]) {
        for a in left {
            for b in right {
                self.cut(*a, *b);
            }
        }
    }

    /// Everybody can reach everybody again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Gives a node a command; the reply is in `Node::replies` some time later.
    pub fn command(&mut self, n: usize, command: Command) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
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

    /// Lets `span` milliseconds pass.
    pub fn run(&mut self, span: Millis) {
        let end = self.now + span;
        while self.queue.peek().is_some_and(|next| next.at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until the condition holds, at most `span`. Returns whether it does.
    pub fn run_until(&mut self, span: Millis, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if holds(self) {
                return true;
            }
            let Some(next) = self.queue.peek().map(|next| next.at) else {
                return false;
            };
            if next > end {
                self.now = end;
                return holds(self);
            }
            // Conditions are about states, not instants: look at most every 20 ms.
            let until = (next + 20).min(end);
            while self.queue.peek().is_some_and(|next| next.at <= until) {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        let Some(next) = self.queue.pop() else { return };
        self.now = self.now.max(next.at);
        let n = next.node;
        if next.life != self.nodes[n].life || self.nodes[n].engine.is_none() {
            return;
        }
        if matches!(next.what, Happening::Tick) && self.nodes[n].wake_at != Some(next.at) {
            return;
        }
        if let Happening::Closed(conn, ..) = &next.what
            && self.nodes[n].ends.remove(conn).is_none()
        {
            return;
        }
        self.steps += 1;
        if let Some(trace) = self.trace.as_mut() {
            let mut hasher = DefaultHasher::new();
            (*trace, self.now, n, format!("{:?}", next.what)).hash(&mut hasher);
            *trace = hasher.finish();
        }
        self.handle(n, next.what);
    }

    /// A tick that nobody asked for. It must bring nothing, or a wake-up was forgotten.
    pub fn poke(&mut self, n: usize) {
        let engine = self.nodes[n].engine.as_ref();
        let due = engine.and_then(Engine::poll_timeout).is_some_and(|at| at.0 <= self.now);
        if engine.is_none() || due {
            return;
        }
        let outputs = self.feed(n, Happening::Tick);
        assert!(outputs.is_empty(), "node {n} at {} forgot to ask for this: {outputs:?}", self.now);
        self.schedule_tick(n);
    }

    fn handle(&mut self, n: usize, what: Happening) {
        for output in self.feed(n, what) {
            self.carry_out(n, output);
        }
        self.schedule_tick(n);
    }

    /// One input; returns all outputs.
    fn feed(&mut self, n: usize, what: Happening) -> Vec<Output> {
        let now = self.clocks(n);
        let node = &mut self.nodes[n];
        let is_tick = matches!(what, Happening::Tick);
        if is_tick {
            node.wake_at = None;
        }
        let Some(engine) = node.engine.as_mut() else {
            return Vec::new();
        };
        if let Happening::Durable(id) = &what {
            node.disk.sync(*id);
        }
        let input = what.input();
        engine.handle_input(now, input, node.disk.view()).expect("simulated disks do not fail");
        let mut outputs = Vec::new();
        while let Some(output) = engine.poll_output() {
            outputs.push(output);
        }
        let commits = outputs.iter().filter(|o| matches!(o, Output::Commit(..))).count();
        assert!(commits <= 1, "at most one commit per input");
        let again = engine.poll_timeout().is_some_and(|at| at <= now.instant);
        let idle = is_tick && again && outputs.is_empty();
        node.idle_ticks = if idle { node.idle_ticks + 1 } else { 0 };
        assert!(node.idle_ticks < IDLE_TICKS_MAX, "node {n} at {}: a busy loop", self.now);
        outputs
    }

    fn schedule_tick(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(at) = node.engine.as_ref().and_then(Engine::poll_timeout) else {
            return;
        };
        let at = at.0.max(self.now);
        if node.wake_at.is_none_or(|wake| wake > at) {
            self.tick_at(n, at);
        }
    }

    /// The next tick; any that was planned before is void.
    fn tick_at(&mut self, n: usize, at: u64) {
        self.nodes[n].wake_at = Some(at);
        self.schedule(at, n, Happening::Tick);
    }

    fn carry_out(&mut self, n: usize, output: Output) {
        match output {
            Output::Commit(id, batch) => {
                self.nodes[n].disk.commit(id, batch);
                let at = self.now + self.between(self.weather.fsync);
                // Batches become durable in order.
                self.schedule(at, n, Happening::Durable(id));
            }
            Output::Work(job, Job::Verify(facts)) => {
                let verdicts = verify_batch(facts, &[7; 32]);
                self.schedule(self.now + 1, n, Happening::Verified(job, verdicts));
            }
            Output::Work(job, Job::Grind(header)) => {
                let sealed = cairn_core::seal::pow::grind(&header, 0, u64::MAX).map(Box::new);
                let at = self.now + 1 + self.random.below(2 * self.params.spacing);
                self.schedule(at, n, Happening::Sealed(job, sealed));
            }
            Output::Work(_, Job::StopGrinding) => {}
            Output::Dial(dial, to, pin) => self.dial(n, dial, &to, pin),
            Output::Send(conn, frame) => self.send(n, conn, frame),
            Output::Close(conn, code) => self.close(n, conn, code),
            Output::Reply(id, result) => {
                let old = self.nodes[n].replies.insert(id, result);
                assert!(old.is_none(), "exactly one reply per command");
            }
            Output::Event(event) => self.nodes[n].events.push(event),
        }
    }
}
