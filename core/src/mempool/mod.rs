//! Facts that wait to be sealed, in memory: in order of arrival, membership facts first.
//!
//! A fact here is in one of three stages. *Fresh*: to be judged at the tip (`judge.rs`). *Ready*:
//! permitted at the tip, so the next block may take it. *Blocked*: not permitted until something
//! named is sealed. Blocks move only the facts that they concern, so nothing is judged again
//! without a reason. What is against the rules leaves, and the caller notes the conflict.
//!
//! Bounded in facts and bytes. What does not fit waits on disk in `Table::Pending` (`room.rs`);
//! nothing is ever lost here.
//!
//! Invariant: every pending fact numbered up to `cursor` is here.

mod custody;
mod judge;
mod room;
#[cfg(test)]
mod tests;

pub use custody::Wish;
pub use judge::Conflict;
pub use room::Kept;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::fact::EncodedFact;
use crate::id::{FactId, NodeId};
use crate::ledger::apply::Effects;
use crate::ledger::delta::Disconnected;
use crate::ledger::rows::Seq;
use crate::limits::Limits;
use crate::verified::Verified;
use crate::work::Height;

/// What must be sealed before a blocked fact is judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    /// Something about this key: its admission, or the invite it belongs to.
    Key(NodeId),
    /// This fact (or it turns out that it never will be).
    Fact(FactId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Ready,
    Blocked(On),
}

/// Order in which facts are judged and sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Membership(Seq),
    Other(Seq),
}

impl Turn {
    const fn seq(self) -> Seq {
        match self {
            Self::Membership(seq) | Self::Other(seq) => seq,
        }
    }
}

#[derive(Debug)]
struct Waiting {
    fact: Verified<EncodedFact>,
    author: NodeId,
    item: Option<Box<str>>,
    turn: Turn,
    stage: Stage,
    /// From this height on it has to be judged again.
    holds_until: Option<Height>,
}

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    facts_max: usize,
    bytes_max: usize,
    bytes: usize,
    memberships: usize,
    cursor: Seq,
    facts: BTreeMap<Seq, Waiting>,
    seqs: BTreeMap<FactId, Seq>,
    fresh: BTreeSet<Turn>,
    ready: BTreeSet<Turn>,
    blocked: BTreeSet<(On, Seq)>,
    /// What has to be judged again when the chain gets to a height.
    ending: BTreeSet<(Height, Seq)>,
    /// All custody facts here, by item.
    items: BTreeMap<Box<str>, BTreeSet<Seq>>,
    /// Facts that came to wait for another one since they were last asked for.
    blocked_lately: Vec<FactId>,
}

