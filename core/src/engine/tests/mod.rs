//! One engine with a store in memory, and peers that are whatever a test makes of them.

mod addresses;
mod bans;
mod bytes;
mod clocks;
mod closes;
mod deep;
mod leases;
mod lives;
mod order;
mod orphans;
mod peers;
mod rates;
mod reach;
mod read_only;
mod recovered;
mod revoked;
mod slow;
mod sweep;
mod twins;
mod withheld;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::codec;
use crate::fact::verify_batch;
use crate::ledger::create::genesis_batch;
use crate::ledger::read::Read;
use crate::limits::Limits;
use crate::params::Params;
use crate::signature::SigningKey;
use crate::store::{Op, Table};
use crate::testing::{MemStore, TestChain, TestNode};
use crate::time::UnixTime;
use crate::wire::{Announce, Class, CloseCode, Control, HeadersRequest, Hello, SetSummary, Tip};

/// The wall clock at instant 0: later than any time that these tests seal.
const EPOCH: u64 = 100_000_000;

/// Four founders of a mesh with blocks every five seconds.
fn founders() -> ([TestNode; 4], Params) {
    let keys = [1, 2, 3, 4].map(|n| TestNode::new(n, MeshId::ZERO));
    let params = crate::testing::params(&keys.each_ref());
    let mesh = crate::block::mesh_id(&params);
    (keys.map(|key| key.in_mesh(mesh)), params)
}

/// An engine, and everything around it that is not the world.
struct Sole {
    engine: Engine,
    store: MemStore,
    now: u64,
    commands: u64,
    /// Everything that came out.
    out: Vec<Output>,
    /// Its requests that nobody has answered.
    asked: Vec<(ConnId, RequestTag, Class, Vec<u8>)>,
    jobs: Vec<(JobId, Job)>,
    batches: Vec<BatchId>,
    pings: Vec<(u64, u64)>,
    mute: Vec<u64>,
    /// Whether the disk is stuck: nothing becomes durable.
    stuck: bool,
    /// Added to the wall clock.
    ahead: u64,
}

impl Sole {
    fn new(params: &Params, key: SigningKey, limits: Limits, seals: bool) -> Self {
        let mut store = MemStore::new();
        store.apply(&genesis_batch(params, &crate::block::genesis(params)));
        Self::start(store, Self::config(params, key, limits, seals))
    }

    fn config(params: &Params, key: SigningKey, limits: Limits, seals: bool) -> Config {
        Config {
            params: params.clone(),
            key,
            limits,
            seed: [7; 32],
            seal_blocks: seals,
            port: 7071,
            agent: "test".into(),
            dial: Vec::new(),
            seeds: Vec::new(),
        }
    }

    /// A node starts on what it has stored.
    fn start(store: MemStore, config: Config) -> Self {
        Self::start_at(store, config, 0)
    }

    /// The same, so many milliseconds after the first instant.
    fn start_at(store: MemStore, config: Config, now: u64) -> Self {
        let engine = Engine::new(config, &store, clocks(now)).unwrap();
        Self {
            engine,
            store,
            now,
            commands: 0,
            out: Vec::new(),
            asked: Vec::new(),
            jobs: Vec::new(),
            batches: Vec::new(),
            pings: Vec::new(),
            mute: Vec::new(),
            stuck: false,
            ahead: 0,
        }
    }

    /// One input; holds the engine to its contract. Jobs and batches wait for `settle`.
    fn input(&mut self, input: Input<'_>) {
        let mut now = clocks(self.now);
        now.wall = now.wall.after(self.ahead);
        self.engine.handle_input(now, input, &self.store).unwrap();
        let mut commits = 0;
        while let Some(output) = self.engine.poll_output() {
            match &output {
                Output::Commit(id, batch) => {
                    commits += 1;
                    self.store.apply(batch);
                    self.batches.push(*id);
                }
                Output::Work(job, work) => self.jobs.push((*job, work.clone())),
                Output::Send(conn, Frame::Request { tag, class, bytes }) => {
                    assert!(bytes.len() <= class.request_bytes_max());
                    self.asked.push((*conn, *tag, *class, bytes.clone()));
                }
                // Whatever else they do, these peers are alive, but for those that are mute.
                Output::Send(conn, Frame::Control(bytes)) => {
                    let ping = codec::decode(bytes, bytes.len());
                    if let (Ok(Control::Ping { nonce, .. }), false) =
                        (ping, self.mute.contains(&conn.0))
                    {
                        self.pings.push((conn.0, nonce));
                    }
                }
                Output::Send(_, Frame::Forget(tag)) => {
                    self.asked.retain(|(_, other, ..)| other != tag);
                }
                _ => {}
            }
            self.out.push(output);
        }
        assert!(commits <= 1, "{commits} commits by one input");
    }

