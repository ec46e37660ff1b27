//! A node that does not keep the rules: a real engine, whose frames are changed on the way out, so
//! that it knows everything a member knows and lies in the real wire format.

use std::collections::BTreeMap;

use cairn_core::block::{Header, Seal};
use cairn_core::codec::{decode, encode};
use cairn_core::engine::{ConnId, Frame, StreamTag};
use cairn_core::id::{BlockId, FactId, NodeId};
use cairn_core::time::UnixTime;
use cairn_core::wire::{
    Announce, BlocksAnswer, BlocksRequest, Class, Control, FactsAnswer, FactsRequest,
    HeadersAnswer, HeadersRequest, PeersAnswer, ReconcileAnswer, SetSummary, Tip,
};
use cairn_core::work::{Height, Work};
use serde_bytes::Bytes;

use crate::random::Random;
use crate::schedule::Happening;
use crate::world::World;

/// A way of lying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Never answers.
    Silent,
    /// Refuses to answer.
    Refusing,
    /// Flips, cuts and adds bytes; claims huge counts.
    Garbling,
    /// Tells of a tip that is higher, heavier or invented.
    LyingTip,
    /// Tells of a set it does not have.
    LyingSet,
    /// Serves bodies that are not those of the blocks.
    WrongBodies,
    /// Serves facts with changed bytes.
    WrongFacts,
    /// Serves facts without end, none of them asked for.
    EndlessFacts,
    /// Serves headers that break one rule.
    WrongHeaders,
    /// Serves a branch of its own instead of the best chain.
    OwnBranch,
    /// Tells addresses that do not exist.
    InventedPeers,
    /// Tells nobody what is new.
    Withholding,
}

impl Habit {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Silent,
        Self::Refusing,
        Self::Garbling,
        Self::LyingTip,
        Self::LyingSet,
        Self::WrongBodies,
        Self::WrongFacts,
        Self::EndlessFacts,
        Self::WrongHeaders,
        Self::OwnBranch,
        Self::InventedPeers,
        Self::Withholding,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Silent => "hostile: no answer",
            Self::Refusing => "hostile: refusal",
            Self::Garbling => "hostile: garbled frame",
            Self::LyingTip => "hostile: false tip",
            Self::LyingSet => "hostile: false set",
            Self::WrongBodies => "hostile: wrong bodies",
            Self::WrongFacts => "hostile: wrong facts",
            Self::EndlessFacts => "hostile: endless facts",
            Self::WrongHeaders => "hostile: wrong headers",
            Self::OwnBranch => "hostile: own branch",
            Self::InventedPeers => "hostile: invented peers",
            Self::Withholding => "hostile: announcement withheld",
        }
    }
}

/// A branch that only this node knows.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) from: BlockId,
    pub(crate) headers: Vec<Header>,
    pub(crate) sealers: Vec<Vec<NodeId>>,
    pub(crate) bodies: BTreeMap<BlockId, Vec<FactId>>,
}

impl Branch {
    /// Nothing yet, after this block.
    pub(crate) const fn on(from: BlockId) -> Self {
        Self { from, headers: Vec::new(), sealers: Vec::new(), bodies: BTreeMap::new() }
    }
}

/// What is hostile about a node.
#[derive(Debug, Clone)]
pub struct Evil {
    habits: Vec<Habit>,
    /// Of a hundred frames that a habit could change, how many it does.
    rate: u64,
    random: Random,
    pub(crate) branch: Branch,
    /// Facts that its ledger does not have, served all the same.
    pub(crate) stock: BTreeMap<FactId, Vec<u8>>,
}

impl Evil {
    /// A node that lies in these ways, in `rate` of a hundred cases.
    pub fn new(habits: &[Habit], rate: u64, seed: u64) -> Self {
        Self {
            habits: habits.to_vec(),
            rate,
            random: Random::new(seed),
            branch: Branch::on(BlockId::ZERO),
            stock: BTreeMap::new(),
        }
    }

