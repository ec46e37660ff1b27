//! Custody facts that follow what nobody has shown.

use super::peers::pair;
use super::*;
use crate::event::Event;
use crate::id::FactId;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::FactState;

const TEN_MINUTES: u64 = 600_000;

fn state(sole: &Sole, id: FactId) -> FactState {
    sole.store.fact_row(&id).unwrap().unwrap().state
}

#[test]
fn an_orphan_waits_then_costs_nothing_and_is_judged_again_when_what_it_follows_comes() {
    let (mut sole, _, a, b) = pair(true);
    let request = a.request("drill", None);
    let release = b.release("drill", request.id());
    let again = b.request("drill", Some(release.id()));
    sole.publish(again.clone());
    sole.publish(release.clone());
    sole.pass(TEN_MINUTES - 10_000);
    assert_eq!(state(&sole, release.id()), FactState::Pending, "it may still come");
    sole.pass(20_000);
    assert!(matches!(
        state(&sole, release.id()),
        FactState::Conflict(_, FactReject::FollowsUnknown)
    ));
    assert!(matches!(state(&sole, again.id()), FactState::Conflict(..)));
    assert!(sole.engine.mempool.is_empty());
    assert_eq!((sole.engine.status().pending, sole.engine.status().conflict), (0, 2));
    let told = |sole: &Sole, id| {
        let is_told = |output: &&Output| matches!(output, Output::Event(Event::Conflicted { fact, .. }) if *fact == id);
        sole.out.iter().filter(is_told).count()
    };
    assert_eq!([release.id(), again.id()].map(|id| told(&sole, id)), [1, 1]);
    // A restart forgets none of it.
    let config = sole.engine.config.clone();
    let mut sole = Sole::start(sole.store, config);
    sole.publish(request.clone());
    sole.pass(60_000);
    for id in [request.id(), release.id(), again.id()] {
        assert!(matches!(state(&sole, id), FactState::Sealed(..)), "{:?}", state(&sole, id));
    }
    assert_eq!((sole.engine.status().pending, sole.engine.status().conflict), (0, 0));
}

#[test]
fn a_flood_of_orphans_leaves_room_and_does_not_delay_others() {
    let (mut sole, _, a, b) = pair(true);
    for n in 0..3_000u32 {
        let stray = super::peers::made_up(n);
        sole.commands += 1;
        let command = Command::Publish(alloc::vec![a.release("drill", stray)]);
        sole.input(Input::Command(CommandId(sole.commands), command));
    }
    sole.pass(1_000);
    assert!(sole.engine.mempool.len() <= 1_100, "{}", sole.engine.mempool.len());
    let note = b.record("note", "x");
    sole.publish(note.clone());
    sole.pass(40_000);
    assert!(matches!(state(&sole, note.id()), FactState::Sealed(..)));
    sole.pass(TEN_MINUTES);
    assert!(sole.engine.mempool.is_empty());
    assert_eq!(sole.engine.status().conflict, 3_000);
}

#[test]
fn a_fact_whose_predecessor_only_waits_is_no_orphan() {
    let (mut sole, _, a, b) = pair(false);
    let request = a.request("drill", None);
    let release = b.release("drill", request.id());
    sole.publish(release.clone());
    sole.publish(request);
    // Nobody seals for hours.
    sole.pass(20 * TEN_MINUTES);
    assert_eq!(state(&sole, release.id()), FactState::Pending);
}