    fn conn(&mut self, conn: u64, input: ConnInput<'_>) {
        self.input(Input::Conn(ConnId(conn), input));
    }

    /// Does all the work and all that is due now.
    fn settle(&mut self) {
        loop {
            self.settle_but_jobs();
            let Some((job, work)) = self.jobs.pop() else {
                return;
            };
            if let Job::Verify(facts) = work {
                self.input(Input::Verified(job, verify_batch(&self.engine.mesh, facts, &[7; 32])));
            }
        }
    }

    /// Does all that is due now, but leaves work for the pool.
    fn settle_but_jobs(&mut self) {
        loop {
            if let Some((conn, nonce)) = self.pings.pop() {
                self.control(conn, &Control::Pong { nonce });
            } else if !self.stuck && !self.batches.is_empty() {
                let batch = self.batches.remove(0);
                self.input(Input::Durable(batch));
            } else if self.engine.poll_timeout().is_some_and(|at| at.0 <= self.now) {
                self.input(Input::Tick);
            } else {
                return;
            }
        }
    }

    /// Lets time pass, waking the engine as it wants.
    fn pass(&mut self, span: u64) {
        let end = self.now + span;
        self.settle();
        while let Some(at) = self.engine.poll_timeout().filter(|at| at.0 <= end) {
            self.now = self.now.max(at.0);
            self.settle();
        }
        self.now = end;
        self.input(Input::Tick);
        self.settle();
    }

    /// A peer connects and says a hello that its facts and tip go with.
    fn join(&mut self, conn: u64, node: NodeId, chain: &TestChain) {
        self.join_saying(conn, node, hello(chain));
    }

    /// A peer connects and says this hello.
    fn join_saying(&mut self, conn: u64, node: NodeId, hello: Hello) {
        let address = PeerAddr(format!("192.0.2.1:{}", 1_000 + conn));
        self.conn(conn, ConnInput::Opened { node, address, dial: None, key_exchange: "test" });
        self.control(conn, &Control::Hello(hello));
        self.settle();
    }

    fn control(&mut self, conn: u64, message: &Control) {
        self.conn(conn, ConnInput::Control(&codec::encode(message)));
    }

    fn announce(&mut self, conn: u64, message: &Announce) {
        self.conn(conn, ConnInput::Announce(&codec::encode(message)));
    }

    /// Answers everything that is asked of a connection from a chain, until nothing more is asked.
    fn serve(&mut self, conn: u64, chain: &TestChain) {
        while self.serve_one(conn, chain) {}
    }

    /// Answers one request of a connection. Returns whether there was one.
    fn serve_one(&mut self, conn: u64, chain: &TestChain) -> bool {
        self.serve_some(conn, chain, u16::MAX)
    }

    /// The same, with so many headers at most.
    fn serve_some(&mut self, conn: u64, chain: &TestChain, headers_max: u16) -> bool {
        self.settle();
        let Some(at) = self.asked.iter().position(|(to, ..)| to.0 == conn) else { return false };
        let (_, tag, class, mut bytes) = self.asked.remove(at);
        if class == Class::Headers {
            let asked = codec::decode::<HeadersRequest>(&bytes, bytes.len()).unwrap();
            let max = asked.max.min(headers_max);
            bytes = codec::encode(&HeadersRequest { max, ..asked });
        }
        let answer = chain.answer(class, &bytes).unwrap();
        self.conn(conn, ConnInput::Answer { tag, bytes: &answer });
        self.settle();
        true
    }

    fn publish(&mut self, fact: Verified<EncodedFact>) {
        self.commands += 1;
        let command = Command::Publish(alloc::vec![fact]);
        self.input(Input::Command(CommandId(self.commands), command));
        self.settle();
    }

    /// Replies to commands so far.
    fn replies(&self) -> usize {
        self.out.iter().filter(|output| matches!(output, Output::Reply(..))).count()
    }

    /// Connections it closed, and why.
    fn closed(&self) -> BTreeMap<u64, CloseCode> {
        let close = |output: &Output| match output {
            Output::Close(conn, code, _) => Some((conn.0, *code)),
            _ => None,
        };
        self.out.iter().filter_map(close).collect()
    }

    fn tip(&self) -> Tip {
        self.engine.status().tip
    }
}

fn clocks(now: u64) -> Now {
    Now { instant: Instant(now), wall: UnixTime(EPOCH + now), wall_confirmed: true }
}

fn hello(chain: &TestChain) -> Hello {
    chain.hello(UnixTime(EPOCH))
}
