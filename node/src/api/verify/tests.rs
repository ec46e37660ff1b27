//! Tests of `verify`.

use cairn_core::id::MeshId;
use cairn_core::ledger::rows::HeaderRow;
use cairn_core::seal::authority;
use cairn_core::seal::pow::EffectiveTime;
use cairn_core::store::{Batch, Table};
use cairn_core::testing::{MemStore, TestLedger, TestNode, params};

use super::*;

/// A chain of three blocks, sealed in earnest by its only founder.
fn sealed() -> (TestLedger, MeshId, Vec<FactId>) {
    let founder = TestNode::new(1, MeshId::ZERO);
    let params = params(&[&founder]);
    let mesh = TestLedger::mesh(&params);
    let founder = founder.in_mesh(mesh);
    let mut ledger = TestLedger::new(params);
    let mut facts = Vec::new();
    for height in 1..=3_u64 {
        let fact = founder.record("t", &height.to_string());
        ledger.arrive(std::slice::from_ref(&fact));
        let time = height * ledger.params.spacing;
        let mut block = ledger.block(&[fact.id()], Some(time));
        block.header.sealer = founder.id();
        block.header = authority::seal(block.header, &founder.key);
        let work = ledger.tip().work + authority::work(0);
        ledger.connect(&block).unwrap();
        let row =
            HeaderRow { header: block.header.clone(), work, effective_time: EffectiveTime(0) };
        put(&mut ledger.store, Table::Header, &block.header.id().0, &row);
        facts.push(fact.id());
    }
    (ledger, mesh, facts)
}

fn put<T: Serialize>(store: &mut MemStore, table: Table, key: &[u8], row: &T) {
    let mut batch = Batch::new();
    batch.put(table, key, &cairn_core::codec::encode(row));
    store.apply(&batch);
}

fn verdict(ledger: &TestLedger, mesh: MeshId, deep: bool) -> Verdict {
    let walk = Walk {
        params: &ledger.params,
        mesh,
        deep,
        seed: [7; 32],
        canceled: &AtomicBool::new(false),
    };
    walk.run(&ledger.store).unwrap()
}

#[test]
fn a_sound_chain_is_found_sound_up_to_its_tip() {
    let (ledger, mesh, _) = sealed();
    for deep in [false, true] {
        let verdict = verdict(&ledger, mesh, deep);
        assert_eq!(verdict.error, None);
        assert!(verdict.ok);
        assert_eq!((verdict.height, verdict.blocks, verdict.facts), (3, 4, 3));
    }
}

#[test]
fn a_forged_fact_is_found_by_the_deep_check_only() {
    let (mut ledger, mesh, facts) = sealed();
    let row = ledger.store.fact_row(&facts[1]).unwrap().unwrap();
    let mut bytes = ledger.store.fact_bytes(row.seq).unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let mut batch = Batch::new();
    batch.put(Table::Fact, &row.seq.key(), &bytes);
    ledger.store.apply(&batch);
    assert!(verdict(&ledger, mesh, false).ok);
    let deep = verdict(&ledger, mesh, true);
    assert_eq!((deep.ok, deep.height), (false, 1));
    assert!(deep.error.unwrap().contains("signature"));
}

#[test]
fn another_list_of_facts_than_the_header_commits_to_is_found() {
    let (mut ledger, mesh, facts) = sealed();
    let id = ledger.store.block_at(Height(2)).unwrap().unwrap();
    put(&mut ledger.store, Table::Body, &id.0, &vec![facts[0]]);
    let verdict = verdict(&ledger, mesh, false);
    assert_eq!((verdict.ok, verdict.height), (false, 1));
    assert!(verdict.error.unwrap().starts_with("block 2:"));
}

#[test]
fn wrong_work_and_a_foreign_header_are_found() {
    let (mut ledger, mesh, _) = sealed();
    let id = ledger.store.block_at(Height(3)).unwrap().unwrap();
    let mut row = ledger.store.header(&id).unwrap().unwrap();
    row.work = row.work + authority::work(0);
    put(&mut ledger.store, Table::Header, &id.0, &row);
    assert!(verdict(&ledger, mesh, false).error.unwrap().contains("work"));
    row.header.time = row.header.time.after(1);
    put(&mut ledger.store, Table::Header, &id.0, &row);
    assert!(verdict(&ledger, mesh, false).error.unwrap().contains("id"));
}
