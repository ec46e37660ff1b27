//! Who wins when the many and the few disagree: about the time, or about history.

use cairn_core::store::{Table, View};
use support::checkers::{agree, nobody_blamed, nothing_lost, same_ledger, sealed};
use support::world::World;

use crate::mesh::{note, private, star};

const MINUTE: u64 = 60_000;
const HOUR: i64 = 3_600_000;

fn height(world: &World, n: usize) -> u64 {
    world.nodes[n].engine().unwrap().status().tip.height.0
}

/// Whether a node has this block on its best chain.
fn keeps(world: &World, n: usize, tip: &cairn_core::wire::Tip) -> bool {
    let row = world.nodes[n].view().get(Table::Chain, &tip.height.0.to_be_bytes()).unwrap();
    row.as_deref() == Some(tip.id.as_bytes())
}

#[test]
fn a_majority_without_clocks_and_one_fast_clock_go_on_together() {
    for seed in 0..4 {
        let mut world = star(seed, private(), 4);
        for n in [1, 2, 3] {
            world.nodes[n].clocks.unconfirmed = true;
            world.set_clock(n, -56 * 365 * 24 * HOUR);
        }
        world.set_clock(4, HOUR / 2);
        world.run(5_000);
        let mut ids = Vec::new();
        for round in 0..12 {
            ids.extend((0..5).map(|n| note(&mut world, n, &format!("{n} says {round}"))));
            world.run(5_000);
        }
        // The one right clock may hold blocks from the future until its own time gets there.
        assert!(world.run_until(40 * MINUTE, |world| sealed(world, &ids)), "seed {seed}");
        same_ledger(&world);
        nothing_lost(&world);
        nobody_blamed(&world);
    }
}

#[test]
fn a_small_busy_side_of_a_split_loses_against_a_large_quiet_one() {
    for seed in 0..4 {
        let mut world = star(seed, private(), 4);
        let before = [note(&mut world, 0, "before")];
        assert!(world.run_until(MINUTE, |world| sealed(world, &before)));
        world.run(5_000);
        world.split(&[0], &[1, 2, 3, 4]);
        world.run(2 * MINUTE);
        let mut ids = before.to_vec();
        for round in 0..60 {
            ids.push(note(&mut world, 0, &format!("alone {round}")));
            if round % 20 == 0 {
                ids.extend((1..4).map(|n| note(&mut world, n, &format!("{n} says {round}"))));
            }
            world.run(12_000);
        }
        let (busy, quiet) = (height(&world, 0), height(&world, 1));
        assert!(busy > 4 * quiet, "seed {seed}: {busy} blocks against {quiet}");
        let tip = world.nodes[1].engine().unwrap().status().tip;
        world.heal();
        assert!(world.run_until(10 * MINUTE, |world| sealed(world, &ids)), "seed {seed}");
        assert!((0..5).all(|n| keeps(&world, n, &tip)), "seed {seed}: the many were overruled");
        assert!(agree(&world));
        same_ledger(&world);
        nothing_lost(&world);
        nobody_blamed(&world);
    }
}
