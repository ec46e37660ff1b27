//! Two live nodes with one key: what the third does, and what the two do.

use super::peers::{other, pair};
use super::*;
use crate::event::Event;
use crate::wire::{Challenge, Run, Statement, Twin};

const MINUTE: u64 = 60_000;

/// A peer connects and says hello in this run.
fn join(sole: &mut Sole, conn: u64, node: NodeId, chain: &TestChain, run: u8) {
    sole.join_saying(conn, node, Hello { run: Run([run; 16]), ..hello(chain) });
}

/// What was said of twins on a connection.
fn said(sole: &Sole, conn: u64) -> Vec<Twin> {
    let twin = |output: &Output| match output {
        Output::Send(to, Frame::Control(bytes)) if to.0 == conn => {
            match codec::decode(bytes, bytes.len()) {
                Ok(Control::Twin(twin)) => Some(twin),
                _ => None,
            }
        }
        _ => None,
    };
    sole.out.iter().filter_map(twin).collect()
}

fn news(sole: &Sole) -> Vec<bool> {
    let twin = |output: &Output| match output {
        Output::Event(Event::Twin(on)) => Some(*on),
        _ => None,
    };
    sole.out.iter().filter_map(twin).collect()
}

/// The challenge that was last told on a connection.
fn asked(sole: &Sole, conn: u64) -> Challenge {
    match said(sole, conn).last() {
        Some(Twin::Ask { challenge, .. }) => *challenge,
        other => panic!("no challenge: {other:?}"),
    }
}

fn here(key: &SigningKey, mesh: MeshId, challenge: Challenge, run: u8) -> Control {
    Control::Twin(Twin::Here(Statement::sign(key, &mesh, challenge, Run([run; 16]))))
}

#[test]
fn what_twins_say_is_passed_from_one_to_the_other() {
    let (mut sole, chain, a, b) = pair(false);
    join(&mut sole, 1, a.id(), &chain, 1);
    join(&mut sole, 2, a.id(), &chain, 2);
    join(&mut sole, 3, other(2), &chain, 1);
    assert_eq!([1, 2, 3].map(|conn| said(&sole, conn).len()), [1, 1, 0]);
    assert_eq!(said(&sole, 1), [Twin::Met]);
    let ask = Twin::Ask { node: a.id(), challenge: [7; 16] };
    sole.control(1, &Control::Twin(ask.clone()));
    assert_eq!(said(&sole, 2), [Twin::Met, ask.clone()]);
    let statement = Statement::sign(&a.key, &chain.mesh(), [7; 16], Run([2; 16]));
    sole.control(2, &Control::Twin(Twin::Here(statement.clone())));
    assert_eq!(said(&sole, 1), [Twin::Met, Twin::Here(statement.clone())]);
    // About others nothing is passed on, nor does it say anything of ourselves.
    sole.control(3, &Control::Twin(ask));
    sole.control(3, &Control::Twin(Twin::Here(statement)));
    let mine = Statement::sign(&b.key, &chain.mesh(), [7; 16], Run([2; 16]));
    sole.control(3, &Control::Twin(Twin::Here(mine)));
    assert_eq!([1, 2, 3].map(|conn| said(&sole, conn).len()), [2, 2, 0]);
    sole.pass(5 * MINUTE);
    assert!(sole.closed().is_empty(), "both are alive: {:?}", sole.closed());
    assert!(news(&sole).is_empty());
    // No more than two links for one key.
    join(&mut sole, 4, a.id(), &chain, 3);
    assert_eq!(sole.closed(), BTreeMap::from([(1, CloseCode::Duplicate)]));
}

#[test]
fn the_link_that_a_restart_left_behind_is_closed_soon_and_the_new_one_is_not() {
    let (mut sole, chain, a, _) = pair(false);
    join(&mut sole, 1, a.id(), &chain, 1);
    sole.mute.push(1);
    join(&mut sole, 2, a.id(), &chain, 2);
    sole.pass(5_000);
    assert!(sole.closed().is_empty());
    sole.pass(6_000);
    assert_eq!(sole.closed(), BTreeMap::from([(1, CloseCode::Duplicate)]));
}