    fn does(&mut self, habit: Habit) -> bool {
        self.habits.contains(&habit) && self.random.chance(self.rate)
    }

    /// The frames that leave in place of one, and what was done to it.
    fn change(&mut self, frame: Frame, class: Option<Class>) -> (Option<Frame>, Option<Habit>) {
        match frame {
            Frame::Control(bytes) => {
                let (bytes, done) = self.control(bytes);
                (Some(Frame::Control(bytes)), done)
            }
            Frame::Announce(_) if self.does(Habit::Withholding) => (None, Some(Habit::Withholding)),
            Frame::Announce(bytes) => {
                let (bytes, done) = self.announce(bytes);
                (Some(Frame::Announce(bytes)), done)
            }
            Frame::Request { tag, class, bytes } if self.does(Habit::Garbling) => {
                let bytes = self.garble(bytes, class.request_bytes_max());
                (Some(Frame::Request { tag, class, bytes }), Some(Habit::Garbling))
            }
            Frame::Answer { .. } if self.does(Habit::Silent) => (None, Some(Habit::Silent)),
            Frame::Answer { stream, .. } if self.does(Habit::Refusing) => {
                (Some(Frame::Refuse(stream)), Some(Habit::Refusing))
            }
            Frame::Answer { stream, bytes } => {
                let (bytes, done) = self.answer(class, bytes);
                (Some(Frame::Answer { stream, bytes }), done)
            }
            other => (Some(other), None),
        }
    }

