//! One engine, its disk, and everything that must hold around it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use cairn_core::block::{Header, Seal, mesh_id};
use cairn_core::codec;
use cairn_core::conn::{ConnId, PeerAddr, RequestTag};
use cairn_core::engine::{
    BatchId, Command, CommandId, Config, ConnInput, Engine, Frame, Input, Job, JobId, Output,
    Published, Receipt,
};
use cairn_core::event::Event;
use cairn_core::fact::{EncodedFact, verify_batch};
use cairn_core::id::{BlockId, FactId, MeshId, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::limits::Limits;
use cairn_core::params::{Params, SealRule};
use cairn_core::peer::{CLOSES_MAX, Subject};
use cairn_core::store::{Batch, Table};
use cairn_core::testing::{TestChain, TestNode, params};
use cairn_core::time::{Instant, Now, UnixTime};
use cairn_core::verified::Verified;
use cairn_core::wire::{Announce, Class, CloseCode, Control, Hello, Tip};
use cairn_core::work::Target;

use super::super::Source;
use super::super::peers::NODES;
use crate::disk::Disk;
use crate::model::Model;

/// The wall clock at instant 0: later than any time that peers seal at first.
const EPOCH: u64 = 100_000_000;
/// Most outputs of one input: an engine that says more than this has lost its measure.
const OUTPUTS_MAX: usize = 20_000;
/// Nonces tried for a proof of work; the target lets every second one through.
const NONCES: u64 = 64;

/// Keys, rules and the peers' first chain: the same in every run, so made once.
struct Mesh {
    params: Params,
    nodes: Vec<TestNode>,
    chain: TestChain,
}

fn mesh(pow: bool) -> &'static Mesh {
    static MESHES: OnceLock<[Mesh; 2]> = OnceLock::new();
    let make = |pow: bool| {
        let keys: Vec<_> = (1..=NODES as u64).map(|n| TestNode::new(n, MeshId::ZERO)).collect();
        let mut params = params(&keys.iter().take(4).collect::<Vec<_>>());
        if pow {
            params.seal = SealRule::Pow { initial: Target::MAX, half_life: 0 };
        }
        let mesh = mesh_id(&params);
        let nodes: Vec<_> = keys.iter().map(|key| key.in_mesh(mesh)).collect();
        let mut chain = TestChain::new(params.clone());
        for n in 0..if pow { 0 } else { 3 } {
            let note = nodes[0].record("note", &n.to_string());
            chain.add(std::slice::from_ref(&note));
            chain.seal(&nodes[0].key, &[note.id()]);
        }
        Mesh { params, nodes, chain }
    };
    &MESHES.get_or_init(|| [make(false), make(true)])[usize::from(pow)]
}

/// A request of the engine that nobody has answered.
pub(super) type Asked = (ConnId, RequestTag, Class, Vec<u8>);

pub(super) struct Scene {
    engine: Engine,
    pub(super) disk: Disk,
    pub(super) params: Params,
    pub(super) nodes: Vec<TestNode>,
    /// What the peers hold: two branches, and whatever is forged on them.
    pub(super) chains: [TestChain; 2],
    /// Facts that peers and users made.
    pub(super) made: Vec<Verified<EncodedFact>>,
    pub(super) pow: bool,
    pub(super) now: u64,
    pub(super) asked: Vec<Asked>,
    pub(super) jobs: Vec<(JobId, Job)>,
    pub(super) batches: Vec<BatchId>,
    pings: Vec<(ConnId, u64)>,
    pub(super) streams: u64,
    last_command: u64,
    open_commands: BTreeSet<CommandId>,
    acknowledged: BTreeSet<FactId>,
    /// Parent → the block of ours on it that others have been shown.
    shown: BTreeMap<BlockId, BlockId>,
    closed: Vec<(ConnId, CloseCode)>,
    lives: u8,
}

fn clocks(now: u64) -> Now {
    Now { instant: Instant(now), wall: UnixTime(EPOCH + now), wall_confirmed: true }
}

