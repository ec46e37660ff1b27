//! Two live nodes with one key, on disks of their own.

use std::collections::BTreeSet;

use cairn_core::engine::{Command, State};
use cairn_core::event::Event;
use cairn_core::fact::Role;
use cairn_core::id::{BlockId, FactId};
use cairn_core::ledger::read::Read;
use cairn_core::store::{Table, View};
use cairn_core::testing::TestNode;
use support::checkers::{nobody_blamed, nothing_lost, same_ledger, sealed};
use support::world::World;

use crate::mesh::{key, note, private, star, state};

const MINUTE: u64 = 60_000;
/// The first of the two; both have its key.
const ONE: usize = 1;

/// A founder, three others, and a node with the key of the first of them that does not run yet. It
/// dials those given.
fn with_twin(seed: u64, dial: &[usize]) -> (World, usize) {
    let mut world = star(seed, private(), 3);
    let founder = TestNode { key: key(0), mesh: world.mesh() };
    let admit = founder.admit(key(ONE).node_id(), Role::Sealer);
    let twin = world.add_sleeper(key(ONE), dial, &[admit]);
    (world, twin)
}

fn both_know(world: &World, twin: usize) -> bool {
    [ONE, twin].iter().all(|n| state(world, *n) == State::Degraded)
}

/// Writes records on both, by the key that they share.
fn notes(world: &mut World, twin: usize, text: &str) -> Vec<FactId> {
    let author = TestNode { key: key(ONE), mesh: world.mesh() };
    let write = |n| {
        let fact = author.record("note", &format!("{n} says {text}"));
        let id = fact.id();
        world.command(n, Command::Publish(vec![fact]));
        id
    };
    [ONE, twin].map(write).into()
}

/// The blocks by the shared key that anybody has stored.
fn blocks_by_twins(world: &World) -> BTreeSet<BlockId> {
    let mut blocks = BTreeSet::new();
    for node in &world.nodes {
        let rows = node.view().scan(Table::Header, &[], &[0xff; 33], usize::MAX).unwrap();
        let ids = rows.iter().filter_map(|(id, _)| BlockId::from_slice(id));
        let by_twin = |id: &BlockId| {
            let row = node.view().header(id).unwrap().unwrap();
            row.header.sealer == key(ONE).node_id()
        };
        blocks.extend(ids.filter(by_twin));
    }
    blocks
}

/// Both know: all facts of both get everywhere, and neither seals a block.
fn go_on(world: &mut World, twin: usize, mut ids: Vec<FactId>) -> Vec<FactId> {
    let before = blocks_by_twins(world);
    for round in 0..20 {
        ids.extend(notes(world, twin, &format!("{round}")));
        world.run(3_000);
        assert!(both_know(world, twin));
        assert_eq!(blocks_by_twins(world), before, "one of two twins sealed");
    }
    assert!(world.run_until(5 * MINUTE, |world| sealed(world, &ids)));
    ids
}

fn in_order(world: &World) {
    same_ledger(world);
    nothing_lost(world);
    nobody_blamed(world);
    for (n, node) in world.nodes.iter().enumerate() {
        let told = node.events.iter().any(|event| matches!(event, Event::Twin(true)));
        assert_eq!(told, node.id() == key(ONE).node_id(), "node {n}");
    }
}

#[test]
fn twins_learn_of_each_other_through_a_third_and_lose_nothing() {
    for seed in 0..6 {
        let (mut world, twin) = with_twin(seed, &[0]);
        world.run(5_000);
        // They never speak to each other.
        world.cut(ONE, twin);
        world.start(twin);
        let ids = notes(&mut world, twin, "before it knows");
        assert!(world.run_until(10_000, |world| both_know(world, twin)), "seed {seed}");
        let ids = go_on(&mut world, twin, ids);
        in_order(&world);
        // One is stopped for good: the other seals again, in time.
        world.kill(twin);
        assert!(world.run_until(5 * MINUTE, |world| state(world, ONE) == State::Synced));
        assert!(sealed(&world, &ids));
        let before = blocks_by_twins(&world);
        let mut more = Vec::new();
        for round in 0..40 {
            world.run(2_000);
            more.push(note(&mut world, ONE, &format!("alone again {round}")));
        }
        assert!(world.run_until(MINUTE, |world| sealed(world, &more)));
        assert!(blocks_by_twins(&world).len() > before.len(), "seed {seed}: it seals again");
    }
}

#[test]
fn twins_that_meet_or_were_apart_for_a_while_know_when_the_split_heals() {
    for seed in 0..6 {
        let direct = seed % 2 == 0;
        let (mut world, twin) = with_twin(seed, if direct { &[ONE, 2] } else { &[2] });
        world.run(5_000);
        world.split(&[0, ONE], &[2, 3, twin]);
        world.start(twin);
        let mut ids = Vec::new();
        for round in 0..10 {
            ids.extend(notes(&mut world, twin, &format!("apart {round}")));
            world.run(10_000);
        }
        assert!(!both_know(&world, twin));
        world.heal();
        let told = world.run_until(10 * MINUTE, |world| both_know(world, twin));
        assert!(told, "seed {seed}");
        go_on(&mut world, twin, ids);
        in_order(&world);
    }
}

#[test]
fn a_restart_is_no_twin() {
    for seed in 0..4 {
        let mut world = star(seed, private(), 3);
        world.run(5_000);
        for round in 0..4 {
            // The others do not hear of it: their old links just fall silent.
            world.kill(ONE);
            world.run(500 + 5_000 * round);
            world.start(ONE);
            world.run(30_000);
            assert_eq!(state(&world, ONE), State::Synced, "seed {seed}, round {round}");
        }
        let told = |event: &Event| matches!(event, Event::Twin(_));
        assert!(!world.nodes.iter().any(|node| node.events.iter().any(told)));
        nobody_blamed(&world);
    }
}
