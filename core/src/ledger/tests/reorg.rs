//! Whatever is connected and taken back, the store is what a naive replay of the chain says.

use super::*;
use crate::block::Block;
use crate::id::NodeId;
use crate::ledger::arrival::Arrived;
use crate::ledger::delta;
use crate::ledger::read::Read;
use crate::ledger::rows::FactState;
use crate::merkle;
use crate::store::Table;
use crate::testing::{MemStore, Model};
use crate::time::UnixTime;
use proptest::prelude::*;

/// Rows that stay though their block was taken back: they are true whatever the tip is.
pub(super) fn without_stale(store: &MemStore) -> MemStore {
    let mut store = store.clone();
    for table in [Table::Header, Table::Body, Table::Sealers] {
        store.clear(table);
    }
    store
}

struct Play {
    ledger: TestLedger,
    nodes: Vec<TestNode>,
    facts: Vec<Verified<EncodedFact>>,
    blocks: Vec<Block>,
}

impl Play {
    fn new(release: ReleaseRule) -> Self {
        let params = rules(release);
        let mesh = TestLedger::mesh(&params);
        Self {
            ledger: TestLedger::new(params),
            nodes: (0..8).map(|n| TestNode::new(n, mesh)).collect(),
            facts: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// A fact of some kind, often one that can be permitted.
    fn make(&mut self, author: u8, kind: u8, detail: u8) {
        let author = &self.nodes[usize::from(author) % 8];
        let other: NodeId = self.nodes[usize::from(detail) % 8].id();
        let item = ["saw", "drill"][usize::from(detail) % 2];
        let latest = self.ledger.store.custody(item).unwrap().map(|c| c.latest);
        let roles = [Role::Reader, Role::Member, Role::Sealer, Role::Admin];
        let row = self.ledger.store.member(&author.id()).unwrap();
        let own = row.map_or(Role::Member, |row| row.role);
        let role = roles[usize::from(detail / 6) % 4];
        // Half of the custody facts follow whatever came last into the set.
        let custody = |fact: &&Verified<EncodedFact>| {
            fact.fact().body.custody().is_some_and(|(name, _)| name == item)
        };
        let pending = self.facts.iter().rev().find(custody).map(|fact| fact.id());
        let follows = if detail & 8 == 0 { latest } else { pending };
        let followed = follows.unwrap_or(FactId([detail; 32]));
        let keys = [recovery_key(0), recovery_key(usize::from(detail) % 3)];
        let signers: Vec<_> = keys.iter().collect();
        let height = self.ledger.tip().header.height.0;
        let until = Some(height + u64::from(detail / 8) % 6).filter(|_| detail / 8 != 31);
        let fact = match kind % 14 {
            12 | 13 => author.lease(other, until),
            11 => {
                let seat = self.nodes[usize::from(detail / 8) % 8].id();
                author.recover(&signers, None, &[other], &[seat], &[seat])
            }
            0 => author.record("t", &alloc::format!("{detail}")),
            1 | 2 => author.request(item, follows),
            3 => author.release(item, followed),
            4 => author.transfer(item, followed, other),
            5 if detail & 1 == 0 => author.invite_guests(other, role.min(Role::Sealer), 1),
            5 => author.invite(other, role.min(Role::Sealer), 2, 40),
            8 => author.revoke(other),
            10 => author.rotate(&self.nodes[usize::from(detail) % 8], own),
            9 => author.rename(other, ["ada", "bo"][usize::from(detail) % 2]),
            _ => author.admit(other, role),
        };
        let (arrived, _) = self.ledger.arrive(core::slice::from_ref(&fact));
        if matches!(arrived[0], Arrived::Entered(_)) {
            self.facts.push(fact);
        }
    }

    fn replay(&self) -> Model {
        let mut model = Model::genesis(&self.ledger.params);
        for block in &self.blocks {
            for id in &block.facts {
                let (_, fact) = self.ledger.store.fact(id).unwrap().unwrap();
                assert!(model.fact(&fact, block.header.time));
            }
            model.next_block();
        }
        model
    }

    fn is_pending(&self, id: &FactId) -> bool {
        let row = self.ledger.store.fact_row(id).unwrap().unwrap();
        row.state == FactState::Pending
    }

    /// Seals what both ledgers permit of the pending facts; both must permit the same.
    fn seal(&mut self) {
        let time = self.ledger.tip().header.time.0 + 3;
        let (mut model, mut state) = (self.replay(), self.ledger.state(time));
        let mut ids = Vec::new();
        for fact in self.facts.iter().filter(|fact| self.is_pending(&fact.id())) {
            state.load(&self.ledger.store, &fact.fact()).unwrap();
            let change = state.judge(fact.id(), &fact.fact());
            assert_eq!(change.is_ok(), model.fact(fact, UnixTime(time)), "{change:?}");
            if let Ok(change) = change {
                state.take(fact.id(), change);
                ids.push(fact.id());
            }
        }
        drop(state);
        if ids.is_empty() {
            return;
        }
        let block = self.ledger.block(&ids, Some(time));
        let before = self.ledger.store.clone();
        self.ledger.connect(&block).unwrap();
        let after = self.ledger.clone();
        self.ledger.disconnect();
        assert!(without_stale(&self.ledger.store) == without_stale(&before));
        self.ledger.connect(&block).unwrap();
        assert!(self.ledger.store == after.store);
        self.blocks.push(block);
    }

    fn mark_conflicts(&mut self) {
        let ids: Vec<FactId> = self.facts.iter().map(|fact| fact.id()).collect();
        for id in ids {
            if !self.is_pending(&id) {
                continue;
            }
            let (_, fact) = self.ledger.store.fact(&id).unwrap().unwrap();
            let mut state = self.ledger.state(self.ledger.tip().header.time.0 + 3);
            state.load(&self.ledger.store, &fact.fact()).unwrap();
            let verdict = state.judge(id, &fact.fact()).map(|_| ());
            drop(state);
            if let Err(reject) = verdict
                && !reject.may_pass()
            {
                assert!(mark(&mut self.ledger, id, reject));
            }
        }
    }

    fn check(&self) {
        let store = &self.ledger.store;
        self.replay().assert_is(store);
        let mut ids = alloc::vec![store.block_at(crate::work::Height(0)).unwrap().unwrap()];
        ids.extend(self.blocks.iter().map(|block| block.header.id()));
        assert_eq!(store.len(Table::Chain), ids.len());
        assert_eq!(store.len(Table::Undo), self.blocks.len());
        let history = delta::history(store, ids.len() as u64).unwrap();
        assert_eq!(history.root(), merkle::root(&ids));
        let sealed: usize = self.blocks.iter().map(|block| block.facts.len()).sum();
        let tip = store.tip_row().unwrap().unwrap();
        assert_eq!(Some(&tip.tip.id), ids.last());
        assert_eq!(tip.sealed, sealed as u64);
        assert_eq!(tip.conflict, store.len(Table::Conflict) as u64);
        // No fact is lost: each is in exactly one of the three states.
        let counted = sealed + store.len(Table::Conflict) + store.len(Table::Pending);
        assert_eq!(counted, self.facts.len());
        assert_eq!(store.len(Table::FactIndex), self.facts.len());
    }
}

fn history() -> impl Strategy<Value = Vec<(u8, u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..60)
}

proptest! {
    #![proptest_config(crate::testing::cases(48))]
    #[test]
    fn the_state_is_that_of_a_naive_replay_after_any_reorgs(steps in history(), strict: bool) {
        let release = if strict { ReleaseRule::Holder } else { ReleaseRule::Member };
        let mut play = Play::new(release);
        // Without members little is permitted.
        for n in 1..4 {
            play.make(0, 6, 6 + n);
        }
        for (step, author, kind, detail) in steps {
            match step % 8 {
                0 | 1 => play.seal(),
                2 => play.mark_conflicts(),
                3 => for _ in 0..usize::from(detail % 4).min(play.blocks.len()) {
                    play.ledger.disconnect();
                    play.blocks.pop();
                },
                _ => play.make(author, kind, detail),
            }
            play.check();
        }
        // Down to genesis nothing is left but pending facts.
        while play.blocks.pop().is_some() {
            play.ledger.disconnect();
        }
        play.check();
        let mut fresh = TestLedger::new(play.ledger.params.clone());
        fresh.arrive(&play.facts);
        let marked = play.ledger.store.len(Table::Conflict);
        if marked == 0 {
            prop_assert!(without_stale(&play.ledger.store) == without_stale(&fresh.store));
        }
    }
}

#[test]
fn a_reorg_reopens_conflicts_of_the_blocks_it_takes_back_and_no_others() {
    let mut world = World::new(ReleaseRule::Member);
    let [old, new] = ["a", "b"].map(|text| world.member.record("t", text));
    world.ledger.arrive(&[old.clone(), new.clone()]);
    mark(&mut world.ledger, old.id(), FactReject::NotAdmin);
    let sealed = world.member.record("t", "c");
    world.seal(&[&sealed]);
    mark(&mut world.ledger, new.id(), FactReject::NotAdmin);
    let back = world.ledger.disconnect();
    let reopened: Vec<FactId> = back.reopened.iter().map(|(_, id)| *id).collect();
    assert_eq!(reopened, [new.id()]);
    let state = |id| world.ledger.store.fact_row(&id).unwrap().unwrap().state;
    assert_eq!(state(new.id()), FactState::Pending);
    assert!(matches!(state(old.id()), FactState::Conflict(..)));
}

#[test]
fn genesis_is_never_taken_back() {
    let ledger = TestLedger::new(rules(ReleaseRule::Member));
    let mut overlay = Overlay::new(&ledger.store);
    assert!(delta::disconnect(&mut overlay).is_err());
}
