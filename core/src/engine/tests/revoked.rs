//! What a revocation does to links, to who is let in, and to the node that is revoked.

use super::*;
use crate::fact::Role;
use crate::id::FactId;
use crate::ledger::rows::FactState;
use crate::testing::MemStore;
use crate::wire::SetSummary;

/// An engine of the second founder, a chain without blocks, and the four founders.
fn mesh(seals: bool) -> (Sole, TestChain, [TestNode; 4]) {
    let (founders, params) = founders();
    let chain = TestChain::new(params.clone());
    let sole = Sole::new(&params, founders[1].key.clone(), Limits::default(), seals);
    (sole, chain, founders)
}

fn told_revoked(sole: &Sole, conn: u64) -> Option<Vec<serde_bytes::ByteBuf>> {
    sole.out.iter().find_map(|output| match output {
        Output::Send(to, Frame::Control(bytes)) if to.0 == conn => {
            match codec::decode(bytes, bytes.len()) {
                Ok(Control::Revoked { proof }) => Some(proof),
                _ => None,
            }
        }
        _ => None,
    })
}

fn state(store: &MemStore, fact: &EncodedFact) -> Option<FactState> {
    store.fact_row(&fact.id()).unwrap().map(|row| row.state)
}

fn set(sole: &Sole) -> SetSummary {
    sole.engine.status().facts
}

#[test]
fn a_revoked_peer_is_shown_why_and_closed_while_others_stay() {
    let (mut sole, chain, [a, _, c, d]) = mesh(false);
    sole.join(1, c.id(), &chain);
    sole.join(2, d.id(), &chain);
    sole.publish(a.revoke(c.id()));
    let proof = told_revoked(&sole, 1).expect("the proof is sent first");
    assert_eq!(proof.last().unwrap().to_vec(), a.revoke(c.id()).bytes());
    assert!(sole.closed().is_empty(), "it is given a moment to read it");
    let live = |sole: &Sole, node: &TestNode| {
        let peers = sole.engine.peers();
        peers.iter().any(|peer| peer.node == Some(node.id()) && peer.connected)
    };
    assert!(!live(&sole, &c) && live(&sole, &d));
    sole.pass(1_000);
    assert_eq!(sole.closed(), BTreeMap::from([(1, CloseCode::Revoked)]));
    // And it is not let in again.
    sole.conn(1, ConnInput::Closed { code: Some(CloseCode::Revoked), by_peer: false, reason: "" });
    sole.join(3, c.id(), &chain);
    assert!(told_revoked(&sole, 3).is_some());
    sole.pass(1_000);
    assert_eq!(sole.closed().get(&3), Some(&CloseCode::Revoked));
    assert!(!live(&sole, &c));
}

#[test]
fn a_node_believes_that_it_is_revoked_when_it_is_proved() {
    let (mut sole, chain, [a, b, c, _]) = mesh(true);
    let by_nobody = TestNode::new(77, a.mesh).revoke(b.id());
    let proofs = [
        alloc::vec![by_nobody.bytes().to_vec().into()],
        alloc::vec![a.revoke(c.id()).bytes().to_vec().into()],
        alloc::vec![alloc::vec![0; 70].into()],
        Vec::new(),
    ];
    for (conn, proof) in (1..).zip(proofs) {
        sole.join(conn, a.id(), &chain);
        sole.control(conn, &Control::Revoked { proof });
        sole.pass(10_000);
        assert_ne!(sole.engine.status().state, State::Revoked);
        assert!(sole.closed().contains_key(&conn));
    }
    sole.join(9, c.id(), &chain);
    let new = TestNode::new(9, a.mesh);
    let chain_of = [a.admit(new.id(), Role::Admin), new.revoke(b.id())];
    let proof = chain_of.iter().map(|fact| fact.bytes().to_vec().into()).collect();
    sole.control(9, &Control::Revoked { proof });
    sole.settle();
    assert_eq!(sole.engine.status().state, State::Revoked);
    // It says so, and writes no more.
    let note = b.record("note", "still here?");
    sole.publish(note.clone());
    let refused = |output: &Output| matches!(output, Output::Reply(_, Err(Refusal::Revoked)));
    assert!(sole.out.iter().any(refused));
    assert_eq!(state(&sole.store, &note), None);
    sole.pass(60_000);
    assert_eq!(sole.tip().height.0, 0, "it seals nothing");
    let dials = sole.out.iter().filter(|output| matches!(output, Output::Dial(..))).count();
    assert_eq!(dials, 0);
}

