//! Facts of all kinds arriving, blocks of any of them connected and taken back: the verdict on each
//! block is that of the naive ledger, and taking back is exact.

use std::sync::OnceLock;

use cairn_core::block::Block;
use cairn_core::fact::EncodedFact;
use cairn_core::id::{FactId, MeshId};
use cairn_core::ledger::arrival::Arrived;
use cairn_core::params::{Admission, Params, ReleaseRule};
use cairn_core::store::Table;
use cairn_core::testing::{MemStore, TestLedger, TestNode, params};
use cairn_core::verified::Verified;
use cairn_core::work::Height;

use super::Source;
use super::peers::{NODES, make};
use crate::model::Model;

/// Steps of one run.
const STEPS_MAX: usize = 32;

/// Rows that stay though their block was taken back: they are true whatever the tip is.
fn without_stale(store: &MemStore) -> MemStore {
    let mut store = store.clone();
    [Table::Header, Table::Body, Table::Sealers].into_iter().for_each(|table| store.clear(table));
    store
}

struct Play {
    ledger: TestLedger,
    nodes: Vec<TestNode>,
    facts: Vec<Verified<EncodedFact>>,
    height: u64,
}

impl Play {
    fn arrive(&mut self, source: &mut Source<'_>) {
        let fact = make(source, &self.nodes, &self.ledger.store, &self.facts);
        let (arrived, _) = self.ledger.arrive(std::slice::from_ref(&fact));
        if matches!(arrived[0], Arrived::Entered(_)) {
            self.facts.push(fact);
        }
    }

    /// A block of any facts of the set, in any order; permitted or not.
    fn connect(&mut self, source: &mut Source<'_>) {
        let mut ids: Vec<FactId> = Vec::new();
        for at in source.list(6, Source::byte) {
            let fact = self.facts.get(usize::from(at) % self.facts.len().max(1));
            ids.extend(fact.map(|fact| fact.id()).filter(|id| !ids.contains(id)));
        }
        if ids.is_empty() {
            return;
        }
        let time = self.ledger.tip().header.time.0 + 1 + u64::from(source.byte());
        let block: Block = self.ledger.block(&ids, Some(time));
        let before = self.ledger.store.clone();
        let naive = Model::replay(&self.ledger.params, &before);
        let permitted = self.ledger.connect(&block);
        assert_eq!(permitted.is_ok(), naive.permits(&before, &block), "{permitted:?}");
        if permitted.is_err() {
            assert!(self.ledger.store == before, "a refused block changed something");
            return;
        }
        let after = self.ledger.store.clone();
        self.ledger.disconnect();
        // Conflicts since the height of the tip are judged again, so they are open afterwards.
        if before.is_empty(Table::Conflict) {
            assert!(without_stale(&self.ledger.store) == without_stale(&before));
            assert!(self.ledger.connect(&block).is_ok());
            assert!(self.ledger.store == after);
        } else {
            assert!(self.ledger.connect(&block).is_ok());
        }
        self.height += 1;
    }

    fn disconnect(&mut self, depth: usize) {
        for _ in 0..depth.min(self.height as usize) {
            self.ledger.disconnect();
            self.height -= 1;
        }
        assert_eq!(self.ledger.tip().header.height, Height(self.height));
    }
}

/// A genesis and keys: the same in every run, so made once for each set of rules.
type Beginning = (TestLedger, Vec<TestNode>);

fn beginnings() -> &'static [Beginning] {
    static MADE: OnceLock<Vec<Beginning>> = OnceLock::new();
    let make = |(release, admission)| {
        let root = TestNode::new(0, MeshId::ZERO);
        let params = Params { release, admission, ..params(&[&root]) };
        let mesh = TestLedger::mesh(&params);
        let nodes = (0..NODES as u64).map(|n| TestNode::new(n, mesh)).collect();
        (TestLedger::new(params), nodes)
    };
    let rules = [
        (ReleaseRule::Member, Admission::Invite),
        (ReleaseRule::Holder, Admission::Invite),
        (ReleaseRule::Member, Admission::Open),
    ];
    MADE.get_or_init(|| rules.into_iter().map(make).collect())
}

/// A mesh of one founder and whom it admits, or of everybody.
pub(super) fn ledger(data: &[u8]) {
    let mut source = Source::new(data);
    let all = beginnings();
    let (ledger, nodes) = all[source.below(all.len())].clone();
    let mut play = Play { ledger, nodes, facts: Vec::new(), height: 0 };
    for _ in 0..STEPS_MAX {
        if source.is_empty() {
            break;
        }
        match source.below(8) {
            0 | 1 => play.connect(&mut source),
            2 => play.disconnect(source.below(5)),
            _ => play.arrive(&mut source),
        }
    }
    let params = play.ledger.params.clone();
    Model::replay(&params, &play.ledger.store).assert_is(&play.ledger.store);
    play.disconnect(usize::MAX);
    let mut fresh = TestLedger::new(params);
    fresh.arrive(&play.facts);
    assert!(without_stale(&play.ledger.store) == without_stale(&fresh.store));
}
