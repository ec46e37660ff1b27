//! What a recovery does to facts that waited for it.

use super::*;
use crate::id::FactId;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::FactState;
use crate::params::Recovery;

/// An engine of the second of four founders in a mesh with one recovery key, and that key.
fn mesh() -> (Sole, TestChain, [TestNode; 4], SigningKey) {
    let (founders, mut params) = founders();
    let key = SigningKey::from_seed([0xee; 32]);
    params.recovery = Recovery { threshold: 1, keys: [key.node_id()].into_iter().collect() };
    let mesh = crate::block::mesh_id(&params);
    let founders = founders.map(|founder| founder.in_mesh(mesh));
    let chain = TestChain::new(params.clone());
    let sole = Sole::new(&params, founders[1].key.clone(), Limits::default(), false);
    (sole, chain, founders, key)
}

fn seal(sole: &mut Sole, chain: &mut TestChain, by: &TestNode, fact: &Verified<EncodedFact>) {
    chain.add(core::slice::from_ref(fact));
    chain.seal(&by.key, &[fact.id()]);
    sole.announce(1, &Announce::Block(chain.tip()));
    sole.serve(1, chain);
    sole.pass(1_000);
    assert_eq!(sole.tip().id, chain.last());
}

fn state(sole: &Sole, id: &FactId) -> Option<FactState> {
    sole.store.fact_row(id).unwrap().map(|row| row.state)
}

#[test]
fn what_the_revoked_wrote_may_be_sealed_once_a_block_has_the_recovery() {
    let (mut sole, mut chain, [thief, admin, victim, other], key) = mesh();
    sole.join(1, other.id(), &chain);
    let held = admin.request("saw", None);
    seal(&mut sole, &mut chain, &admin, &held);
    let early = victim.record("note", "before the theft");
    sole.publish(early.clone());
    let revoke = thief.revoke(victim.id());
    sole.publish(revoke.clone());
    sole.pass(1_000);
    assert!(state(&sole, &early.id()).unwrap().is_outside());
    seal(&mut sole, &mut chain, &admin, &revoke);
    // The recovery keys have spoken, but the chain does not know yet.
    let recover = admin.recover(&[&key], None, &[thief.id()], &[], &[]);
    sole.publish(recover.clone());
    let late = victim.record("note", "before the block");
    let handed = admin.transfer("saw", held.id(), victim.id());
    let barred = [(&early, FactReject::Deposed), (&late, FactReject::Deposed)];
    let barred = barred.into_iter().chain([(&handed, FactReject::ReceiverNotMember(victim.id()))]);
    sole.publish(late.clone());
    sole.publish(handed.clone());
    sole.pass(1_000);
    for (fact, why) in barred {
        let now = state(&sole, &fact.id());
        assert!(matches!(&now, Some(FactState::Conflict(_, reject)) if *reject == why), "{now:?}");
    }
    seal(&mut sole, &mut chain, &admin, &recover);
    for fact in [&early, &late, &handed] {
        assert_eq!(state(&sole, &fact.id()), Some(FactState::Pending));
    }
    assert_eq!(sole.engine.status().conflict, 0);
}

#[test]
fn who_is_brought_back_is_linked_to_before_a_block_says_so() {
    let (mut sole, mut chain, [thief, admin, victim, other], key) = mesh();
    sole.join(1, other.id(), &chain);
    let revoke = thief.revoke(victim.id());
    seal(&mut sole, &mut chain, &admin, &revoke);
    sole.join(2, victim.id(), &chain);
    sole.publish(admin.recover(&[&key], None, &[thief.id()], &[], &[]));
    sole.join(3, victim.id(), &chain);
    sole.join(4, thief.id(), &chain);
    sole.pass(2_000);
    let revoked = CloseCode::Revoked;
    assert_eq!(sole.closed(), [(2, revoked), (4, revoked)].into_iter().collect());
}
