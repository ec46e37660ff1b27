//! Bounds: what does not fit waits on disk and comes in later.

use super::*;
use crate::ledger::read::Read;
use crate::ledger::rows::Seq;
use crate::store::{Table, View};
use proptest::prelude::*;

fn record(p: &Pool, n: usize) -> Fact {
    p.member.record("t", &alloc::format!("{n:04}"))
}

#[test]
fn what_does_not_fit_comes_in_when_there_is_room() {
    let mut p = Pool::with(&small(2, 1 << 20), |_| ());
    let facts: Vec<Fact> = (0..5).map(|n| record(&p, n)).collect();
    p.arrive(&facts.iter().collect::<Vec<_>>());
    let ids: Vec<FactId> = facts.iter().map(|fact| fact.id()).collect();
    assert_eq!(p.pool.len(), 2);
    assert_eq!(p.pool.refill(&p.ledger.store, 9), Ok(false));
    p.judge();
    assert_eq!(p.seal(), ids[..2]);
    assert_eq!(p.pool.refill(&p.ledger.store, 1), Ok(true));
    assert_eq!(p.pool.refill(&p.ledger.store, 9), Ok(true));
    p.judge();
    assert_eq!(p.seal(), ids[2..4]);
    assert_eq!(p.pool.refill(&p.ledger.store, 9), Ok(false));
    p.judge();
    assert_eq!(p.seal(), ids[4..]);
}

#[test]
fn bytes_are_bounded_too() {
    let probe = record(&Pool::new(), 0).bytes().len();
    let mut p = Pool::with(&small(99, 2 * probe), |_| ());
    let facts: Vec<Fact> = (0..3).map(|n| record(&p, n)).collect();
    p.arrive(&facts.iter().collect::<Vec<_>>());
    assert_eq!((p.pool.len(), p.pool.bytes()), (2, 2 * probe));
}

#[test]
fn membership_facts_displace_the_newest_others() {
    let mut p = Pool::with(&small(2, 1 << 20), |_| ());
    let (a, b) = (record(&p, 0), record(&p, 1));
    let admit = |n| p.root.admit(TestNode::new(n, p.root.mesh).id(), Role::Member);
    let admits = [admit(10), admit(11), admit(12)];
    p.arrive(&[&a, &b, &admits[0]]);
    assert!(p.pool.contains(&a.id()) && !p.pool.contains(&b.id()));
    p.arrive(&[&admits[1], &admits[2]]);
    assert!(p.pool.contains(&admits[1].id()) && !p.pool.contains(&admits[2].id()));
    assert_eq!(p.pool.len(), 2);
    p.judge();
    p.seal();
    p.pool.refill(&p.ledger.store, 9).unwrap();
    assert!(p.pool.contains(&a.id()) && p.pool.contains(&b.id()));
}

#[derive(Debug, Clone)]
enum Step {
    Record,
    Admit,
    Refill(usize),
    Seal,
    TakeBack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Record),
        2 => Just(Step::Admit),
        2 => (0..5usize).prop_map(Step::Refill),
        1 => Just(Step::Seal),
        1 => Just(Step::TakeBack),
    ];
    prop::collection::vec(step, 1..40)
}

/// Every pending fact up to the cursor is here, nothing here is not pending, bounds hold.
fn check(p: &Pool, facts_max: usize) {
    let store = &p.ledger.store;
    let rows = store.scan(Table::Pending, &[], &[0xff; 9], usize::MAX).unwrap();
    let pending: Vec<Seq> = rows.iter().filter_map(|(key, _)| Seq::from_key(key)).collect();
    for seq in &pending {
        let here = p.pool.facts.contains_key(seq);
        assert!(here || *seq > p.pool.cursor, "{seq:?} up to {:?}", p.pool.cursor);
    }
    assert!(p.pool.facts.keys().all(|seq| pending.contains(seq)));
    assert!(p.pool.len() <= facts_max);
    let listed = p.pool.fresh.len() + p.pool.ready.len() + p.pool.blocked.len();
    assert_eq!((listed, p.pool.seqs.len()), (p.pool.len(), p.pool.len()));
    let bytes: usize = p.pool.facts.values().map(|w| w.fact.bytes().len()).sum();
    assert_eq!(bytes, p.pool.bytes());
    assert!(p.pool.cursor <= Seq(store.set_row().unwrap().summary.count));
}

proptest! {
    #![proptest_config(crate::testing::cases(48))]
    #[test]
    fn no_pending_fact_up_to_the_cursor_is_forgotten(steps in steps(), facts_max in 1..6usize) {
        let mut p = Pool::with(&small(facts_max, 1 << 20), |_| ());
        let mut blocks = 0;
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Record => { let fact = record(&p, n); p.arrive(&[&fact]); }
                Step::Admit => {
                    let node = TestNode::new(100 + n as u64, p.root.mesh).id();
                    let fact = p.root.admit(node, Role::Member);
                    p.arrive(&[&fact]);
                }
                Step::Refill(max) => { p.pool.refill(&p.ledger.store, max).unwrap(); }
                Step::Seal => { p.judge(); blocks += usize::from(!p.seal().is_empty()); }
                Step::TakeBack => if blocks > 0 {
                    blocks -= 1;
                    let back = p.ledger.disconnect();
                    p.pool.disconnected(&back);
                    let ids = back.facts.iter().map(|(_, id)| *id);
                    p.pool.readmit(&p.ledger.store, ids).unwrap();
                },
            }
            check(&p, facts_max);
        }
        // Whatever happened, everything is sealed in the end.
        loop {
            let more = p.pool.refill(&p.ledger.store, 3).unwrap();
            p.judge();
            if p.seal().is_empty() && !more {
                break;
            }
        }
        prop_assert!(p.ledger.store.is_empty(Table::Pending));
    }
}
