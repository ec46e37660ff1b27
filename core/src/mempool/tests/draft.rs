//! Which facts a draft takes. Every draft is connected by the rules for any block.

use alloc::collections::BTreeMap;

use super::*;
use crate::ledger::reject::FactReject;
use crate::time::UnixTime;

#[test]
fn nothing_ready_makes_no_block() {
    let p = Pool::new();
    assert_eq!(p.draft().block, None);
}

#[test]
fn custody_facts_that_follow_each_other_share_a_block() {
    let mut p = Pool::new();
    let take = p.member.request("saw", None);
    let free = p.member.release("saw", take.id());
    let again = p.root.request("saw", Some(free.id()));
    p.arrive(&[&again, &free, &take]);
    p.judge();
    assert_eq!(p.ready(), [take.id()]);
    assert_eq!(p.seal(), [take.id(), free.id(), again.id()]);
}

#[test]
fn one_of_two_that_exclude_each_other_is_taken_and_the_other_is_no_conflict_yet() {
    let mut p = Pool::new();
    let (won, lost) = (p.member.request("saw", None), p.root.request("saw", None));
    p.arrive(&[&won, &lost]);
    p.judge();
    let draft = p.draft();
    assert_eq!(draft.block.unwrap().facts, [won.id()]);
    assert_eq!(draft.conflicts, []);
    p.seal();
    assert_eq!(ids(&p.judge()), [lost.id()]);
}

#[test]
fn what_time_forbids_at_the_tip_is_a_conflict() {
    let mut p = Pool::new();
    let key = TestNode::new(9, p.root.mesh);
    let invite = p.root.invite(key.id(), Role::Member, 1, 3);
    p.arrive(&[&invite]);
    p.judge();
    p.seal();
    let admit = key.admit(p.other.id(), Role::Member);
    p.arrive(&[&admit]);
    p.judge();
    assert_eq!(p.ready(), [admit.id()]);
    let record = p.member.record("t", "x");
    p.ledger.arrive(core::slice::from_ref(&record));
    let later = p.ledger.block(&[record.id()], Some(50));
    p.ledger.connect(&later).unwrap();
    let expired = FactReject::InviteExpired(UnixTime(3));
    assert_eq!(p.draft().block, None);
    assert_eq!(p.draft().conflicts, [(admit.id(), expired)]);
}

fn by_author(p: &Pool, sealed: &[FactId]) -> BTreeMap<NodeId, u32> {
    let mut numbers = BTreeMap::new();
    for id in sealed {
        let fact = crate::ledger::read::Read::fact(&p.ledger.store, id);
        number(fact.unwrap().unwrap().1.fact().author, &mut numbers);
    }
    numbers
}

#[test]
fn a_quarter_of_a_block_is_for_one_author_while_others_wait() {
    let mut p = Pool::with(&Limits::default(), |params| params.block_facts_max = 8);
    let admit = p.root.admit(p.other.id(), Role::Member);
    p.arrive(&[&admit]);
    p.judge();
    p.seal();
    let many = |node: &TestNode, n: usize| -> Vec<Fact> {
        (0..n).map(|n| node.record("t", &alloc::format!("{n}"))).collect()
    };
    let (flood, few, one) = (many(&p.member, 20), many(&p.root, 5), many(&p.other, 1));
    let all: Vec<&Fact> = flood.iter().chain(&few).chain(&one).collect();
    p.arrive(&all);
    p.judge();
    // Two each while others wait; what is left of the block goes by arrival.
    let sealed = p.seal();
    assert_eq!(sealed.len(), 8);
    let numbers = by_author(&p, &sealed);
    assert_eq!(numbers[&p.root.id()], 2);
    assert_eq!(numbers[&p.other.id()], 1);
    assert_eq!(numbers[&p.member.id()], 5);
}

#[test]
fn large_facts_of_one_author_do_not_fill_a_block_while_others_wait() {
    let bytes_max = 4 * crate::params::FACT_BYTES_MAX;
    let change = |params: &mut Params| params.block_bytes_max = bytes_max as u32;
    let mut p = Pool::with(&Limits::default(), change);
    let large = |n: usize| p.member.record("t", &alloc::format!("{n:015000}"));
    let flood: Vec<Fact> = (0..9).map(large).collect();
    let small = p.root.record("t", "x");
    p.arrive(&flood.iter().chain([&small]).collect::<Vec<_>>());
    p.judge();
    let sealed = p.seal();
    assert!(sealed.contains(&small.id()));
    assert_eq!(sealed.len(), 5);
}
