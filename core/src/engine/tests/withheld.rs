//! The best branch is withheld: what a node does that cannot seal one of its own.

use super::peers::{grow, other};
use super::*;

/// Longer than it takes to give up on what nobody shows.
const GIVEN_UP: u64 = 60_000;

/// An engine that seals nothing, the branch of two sealers, and that of one.
fn split() -> (Sole, TestChain, TestChain) {
    split_with(Limits::default())
}

fn split_with(limits: Limits) -> (Sole, TestChain, TestChain) {
    let ([a, b, c, d], params) = founders();
    let trunk = TestChain::new(params.clone());
    let (mut best, mut shown) = (trunk.clone(), trunk);
    grow(&mut best, &a, "best");
    grow(&mut best, &b, "better");
    grow(&mut shown, &c, "the only one to be had");
    let mut sole = Sole::new(&params, d.key, limits, false);
    sole.pass(1_000_000);
    (sole, best, shown)
}

fn link(sole: &mut Sole, best: &TestChain, shown: &TestChain) {
    sole.join(1, other(0), best);
    sole.join(2, other(2), shown);
}

/// So long, with both peers answering.
fn pass(sole: &mut Sole, best: &TestChain, shown: &TestChain, span: u64) {
    for _ in 0..span / 1_000 {
        sole.serve(1, best);
        sole.serve(2, shown);
        sole.pass(1_000);
    }
}

#[test]
fn a_node_that_does_not_seal_follows_the_branch_that_it_is_shown_until_it_is_shown_the_best() {
    let (mut sole, mut best, shown) = split();
    let bodies = core::mem::take(&mut best.bodies);
    link(&mut sole, &best, &shown);
    pass(&mut sole, &best, &shown, 10_000);
    assert_eq!((sole.tip().height.0, sole.engine.status().state), (0, State::Syncing));
    pass(&mut sole, &best, &shown, GIVEN_UP);
    assert_eq!((sole.tip().id, sole.engine.status().state), (shown.last(), State::Synced));
    best.bodies = bodies;
    pass(&mut sole, &best, &shown, GIVEN_UP);
    assert_eq!(sole.tip().id, best.last());
    assert!(sole.closed().is_empty(), "nobody is to blame");
}

#[test]
fn whoever_withholds_a_block_gains_no_time_by_adding_others_to_it() {
    let ([a, b, ..], _) = founders();
    let (mut sole, mut best, shown) = split();
    let hidden = best.bodies[&best.headers[1].id()][0];
    let bytes = best.facts.remove(&hidden).unwrap();
    link(&mut sole, &best, &shown);
    for n in 0..GIVEN_UP / 2_000 {
        grow(&mut best, if n % 2 == 0 { &a } else { &b }, &format!("{n}"));
        sole.announce(1, &Announce::Block(best.tip()));
        pass(&mut sole, &best, &shown, 2_000);
    }
    assert_eq!(sole.tip().id, shown.last());
    best.facts.insert(hidden, bytes);
    pass(&mut sole, &best, &shown, GIVEN_UP);
    assert_eq!(sole.tip().id, best.last());
}

#[test]
fn what_is_withheld_is_not_looked_for_beside_the_best_chain_where_there_is_more_of_it() {
    let ([a, ..], _) = founders();
    let (mut sole, mut best, shown) = split_with(Limits { bodies_ahead: 4, ..Limits::default() });
    for n in 0..9 {
        grow(&mut best, &a, &format!("{n}"));
    }
    let hidden = best.bodies[&best.headers[1].id()][0];
    best.facts.remove(&hidden).unwrap();
    link(&mut sole, &best, &shown);
    pass(&mut sole, &best, &shown, GIVEN_UP);
    assert_eq!(sole.tip().id, shown.last());
}

#[test]
fn who_serves_the_best_chain_piece_by_piece_does_not_keep_us_from_what_the_others_have() {
    let ([a, b, ..], _) = founders();
    let (mut sole, _, shown) = split();
    let mut best = TestChain::new(shown.ledger.params.clone());
    let notes: Vec<_> = (0..9).map(|n| a.record("note", &format!("{n}"))).collect();
    let ids: Vec<_> = notes.iter().map(|note| note.id()).collect();
    best.add(&notes);
    best.seal(&a.key, &ids);
    grow(&mut best, &b, "better");
    let all = core::mem::take(&mut best.facts);
    link(&mut sole, &best, &shown);
    for id in &ids[..4] {
        pass(&mut sole, &best, &shown, 20_000);
        best.facts.insert(*id, all[id].clone());
    }
    assert_eq!(sole.tip().id, shown.last());
    best.facts = all;
    pass(&mut sole, &best, &shown, GIVEN_UP);
    assert_eq!(sole.tip().id, best.last());
}

#[test]
fn facts_that_nobody_shows_are_asked_for_less_and_less_often() {
    let (mut sole, mut best, shown) = split();
    // The fact of the first block of the best branch.
    let hidden = best.bodies[&best.headers[1].id()][0];
    let bytes = best.facts.remove(&hidden).unwrap();
    // What it lists when sets are compared is what the other has: only the block names the fact.
    best.ledger = shown.ledger.clone();
    link(&mut sole, &best, &shown);
    pass(&mut sole, &best, &shown, GIVEN_UP);
    assert_eq!(sole.tip().id, shown.last());
    // All this time it is asked of each of them: at first every second, then every minute.
    pass(&mut sole, &best, &shown, 20 * GIVEN_UP);
    let is_facts = |output: &&Output| {
        matches!(output, Output::Send(_, Frame::Request { class: Class::Facts, .. }))
    };
    let before = sole.out.iter().filter(is_facts).count();
    pass(&mut sole, &best, &shown, 20 * GIVEN_UP);
    let asked = sole.out.iter().filter(is_facts).count() - before;
    assert!((1..=2 * 25).contains(&asked), "{asked} times in twenty minutes");
    best.facts.insert(hidden, bytes);
    pass(&mut sole, &best, &shown, 2 * GIVEN_UP);
    assert_eq!(sole.tip().id, best.last());
}
