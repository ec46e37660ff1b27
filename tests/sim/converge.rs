//! Nodes end with the same facts, blocks and state, whatever happened before.

use cairn_core::id::FactId;
use cairn_core::ledger::read::Read;
use cairn_core::store::{Table, View};
use support::checkers::{agree, nobody_blamed, nothing_lost, same_ledger, sealed};
use support::world::{Weather, World};

use crate::mesh::{key, note, pow, private, star};

const MINUTE: u64 = 60_000;

fn notes(world: &mut World, n: usize, count: usize) -> Vec<FactId> {
    (0..count).map(|i| note(world, n, &format!("{n} says {i} at {}", world.now()))).collect()
}

#[test]
fn three_nodes_share_facts_and_seal_them() {
    let mut world = star(1, private(), 2);
    world.run(5_000);
    let ids: Vec<_> = (0..3).flat_map(|n| notes(&mut world, n, 1)).collect();
    assert!(world.run_until(MINUTE, |world| sealed(world, &ids)));
    same_ledger(&world);
    nobody_blamed(&world);
}

#[test]
fn the_first_fact_after_a_silence_makes_one_block_and_no_fork() {
    let mut world = star(8, private(), 3);
    world.run(60 * MINUTE);
    for round in 0..10 {
        let ids = notes(&mut world, round % 4, 1);
        assert!(world.run_until(MINUTE, |world| sealed(world, &ids)));
        world.run(10 * MINUTE);
    }
    let reorgs = |n: usize| world.nodes[n].view().reorgs(u64::MAX, 10).unwrap();
    assert!((0..4).all(|n| reorgs(n).is_empty()), "{:?}", reorgs(0));
}

#[test]
fn an_idle_mesh_seals_no_blocks() {
    let mut world = star(2, private(), 2);
    let ids = notes(&mut world, 0, 1);
    assert!(world.run_until(MINUTE, |world| sealed(world, &ids)));
    let tip = world.nodes[0].engine().unwrap().status().tip;
    world.run(60 * MINUTE);
    assert_eq!(world.nodes[0].engine().unwrap().status().tip, tip);
}

#[test]
fn sets_converge_even_if_every_announcement_is_lost() {
    let mut world = star(3, private(), 3);
    world.weather = Weather { announce_loss: 100, ..Weather::default() };
    world.run(5_000);
    let ids: Vec<_> = (0..4).flat_map(|n| notes(&mut world, n, 50)).collect();
    assert!(world.run_until(10 * MINUTE, |world| sealed(world, &ids)));
    same_ledger(&world);
    nobody_blamed(&world);
}

#[test]
fn a_split_heals_to_the_heavier_side_and_loses_nothing() {
    let mut world = star(4, private(), 2);
    let common = notes(&mut world, 0, 3);
    assert!(world.run_until(MINUTE, |world| sealed(world, &common)));
    world.run(5_000);

    world.split(&[0], &[1, 2]);
    let mut apart = Vec::new();
    for _ in 0..6 {
        apart.extend((0..3).flat_map(|n| notes(&mut world, n, 2)));
        world.run(20_000);
    }
    let lonely = world.nodes[0].engine().unwrap().status().tip;
    let winner = world.nodes[1].engine().unwrap().status().tip;
    assert_ne!(lonely.id, winner.id);
    assert!(lonely.height.0 > 3 && winner.height.0 > 3, "{lonely:?} {winner:?}");

    world.heal();
    apart.extend(common);
    assert!(world.run_until(10 * MINUTE, |world| sealed(world, &apart)));
    same_ledger(&world);
    nothing_lost(&world);
    nobody_blamed(&world);
    // The two together have more distinct sealers than the one alone, however busy it was.
    let kept = world.nodes[0].view().get(Table::Chain, &winner.height.0.to_be_bytes()).unwrap();
    assert_eq!(kept.as_deref(), Some(&winner.id.0[..]));
    assert_eq!(world.nodes[0].engine().unwrap().status().conflict, 0);
}

