//! Members that are revoked: while all are linked, while the mesh is split, and by one another.

use cairn_core::engine::{Command, State};
use cairn_core::fact::Role;
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::FactState;
use cairn_core::testing::TestNode;
use support::checkers::{revoked_cut_off, sealed, settled, sound, state_of};
use support::world::{World, address};

use crate::mesh::{key, note, private, star, state};

const MINUTE: u64 = 60_000;

fn revoke(world: &mut World, by: usize, whom: usize) {
    let command = Command::Revoke { key: key(whom).node_id() };
    world.command(by, command);
}

#[test]
fn a_revoked_node_is_cut_off_everywhere_within_five_seconds_and_knows_it() {
    let mut world = star(61, private(), 3);
    world.run(10_000);
    let before = note(&mut world, 3, "before");
    assert!(world.run_until(MINUTE, |world| sealed(world, &[before])));
    revoke(&mut world, 0, 3);
    let gone = key(3).node_id();
    let heard = |world: &World, n: usize| world.nodes[n].view().revoked(&gone).unwrap().is_some();
    assert!(
        world.run_until(5_000, |world| {
            (0..3).all(|n| heard(world, n)) && revoked_cut_off(world)
        })
    );
    assert!(world.run_until(5_000, |world| state(world, 3) == State::Revoked));
    let refused = note(&mut world, 3, "after");
    world.run(5 * MINUTE);
    assert_eq!(state_of(&world, 3, &refused), None, "it writes no more");
    assert!(revoked_cut_off(&world));
    world.kill(3);
    assert!(world.run_until(MINUTE, settled));
    assert!(matches!(state_of(&world, 0, &before), Some(FactState::Sealed(..))));
    let row = world.nodes[1].view().member(&gone).unwrap().unwrap();
    assert!(row.revoked.is_some());
    sound(&world);
    // Nor is it let in when it comes back with what it had.
    world.start(3);
    world.run(2 * MINUTE);
    assert_eq!(state(&world, 3), State::Revoked);
    assert!(revoked_cut_off(&world));
}

/// Node 3 is revoked by the founder's side of a split, and goes on writing and sealing on its own.
fn revoked_while_apart(seed: u64, left: &[usize], right: &[usize]) {
    let mut world = star(seed, private(), 3);
    world.run(10_000);
    assert!(world.run_until(MINUTE, settled));
    world.split(left, right);
    world.run(2 * MINUTE);
    revoke(&mut world, 0, 3);
    let apart: Vec<_> = (0..5)
        .map(|n| {
            world.run(3_000);
            note(&mut world, left[left.len() - 1], &format!("left {n}"));
            note(&mut world, right[0], &format!("right {n}"));
            note(&mut world, 3, &format!("revoked {n}"))
        })
        .collect();
    world.run(MINUTE);
    let all_sealed = |world: &World, n: usize| {
        apart.iter().all(|id| matches!(state_of(world, n, id), Some(FactState::Sealed(..))))
    };
    assert!(all_sealed(&world, 3), "its side sealed what it wrote");
    world.heal();
    assert!(world.run_until(5 * MINUTE, |world| state(world, 3) == State::Revoked));
    world.kill(3);
    assert!(world.run_until(10 * MINUTE, settled));
    assert!(all_sealed(&world, 0) == (right.len() > left.len()));
    sound(&world);
    for n in 0..3 {
        world.kill(n);
        world.start(n);
    }
    assert!(world.run_until(5 * MINUTE, settled), "a new start finds the same set");
    sound(&world);
}

#[test]
fn what_a_revoked_node_wrote_while_apart_is_sealed_if_its_side_wins() {
    revoked_while_apart(62, &[0], &[1, 2, 3]);
}

#[test]
fn what_a_revoked_node_wrote_while_apart_leaves_the_set_if_its_side_loses() {
    revoked_while_apart(63, &[0, 1, 2], &[3]);
}

