//! Items: asked for, released, and asked for on both sides of a split.

use cairn_core::engine::{CustodyAction, Refusal};
use cairn_core::ledger::rows::FactState;
use support::checkers::{
    holder, nobody_blamed, nothing_lost, same_ledger, sealed, settled, state_of,
};
use support::world::World;

use crate::mesh::{custody, key, made, private, star};

const MINUTE: u64 = 60_000;
const LAPTOP: &str = "laptop-001";

fn refused(world: &World, n: usize, command: cairn_core::engine::CommandId) -> Option<Refusal> {
    world.nodes[n].replies.get(&command).and_then(|reply| reply.clone().err())
}

#[test]
fn an_item_goes_from_hand_to_hand_and_who_comes_late_is_told_who_holds_it() {
    let mut world = star(11, private(), 2);
    world.run(5_000);
    let request = custody(&mut world, 0, LAPTOP, CustodyAction::Request);
    world.run(10_000);
    let first = made(&world, 0, request).unwrap();
    assert!(world.run_until(MINUTE, |world| sealed(world, &[first])));
    assert!((0..3).all(|n| holder(&world, n, LAPTOP) == Some(key(0).node_id())));

    custody(&mut world, 2, LAPTOP, CustodyAction::Release);
    assert!(world.run_until(MINUTE, |world| settled(world) && holder(world, 0, LAPTOP).is_none()));
    custody(&mut world, 1, LAPTOP, CustodyAction::Request);
    let by_b = Some(key(1).node_id());
    assert!(world.run_until(MINUTE, |world| settled(world) && holder(world, 0, LAPTOP) == by_b));

    let late = custody(&mut world, 0, LAPTOP, CustodyAction::Request);
    world.run(1_000);
    let told = refused(&world, 0, late);
    assert!(matches!(told, Some(Refusal::Held { holder, .. }) if Some(holder) == by_b), "{told:?}");
    same_ledger(&world);
    nobody_blamed(&world);
}

#[test]
fn pending_facts_already_forbid_a_second_request() {
    let mut world = star(12, private(), 0);
    custody(&mut world, 0, LAPTOP, CustodyAction::Request);
    let again = custody(&mut world, 0, LAPTOP, CustodyAction::Request);
    let other = custody(&mut world, 0, "drill", CustodyAction::Release);
    world.run(100);
    assert!(matches!(refused(&world, 0, again), Some(Refusal::Held { .. })));
    assert!(matches!(refused(&world, 0, other), Some(Refusal::Free { .. })));
}

#[test]
fn of_two_requests_made_apart_one_wins_everywhere_and_the_other_names_the_holder() {
    let mut world = star(13, private(), 2);
    world.run(5_000);
    assert!(world.run_until(MINUTE, settled));
    world.split(&[0], &[1, 2]);
    let (a, b) = (
        custody(&mut world, 0, LAPTOP, CustodyAction::Request),
        custody(&mut world, 1, LAPTOP, CustodyAction::Request),
    );
    world.run(30_000);
    let (by_a, by_b) = (made(&world, 0, a).unwrap(), made(&world, 1, b).unwrap());
    assert!(matches!(state_of(&world, 0, &by_a), Some(FactState::Sealed(..))));
    assert!(matches!(state_of(&world, 1, &by_b), Some(FactState::Sealed(..))));
    world.heal();
    assert!(world.run_until(10 * MINUTE, |world| settled(world)
        && holder(world, 0, LAPTOP) == holder(world, 1, LAPTOP)));
    // One block on each side by one sealer each: which one wins is the tie-break's choice.
    let winner = holder(&world, 0, LAPTOP).unwrap();
    let (won, lost) = if winner == key(0).node_id() { (by_a, by_b) } else { (by_b, by_a) };
    for n in 0..3 {
        assert_eq!(holder(&world, n, LAPTOP), Some(winner));
        assert!(matches!(state_of(&world, n, &won), Some(FactState::Sealed(..))));
        let state = state_of(&world, n, &lost);
        assert!(
            matches!(&state, Some(FactState::Conflict(_, reject))
                if reject.to_string().contains(&winner.to_string())),
            "node {n}: {state:?}"
        );
    }
    same_ledger(&world);
    nothing_lost(&world);
    nobody_blamed(&world);
}
