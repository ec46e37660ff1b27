//! N engines, one virtual clock, one seed.
//!
//! A connection is a reliable, ordered, delayed pipe (that is what QUIC gives), except that
//! announcements may be dropped. A partition stalls it; after a minute both ends see it closed.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use cairn_core::engine::{
    Command, CommandId, Config, ConnId, DialId, Engine, Frame, Job, Output, PeerAddr, Receipt,
    Refusal, RequestTag, StreamTag,
};
use cairn_core::event::Event;
use cairn_core::fact::{EncodedFact, verify_batch};
use cairn_core::id::{MeshId, NodeId};
use cairn_core::ledger::create::genesis_batch;
use cairn_core::limits::Limits;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::testing::MemStore;
use cairn_core::time::{Instant, Millis, Now, UnixTime};
use cairn_core::verified::Verified;
use cairn_core::wire::CloseCode;

use crate::disk::Disk;
use crate::random::Random;
use crate::schedule::{Happening, Scheduled};

/// A stalled connection is given up after this long.
const IDLE_TIMEOUT: Millis = 60_000;
/// The wall clock of a world at its first instant: 2026-01-01.
const EPOCH: u64 = 1_767_225_600_000;

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
struct End {
    to: usize,
    peer: ConnId,
    /// When the last thing sent arrives; what follows never overtakes it.
    busy_until: u64,
}

/// One simulated node.
pub struct Node {
    engine: Option<Engine>,
    /// Its disk.
    pub disk: Disk,
    /// Its key.
    pub key: SigningKey,
    config: Config,
    life: u64,
    ends: BTreeMap<ConnId, End>,
    next_stream: u64,
    streams: BTreeMap<(ConnId, StreamTag), RequestTag>,
    wake_at: Option<u64>,
    /// Added to the world's wall clock.
    pub clock_skew: i64,
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
    now: u64,
    order: u64,
    queue: BinaryHeap<Scheduled>,
    next_conn: u64,
    next_command: u64,
    cut: BTreeSet<(usize, usize)>,
    /// Inputs handled so far.
    pub steps: u64,
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
            limits: Limits::default(),
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
        self.schedule(self.now, n, Happening::Tick);
    }

    /// The power of a node fails: what was not durable is gone, and its peers notice in time.
    pub fn crash(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.engine = None;
        node.life += 1;
        node.disk.crash();
        node.streams.clear();
        node.wake_at = None;
        for (_, end) in std::mem::take(&mut node.ends) {
            let at = self.now + IDLE_TIMEOUT;
            self.schedule(at, end.to, Happening::Closed(end.peer, None, false));
        }
    }

    /// Nothing passes between two nodes any more.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
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

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Gives a node a command; the reply is in `Node::replies` some time later.
    pub fn command(&mut self, n: usize, command: Command) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        self.schedule(self.now, n, Happening::Command(id, command));
        id
    }

    fn schedule(&mut self, at: u64, node: usize, what: Happening) {
        self.order += 1;
        let life = self.nodes[node].life;
        self.queue.push(Scheduled { at, order: self.order, node, life, what });
    }

    fn between(&mut self, (least, most): (Millis, Millis)) -> Millis {
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
        if let Happening::Closed(conn, ..) = &next.what
            && self.nodes[n].ends.remove(conn).is_none()
        {
            return;
        }
        self.steps += 1;
        self.handle(n, next.what);
    }

    fn handle(&mut self, n: usize, what: Happening) {
        let now = self.clocks(n);
        let node = &mut self.nodes[n];
        if matches!(what, Happening::Tick) {
            node.wake_at = None;
        }
        let Some(engine) = node.engine.as_mut() else {
            return;
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
        for output in outputs {
            self.carry_out(n, output);
        }
        self.schedule_tick(n);
    }

    fn schedule_tick(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(at) = node.engine.as_ref().and_then(Engine::poll_timeout) else {
            return;
        };
        let at = at.0.max(self.now);
        if node.wake_at.is_none_or(|wake| wake > at) {
            node.wake_at = Some(at);
            self.schedule(at, n, Happening::Tick);
        }
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

    fn dial(&mut self, n: usize, dial: DialId, to: &PeerAddr, pin: Option<NodeId>) {
        let target = (0..self.nodes.len()).find(|m| address(*m) == *to);
        let delay = self.between(self.weather.latency) * 2;
        let reachable = target.filter(|m| {
            self.nodes[*m].engine.is_some()
                && !self.is_cut(n, *m)
                && pin.is_none_or(|pin| pin == self.nodes[*m].key.node_id())
        });
        let Some(m) = reachable else {
            return self.schedule(self.now + delay, n, Happening::DialFailed(dial));
        };
        let (mine, theirs) = (ConnId(self.next_conn + 1), ConnId(self.next_conn + 2));
        self.next_conn += 2;
        let at = self.now + delay;
        self.nodes[n].ends.insert(mine, End { to: m, peer: theirs, busy_until: at });
        self.nodes[m].ends.insert(theirs, End { to: n, peer: mine, busy_until: at });
        let (my_id, their_id) = (self.nodes[n].key.node_id(), self.nodes[m].key.node_id());
        let opened =
            Happening::Opened { conn: mine, node: their_id, address: to.clone(), dial: Some(dial) };
        self.schedule(at, n, opened);
        let from = PeerAddr(format!("n{n}:{}", 40_000 + mine.0 % 20_000));
        let opened = Happening::Opened { conn: theirs, node: my_id, address: from, dial: None };
        self.schedule(at, m, opened);
    }

    fn send(&mut self, n: usize, conn: ConnId, frame: Frame) {
        let Some(end) = self.nodes[n].ends.get(&conn).copied() else {
            return;
        };
        if self.is_cut(n, end.to) {
            return;
        }
        let delay = self.between(self.weather.latency);
        let at = end.busy_until.max(self.now + delay);
        if let Some(end) = self.nodes[n].ends.get_mut(&conn) {
            end.busy_until = at;
        }
        let (m, peer) = (end.to, end.peer);
        let what = match frame {
            Frame::Control(bytes) => Happening::Control(peer, bytes),
            Frame::Announce(_) if self.random.chance(self.weather.announce_loss) => return,
            Frame::Announce(bytes) => Happening::Announce(peer, bytes),
            Frame::Request { tag, class, bytes } => {
                assert!(bytes.len() <= class.request_bytes_max(), "{class:?} request too long");
                let stream = StreamTag(self.nodes[m].next_stream);
                self.nodes[m].next_stream += 1;
                self.nodes[m].streams.insert((peer, stream), tag);
                Happening::Request(peer, stream, class, bytes)
            }
            Frame::Answer { stream, bytes } => {
                let Some(tag) = self.nodes[n].streams.remove(&(conn, stream)) else {
                    return;
                };
                Happening::Answer(peer, tag, bytes)
            }
            Frame::Refuse(stream) => {
                let Some(tag) = self.nodes[n].streams.remove(&(conn, stream)) else {
                    return;
                };
                Happening::NoAnswer(peer, tag)
            }
            Frame::Forget(_) => return,
        };
        self.schedule(at, m, what);
    }

    fn close(&mut self, n: usize, conn: ConnId, code: CloseCode) {
        let Some(end) = self.nodes[n].ends.get(&conn).copied() else {
            return;
        };
        self.schedule(self.now, n, Happening::Closed(conn, Some(code), false));
        let delay = if self.is_cut(n, end.to) { IDLE_TIMEOUT } else { 30 };
        let at = end.busy_until.max(self.now + delay);
        self.schedule(at, end.to, Happening::Closed(end.peer, Some(code), true));
    }
}