#[test]
fn unsealed_facts_of_a_revoked_author_leave_the_set_and_come_back_with_a_block() {
    let (mut sole, mut chain, [a, _, c, _]) = mesh(false);
    let before = set(&sole);
    let notes = ["kept", "left"].map(|text| c.record("note", text));
    let lost = c.request("saw", Some(FactId([9; 32])));
    notes.iter().for_each(|note| sole.publish(note.clone()));
    sole.publish(lost.clone());
    let revoke = a.revoke(c.id());
    sole.publish(revoke.clone());
    sole.pass(1_000);
    let mut only = before;
    only.add(&revoke.id());
    assert_eq!(set(&sole), only);
    for fact in notes.iter().chain([&lost]) {
        assert!(state(&sole.store, fact).unwrap().is_outside());
    }
    let status = sole.engine.status();
    assert_eq!((status.pending, status.conflict), (1, 3), "only the revocation waits");
    // Somebody who had not heard yet has sealed one of them.
    chain.add(&notes);
    chain.seal(&a.key, &[notes[0].id()]);
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    assert_eq!(sole.tip().height.0, 1);
    only.add(&notes[0].id());
    assert_eq!(set(&sole), only);
    assert!(matches!(state(&sole.store, &notes[0]), Some(FactState::Sealed(..))));
    // A new start finds the same set in the store.
    let config = sole.engine.config.clone();
    let again = Engine::new(config, &sole.store, clocks(sole.now)).unwrap();
    assert_eq!(again.status().facts, only);
    assert_eq!(again.fingerprints.groups(), sole.engine.fingerprints.groups());
}

#[test]
fn facts_that_were_in_conflict_leave_the_set_too() {
    let (mut sole, mut chain, [a, b, c, _]) = mesh(false);
    let (won, lost) = (a.request("saw", None), c.request("saw", None));
    sole.publish(lost.clone());
    chain.add(core::slice::from_ref(&won));
    chain.seal(&a.key, &[won.id()]);
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    let superseded = state(&sole.store, &lost).unwrap();
    assert!(matches!(superseded, FactState::Conflict(..)) && !superseded.is_outside());
    sole.publish(b.revoke(c.id()));
    sole.pass(100);
    assert!(state(&sole.store, &lost).unwrap().is_outside());
    assert_eq!(sole.engine.status().conflict, 1);
}

#[test]
fn nobody_comes_in_on_the_word_of_a_revoked_admin_unless_a_block_has_it() {
    let (mut sole, mut chain, [a, _, c, _]) = mesh(false);
    let (sealed, late) = (TestNode::new(20, a.mesh), TestNode::new(21, a.mesh));
    let admits = [&sealed, &late].map(|node| c.admit(node.id(), Role::Member));
    chain.add(&admits);
    chain.seal(&a.key, &[admits[0].id()]);
    let bytes = chain.facts.remove(&admits[1].id());
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    sole.publish(a.revoke(c.id()));
    sole.join(2, sealed.id(), &chain);
    let mut words = hello(&chain);
    words.introduction = alloc::vec![bytes.unwrap().to_vec().into()];
    sole.join_saying(3, late.id(), words);
    sole.pass(1_000);
    assert_eq!(sole.closed(), BTreeMap::from([(3, CloseCode::NotMember)]));
}

#[test]
fn who_was_let_in_by_a_revoked_admin_is_closed_unless_a_block_has_it() {
    let (mut sole, chain, [a, _, c, _]) = mesh(false);
    let new = TestNode::new(20, a.mesh);
    sole.publish(c.admit(new.id(), Role::Member));
    sole.join(1, new.id(), &chain);
    assert!(sole.closed().is_empty());
    sole.publish(a.revoke(c.id()));
    sole.pass(1_000);
    assert_eq!(sole.closed(), BTreeMap::from([(1, CloseCode::NotMember)]));
    assert!(told_revoked(&sole, 1).is_none());
}

#[test]
fn what_waited_on_disk_is_judged_as_soon_as_there_is_room_for_it() {
    let ([a, b, c, _], params) = founders();
    let limits = Limits { mempool_facts: 4, ..Limits::default() };
    let mut sole = Sole::new(&params, b.key, limits, false);
    let facts = ["1", "2", "3", "4"].map(|text| c.record("note", text));
    facts.iter().for_each(|fact| sole.publish(fact.clone()));
    // It takes the place of the last of them.
    sole.publish(a.revoke(c.id()));
    for fact in &facts {
        assert!(matches!(state(&sole.store, fact), Some(FactState::Conflict(..))));
    }
}
