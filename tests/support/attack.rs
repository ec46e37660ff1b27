//! What a hostile node does of its own accord, beside lying when it is asked.

use cairn_core::block::{ChainEnd, Header, Seal};
use cairn_core::codec::encode;
use cairn_core::engine::{Command, ConnId, DialId, Frame, RequestTag};
use cairn_core::fact::{Body, EncodedFact, Fact};
use cairn_core::id::{BlockId, FactId, Hash};
use cairn_core::ledger::read::Read;
use cairn_core::params::{Params, SealRule};
use cairn_core::seal::{authority, pow};
use cairn_core::signature::{Signature, SigningKey};
use cairn_core::store::{Table, View};
use cairn_core::testing::{MemStore, TestNode};
use cairn_core::time::{Millis, UnixTime};
use cairn_core::verified::Verified;
use cairn_core::wire::{Announce, BlocksRequest, Class, FactsRequest, HeadersRequest, Tip};
use cairn_core::work::Height;

use crate::evil::Branch;
use crate::random::Random;
use crate::world::{World, address};

/// Nonces tried for a block of a branch.
const TRIES: u64 = 1 << 14;

#[allow(missing_docs, reason = "each attack says in words what its fields are")]
/// Something hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Seals the tip's height once more, on the same parent.
    Equivocate,
    /// Builds the last blocks anew, alone, and some more with bodies that nobody can get.
    Rebase { depth: u64, beyond: u64 },
    /// Seals a block that is this far ahead of the time.
    Future { ahead: Millis },
    /// Asks for everything, with false locators and unknown ids.
    RequestFlood { count: u32 },
    /// Sends bytes that mean nothing, on every stream.
    Garbage { count: u32 },
    /// Announces facts that do not exist.
    UnknownFacts { count: u32 },
    /// Announces and serves facts with bad signatures, of strangers, of other meshes.
    BadFacts { count: u32 },
    /// Publishes facts whose ids fall into one bucket of the reconciliation.
    GroundIds { count: u32 },
    /// Publishes custody facts that follow facts which do not exist.
    ImpossibleCustody,
    /// Announces everything again.
    Replay,
    /// Opens more connections to everybody.
    Redial { count: u32 },
}

impl Attack {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Equivocate => "hostile: equivocation",
            Self::Rebase { .. } => "hostile: history rebuilt",
            Self::Future { .. } => "hostile: block from the future",
            Self::RequestFlood { .. } => "hostile: request flood",
            Self::Garbage { .. } => "hostile: garbage",
            Self::UnknownFacts { .. } => "hostile: facts that do not exist",
            Self::BadFacts { .. } => "hostile: bad facts",
            Self::GroundIds { .. } => "hostile: ids in one bucket",
            Self::ImpossibleCustody => "hostile: impossible custody",
            Self::Replay => "hostile: replay",
            Self::Redial { .. } => "hostile: more connections",
        }
    }
}

/// The best chain of a store up to a height.
fn end_at(params: &Params, view: &MemStore, height: u64) -> Option<ChainEnd> {
    let mut end = ChainEnd::genesis(params);
    for at in 1..=height {
        let id = view.block_at(Height(at)).ok()??;
        let sealers = view.sealers(&end.header.sealers_root).ok()??;
        end.advance(params, &sealers, view.header(&id).ok()??.header, id);
    }
    Some(end)
}

/// How a branch is to be.
struct Plan {
    fork: u64,
    length: u64,
    /// Added to the earliest time that is valid.
    delay: Millis,
}