    fn garble(&mut self, mut bytes: Vec<u8>, max: usize) -> Vec<u8> {
        match self.random.below(4) {
            0 => bytes.truncate(self.random.below(bytes.len() as u64 + 1) as usize),
            1 => bytes.extend(self.random.bytes()),
            2 => {
                // A count of 2^32 − 1, or what comes next in its place.
                let at = self.random.below(bytes.len() as u64 + 1) as usize;
                bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
            }
            _ => {
                for _ in 0..=self.random.below(4) {
                    let at = self.random.below(bytes.len() as u64) as usize;
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.random.below(8);
                    }
                }
            }
        }
        bytes.truncate(max);
        bytes
    }

    fn false_tip(&mut self, tip: Tip) -> Tip {
        let height = Height(tip.height.0 + self.random.below(1_000_000));
        let id = if self.random.chance(50) { tip.id } else { BlockId(self.random.bytes()) };
        Tip { height, id, work: Work::from_u64(self.random.next() >> self.random.below(64)) }
    }

    fn false_set(&mut self, set: SetSummary) -> SetSummary {
        SetSummary { count: set.count ^ self.random.below(1_000), sum: self.random.bytes() }
    }

    fn control(&mut self, bytes: Vec<u8>) -> (Vec<u8>, Option<Habit>) {
        if self.does(Habit::Garbling) {
            let max = Class::Control.request_bytes_max();
            return (self.garble(bytes, max), Some(Habit::Garbling));
        }
        let (lies, sets) = (self.does(Habit::LyingTip), self.does(Habit::LyingSet));
        let Ok(mut message) = decode::<Control>(&bytes, bytes.len()) else {
            return (bytes, None);
        };
        match &mut message {
            Control::Hello(cairn_core::wire::Hello { tip, facts, .. })
            | Control::Ping { tip, facts, .. } => {
                *tip = if lies { self.false_tip(*tip) } else { *tip };
                *facts = if sets { self.false_set(*facts) } else { *facts };
            }
            Control::Pong { .. }
            | Control::Twin(_)
            | Control::Revoked { .. }
            | Control::Full { .. }
            | Control::CallBack { .. }
            | Control::CalledBack { .. } => return (bytes, None),
        }
        let done = lies.then_some(Habit::LyingTip).or(sets.then_some(Habit::LyingSet));
        (encode(&message), done)
    }

    fn announce(&mut self, bytes: Vec<u8>) -> (Vec<u8>, Option<Habit>) {
        if self.does(Habit::Garbling) {
            let max = Class::Announce.request_bytes_max();
            return (self.garble(bytes, max), Some(Habit::Garbling));
        }
        match decode::<Announce>(&bytes, bytes.len()) {
            Ok(Announce::Block(tip)) if self.does(Habit::LyingTip) => {
                (encode(&Announce::Block(self.false_tip(tip))), Some(Habit::LyingTip))
            }
            Ok(Announce::Facts(mut ids)) if self.does(Habit::LyingSet) => {
                ids.resize_with(ids.len().min(500) + 16, || FactId(self.random.bytes()));
                (encode(&Announce::Facts(ids)), Some(Habit::LyingSet))
            }
            _ => (bytes, None),
        }
    }

    fn answer(&mut self, class: Option<Class>, bytes: Vec<u8>) -> (Vec<u8>, Option<Habit>) {
        let Some(class) = class else { return (bytes, None) };
        if self.does(Habit::Garbling) {
            return (self.garble(bytes, class.answer_bytes_max()), Some(Habit::Garbling));
        }
        let changed = match class {
            Class::Headers => self.wrong_headers(&bytes).map(|b| (b, Habit::WrongHeaders)),
            Class::Blocks => self.wrong_bodies(&bytes).map(|b| (b, Habit::WrongBodies)),
            Class::Facts if self.does(Habit::EndlessFacts) => {
                let facts = Vec::new();
                Some((encode(&FactsAnswer { facts, more: true }), Habit::EndlessFacts))
            }
            Class::Facts => self.wrong_facts(&bytes).map(|b| (b, Habit::WrongFacts)),
            Class::Reconcile => self.wrong_set(&bytes).map(|b| (b, Habit::LyingSet)),
            Class::Peers if self.does(Habit::InventedPeers) => {
                // Others each time.
                let first = self.random.next() >> 16;
                let invent = |n: u64| (format!("h{n}:7071"), NodeId(self.random.bytes()));
                let peers = (first..first + 64).map(invent).collect();
                Some((encode(&PeersAnswer { peers }), Habit::InventedPeers))
            }
            _ => None,
        };
        match changed {
            Some((changed, habit)) if changed.len() <= class.answer_bytes_max() => {
                (changed, Some(habit))
            }
            _ => (bytes, None),
        }
    }

    fn wrong_headers(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut answer: HeadersAnswer = decode(bytes, bytes.len()).ok()?;
        if answer.headers.is_empty() || !self.does(Habit::WrongHeaders) {
            return None;
        }
        let at = self.random.below(answer.headers.len() as u64) as usize;
        let header = &mut answer.headers[at];
        match self.random.below(8) {
            0 => header.time = UnixTime(header.time.0.wrapping_add(self.random.next() >> 40)),
            1 => header.height = Height(self.random.next()),
            2 => header.parent = BlockId(self.random.bytes()),
            3 => header.facts_root.0[0] ^= 1,
            4 => header.history_root.0[31] ^= 1,
            5 => header.seal = Seal::Pow(self.random.next()),
            6 => answer.sealers.clear(),
            _ => answer.from = BlockId(self.random.bytes()),
        }
        Some(encode(&answer))
    }

    fn wrong_bodies(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut answer: BlocksAnswer = decode(bytes, bytes.len()).ok()?;
        if answer.bodies.is_empty() || !self.does(Habit::WrongBodies) {
            return None;
        }
        let at = self.random.below(answer.bodies.len() as u64) as usize;
        let (id, facts) = &mut answer.bodies[at];
        match self.random.below(5) {
            0 => facts.reverse(),
            1 => facts.clear(),
            2 => facts.extend(facts.clone()),
            3 => *id = BlockId(self.random.bytes()),
            _ => facts.push(FactId(self.random.bytes())),
        }
        Some(encode(&answer))
    }

    fn wrong_facts(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let answer: FactsAnswer<'_> = decode(bytes, bytes.len()).ok()?;
        if answer.facts.is_empty() || !self.does(Habit::WrongFacts) {
            return None;
        }
        let at = self.random.below(answer.facts.len() as u64) as usize;
        let mut changed = answer.facts[at].to_vec();
        let bit = self.random.below(changed.len() as u64 * 8) as usize;
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut facts = answer.facts.clone();
        facts[at] = Bytes::new(&changed);
        Some(encode(&FactsAnswer { facts, more: answer.more }))
    }

    fn wrong_set(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut answer: ReconcileAnswer = decode(bytes, bytes.len()).ok()?;
        if !self.does(Habit::LyingSet) {
            return None;
        }
        match &mut answer {
            ReconcileAnswer::Groups(sums) | ReconcileAnswer::Buckets(sums) => {
                let lies: Vec<_> = sums.iter().map(|sum| self.false_set(*sum)).collect();
                *sums = lies;
            }
            ReconcileAnswer::Ids(ids, more) => {
                ids.push(FactId(self.random.bytes()));
                *more = true;
            }
            ReconcileAnswer::Span(_, digest) => digest.0 = self.random.bytes(),
        }
        Some(encode(&answer))
    }

    /// An answer made up without asking its own engine.
    fn made_up(&mut self, class: Class, bytes: &[u8]) -> Option<Vec<u8>> {
        match class {
            Class::Headers if !self.branch.headers.is_empty() && self.does(Habit::OwnBranch) => {
                let request: HeadersRequest = decode(bytes, class.request_bytes_max()).ok()?;
                let Branch { from, headers, sealers, .. } = self.branch.clone();
                let known = request.locator.contains(&from);
                known.then(|| encode(&HeadersAnswer { from, headers, sealers }))
            }
            Class::Blocks => {
                let request: BlocksRequest = decode(bytes, class.request_bytes_max()).ok()?;
                let held = |id: &BlockId| Some((*id, self.branch.bodies.get(id)?.clone()));
                let bodies: Vec<_> = request.ids.iter().filter_map(held).collect();
                (!bodies.is_empty()).then(|| encode(&BlocksAnswer { bodies }))
            }
            Class::Facts => {
                let request: FactsRequest = decode(bytes, class.request_bytes_max()).ok()?;
                let held = request.ids.iter().filter_map(|id| self.stock.get(id));
                let facts: Vec<_> = held.map(|bytes| Bytes::new(bytes)).collect();
                (!facts.is_empty()).then(|| encode(&FactsAnswer { facts, more: false }))
            }
            _ => None,
        }
    }
}

