//! Hostile members around one node, and one that makes comparing sets dear.

use cairn_core::fact::Role;
use cairn_core::testing::TestNode;
use support::attack::Attack;
use support::checkers::{agree, honest_sealed, nothing_lost, same_ledger, state_of};
use support::evil::{Evil, Habit};
use support::world::{Weather, World};

use crate::mesh::{key, note, private, star};

const MINUTE: u64 = 60_000;
const HONEST: usize = 3;
const HOSTILE: std::ops::Range<usize> = 3..6;
const VICTIM: usize = 6;

/// A node starts among hostile peers only, who lie in these ways, fill its links, and have branches
/// of their own; the one honest node that it knows cannot be reached for a while.
fn eclipsed(seed: u64, habits: &[Habit]) {
    let mut world = star(seed, private(), HONEST - 1);
    let founder = TestNode { key: key(0), mesh: world.mesh() };
    for n in HOSTILE {
        world.add_node(key(n), &[0], &[founder.admit(key(n).node_id(), Role::Sealer)]);
    }
    world.run(5_000);
    let mut ids = Vec::new();
    for round in 0..4 {
        ids.extend((0..HONEST).map(|n| note(&mut world, n, &format!("{n} says {round}"))));
        world.run(2_000);
    }
    assert!(world.run_until(2 * MINUTE, |world| agree(world) && honest_sealed(world, &ids)));
    for n in HOSTILE {
        world.corrupt(n, Evil::new(habits, 100, seed ^ n as u64));
    }
    let dials: Vec<usize> = HOSTILE.chain([1]).collect();
    let admit = founder.admit(key(VICTIM).node_id(), Role::Sealer);
    world.add_sleeper(key(VICTIM), &dials, &[admit]);
    // Links enough for the hostile alone.
    world.configure(VICTIM, |config| config.limits.outbound_wanted = HOSTILE.len());
    world.split(&[VICTIM], &[0, 1, 2]);
    world.start(VICTIM);
    for round in 0..3 {
        for n in HOSTILE {
            world.attack(n, Attack::Rebase { depth: 3, beyond: 5 + round });
            world.attack(n, Attack::UnknownFacts { count: 5 });
            world.attack(n, Attack::Redial { count: 3 });
        }
        ids.push(note(&mut world, 0, &format!("meanwhile {round}")));
        world.run(MINUTE / 2);
    }
    let hidden = ids.iter().any(|id| state_of(&world, VICTIM, id).is_none());
    assert!(hidden, "seed {seed}: the hostile peers hid nothing");
    world.heal();
    let found = world.run_until(5 * MINUTE, |world| agree(world) && honest_sealed(world, &ids));
    assert!(found, "seed {seed}: the victim is still alone with {habits:?}");
    same_ledger(&world);
    nothing_lost(&world);
}

#[test]
fn one_honest_link_ends_an_eclipse() {
    use Habit::{
        EndlessFacts, InventedPeers, LyingSet, LyingTip, OwnBranch, Refusing, Silent, Withholding,
        WrongBodies, WrongFacts, WrongHeaders,
    };
    let habits: [&[Habit]; 4] = [
        &[LyingTip, OwnBranch, InventedPeers, Withholding, Silent],
        &[LyingTip, LyingSet, InventedPeers, Withholding, Refusing],
        &[OwnBranch, InventedPeers, EndlessFacts, WrongBodies, Withholding],
        &[LyingTip, LyingSet, WrongHeaders, WrongFacts, InventedPeers],
    ];
    for (seed, habits) in habits.into_iter().enumerate() {
        eclipsed(80 + seed as u64, habits);
    }
}

/// All in one bucket of the comparison, so that it cannot be split further by counting.
#[test]
fn ids_ground_into_one_bucket_cost_no_more_than_themselves() {
    let mut world = star(90, private(), 2);
    world.corrupt(2, Evil::new(&[], 0, 90));
    world.weather = Weather { announce_loss: 100, ..Weather::default() };
    world.run(10_000);
    world.split(&[0], &[1, 2]);
    world.run(2 * MINUTE);
    world.attack(2, Attack::GroundIds { count: 48 });
    world.run(2 * MINUTE);
    let count = |world: &World, n: usize| world.nodes[n].engine().unwrap().status().facts.count;
    assert!(count(&world, 1) >= count(&world, 0) + 40, "too few were found");
    world.heal();
    world.run(MINUTE / 6);
    let before = world.nodes[0].traffic.received;
    assert!(world.run_until(10 * MINUTE, agree), "the sets stay different");
    let bytes = world.nodes[0].traffic.received - before;
    assert!(bytes < 256 * 1024, "{bytes} bytes for 48 facts");
    same_ledger(&world);
    nothing_lost(&world);
}