/// Small limits, so that a fuzzer gets to them.
fn limits() -> Limits {
    Limits {
        mempool_facts: 16,
        strangers_facts: 4,
        wants: 32,
        verifying_facts: 16,
        headers_kept: 4,
        headers_in_memory: 24,
        bodies_ahead: 3,
        body_ids_in_memory: 32,
        requests_per_peer: 2,
        inbound_max: 3,
        addresses: 8,
        addresses_tried: 4,
        addresses_given: 4,
        ..Limits::default()
    }
}

fn start(params: &Params, key: &TestNode, disk: &Disk, life: u8, now: u64) -> Engine {
    let config = Config {
        params: params.clone(),
        key: key.key.clone(),
        limits: limits(),
        seed: [life; 32],
        seal_blocks: true,
        port: 7071,
        agent: "fuzz".into(),
        dial: vec![(PeerAddr("192.0.2.9:7071".into()), None)],
        seeds: Vec::new(),
    };
    Engine::new(config, disk.view(), clocks(now)).expect("the store is whole")
}

impl Scene {
    pub(super) fn new(source: &mut Source<'_>) -> Self {
        let pow = source.byte() & 1 == 1;
        let Mesh { params, nodes, chain } = mesh(pow);
        let disk = Disk::joined(params, &[]);
        Self {
            engine: start(params, &nodes[1], &disk, 0, 0),
            disk,
            params: params.clone(),
            nodes: nodes.clone(),
            chains: [chain.clone(), chain.clone()],
            made: Vec::new(),
            pow,
            now: 0,
            asked: Vec::new(),
            jobs: Vec::new(),
            batches: Vec::new(),
            pings: Vec::new(),
            streams: 0,
            last_command: 0,
            open_commands: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            shown: BTreeMap::new(),
            closed: Vec::new(),
            lives: 0,
        }
    }

    pub(super) fn me(&self) -> NodeId {
        self.nodes[1].id()
    }

    pub(super) fn next_command(&mut self) -> CommandId {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        self.open_commands.insert(id);
        id
    }

    pub(super) fn conn(&mut self, conn: ConnId, input: ConnInput<'_>) {
        self.input(Input::Conn(conn, input));
    }

