//! A stolen admin key that revokes everybody, and the recovery keys that end it, while the mesh is
//! split.

use cairn_core::engine::{Command, State};
use cairn_core::fact::{Body, Role};
use cairn_core::id::BlockId;
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::params::Params;
use cairn_core::testing::TestNode;
use support::checkers::{sealed, settled, sound};
use support::world::World;

use crate::mesh::{key, note, private, recover, recovery, star, state};

const MINUTE: u64 = 60_000;

fn rules() -> Params {
    Params { recovery: recovery(), ..private() }
}

/// The thief has the founder's key: what it says.
fn thief(world: &World, body: Body<'_>) -> Command {
    let thief = TestNode { key: key(0), mesh: world.mesh() };
    Command::Publish(vec![thief.fact(9, body)])
}

fn standing(world: &World, n: usize, number: usize) -> Standing {
    line::standing(world.nodes[n].view(), &key(number).node_id()).unwrap()
}

/// Four nodes; the founder's machine is the thief's.
fn robbed(seed: u64) -> World {
    let mut world = star(seed, rules(), 3);
    world.run(10_000);
    assert!(world.run_until(MINUTE, settled));
    // They know one another.
    assert!(world.run_until(5 * MINUTE, |world| {
        let linked = |n: usize| {
            let peers = world.nodes[n].engine().unwrap().peers();
            peers.iter().filter(|peer| peer.connected).count() == 3
        };
        (1..4).all(linked)
    }));
    world
}

#[test]
fn whom_a_stolen_key_revoked_come_back_when_the_recovery_keys_say_so() {
    let mut world = robbed(91);
    // Node 1 has a seat left, or nobody could seal what follows.
    for n in 2..4 {
        let node = key(n).node_id();
        let said = thief(&world, Body::Revoke { node });
        world.command(0, said);
    }
    let cut = |world: &World| (2..4).all(|n| state(world, n) == State::Revoked);
    assert!(world.run_until(5 * MINUTE, cut), "the thief's key revoked them");
    let lost = note(&mut world, 2, "refused");
    world.run(2 * MINUTE);
    world.kill(0);
    recover(&mut world, 1, &[2, 3], None);
    let back = |world: &World| (1..4).all(|n| state(world, n) == State::Synced);
    assert!(world.run_until(30 * MINUTE, back), "all are back");
    let written = note(&mut world, 3, "back");
    assert!(world.run_until(10 * MINUTE, |world| { sealed(world, &[written]) }));
    assert!((1..4).all(|n| standing(&world, 2, n) == Standing::Member));
    assert_eq!(standing(&world, 2, 0), Standing::Revoked);
    assert!(world.nodes[2].view().fact_row(&lost).unwrap().is_none());
    let root = world.nodes[2].engine().unwrap().status().tip.id;
    let header = world.nodes[2].view().header(&root).unwrap().unwrap().header;
    let sealers = world.nodes[2].view().sealers(&header.sealers_root).unwrap().unwrap();
    assert_eq!(sealers.len(), 3, "and seal");
    sound(&world);
    // The thief, back with all it has, is cut off for good, whatever it says.
    world.start(0);
    let said = thief(&world, Body::Revoke { node: key(2).node_id() });
    world.command(0, said);
    world.run(2 * MINUTE);
    world.kill(0);
    assert!(world.run_until(5 * MINUTE, settled));
    sound(&world);
    for n in 1..4 {
        world.kill(n);
        world.start(n);
    }
    assert!(world.run_until(5 * MINUTE, |world| settled(world) && back(world)));
    sound(&world);
}

#[test]
fn a_recovery_in_one_part_and_the_theft_in_the_other_agree_when_they_meet() {
    for (seed, left, right) in [(92, &[0usize][..], &[1, 2, 3][..]), (93, &[0, 3], &[1, 2])] {
        let mut world = robbed(seed);
        world.split(left, right);
        world.run(2 * MINUTE);
        // One part does not know of the theft's revocations, the other not of the recovery.
        for n in 1..4 {
            let said = thief(&world, Body::Revoke { node: key(n).node_id() });
            world.command(0, said);
        }
        recover(&mut world, 1, &[2, 3], None);
        for round in 0..6 {
            for n in right {
                note(&mut world, *n, &format!("here {round}"));
            }
            world.run(10_000);
        }
        world.run(5 * MINUTE);
        assert_eq!(standing(&world, 1, 0), Standing::Revoked, "its part has sealed it");
        world.kill(0);
        world.heal();
        let back = |world: &World| (1..4).all(|n| state(world, n) == State::Synced);
        assert!(world.run_until(30 * MINUTE, |world| settled(world) && back(world)), "seed {seed}");
        assert!((1..4).all(|n| standing(&world, 3, n) == Standing::Member));
        sound(&world);
    }
}