/// A branch that one node seals alone, with the bodies of the best chain while there are any.
fn build(
    params: &Params,
    view: &MemStore,
    key: &SigningKey,
    plan: &Plan,
    random: &mut Random,
) -> Option<(Branch, Tip)> {
    let mut end = end_at(params, view, plan.fork)?;
    let mut branch = Branch::on(end.id);
    for height in (plan.fork + 1..=plan.fork + plan.length).map(Height) {
        let sealers = view.sealers(&end.header.sealers_root).ok()??;
        let main = view.block_at(height).ok()?;
        let body = main.and_then(|id| view.body(&id).ok()?);
        let main = main.and_then(|id| view.header(&id).ok()?).map(|row| row.header);
        let facts_root = Hash(random.bytes());
        let mut header = Header {
            version: 1,
            height,
            parent: end.id,
            facts_root: main.as_ref().map_or(facts_root, |main| main.facts_root),
            history_root: end.history.root(),
            sealers_root: main.map_or(end.header.sealers_root, |main| main.sealers_root),
            state_root: Hash::ZERO,
            time: end.earliest_time(params, &sealers, &key.node_id())?.after(plan.delay),
            target: end.next_target(params),
            sealer: key.node_id(),
            seal: Seal::Authority(Signature([0; 64])),
        };
        header = match params.seal {
            SealRule::Authority => authority::seal(header, key),
            SealRule::Pow { .. } => pow::grind(&header, 0, TRIES)?,
        };
        let id = header.id();
        if header.sealers_root != end.header.sealers_root {
            branch.sealers.push(view.sealers(&header.sealers_root).ok()??);
        }
        branch.bodies.extend(body.map(|facts| (id, facts)));
        branch.headers.push(header.clone());
        end.advance(params, &sealers, header, id);
    }
    let tip = Tip { height: end.header.height, id: end.id, work: end.work };
    (!branch.headers.is_empty()).then_some((branch, tip))
}

impl World {
    /// A hostile node attacks everybody it is connected to.
    pub fn attack(&mut self, n: usize, attack: Attack) {
        if self.nodes[n].engine.is_none() || self.nodes[n].is_honest() {
            return;
        }
        self.fault(attack.name());
        let tip = self.nodes[n].view().tip_row().ok().flatten().map_or(0, |row| row.tip.height.0);
        match attack {
            Attack::Equivocate => self.fork(n, tip.saturating_sub(1), 1, 1),
            Attack::Rebase { depth, beyond } => {
                let fork = tip.saturating_sub(depth);
                self.fork(n, fork, tip - fork + beyond, 0);
            }
            Attack::Future { ahead } => self.fork(n, tip, 1, ahead),
            Attack::RequestFlood { count } => (0..count).for_each(|i| self.ask_in_vain(n, i)),
            Attack::Garbage { count } => (0..count).for_each(|i| self.send_garbage(n, i)),
            Attack::UnknownFacts { count } => {
                for _ in 0..count {
                    let ids = (0..1_000).map(|_| FactId(self.random.bytes())).collect();
                    self.announce_to_all(n, &Announce::Facts(ids));
                }
            }
            Attack::BadFacts { count } => self.offer_bad_facts(n, count),
            Attack::GroundIds { count } => self.grind_ids(n, count),
            Attack::ImpossibleCustody => self.want_the_impossible(n),
            Attack::Replay => {
                let rows = self.nodes[n].view().scan(Table::FactIndex, &[], &[0xff; 33], 1_000);
                let ids = rows.unwrap_or_default();
                let ids = ids.iter().filter_map(|(key, _)| FactId::from_slice(key)).collect();
                self.announce_to_all(n, &Announce::Facts(ids));
            }
            Attack::Redial { count } => {
                for i in 0..count {
                    let to = self.random.below(self.nodes.len() as u64) as usize;
                    self.dial(n, DialId(1 << 40 | u64::from(i)), &address(to), None);
                }
            }
        }
    }

    fn conns(&self, n: usize) -> Vec<ConnId> {
        self.nodes[n].ends.keys().copied().collect()
    }

    fn announce_to_all(&mut self, n: usize, announce: &Announce) {
        for conn in self.conns(n) {
            self.send(n, conn, Frame::Announce(encode(announce)));
        }
    }

    fn fork(&mut self, n: usize, fork: u64, length: u64, delay: Millis) {
        let node = &self.nodes[n];
        let plan = Plan { fork, length, delay };
        let built = build(&self.params, node.view(), &node.key, &plan, &mut self.random);
        let Some((branch, tip)) = built else { return };
        if let Some(evil) = self.nodes[n].evil.as_mut() {
            evil.branch = branch;
        }
        self.announce_to_all(n, &Announce::Block(tip));
    }

