//! The pool and the producer on a ledger in memory.

mod draft;
mod room;
mod stages;
mod wish;

use alloc::vec::Vec;

use super::{Conflict, Mempool};
use crate::fact::{EncodedFact, Role};
use crate::id::{FactId, MeshId, NodeId};
use crate::ledger::arrival::Arrived;
use crate::ledger::delta::{history, mark_conflict};
use crate::ledger::overlay::Overlay;
use crate::limits::Limits;
use crate::params::Params;
use crate::producer::{Draft, Slot, draft};
use crate::testing::{TestLedger, TestNode, params};
use crate::verified::Verified;
use crate::work::Target;

type Fact = Verified<EncodedFact>;

/// A founder, a member and somebody else, with a pool.
struct Pool {
    ledger: TestLedger,
    pool: Mempool,
    root: TestNode,
    member: TestNode,
    other: TestNode,
}

fn small(facts: usize, bytes: usize) -> Limits {
    Limits { mempool_facts: facts, mempool_bytes: bytes, ..Limits::default() }
}

impl Pool {
    fn with(limits: &Limits, change: impl Fn(&mut Params)) -> Self {
        let root = TestNode::new(0, MeshId::ZERO);
        let mut params = params(&[&root]);
        change(&mut params);
        let mesh = TestLedger::mesh(&params);
        let node = |number| TestNode::new(number, mesh);
        let mut pool = Self {
            ledger: TestLedger::new(params),
            pool: Mempool::new(limits),
            root: node(0),
            member: node(1),
            other: node(2),
        };
        let admit = pool.root.admit(pool.member.id(), Role::Member);
        pool.arrive(&[&admit]);
        pool.judge();
        pool.seal();
        pool
    }

    fn new() -> Self {
        Self::with(&Limits::default(), |_| ())
    }

    fn arrive(&mut self, facts: &[&Fact]) {
        let owned: Vec<Fact> = facts.iter().map(|fact| (*fact).clone()).collect();
        let (arrived, _) = self.ledger.arrive(&owned);
        for (fact, arrived) in owned.into_iter().zip(arrived) {
            let Arrived::Entered(seq) = arrived else {
                panic!("{arrived:?}");
            };
            self.pool.admit(seq, fact);
        }
    }

    fn time(&self) -> u64 {
        self.ledger.tip().header.time.0 + 1
    }

    /// Judges everything fresh, two facts at a time, and marks conflicts.
    fn judge(&mut self) -> Vec<Conflict> {
        let mut all = Vec::new();
        while self.pool.has_fresh() {
            let state = self.ledger.state(self.time());
            let conflicts = self.pool.judge(state, &self.ledger.store, 2).unwrap();
            for conflict in &conflicts {
                let mut overlay = Overlay::new(&self.ledger.store);
                assert!(
                    mark_conflict(&mut overlay, &conflict.id, conflict.reject.clone()).unwrap()
                );
                let batch = overlay.into_batch();
                self.ledger.store.apply(&batch);
            }
            all.extend(conflicts);
        }
        all
    }

    fn draft(&self) -> Draft {
        let parent = self.ledger.tip().header;
        let slot = Slot {
            parent: &parent,
            history_root: history(&self.ledger.store, parent.height.0 + 1).unwrap().root(),
            time: crate::time::UnixTime(self.time()),
            target: Target(0),
            sealer: self.root.id(),
        };
        let ready = self.pool.ready().map(|(author, fact)| (author, &**fact));
        let followers =
            |id: &FactId| self.pool.followers(id).map(|(author, fact)| (author, &**fact));
        draft(&self.ledger.params, &slot, &self.ledger.store, ready, followers).unwrap()
    }

    /// Drafts a block, connects it as any other, and returns its facts.
    fn seal(&mut self) -> Vec<FactId> {
        let Some(block) = self.draft().block else {
            return Vec::new();
        };
        let effects = self.ledger.connect(&block).unwrap();
        self.pool.connected(&effects);
        block.facts
    }

    fn ready(&self) -> Vec<FactId> {
        self.pool.ready().map(|(_, fact)| fact.id()).collect()
    }
}

fn ids(conflicts: &[Conflict]) -> Vec<FactId> {
    conflicts.iter().map(|conflict| conflict.id).collect()
}

fn number(id: NodeId, numbers: &mut alloc::collections::BTreeMap<NodeId, u32>) {
    *numbers.entry(id).or_default() += 1;
}