fn tip(world: &World, n: usize) -> (u64, BlockId) {
    let tip = world.nodes[n].engine().unwrap().status().tip;
    (tip.height.0, tip.id)
}

/// The founder alone has a seat, and writes and seals until the chain is this high.
fn only_the_founder_seals(seed: u64, blocks: u64) -> World {
    let mut world = World::new(seed, rules());
    let founder = TestNode { key: key(0), mesh: world.mesh() };
    world.add_node(key(0), &[], &[]);
    for n in 1..4 {
        let admit = founder.admit(key(n).node_id(), Role::Member);
        world.add_node(key(n), &[0], &[admit]);
    }
    assert!(world.run_until(5 * MINUTE, settled));
    seal_by_founder(&mut world, blocks);
    assert!(world.run_until(MINUTE, settled));
    world
}

fn seal_by_founder(world: &mut World, blocks: u64) {
    for n in 0..blocks {
        note(world, 0, &format!("by the founder's key {n}"));
        world.run(3_000);
    }
}

#[test]
fn a_mesh_whose_only_sealer_is_gone_goes_on_with_whom_the_recovery_keys_name() {
    let mut world = only_the_founder_seals(94, 3);
    world.kill(0);
    let waiting = note(&mut world, 2, "nobody seals this");
    world.run(5 * MINUTE);
    assert!(!sealed(&world, &[waiting]));
    let on = tip(&world, 1).1;
    recover(&mut world, 1, &[], Some(on));
    assert!(world.run_until(5 * MINUTE, |world| sealed(world, &[waiting])));
    assert_eq!(standing(&world, 3, 0), Standing::Revoked);
    sound(&world);
    // From disk too.
    for n in 1..4 {
        world.kill(n);
        world.start(n);
    }
    let written = note(&mut world, 3, "after that");
    assert!(world.run_until(5 * MINUTE, |world| sealed(world, &[written])));
    sound(&world);
}

#[test]
fn a_thief_that_keeps_the_only_seat_and_goes_on_sealing_loses_to_the_recovery() {
    for (seed, below) in [(95, 0), (96, 3)] {
        let mut world = only_the_founder_seals(seed, 5);
        // Node 3 hears of nobody but the thief, which has much sealed.
        world.split(&[0, 3], &[1, 2]);
        world.run(2 * MINUTE);
        seal_by_founder(&mut world, 20);
        for n in 1..3 {
            let said = thief(&world, Body::Revoke { node: key(n).node_id() });
            world.command(0, said);
        }
        world.run(MINUTE);
        let (height, _) = tip(&world, 1);
        assert!(tip(&world, 3).0 > height + 10);
        let named = cairn_core::work::Height(height - below);
        let on = world.nodes[1].view().block_at(named).unwrap().unwrap();
        recover(&mut world, 1, &[], Some(on));
        assert!(world.run_until(5 * MINUTE, |world| standing(world, 2, 0) == Standing::Revoked));
        let before = note(&mut world, 2, "with the new sealer");
        world.run(MINUTE);
        world.heal();
        let back = |world: &World| standing(world, 3, 0) == Standing::Revoked;
        assert!(world.run_until(30 * MINUTE, back), "seed {seed}: node 3 follows the recovery");
        // The thief is dismissed, and what it goes on to seal is of no use.
        seal_by_founder(&mut world, 3);
        world.kill(0);
        assert!(world.run_until(10 * MINUTE, |world| sealed(world, &[before])), "seed {seed}");
        assert!((1..4).all(|n| standing(&world, 3, n) == Standing::Member));
        sound(&world);
    }
}