    /// Opens a stream, unless the transport would not.
    fn ask(&mut self, n: usize, conn: ConnId, number: u32, class: Class, bytes: Vec<u8>) {
        let Some(end) = self.nodes[n].ends.get(&conn).copied() else { return };
        if self.open_streams(end.to, end.peer, class) < class.inbound_max() {
            let tag = RequestTag(1 << 40 | u64::from(number));
            self.send(n, conn, Frame::Request { tag, class, bytes });
        }
    }

    fn ask_in_vain(&mut self, n: usize, number: u32) {
        for conn in self.conns(n) {
            let ids: Vec<[u8; 32]> =
                (0..self.random.below(32)).map(|_| self.random.bytes()).collect();
            let (class, bytes) = match self.random.below(3) {
                0 => {
                    let locator = ids.into_iter().map(BlockId).collect();
                    (Class::Headers, encode(&HeadersRequest { locator, max: u16::MAX }))
                }
                1 => {
                    let ids = ids.into_iter().map(BlockId).collect();
                    (Class::Blocks, encode(&BlocksRequest { ids }))
                }
                _ => {
                    let ids = ids.into_iter().map(FactId).collect();
                    (Class::Facts, encode(&FactsRequest { ids }))
                }
            };
            self.ask(n, conn, number, class, bytes);
        }
    }

    fn send_garbage(&mut self, n: usize, number: u32) {
        for conn in self.conns(n) {
            let length = self.random.below(64) as usize;
            let mut bytes: Vec<u8> = (0..2).flat_map(|_| self.random.bytes()).collect();
            bytes.truncate(length);
            let class = Class::ALL[self.random.below(7) as usize];
            match class {
                Class::Control => self.send(n, conn, Frame::Control(bytes)),
                Class::Announce => self.send(n, conn, Frame::Announce(bytes)),
                class => self.ask(n, conn, number, class, bytes),
            }
        }
    }

    fn author(&self, n: usize) -> TestNode {
        TestNode { key: self.nodes[n].key.clone(), mesh: self.mesh() }
    }

    fn offer_bad_facts(&mut self, n: usize, count: u32) {
        let author = self.author(n);
        let mut offered = Vec::new();
        for _ in 0..count {
            let text = format!("bad {}", self.random.next());
            let (fact, bad) = match self.random.below(3) {
                0 => (author.record("bad", &text), true),
                1 => (TestNode::new(self.random.next(), author.mesh).record("bad", &text), false),
                _ => {
                    let mesh = BlockId(self.random.bytes()).into();
                    (author.in_mesh(mesh).record("bad", &text), false)
                }
            };
            let mut bytes = fact.bytes().to_vec();
            if let Some(last) = bytes.last_mut().filter(|_| bad) {
                *last ^= 1;
            }
            offered.push((fact.id(), bytes));
        }
        let ids = offered.iter().map(|(id, _)| *id).collect();
        if let Some(evil) = self.nodes[n].evil.as_mut() {
            evil.stock = offered.into_iter().collect();
        }
        self.announce_to_all(n, &Announce::Facts(ids));
    }

    fn grind_ids(&mut self, n: usize, count: u32) {
        let author = self.author(n);
        let mut facts: Vec<Verified<EncodedFact>> = Vec::new();
        // An id does not depend on the signature, so only hashes are ground.
        for start in 0..count {
            let found = (0..20_000_u64).find_map(|i| {
                let time = UnixTime(u64::from(start) << 32 | i);
                let topic = "ground";
                let body = Body::Record { topic, media_type: "text/plain", bytes: &[] };
                let fact = Fact { author: author.id(), time, body };
                let id = fact.id(&author.mesh);
                (id.0[0] == 0 && id.0[1] >> 4 == 0).then_some(time)
            });
            if let Some(time) = found {
                let topic = "ground";
                let body = Body::Record { topic, media_type: "text/plain", bytes: &[] };
                facts.push(author.fact(time.0, body));
            }
        }
        self.command(n, Command::Publish(facts));
    }

    fn want_the_impossible(&mut self, n: usize) {
        let author = self.author(n);
        let follows = Some(FactId(self.random.bytes()));
        let facts = vec![author.request("drill", follows), author.request("ladder", follows)];
        self.command(n, Command::Publish(facts));
    }
}
