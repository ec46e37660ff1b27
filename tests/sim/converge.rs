//! Nodes end with the same facts, blocks and state, whatever happened before.

use cairn_core::engine::{CustodyAction, Refusal};
use cairn_core::ledger::rows::FactState;
use support::checkers::{
    agree, holder, nobody_blamed, nothing_lost, same_ledger, settled, state_of,
};
use support::world::Weather;

use crate::mesh::{custody, key, made, note, pow, private, star};

const MINUTE: u64 = 60_000;

#[test]
fn three_nodes_share_facts_and_seal_them() {
    let mut world = star(1, private(), 2);
    world.run(5_000);
    let ids: Vec<_> = (0..3)
        .map(|n| note(&mut world, n, &format!("hello from {n}")))
        .collect();
    assert!(world.run_until(MINUTE, |world| settled(world)));
    for n in 0..3 {
        for id in &ids {
            assert!(matches!(
                state_of(&world, n, id),
                Some(FactState::Sealed(..))
            ));
        }
    }
    same_ledger(&world);
    nobody_blamed(&world);
}
