//! Custody of two items among three members: every sequence of up to four facts that the rules
//! permit, every fact that could come next, and every depth of taking back.

use super::*;
use crate::testing::{MemStore, Model};
use crate::time::UnixTime;

/// Miri is a thousand times slower.
const FACTS_MAX: usize = if cfg!(miri) { 1 } else { 4 };
const ITEMS: [&str; 2] = ["saw", "drill"];

struct Search {
    nodes: Vec<TestNode>,
    start: (TestLedger, Model),
    permitted: usize,
    refused: usize,
}

/// The custody facts that could be said after these, permitted or not: each kind, on each item, by
/// each member, following nothing or any fact so far.
fn candidates(nodes: &[TestNode], path: &[Verified<EncodedFact>]) -> Vec<Verified<EncodedFact>> {
    let mut all = Vec::new();
    for (item, author) in ITEMS.iter().flat_map(|item| nodes.iter().map(move |n| (*item, n))) {
        all.push(author.request(item, None));
        for follows in path.iter().map(|fact| fact.id()) {
            all.push(author.request(item, Some(follows)));
            all.push(author.release(item, follows));
            let others = nodes.iter().map(|node| author.transfer(item, follows, node.id()));
            all.extend(others);
        }
    }
    // The same words by the same author are the same fact.
    all.retain(|fact| !path.iter().any(|said| said.id() == fact.id()));
    all
}

fn same(a: &MemStore, b: &MemStore) -> bool {
    super::reorg::without_stale(a) == super::reorg::without_stale(b)
}

impl Search {
    /// Goes on from a ledger that holds these facts, one in each block, and says the same as the
    /// naive ledger.
    fn explore(&mut self, ledger: &TestLedger, naive: &Model, path: &[Verified<EncodedFact>]) {
        let time = UnixTime(ledger.tip().header.time.0 + 1);
        for fact in candidates(&self.nodes, path) {
            let mut state = ledger.state(time.0);
            state.load(&ledger.store, &fact.fact()).unwrap();
            let verdict = state.judge(fact.id(), &fact.fact()).map(|_| ());
            drop(state);
            let mut next_naive = naive.clone();
            assert_eq!(verdict.is_ok(), next_naive.fact(&fact, time), "{verdict:?}: {fact:?}");
            if verdict.is_err() {
                self.refused += 1;
                continue;
            }
            self.permitted += 1;
            let mut next = ledger.clone();
            next.arrive(core::slice::from_ref(&fact));
            let before = next.store.clone();
            let block = next.block(&[fact.id()], Some(time.0));
            next.connect(&block).unwrap();
            next_naive.assert_is(&next.store);
            let mut back = next.clone();
            back.disconnect();
            assert!(same(&back.store, &before));
            let path = [path, &[fact]].concat();
            if path.len() < FACTS_MAX {
                self.explore(&next, &next_naive, &path);
            } else {
                self.take_back(next, &path);
            }
        }
    }

    /// From the end of a sequence down to nothing, then all of it again in one block.
    fn take_back(&self, mut ledger: TestLedger, path: &[Verified<EncodedFact>]) {
        for left in (0..path.len()).rev() {
            ledger.disconnect();
            let mut naive = self.start.1.clone();
            assert!(path[..left].iter().all(|fact| naive.fact(fact, UnixTime(0))));
            naive.assert_is(&ledger.store);
        }
        let mut fresh = self.start.0.clone();
        fresh.arrive(path);
        assert!(same(&ledger.store, &fresh.store));
        let ids: Vec<FactId> = path.iter().map(|fact| fact.id()).collect();
        let before = ledger.store.clone();
        let block = ledger.block(&ids, None);
        ledger.connect(&block).unwrap();
        ledger.disconnect();
        assert!(same(&ledger.store, &before));
    }
}

fn search(release: ReleaseRule) -> (usize, usize) {
    let params = rules(release);
    let mesh = TestLedger::mesh(&params);
    let nodes: Vec<TestNode> = (0..3).map(|n| TestNode::new(n, mesh)).collect();
    let mut start = TestLedger::new(params.clone());
    let admits: Vec<_> =
        nodes[1..].iter().map(|node| nodes[0].admit(node.id(), Role::Member)).collect();
    start.arrive(&admits);
    let ids: Vec<FactId> = admits.iter().map(|fact| fact.id()).collect();
    let block = start.block(&ids, None);
    start.connect(&block).unwrap();
    let mut naive = Model::genesis(&params);
    assert!(admits.iter().all(|admit| naive.fact(admit, block.header.time)));
    let mut search =
        Search { nodes, start: (start.clone(), naive.clone()), permitted: 0, refused: 0 };
    search.explore(&start, &naive, &[]);
    (search.permitted, search.refused)
}

#[test]
fn all_short_histories_of_two_items_are_judged_and_taken_back_exactly() {
    let (by_member, _) = search(ReleaseRule::Member);
    let (by_holder, refused) = search(ReleaseRule::Holder);
    assert!(refused > 0);
    // A free item has three next facts; a held one three transfers, and a release by each of three
    // members or by its holder alone. With h items held that is 6, 9, 12 or 6, 7, 8 for h = 0, 1, 2,
    // which makes 6 + 54 + 486 + 4,698 and 6 + 42 + 306 + 2,286 sequences of one to four facts.
    let expected = if cfg!(miri) { (6, 6) } else { (5_244, 2_640) };
    assert_eq!((by_member, by_holder), expected);
}