#[test]
fn five_blocks_win_against_four_under_proof_of_work() {
    let mut world = star(5, pow(), 2);
    let common = notes(&mut world, 0, 1);
    assert!(world.run_until(MINUTE, |world| sealed(world, &common)));
    world.run(5_000);
    let fork = world.nodes[0].engine().unwrap().status().tip.height.0;
    world.split(&[0], &[1, 2]);
    world.configure(2, |config| config.seal_blocks = false);
    let mut ids = common;
    for round in 0..5 {
        for n in [0, 1] {
            if n == 1 || round < 4 {
                ids.extend(notes(&mut world, n, 1));
                let before = world.nodes[n].engine().unwrap().status().tip.height;
                assert!(world.run_until(10 * MINUTE, |world| {
                    world.nodes[n].engine().unwrap().status().tip.height > before
                }));
            }
        }
    }
    let height = |world: &World, n: usize| world.nodes[n].engine().unwrap().status().tip.height.0;
    assert_eq!((height(&world, 0) - fork, height(&world, 1) - fork), (4, 5));
    let winner = world.nodes[1].engine().unwrap().status().tip;
    world.heal();
    assert!(world.run_until(10 * MINUTE, |world| sealed(world, &ids)));
    let kept = world.nodes[0].view().get(Table::Chain, &winner.height.0.to_be_bytes()).unwrap();
    assert_eq!(kept.as_deref(), Some(&winner.id.0[..]));
    same_ledger(&world);
    nothing_lost(&world);
    nobody_blamed(&world);
}

#[test]
fn all_nodes_lose_power_in_the_middle_and_agree_again_without_help() {
    for seed in 0..20 {
        let mut world = star(100 + seed, private(), 2);
        world.run(3_000 + seed * 77);
        for round in 0..4 {
            for n in 0..3 {
                notes(&mut world, n, 20);
            }
            world.run(seed * 131 % 1_900);
            for n in 0..3 {
                world.crash(n);
            }
            world.run(round * 1_000);
            for n in 0..3 {
                world.start(n);
            }
        }
        // What was acknowledged was durable, so it is still there.
        let acknowledged: usize = world.nodes.iter().map(|node| node.replies.len()).sum();
        let last = notes(&mut world, 0, 1);
        assert!(world.run_until(10 * MINUTE, |world| sealed(world, &last)), "seed {seed}");
        let count = world.nodes[0].engine().unwrap().status().facts.count;
        assert!(count as usize >= acknowledged, "seed {seed}: {count} of {acknowledged}");
        same_ledger(&world);
        nothing_lost(&world);
        nobody_blamed(&world);
    }
}

#[test]
fn a_survivor_goes_on_alone_and_a_newcomer_gets_everything_from_it() {
    let mut world = star(6, private(), 2);
    let mut ids: Vec<_> = (0..3).flat_map(|n| notes(&mut world, n, 5)).collect();
    assert!(world.run_until(MINUTE, |world| sealed(world, &ids)));
    world.crash(0);
    world.crash(1);
    ids.extend(notes(&mut world, 2, 5));
    assert!(world.run_until(5 * MINUTE, |world| sealed(world, &ids)));
    let founder = cairn_core::testing::TestNode { key: key(0), mesh: world.mesh() };
    let admit = founder.admit(key(3).node_id(), cairn_core::fact::Role::Sealer);
    world.add_node(key(3), &[2], &[admit]);
    assert!(world.run_until(5 * MINUTE, |world| sealed(world, &ids)));
    // Twenty notes, and the three facts that admit nodes 1 to 3.
    assert_eq!(world.nodes[3].engine().unwrap().status().facts.count, 23);
    same_ledger(&world);
}

#[test]
fn a_node_far_behind_catches_up_though_its_peer_stalls() {
    let mut params = private();
    params.spacing = 10;
    let mut world = star(7, params, 2);
    world.run(3_000);
    world.crash(2);
    let mut last = Vec::new();
    for _ in 0..1_500 {
        last = notes(&mut world, 0, 1);
        world.run(60);
    }
    assert!(world.run_until(MINUTE, |world| sealed(world, &last)));
    let height = world.nodes[0].engine().unwrap().status().tip.height.0;
    assert!(height > 1_000, "{height}");
    world.configure(2, |config| {
        config.dial = [0, 1].map(|n| (support::world::address(n), None)).into();
    });
    world.start(2);
    assert!(world.run_until(MINUTE, |world| {
        world.nodes[2].engine().unwrap().status().tip.height.0 > 50
    }));
    world.crash(0);
    assert!(world.run_until(5 * MINUTE, agree), "{:?}", world.nodes[2].engine().unwrap().status());
    same_ledger(&world);
    nobody_blamed(&world);
}