/// A founder, another admin, and two sealers.
fn two_admins(seed: u64) -> World {
    let mut world = World::new(seed, private());
    let founder = TestNode { key: key(0), mesh: world.mesh() };
    world.add_node(key(0), &[], &[]);
    for (n, role) in [(1, Role::Admin), (2, Role::Sealer), (3, Role::Sealer)] {
        let admit = founder.admit(key(n).node_id(), role);
        world.add_node(key(n), &[0], &[admit]);
    }
    world.run(10_000);
    assert!(world.run_until(MINUTE, settled));
    world
}

/// Nodes 0 and 1 revoke each other while the mesh is split between them; then it heals.
fn quarrel(world: &mut World, left: &[usize], right: &[usize]) {
    world.split(left, right);
    world.run(2 * MINUTE);
    revoke(world, 0, 1);
    revoke(world, 1, 0);
    world.run(MINUTE);
    world.heal();
}

fn both_revoked(world: &World) -> bool {
    (0..2).all(|n| state(world, n) == State::Revoked)
}

#[test]
fn two_admins_who_revoke_each_other_while_apart_are_both_cut_off() {
    for seed in 64..70 {
        let mut world = two_admins(seed);
        quarrel(&mut world, &[0, 2], &[1, 3]);
        assert!(world.run_until(5 * MINUTE, both_revoked), "seed {seed}");
        world.kill(0);
        world.kill(1);
        assert!(world.run_until(10 * MINUTE, settled), "seed {seed}");
        sound(&world);
        let in_force = |n: usize| {
            line::standing(world.nodes[2].view(), &key(n).node_id()) == Ok(Standing::Member)
        };
        assert!(in_force(0) != in_force(1), "the chain keeps the one that came first");
    }
}

#[test]
fn two_admins_with_nobody_else_who_revoke_each_other_while_apart_both_hear_of_it() {
    let mut world = World::new(72, private());
    let admit = TestNode { key: key(0), mesh: world.mesh() }.admit(key(1).node_id(), Role::Admin);
    world.add_node(key(0), &[], &[]);
    world.add_node(key(1), &[0], &[admit]);
    assert!(world.run_until(MINUTE, |world| world.now() > 10_000 && settled(world)));
    quarrel(&mut world, &[0], &[1]);
    assert!(world.run_until(5 * MINUTE, both_revoked), "neither hears the other");
}

#[test]
fn a_node_that_was_away_while_all_members_changed_finds_back() {
    let mut world = World::new(71, private());
    let mesh = world.mesh();
    let node = |n: usize| TestNode { key: key(n), mesh };
    world.add_node(key(0), &[], &[]);
    let stale = node(0).admit(key(1).node_id(), Role::Sealer);
    world.add_node(key(1), &[0], &[stale]);
    assert!(world.run_until(MINUTE, |world| world.now() > 10_000 && settled(world)));
    world.kill(1);
    // Each admits the next and is revoked.
    let mut admits = Vec::new();
    for n in 2..5 {
        let by = if n == 2 { 0 } else { n - 1 };
        admits.push(node(by).admit(key(n).node_id(), Role::Admin));
        world.add_node(key(n), &[by], &admits);
        assert!(world.run_until(5 * MINUTE, |world| {
            let row = world.nodes[n].view().member(&key(n).node_id()).unwrap();
            row.is_some() && settled(world)
        }));
        revoke(&mut world, n, by);
        assert!(world.run_until(5 * MINUTE, |world| state(world, by) == State::Revoked));
        world.kill(by);
        assert!(world.run_until(5 * MINUTE, settled));
    }
    world.configure(1, |config| config.dial = vec![(address(4), None)]);
    world.start(1);
    assert!(world.run_until(5 * MINUTE, |world| {
        settled(world) && world.nodes[1].engine().unwrap().status().state == State::Synced
    }));
    for n in [0, 2, 3] {
        assert!(world.nodes[1].view().revoked(&key(n).node_id()).unwrap().is_some());
    }
    sound(&world);
}