impl World {
    /// A frame leaves a node, honest or not.
    pub(crate) fn send_from(&mut self, n: usize, conn: ConnId, frame: Frame) {
        let class = match &frame {
            Frame::Answer { stream, .. } => {
                self.nodes[n].streams.get(&(conn, *stream)).map(|(_, class)| *class)
            }
            _ => None,
        };
        let Some(evil) = self.nodes[n].evil.as_mut() else {
            return self.send(n, conn, frame);
        };
        let (frame, done) = evil.change(frame, class);
        if let Some(habit) = done {
            self.fault(habit.name());
        }
        if let Some(frame) = frame {
            self.send(n, conn, frame);
        }
    }

    /// Whether a hostile node deals with something without its engine.
    pub(crate) fn intercepts(&mut self, n: usize, what: &Happening) -> bool {
        let (Some(evil), Happening::Request(conn, stream, class, bytes)) =
            (self.nodes[n].evil.as_mut(), what)
        else {
            return false;
        };
        let Some(bytes) = evil.made_up(*class, bytes) else {
            return false;
        };
        if bytes.len() > class.answer_bytes_max() {
            return false;
        }
        self.fault("hostile: answer made up");
        let stream: StreamTag = *stream;
        self.send(n, *conn, Frame::Answer { stream, bytes });
        true
    }
}