    /// One input, drained.
    pub(super) fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(clocks(self.now), input, self.disk.view()).expect("no faults");
        let (mut commits, mut outputs) = (0, 0);
        while let Some(output) = self.engine.poll_output() {
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "one input makes no end of outputs");
            commits += usize::from(matches!(output, Output::Commit(..)));
            self.output(output);
        }
        assert!(commits <= 1, "{commits} commits by one input");
        self.check_bounds();
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Commit(id, batch) => self.commit(id, batch),
            Output::Work(_, Job::StopGrinding) => {
                let grinding = |(_, job): &(JobId, Job)| matches!(job, Job::Grind(_));
                if let Some(at) = self.jobs.iter().position(grinding) {
                    self.jobs[at].1 = Job::StopGrinding;
                }
            }
            Output::Work(id, job) => self.jobs.push((id, job)),
            Output::Send(conn, frame) => self.frame(conn, frame),
            Output::Close(conn, code, _) => self.closed.push((conn, code)),
            Output::Reply(id, result) => {
                assert!(self.open_commands.remove(&id), "a second reply to {id:?}");
                if let Ok(receipt) = result {
                    self.acknowledge(receipt);
                }
            }
            Output::Event(Event::Reorged(reorg)) => {
                assert_eq!(reorg.lost, 0, "a reorg lost facts");
            }
            Output::Dial(..) | Output::CallBack(..) | Output::Event(_) => {}
        }
    }

    fn commit(&mut self, id: BatchId, batch: Batch) {
        assert!(!batch.is_empty(), "an empty batch costs a write for nothing");
        self.disk.commit(id, &batch);
        self.batches.push(id);
    }

    fn acknowledge(&mut self, receipt: Receipt) {
        match receipt {
            Receipt::Made(id) => drop(self.acknowledged.insert(id)),
            Receipt::Published(all) => {
                self.acknowledged.extend(all.into_iter().filter_map(|one| match one {
                    Published::Accepted(id) | Published::Duplicate(id) => Some(id),
                    Published::Refused(..) => None,
                }));
            }
            Receipt::Pong(_) | Receipt::Done => {}
        }
    }

    fn frame(&mut self, conn: ConnId, frame: Frame) {
        match frame {
            Frame::Request { tag, class, bytes } => {
                assert!(class.is_request() && bytes.len() <= class.request_bytes_max());
                self.asked.push((conn, tag, class, bytes));
            }
            Frame::Control(bytes) => {
                let control: Control =
                    codec::decode(&bytes, Class::Control.request_bytes_max()).unwrap();
                match control {
                    Control::Hello(Hello { tip, .. }) => self.show(tip),
                    Control::Ping { nonce, tip, .. } => {
                        self.pings.push((conn, nonce));
                        self.show(tip);
                    }
                    Control::Pong { .. }
                    | Control::Twin(_)
                    | Control::Revoked { .. }
                    | Control::Full { .. }
                    | Control::CallBack { .. }
                    | Control::CalledBack { .. } => {}
                }
            }
            Frame::Announce(bytes) => {
                let max = Class::Announce.request_bytes_max();
                if let Announce::Block(tip) = codec::decode(&bytes, max).unwrap() {
                    self.show(tip);
                }
            }
            Frame::Answer { bytes, .. } => assert!(bytes.len() <= 1024 * 1024 + 32 * 1024),
            Frame::Forget(tag) => self.asked.retain(|(_, other, ..)| *other != tag),
            Frame::Refuse(_) => {}
        }
    }

    /// Others learn of a tip: if it is ours, it must be the only one of ours on its parent, also
    /// after a crash.
    fn show(&mut self, tip: Tip) {
        let row = self.disk.view().header(&tip.id).unwrap().expect("a tip that is told is held");
        let header = row.header;
        if header.sealer == self.me()
            && matches!(header.seal, Seal::Authority(_) | Seal::Recovery(_))
        {
            let first = *self.shown.entry(header.parent).or_insert(tip.id);
            assert_eq!(first, tip.id, "two blocks of ours on one parent were shown");
        }
    }

    fn check_bounds(&self) {
        let (status, limits) = (self.engine.status(), limits());
        assert!(status.wanted <= (limits.wants + limits.bodies_ahead * 8_192) as u64);
        let peers = self.engine.peers();
        let live = peers.iter().filter(|peer| peer.connected).count();
        assert!(live <= limits.inbound_max + limits.outbound_max);
        assert!(peers.len() - live <= limits.addresses_in_all() + 1 + CLOSES_MAX);
        assert!(self.jobs.len() <= 1_000, "{} jobs wait", self.jobs.len());
        assert_eq!(status.tip, self.disk.view().tip_row().unwrap().unwrap().tip);
        let held = self.disk.view().set_row().unwrap().summary;
        // What revoked keys said and nobody sealed is not shared, nor counted.
        if self.disk.view().is_empty(Table::Revoked) {
            assert_eq!(status.facts, held);
        } else {
            assert!(status.facts.count <= held.count);
        }
    }

    pub(super) fn work(&mut self, id: JobId, job: Job) {
        match job {
            Job::Verify(facts) => {
                let verdicts = verify_batch(&mesh_id(&self.params), facts, &[7; 32]);
                self.input(Input::Verified(id, verdicts));
            }
            Job::Grind(header) => {
                let sealed = (0..NONCES).find_map(|nonce| {
                    let found = Header { seal: Seal::Pow(nonce), ..(*header).clone() };
                    found.target.is_met_by(found.id().as_bytes()).then(|| Box::new(found))
                });
                self.input(Input::Sealed(id, sealed));
            }
            Job::StopGrinding => self.input(Input::Sealed(id, None)),
        }
    }

    pub(super) fn durable(&mut self, upto: usize) {
        let Some(id) = self.batches.get(upto).copied() else { return };
        self.batches.drain(..=upto);
        self.disk.sync(id);
        self.input(Input::Durable(id));
    }

    fn is_due(&self) -> bool {
        self.engine.poll_timeout().is_some_and(|at| at.0 <= self.now)
    }

    /// Does all the work and all that is due now.
    pub(super) fn settle(&mut self) {
        let mut inputs = 0;
        loop {
            inputs += 1;
            assert!(inputs < 10_000, "the engine never comes to rest");
            if let Some((id, job)) = self.jobs.pop() {
                self.work(id, job);
            } else if let Some((conn, nonce)) = self.pings.pop() {
                self.conn(conn, ConnInput::Control(&codec::encode(&Control::Pong { nonce })));
            } else if !self.batches.is_empty() {
                self.durable(0);
            } else if self.is_due() {
                self.input(Input::Tick);
            } else {
                return;
            }
        }
    }

    /// Lets time pass, waking the engine as it wants.
    pub(super) fn pass(&mut self, span: u64) {
        let end = self.now + span;
        self.settle();
        while let Some(at) = self.engine.poll_timeout().filter(|at| at.0 <= end) {
            self.now = self.now.max(at.0);
            self.settle();
        }
        self.now = end;
        self.input(Input::Tick);
    }

    /// The power fails; what was not durable is gone, and so are all connections.
    pub(super) fn crash(&mut self) {
        self.disk.crash(0);
        self.lives = self.lives.wrapping_add(1);
        self.asked.clear();
        self.jobs.clear();
        self.batches.clear();
        self.pings.clear();
        self.open_commands.clear();
        self.engine = start(&self.params, &self.nodes[1], &self.disk, self.lives, self.now);
        self.check();
    }

    pub(super) fn hello(&self, chain: usize) -> Hello {
        self.chains[chain].hello(UnixTime(EPOCH))
    }

    /// The state is that of a naive replay, and nothing acknowledged is gone.
    fn check(&self) {
        let view = self.disk.view();
        Model::replay(&self.params, view).assert_is(view);
        for id in &self.acknowledged {
            assert!(view.fact_row(id).unwrap().is_some(), "{id} was acknowledged and is gone");
        }
    }

    /// Everybody leaves, and one honest peer comes: the engine works on and gets its facts.
    pub(super) fn end(mut self) {
        self.settle();
        self.check();
        let stopped = self.engine.status().state == cairn_core::engine::State::Stopping;
        // Who was revoked is not let in, and what it said is not taken: perhaps the honest one too.
        if stopped || !self.disk.view().is_empty(Table::Revoked) {
            return;
        }
        for conn in 0..super::steps::CONNS {
            self.conn(ConnId(conn), ConnInput::Closed { code: None, by_peer: true, reason: "" });
        }
        self.asked.clear();
        let honest = &mesh(self.pow).chain;
        self.chains = [honest.clone(), honest.clone()];
        let conn = ConnId(1_000);
        let (node, address) = (self.nodes[3].id(), PeerAddr("192.0.2.77:7071".into()));
        // Somebody may have misbehaved in its name.
        let id = self.next_command();
        self.input(Input::Command(id, Command::Unban(Subject::Node(node))));
        self.conn(conn, ConnInput::Opened { node, address, dial: None, key_exchange: "fuzz" });
        let hello = codec::encode(&Control::Hello(self.hello(0)));
        self.conn(conn, ConnInput::Control(&hello));
        for _ in 0..8 {
            for _ in 0..20 {
                self.settle();
                let Some(at) = self.asked.iter().position(|(to, ..)| *to == conn) else { break };
                let (_, tag, class, bytes) = self.asked.remove(at);
                let answer = honest.answer(class, &bytes).expect("what we ask is well formed");
                self.conn(conn, ConnInput::Answer { tag, bytes: &answer });
            }
            self.pass(11_000);
        }
        self.settle();
        assert!(self.open_commands.is_empty(), "no reply to {:?}", self.open_commands);
        assert!(!self.closed.iter().any(|(one, code)| {
            *one == conn && matches!(code, CloseCode::Misbehavior | CloseCode::BadHello)
        }));
        for id in honest.facts.keys() {
            assert!(self.disk.view().fact_row(id).unwrap().is_some(), "{id} was not fetched");
        }
        self.check();
    }
}
