//! Peers that fall silent without a goodbye: whoever asked them goes on with others.

use support::checkers::{nobody_blamed, same_ledger, sealed};
use support::world::World;

use crate::mesh::{note, private, star};

fn height(world: &World, n: usize) -> u64 {
    world.nodes[n].engine().unwrap().status().tip.height.0
}

#[test]
fn a_node_that_catches_up_goes_on_without_a_peer_that_fell_silent() {
    for seed in 0..5 {
        let mut world = star(seed, private(), 3);
        world.run(5_000);
        world.crash(3);
        let mut ids = Vec::new();
        for round in 0..200 {
            ids.extend((0..5).map(|i| note(&mut world, round % 3, &format!("{round} {i}"))));
            world.run(1_100);
        }
        assert!(world.run_until(60_000, |world| sealed(world, &ids)));
        world.start(3);
        let goal = height(&world, 0);
        assert!(world.run_until(30_000, |world| height(world, 3) > goal / 4));
        assert!(height(&world, 3) < goal, "too quick to be interrupted");
        // The connection stalls; for a minute nobody knows whether it will come back.
        world.cut(3, 0);
        assert!(world.run_until(25_000, |world| height(world, 3) >= goal), "seed {seed}");
        world.heal();
        assert!(world.run_until(120_000, |world| sealed(world, &ids)));
        same_ledger(&world);
        nobody_blamed(&world);
    }
}
