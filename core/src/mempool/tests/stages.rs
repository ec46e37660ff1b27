//! How facts move between fresh, ready and blocked.

use super::*;
use crate::ledger::reject::FactReject;

#[test]
fn facts_are_ready_in_order_of_arrival_with_membership_first() {
    let mut p = Pool::new();
    let (a, b) = (p.member.record("t", "a"), p.member.record("t", "b"));
    let admit = p.root.admit(p.other.id(), Role::Member);
    p.arrive(&[&a, &b, &admit]);
    assert!(p.ready().is_empty());
    assert_eq!(p.judge(), []);
    assert_eq!(p.ready(), [admit.id(), a.id(), b.id()]);
    assert_eq!(p.seal(), [admit.id(), a.id(), b.id()]);
    assert!(p.pool.is_empty());
    assert_eq!(p.pool.bytes(), 0);
}

#[test]
fn a_fact_waits_for_the_admission_of_its_author() {
    let mut p = Pool::new();
    let invite = p.root.invite(TestNode::new(9, p.root.mesh).id(), Role::Member, 1, 99);
    let key = TestNode::new(9, p.root.mesh);
    let admit = key.admit(p.other.id(), Role::Member);
    let record = p.other.record("t", "x");
    p.arrive(&[&invite, &admit, &record]);
    assert_eq!(p.judge(), []);
    assert_eq!(p.ready(), [invite.id()]);
    p.seal();
    assert_eq!(p.judge(), []);
    assert_eq!(p.ready(), [admit.id()]);
    p.seal();
    assert_eq!(p.judge(), []);
    assert_eq!(p.seal(), [record.id()]);
}

#[test]
fn a_block_judges_again_only_what_it_concerns() {
    let mut p = Pool::new();
    let (saw, drill) = (p.member.request("saw", None), p.member.request("drill", None));
    let record = p.member.record("t", "x");
    let winner = p.root.request("saw", None);
    p.arrive(&[&winner, &saw, &drill, &record]);
    p.judge();
    let block = p.ledger.block(&[winner.id()], None);
    let effects = p.ledger.connect(&block).unwrap();
    p.pool.connected(&effects);
    assert_eq!(p.ready(), [drill.id(), record.id()]);
    let conflicts = p.judge();
    assert_eq!(ids(&conflicts), [saw.id()]);
    let (item, holder) = ("saw".into(), Some(p.root.id()));
    assert_eq!(conflicts[0].reject, FactReject::Superseded { item, holder });
}

#[test]
fn what_follows_a_conflict_is_a_conflict_whatever_arrived_first() {
    let mut p = Pool::new();
    let won = p.root.request("saw", None);
    let lost = p.member.request("saw", None);
    let release = p.member.release("saw", lost.id());
    let again = p.member.request("saw", Some(release.id()));
    p.arrive(&[&again, &release, &lost, &won]);
    assert_eq!(p.judge(), []);
    let block = p.ledger.block(&[won.id()], None);
    let effects = p.ledger.connect(&block).unwrap();
    p.pool.connected(&effects);
    assert_eq!(ids(&p.judge()), [lost.id(), release.id(), again.id()]);
    assert!(p.pool.is_empty());
}

#[test]
fn a_conflict_found_elsewhere_leaves_and_wakes_its_followers() {
    let mut p = Pool::new();
    let first = p.member.request("saw", None);
    let release = p.member.release("saw", first.id());
    p.arrive(&[&first, &release]);
    p.judge();
    p.pool.conflicted(&first.id());
    assert!(p.pool.has_fresh());
    assert!(!p.pool.contains(&first.id()));
}

#[test]
fn facts_of_a_block_that_is_taken_back_return_and_what_it_concerned_is_judged_again() {
    let mut p = Pool::new();
    let admit = p.root.admit(p.other.id(), Role::Member);
    p.arrive(&[&admit]);
    p.judge();
    p.seal();
    let record = p.other.record("t", "x");
    p.arrive(&[&record]);
    p.judge();
    assert_eq!(p.ready(), [record.id()]);
    let back = p.ledger.disconnect();
    p.pool.disconnected(&back);
    let ids = back.facts.iter().map(|(_, id)| *id);
    p.pool.readmit(&p.ledger.store, ids).unwrap();
    assert_eq!(p.judge(), []);
    assert_eq!(p.ready(), [admit.id()]);
    p.seal();
    p.judge();
    assert_eq!(p.seal(), [record.id()]);
}

#[test]
fn what_an_ended_lease_forbids_is_found_when_the_chain_gets_there_and_not_before() {
    let mut p = Pool::new();
    let until = p.ledger.tip().header.height.0 + 3;
    let lease = p.root.lease(p.member.id(), Some(until));
    p.arrive(&[&lease]);
    p.judge();
    assert_eq!(p.seal(), [lease.id()]);
    let (said, give) = (p.member.record("t", "x"), p.root.request("saw", None));
    p.arrive(&[&give, &said]);
    p.judge();
    assert_eq!(p.ready(), [give.id(), said.id()]);
    let block = p.ledger.block(&[give.id()], None);
    let effects = p.ledger.connect(&block).unwrap();
    p.pool.connected(&effects);
    let next = p.ledger.tip().header.height.next();
    p.pool.reached(crate::work::Height(next.0 - 1));
    assert!(!p.pool.has_fresh());
    p.pool.reached(next);
    let conflicts = p.judge();
    assert_eq!(ids(&conflicts), [said.id()]);
    assert_eq!(conflicts[0].reject, FactReject::Lapsed(next));
}

#[test]
fn a_block_that_moves_the_end_of_a_membership_has_all_that_is_ready_judged_again() {
    let mut p = Pool::new();
    let said = p.member.record("t", "x");
    let lease = p.root.lease(p.member.id(), Some(p.ledger.tip().header.height.0 + 2));
    p.arrive(&[&said, &lease]);
    p.judge();
    let block = p.ledger.block(&[lease.id()], None);
    let effects = p.ledger.connect(&block).unwrap();
    p.pool.connected(&effects);
    assert_eq!(ids(&p.judge()), [said.id()]);
    let back = p.ledger.disconnect();
    p.pool.disconnected(&back);
    let again = back.reopened.iter().map(|(_, id)| *id);
    p.pool.readmit(&p.ledger.store, again).unwrap();
    assert_eq!(p.judge(), []);
    assert_eq!(p.ready(), [said.id()]);
}