impl Mempool {
    /// An empty pool; `refill` loads what waits on disk.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            facts_max: limits.mempool_facts,
            bytes_max: limits.mempool_bytes,
            bytes: 0,
            memberships: 0,
            cursor: Seq(0),
            facts: BTreeMap::new(),
            seqs: BTreeMap::new(),
            fresh: BTreeSet::new(),
            ready: BTreeSet::new(),
            blocked: BTreeSet::new(),
            ending: BTreeSet::new(),
            items: BTreeMap::new(),
            blocked_lately: Vec::new(),
        }
    }

    /// Number of facts here.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether nothing is here.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Bytes of the facts here.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a fact is here.
    pub fn contains(&self, id: &FactId) -> bool {
        self.seqs.contains_key(id)
    }

    /// A fact and its number, for `prefetch`, which then need not read it.
    pub fn get(&self, id: &FactId) -> Option<(Seq, Verified<EncodedFact>)> {
        let seq = *self.seqs.get(id)?;
        Some((seq, self.facts.get(&seq)?.fact.clone()))
    }

    /// Whether `judge` has something to do.
    pub fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Whether the next block can have facts.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Facts that are permitted at the tip, in the order they should be sealed, with their
    /// authors.
    pub fn ready(&self) -> impl Iterator<Item = (NodeId, &Verified<EncodedFact>)> {
        self.ready.iter().filter_map(|turn| self.candidate(turn.seq()))
    }

    /// Facts that came to wait for another one since the last call; as many as were judged.
    pub fn take_blocked(&mut self) -> Vec<FactId> {
        core::mem::take(&mut self.blocked_lately)
    }

    /// The fact that a fact here waits for.
    pub fn waits_for(&self, id: &FactId) -> Option<FactId> {
        let waiting = self.facts.get(self.seqs.get(id)?)?;
        match waiting.stage {
            Stage::Blocked(On::Fact(follows)) => Some(follows),
            _ => None,
        }
    }

    /// Facts that only wait for this one, in order of arrival, with their authors.
    pub fn followers(
        &self,
        id: &FactId,
    ) -> impl Iterator<Item = (NodeId, &Verified<EncodedFact>)> + use<'_> {
        let on = On::Fact(*id);
        self.blocked
            .range((on, Seq(0))..=(on, Seq(u64::MAX)))
            .filter_map(|(_, seq)| self.candidate(*seq))
    }

    fn candidate(&self, seq: Seq) -> Option<(NodeId, &Verified<EncodedFact>)> {
        let waiting = self.facts.get(&seq)?;
        Some((waiting.author, &waiting.fact))
    }

    /// A block became the tip: its facts leave, and what it concerns is judged again.
    pub fn connected(&mut self, effects: &Effects) {
        for fact in &effects.facts {
            self.remove(fact.seq);
            self.wake(On::Fact(fact.id));
        }
        let changes = &effects.changes;
        let members = changes.members.iter().map(|member| member.key);
        let keys = members.chain(changes.invites.iter().map(|invite| invite.key));
        self.keys_changed(keys);
        if changes.moves_an_end() {
            self.judge_all_again();
        }
        for item in &changes.items {
            self.item_changed(&item.key);
        }
    }

    /// The next block has this height: what holds no longer than until there is judged again.
    pub fn reached(&mut self, next: Height) {
        while let Some((_, seq)) = self.ending.first().copied().filter(|(at, _)| *at <= next) {
            self.set_end(seq, None);
            if self.facts.get(&seq).is_some_and(|waiting| waiting.stage == Stage::Ready) {
                self.set_stage(seq, Stage::Fresh);
            }
        }
    }

    fn judge_all_again(&mut self) {
        while let Some(turn) = self.ready.first().copied() {
            self.set_stage(turn.seq(), Stage::Fresh);
        }
    }

    /// The tip was taken back: what it concerned is judged again. Its own facts come back by
    /// `readmit`, once it is known which of them the new branch seals.
    pub fn disconnected(&mut self, block: &Disconnected) {
        let members = block.undo.members.iter().map(|(node, _)| *node);
        let invites = block.undo.invites.iter().map(|(key, _)| *key);
        let keys: BTreeSet<NodeId> = members.chain(invites).collect();
        if !keys.is_empty() {
            let theirs = self.facts.values().filter(|w| keys.contains(&w.author));
            let theirs: Vec<Seq> = theirs.map(|w| w.turn.seq()).collect();
            theirs.into_iter().for_each(|seq| self.set_stage(seq, Stage::Fresh));
            // Other keys of their lines may count longer or shorter.
            self.judge_all_again();
        }
        self.keys_changed(keys.into_iter());
        for (item, _) in &block.undo.items {
            self.item_changed(item);
        }
    }

    /// These keys were revoked, whatever the chain says yet: their facts are judged again, and so
    /// is who may belong.
    pub fn revoked(&mut self, keys: &[NodeId]) {
        let theirs = self.facts.values().filter(|waiting| keys.contains(&waiting.author));
        let theirs: Vec<Seq> = theirs.map(|waiting| waiting.turn.seq()).collect();
        theirs.into_iter().for_each(|seq| self.set_stage(seq, Stage::Fresh));
        self.keys_changed(keys.iter().copied());
    }

    /// Membership facts are few, so all of them are judged again; of others those that waited.
    fn keys_changed(&mut self, keys: impl Iterator<Item = NodeId>) {
        let mut any = false;
        for key in keys {
            any = true;
            self.wake(On::Key(key));
        }
        let bound = Turn::Other(Seq(0));
        while let Some(turn) = self.ready.first().copied().filter(|turn| any && *turn < bound) {
            self.set_stage(turn.seq(), Stage::Fresh);
        }
    }

    fn item_changed(&mut self, item: &str) {
        let seqs = self.items.get(item).into_iter().flatten();
        let is_ready = |seq: &&Seq| {
            let waiting = self.facts.get(seq);
            waiting.is_some_and(|waiting| waiting.stage == Stage::Ready)
        };
        let ready: Vec<Seq> = seqs.filter(is_ready).copied().collect();
        ready.into_iter().for_each(|seq| self.set_stage(seq, Stage::Fresh));
    }

    fn wake(&mut self, on: On) {
        let range = (on, Seq(0))..=(on, Seq(u64::MAX));
        while let Some((_, seq)) = self.blocked.range(range.clone()).next().copied() {
            self.set_stage(seq, Stage::Fresh);
        }
    }

    fn set_stage(&mut self, seq: Seq, stage: Stage) {
        let Some(waiting) = self.facts.get_mut(&seq) else {
            return;
        };
        let (turn, before) = (waiting.turn, waiting.stage);
        waiting.stage = stage;
        self.unlist(turn, before);
        match stage {
            Stage::Fresh => self.fresh.insert(turn),
            Stage::Ready => self.ready.insert(turn),
            Stage::Blocked(on) => self.blocked.insert((on, seq)),
        };
    }

    /// A fact has to be judged again from a height on.
    fn set_end(&mut self, seq: Seq, end: Option<Height>) {
        if let Some(waiting) = self.facts.get_mut(&seq) {
            let before = core::mem::replace(&mut waiting.holds_until, end);
            before.map(|at| self.ending.remove(&(at, seq)));
            self.ending.extend(end.map(|at| (at, seq)));
        }
    }

    fn unlist(&mut self, turn: Turn, stage: Stage) {
        match stage {
            Stage::Fresh => self.fresh.remove(&turn),
            Stage::Ready => self.ready.remove(&turn),
            Stage::Blocked(on) => self.blocked.remove(&(on, turn.seq())),
        };
    }

    fn insert(&mut self, seq: Seq, fact: Verified<EncodedFact>) {
        let (id, length, content) = (fact.id(), fact.bytes().len(), fact.fact());
        let turn = if content.body.is_membership() {
            self.memberships += 1;
            Turn::Membership(seq)
        } else {
            Turn::Other(seq)
        };
        let item: Option<Box<str>> = content.body.custody().map(|(item, _)| item.into());
        let author = content.author;
        if let Some(item) = &item {
            self.items.entry(item.clone()).or_default().insert(seq);
        }
        self.bytes += length;
        self.seqs.insert(id, seq);
        self.fresh.insert(turn);
        let stage = Stage::Fresh;
        let holds_until = None;
        let waiting = Waiting { fact, author, item, turn, stage, holds_until };
        self.facts.insert(seq, waiting);
    }

    fn remove(&mut self, seq: Seq) {
        let Some(waiting) = self.facts.remove(&seq) else {
            return;
        };
        self.bytes -= waiting.fact.bytes().len();
        self.seqs.remove(&waiting.fact.id());
        self.unlist(waiting.turn, waiting.stage);
        waiting.holds_until.map(|at| self.ending.remove(&(at, seq)));
        self.memberships -= usize::from(matches!(waiting.turn, Turn::Membership(_)));
        if let Some(item) = waiting.item
            && let Some(seqs) = self.items.get_mut(&item)
        {
            seqs.remove(&seq);
            if seqs.is_empty() {
                self.items.remove(&item);
            }
        }
    }
}