#[test]
fn a_node_with_a_twin_seals_nothing_until_the_twin_has_not_answered_for_a_while() {
    let (mut sole, chain, a, b) = pair(true);
    join(&mut sole, 1, a.id(), &chain, 1);
    sole.control(1, &Control::Twin(Twin::Met));
    let first = asked(&sole, 1);
    let mesh = chain.mesh();
    // Nobody is silenced by what anybody could say.
    for hearsay in [
        here(&a.key, mesh, first, 9),
        here(&b.key, MeshId([1; 32]), first, 9),
        here(&b.key, mesh, [0; 16], 9),
        Control::Twin(Twin::Here(Statement::sign(&b.key, &mesh, first, sole.engine.twins.run))),
    ] {
        sole.control(1, &hearsay);
        assert_ne!(sole.engine.status().state, State::Degraded, "{hearsay:?}");
    }
    sole.control(1, &here(&b.key, mesh, first, 9));
    assert_eq!(sole.engine.status().state, State::Degraded);
    // Facts are taken all the same.
    sole.publish(b.record("note", "waits"));
    assert_eq!(sole.replies(), 1);
    for _ in 0..5 {
        sole.pass(MINUTE);
        let now = asked(&sole, 1);
        assert_ne!(now, first);
        sole.control(1, &here(&b.key, mesh, now, 9));
    }
    assert_eq!((sole.tip().height.0, sole.engine.status().pending), (0, 1));
    // The twin is gone. That somebody repeats what it said changes nothing.
    let last = asked(&sole, 1);
    for _ in 0..4 {
        sole.pass(MINUTE);
        sole.control(1, &here(&b.key, mesh, first, 9));
        sole.control(1, &here(&b.key, mesh, last, 9));
    }
    sole.pass(MINUTE);
    assert_eq!(news(&sole), [true, false]);
    assert_eq!((sole.tip().height.0, sole.engine.status().pending), (1, 0));
}

#[test]
fn whoever_asks_is_shown_that_the_key_is_here() {
    let (mut sole, chain, a, b) = pair(false);
    join(&mut sole, 1, a.id(), &chain, 1);
    sole.control(1, &Control::Twin(Twin::Ask { node: b.id(), challenge: [3; 16] }));
    let said = said(&sole, 1);
    let [Twin::Here(statement)] = said.as_slice() else { panic!("{said:?}") };
    assert!(statement.check(&chain.mesh()) && statement.challenge == [3; 16]);
    assert_eq!((statement.node, statement.run), (b.id(), sole.engine.twins.run));
}

#[test]
fn twins_that_meet_know_at_once_and_go_on_as_peers() {
    let (mut sole, chain, _, b) = pair(true);
    join(&mut sole, 1, b.id(), &chain, 9);
    assert_eq!((sole.engine.status().state, news(&sole)), (State::Degraded, [true].into()));
    assert!(sole.closed().is_empty());
    // It is asked on, and answers itself.
    for _ in 0..5 {
        sole.pass(MINUTE);
        let challenge = asked(&sole, 1);
        sole.control(1, &here(&b.key, chain.mesh(), challenge, 9));
    }
    assert_eq!(news(&sole), [true]);
}

#[test]
fn a_node_that_meets_itself_is_no_twin() {
    let (mut sole, chain, _, b) = pair(true);
    let run = sole.engine.twins.run;
    sole.join_saying(1, b.id(), Hello { run, ..hello(&chain) });
    assert_eq!(sole.closed(), BTreeMap::from([(1, CloseCode::Myself)]));
    assert!(news(&sole).is_empty());
}

#[test]
fn a_flood_of_hints_neither_replaces_the_challenge_nor_silences_anybody() {
    let (mut sole, chain, a, b) = pair(false);
    join(&mut sole, 1, a.id(), &chain, 1);
    sole.control(1, &Control::Twin(Twin::Met));
    let first = asked(&sole, 1);
    for _ in 0..200 {
        sole.pass(100);
        sole.control(1, &Control::Twin(Twin::Met));
    }
    assert_eq!(asked(&sole, 1), first);
    assert!(news(&sole).is_empty() && sole.closed().is_empty());
    sole.control(1, &here(&b.key, chain.mesh(), first, 9));
    assert_eq!(news(&sole), [true]);
}
