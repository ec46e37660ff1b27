//! A sealer with a fast clock does not make the others wait for theirs.

use support::checkers::{nobody_blamed, same_ledger, sealed};

use support::mesh::{note, private, star};

const HOUR: i64 = 3_600_000;

#[test]
fn a_fast_clock_among_few_delays_nobody() {
    for (seed, fast, others) in [(1, 0, 1), (2, 1, 1), (3, 0, 3), (4, 2, 3)] {
        let mut world = star(seed, private(), others);
        world.run(5_000);
        world.set_clock(fast, HOUR);
        let mut ids = Vec::new();
        for round in 0..10 {
            ids.extend((0..=others).map(|n| note(&mut world, n, &format!("{round} {n}"))));
            world.run(3_000);
        }
        assert!(world.run_until(30_000, |world| sealed(world, &ids)), "seed {seed}");
        let ahead = world.nodes[fast].engine().unwrap().status().clock_ahead;
        assert!(ahead.abs_diff(HOUR as u64) < 1_000, "it knows: {ahead}");
        same_ledger(&world);
        nobody_blamed(&world);
    }
}
