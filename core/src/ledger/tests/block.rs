//! One test for each rule about blocks, and what a valid one leaves behind.

use super::*;
use crate::block::facts_root;
use crate::ledger::apply::apply;
use crate::ledger::prefetch::{Prefetch, prefetch};
use crate::ledger::read::Read;
use crate::ledger::reject::BlockReject;
use crate::ledger::rows::FactState;
use crate::merkle;
use crate::work::Height;

fn world() -> World {
    World::new(ReleaseRule::Member)
}

#[test]
fn a_body_is_a_bounded_list_of_distinct_ids_that_the_header_commits_to() {
    let mut world = world();
    let facts = [world.member.record("t", "1"), world.member.record("t", "2")];
    world.ledger.arrive(&facts);
    let (a, b) = (facts[0].id(), facts[1].id());
    assert!(world.ledger.judge(&world.ledger.block(&[a, b], None)).is_ok());
    let mut swapped = world.ledger.block(&[a, b], None);
    swapped.facts.swap(0, 1);
    assert_ne!(facts_root(&swapped.facts), swapped.header.facts_root);
    for block in [swapped, world.ledger.block(&[], None), world.ledger.block(&[a, a], None)] {
        assert_eq!(world.ledger.judge(&block), Err(BlockReject::Body));
    }
    let block = world.ledger.block(&[a, b], None);
    world.ledger.params.block_facts_max = 1;
    assert_eq!(world.ledger.judge(&block), Err(BlockReject::Body));
}

#[test]
fn a_block_has_only_so_many_bytes() {
    let mut world = world();
    let fact = world.member.record("t", "1");
    world.ledger.arrive(core::slice::from_ref(&fact));
    let block = world.ledger.block(&[fact.id()], None);
    let bytes = fact.bytes().len() as u64;
    world.ledger.params.block_bytes_max = bytes as u32 - 1;
    let refused = Err(BlockReject::TooLarge(bytes - 1, bytes));
    assert_eq!(world.ledger.judge(&block), refused);
    world.ledger.params.block_bytes_max = bytes as u32;
    assert!(world.ledger.judge(&block).is_ok());
}

#[test]
fn a_fact_is_sealed_once() {
    let mut world = world();
    let fact = world.member.record("t", "1");
    world.seal(&[&fact]);
    let again = world.ledger.judge(&world.ledger.block(&[fact.id()], None));
    assert_eq!(again, Err(BlockReject::SealedBefore(fact.id())));
}

#[test]
fn a_fact_sealed_by_a_block_below_on_the_same_overlay_is_sealed_before() {
    let mut world = world();
    let fact = world.member.record("t", "1");
    world.ledger.arrive(core::slice::from_ref(&fact));
    let first = world.ledger.block(&[fact.id()], None);
    let mut connected = world.ledger.clone();
    connected.connect(&first).unwrap();
    let second = connected.block(&[fact.id()], None);

    let mut overlay = Overlay::new(&world.ledger.store);
    let effects = world.ledger.judge(&first).unwrap();
    crate::ledger::delta::connect(&mut overlay, &connected.tip(), &effects).unwrap();
    let seq = effects.facts[0].seq;
    let cached = |_: &FactId| Some((seq, fact.clone()));
    let params = &world.ledger.params;
    let Prefetch::Ready(read) = prefetch(params, &second, &overlay, &cached).unwrap() else {
        panic!("nothing is missing");
    };
    assert_eq!(apply(&second, read), Err(BlockReject::SealedBefore(fact.id())));
}

#[test]
fn facts_that_are_not_in_the_set_are_named() {
    let world = world();
    let fact = world.member.record("t", "1");
    let block = world.ledger.block(&[fact.id()], None);
    let overlay = Overlay::new(&world.ledger.store);
    let read = prefetch(&world.ledger.params, &block, &overlay, &|_| None).unwrap();
    assert!(matches!(read, Prefetch::Missing(ids) if ids == [fact.id()]));
}

#[test]
fn a_block_with_a_forbidden_fact_is_refused_as_a_whole() {
    let mut world = world();
    let (good, bad) = (world.member.record("t", "1"), world.reader.record("t", "2"));
    world.ledger.arrive(&[good.clone(), bad.clone()]);
    let block = world.ledger.block(&[good.id(), bad.id()], None);
    let before = world.ledger.store.clone();
    let refused = world.ledger.connect(&block);
    assert_eq!(refused, Err(BlockReject::Fact(bad.id(), FactReject::Reader)));
    assert!(world.ledger.store == before);
}

#[test]
fn facts_see_the_effects_of_those_before_them_in_the_list() {
    let mut world = world();
    let take = world.member.request("saw", None);
    let free = world.member.release("saw", take.id());
    world.ledger.arrive(&[take.clone(), free.clone()]);
    let backwards = world.ledger.block(&[free.id(), take.id()], None);
    let refused = Err(BlockReject::Fact(free.id(), FactReject::FollowsUnknown));
    assert_eq!(world.ledger.judge(&backwards), refused);
    world.seal(&[&take, &free]);
    let custody = world.ledger.store.custody("saw").unwrap().unwrap();
    assert_eq!((custody.holder, custody.latest), (None, free.id()));
}

#[test]
fn the_header_commits_to_the_next_sealers() {
    let mut world = world();
    let (old, new) = (world.root.id(), world.stranger.id());
    let admit = world.root.admit(new, Role::Sealer);
    world.ledger.arrive(core::slice::from_ref(&admit));
    let mut block = world.ledger.block(&[admit.id()], None);
    let root = block.header.sealers_root;
    block.header.sealers_root = world.ledger.tip().header.sealers_root;
    assert_eq!(world.ledger.judge(&block), Err(BlockReject::SealersRoot));
    block.header.sealers_root = root;
    world.ledger.connect(&block).unwrap();
    let mut sealers = alloc::vec![old, new];
    sealers.sort_unstable();
    assert_eq!(merkle::root(&sealers), root);
    assert_eq!(world.ledger.store.sealers(&root).unwrap(), Some(sealers));
}

#[test]
fn a_conflict_that_a_block_seals_anyway_is_sealed() {
    let mut world = world();
    let fact = world.member.record("t", "1");
    world.ledger.arrive(core::slice::from_ref(&fact));
    let reject = FactReject::NotAdmin;
    assert!(mark(&mut world.ledger, fact.id(), reject.clone()));
    assert!(!mark(&mut world.ledger, fact.id(), reject));
    assert_eq!(world.ledger.store.tip_row().unwrap().unwrap().conflict, 1);
    world.seal(&[&fact]);
    let row = world.ledger.store.fact_row(&fact.id()).unwrap().unwrap();
    assert_eq!(row.state, FactState::Sealed(Height(2), 0));
    assert_eq!(world.ledger.store.tip_row().unwrap().unwrap().conflict, 0);
    assert!(world.ledger.store.is_empty(crate::store::Table::Conflict));
}
