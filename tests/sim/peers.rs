//! Who finds whom: stars that become meshes, outages, seeds, and members that invent addresses.

use cairn_core::engine::{Engine, PeerStatus};
use cairn_core::event::Event;
use cairn_core::fact::Role;
use cairn_core::testing::TestNode;
use cairn_core::wire::CloseCode;
use support::attack::Attack;
use support::checkers::{nobody_blamed, same_ledger, sealed, settled};
use support::evil::{Evil, Habit};
use support::world::{World, address};

use crate::mesh::{self, key, note, private, star};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const WEEK: u64 = 7 * 24 * HOUR;
/// The longest back-off, and what a dial takes.
const SOON: u64 = 11 * MINUTE;

fn peers(world: &World, n: usize) -> Vec<PeerStatus> {
    world.nodes[n].engine().map_or_else(Vec::new, Engine::peers)
}

/// The nodes that one has a link to.
fn linked(world: &World, n: usize) -> Vec<usize> {
    let live: Vec<_> = peers(world, n).into_iter().filter(|peer| peer.connected).collect();
    assert!(live.len() < world.nodes.len(), "{n}: two links to one node");
    let is_live = |m: &usize| live.iter().any(|peer| peer.node == Some(world.nodes[*m].id()));
    (0..world.nodes.len()).filter(is_live).collect()
}

fn all_linked(world: &World) -> bool {
    let up: Vec<_> =
        (0..world.nodes.len()).filter(|n| world.nodes[*n].engine().is_some()).collect();
    up.iter().all(|n| linked(world, *n).len() + 1 == up.len())
}

/// A mesh in which everybody has met everybody and remembers it, and who is told nothing at the
/// next start.
fn acquainted(seed: u64, others: usize) -> World {
    let mut world = star(seed, private(), others);
    assert!(world.run_until(5 * MINUTE, all_linked), "seed {seed}");
    world.run(2 * SOON);
    (0..=others).for_each(|n| world.configure(n, |config| config.dial.clear()));
    world
}

fn dials(world: &World, from: usize, to: usize) -> u64 {
    world.dials.get(&(from, to)).copied().unwrap_or(0)
}

#[test]
fn a_star_becomes_a_mesh_that_does_not_need_its_middle() {
    for seed in 0..3 {
        let mut world = star(seed, private(), 6);
        // All are sealers by now.
        assert!(world.run_until(5 * MINUTE, |world| all_linked(world) && settled(world)));
        world.kill(0);
        world.run(2 * MINUTE);
        let id = note(&mut world, 3, "who needs the middle");
        assert!(world.run_until(5 * MINUTE, |world| sealed(world, &[id])));
        assert!(all_linked(&world));
        nobody_blamed(&world);
    }
}

#[test]
fn who_was_alone_for_a_week_finds_all_again_by_itself() {
    for seed in 0..2 {
        let mut world = acquainted(seed, 4);
        (1..=4).for_each(|n| world.kill(n));
        world.run(WEEK);
        let known = peers(&world, 0).len();
        assert!(known >= 4, "an outage does not empty the book: {known}");
        // At most one dial of each address in five minutes, on average.
        let made: u64 = (1..=4).map(|n| dials(&world, 0, n)).sum();
        assert!(made < 4 * (WEEK / (5 * MINUTE) + 100), "{made}");
        (1..=4).for_each(|n| world.start(n));
        assert!(world.run_until(SOON, all_linked), "seed {seed}");
        let id = note(&mut world, 2, "back again");
        assert!(world.run_until(5 * MINUTE, |world| sealed(world, &[id])));
        same_ledger(&world);
        nobody_blamed(&world);
    }
}

#[test]
fn a_network_that_was_down_for_a_week_comes_back_though_nobody_was_restarted() {
    let mut world = acquainted(3, 4);
    (0..=4).for_each(|n| (n + 1..=4).for_each(|m| world.cut(n, m)));
    world.run(WEEK);
    assert!((0..=4).all(|n| linked(&world, n).is_empty()));
    world.heal();
    assert!(world.run_until(SOON, all_linked));
    nobody_blamed(&world);
}

#[test]
fn who_was_dialled_by_the_only_other_is_linked_again_seconds_after_a_power_cut() {
    for seed in 0..6 {
        let mut world = star(seed, private(), 1);
        assert!(world.run_until(MINUTE, all_linked));
        world.run(2_000);
        world.crash(0);
        world.run(1_000);
        // The other still holds a link that is dead, and nobody has told this one of it.
        assert!(mesh::linked(&world, 1, 0));
        world.start(0);
        assert!(world.run_until(3_000, |world| mesh::linked(world, 0, 1)), "seed {seed}");
        let id = note(&mut world, 0, "here again");
        assert!(world.run_until(10_000, |world| sealed(world, &[id])), "seed {seed}");
        world.run(MINUTE);
        assert!(all_linked(&world), "seed {seed}");
        nobody_blamed(&world);
    }
}

#[test]
fn seeds_are_dialled_by_nobody_who_remembers_anybody_that_answers() {
    let mut world = star(4, private(), 5);
    for n in 1..=5 {
        world.kill(n);
        world.configure(n, |config| {
            config.dial.clear();
            config.seeds = vec![address(0)];
        });
        world.start(n);
    }
    assert!(world.run_until(5 * MINUTE, all_linked), "a seed is enough to begin with");
    world.run(2 * SOON);
    let before: Vec<_> = (1..=5).map(|n| dials(&world, n, 0)).collect();
    for n in 1..=5 {
        world.kill(n);
        world.run(2 * MINUTE);
        world.start(n);
        assert!(world.run_until(MINUTE, |world| linked(world, n).len() >= 4));
    }
    let after: Vec<_> = (1..=5).map(|n| dials(&world, n, 0)).collect();
    assert_eq!(before, after);
    // All seeds are gone for good: the mesh goes on, and who comes back finds it.
    world.kill(0);
    world.run(2 * MINUTE);
    world.kill(3);
    let id = note(&mut world, 2, "no seed anywhere");
    world.run(2 * MINUTE);
    world.start(3);
    assert!(world.run_until(5 * MINUTE, |world| all_linked(world) && sealed(world, &[id])));
    nobody_blamed(&world);
}

#[test]
fn who_remembers_only_the_dead_turns_to_a_seed() {
    let mut world = acquainted(5, 4);
    (1..=4).for_each(|n| world.kill(n));
    world.configure(4, |config| config.seeds = vec![address(0)]);
    world.start(4);
    assert!(world.run_until(MINUTE, |world| linked(world, 4) == [0]));
}

#[test]
fn two_that_dial_each_other_at_the_same_moment_end_with_one_link() {
    for seed in 0..30 {
        let mut world = World::new(seed, private());
        let founder = TestNode { key: key(0), mesh: world.mesh() };
        let admit = founder.admit(key(1).node_id(), Role::Sealer);
        world.add_sleeper(key(0), &[1], std::slice::from_ref(&admit));
        world.add_sleeper(key(1), &[0], &[admit]);
        world.start(0);
        world.start(1);
        world.run(20_000);
        for n in 0..2 {
            let live = peers(&world, n).iter().filter(|peer| peer.connected).count();
            assert_eq!(live, 1, "seed {seed}");
        }
        let made = (dials(&world, 0, 1), dials(&world, 1, 0));
        world.run(HOUR);
        assert_eq!((dials(&world, 0, 1), dials(&world, 1, 0)), made, "and that is that");
        nobody_blamed(&world);
    }
}

#[test]
fn nobody_keeps_dialling_itself() {
    let mut world = star(6, private(), 2);
    for n in 0..=2 {
        world.kill(n);
        // One list for all, as an operator would write it.
        world.configure(n, |config| {
            config.dial = (0..3).map(|n| (address(n), None)).collect();
        });
        world.start(n);
    }
    world.run(HOUR);
    assert!(all_linked(&world));
    (0..=2).for_each(|n| assert_eq!(dials(&world, n, n), 1));
    nobody_blamed(&world);
}

/// Addresses in a node's book that were invented.
fn invented(world: &World, n: usize) -> usize {
    peers(world, n).iter().filter(|peer| peer.address.0.starts_with('h')).count()
}

/// The peers of a node but for the last, who is hostile.
fn friends(world: &World, n: usize) -> usize {
    linked(world, n).iter().filter(|m| **m + 1 < world.nodes.len()).count()
}

/// A mesh whose last member invents addresses, and has told each other of so many. It comes again and
/// again, to be asked for more.
fn flooded(seed: u64, others: usize, each: u32) -> World {
    let mut world = acquainted(seed, others);
    world.corrupt(others, Evil::new(&[Habit::InventedPeers], 100, seed));
    let told = |world: &World, n: usize| -> u32 {
        let count = |event: &Event| match event {
            Event::PeersHeard { node, count } if *node == key(others).node_id() => *count,
            _ => 0,
        };
        world.nodes[n].events.iter().map(count).sum()
    };
    for _ in 0..1_000 {
        if (0..others).all(|n| told(&world, n) >= each) {
            // It is asked now and then, as everybody is.
            world.run(4 * HOUR);
            return world;
        }
        (0..others).for_each(|n| world.sever(others, n));
        world.run(2_000);
        world.attack(others, Attack::Redial { count: 8 });
        world.run(1_000);
        assert!((0..others).all(|n| friends(&world, n) == others - 1), "a link was lost");
    }
    panic!("{:?}", (0..others).map(|n| told(&world, n)).collect::<Vec<_>>());
}

#[test]
fn ten_thousand_invented_addresses_displace_no_peer_that_works() {
    let mut world = flooded(7, 3, 10_000);
    for n in 0..3 {
        let count = invented(&world, n);
        assert!((1..=128).contains(&count), "{n} believes in {count}");
        assert_eq!(friends(&world, n), 2, "{n}");
    }
    // Nor after a start: who worked is remembered, and dialled first.
    for n in 0..3 {
        world.crash(n);
        world.run(2 * MINUTE);
        let before: Vec<_> = (0..3).map(|m| dials(&world, n, m)).collect();
        world.start(n);
        assert!(world.run_until(MINUTE, |world| friends(world, n) == 2), "{n}");
        assert!((0..3).any(|m| dials(&world, n, m) > before[m]), "by its own dials");
    }
    nobody_blamed(&world);
}

#[test]
fn whoever_is_dialled_by_enemies_only_still_finds_its_friends() {
    let (friends, enemies) = (3, 6);
    let mut world = acquainted(8, friends);
    let founder = TestNode { key: key(0), mesh: world.mesh() };
    for n in friends + 1..=friends + enemies {
        let admit = founder.admit(key(n).node_id(), Role::Member);
        // All of them want to be the victim's peers.
        world.add_sleeper(key(n), &[1], &[admit]);
        world.corrupt(n, Evil::new(&[Habit::InventedPeers], 100, n as u64));
        world.start(n);
    }
    let is_friend = |n: &usize| *n <= friends;
    for round in 0..2 {
        // The victim starts anew, and they are there first.
        world.run(SOON);
        world.kill(1);
        world.run(2 * MINUTE);
        world.start(1);
        let friend = |world: &World| linked(world, 1).iter().filter(|n| is_friend(n)).count();
        assert!(world.run_until(2 * MINUTE, |world| friend(world) >= friends), "round {round}");
    }
    let theirs = friends + 1..=friends + enemies;
    assert!(theirs.map(|n| dials(&world, n, 1)).sum::<u64>() > 10, "they did try");
    nobody_blamed(&world);
}

#[test]
fn once_there_are_links_enough_new_addresses_are_looked_at_now_and_then() {
    let mut world = star(9, private(), 12);
    for n in 0..=12 {
        world.kill(n);
        world.configure(n, |config| config.limits.outbound_wanted = 2);
        world.start(n);
    }
    // Links that were made only to look: the dialler says that it has enough.
    let looks = |world: &World| {
        let look = |event: &&Event| {
            matches!(event, Event::PeerClosed { code: Some(CloseCode::Full), by_peer: true, .. })
        };
        world.nodes.iter().flat_map(|node| &node.events).filter(look).count()
    };
    world.run(3 * HOUR);
    for n in 0..=12 {
        let met = peers(&world, n).iter().filter(|peer| peer.last_seen.is_some()).count();
        assert_eq!(met, 12, "{n}");
    }
    let made = looks(&world);
    assert!((10..=13 * 12).contains(&made), "{made}");
    world.run(HOUR);
    assert_eq!(looks(&world), made, "there is nobody left to look at");
    nobody_blamed(&world);
}

#[test]
fn a_quiet_mesh_writes_nothing_about_its_peers() {
    let mut world = acquainted(10, 4);
    let written = |world: &World| world.nodes.iter().map(|node| node.disk.written).sum::<u64>();
    let before = written(&world);
    world.run(24 * HOUR);
    assert_eq!(written(&world), before);
    // A link that comes and goes costs a write in ten minutes at most.
    for _ in 0..360 {
        world.sever(1, 2);
        world.run(10_000);
    }
    let each = (written(&world) - before) / 5;
    assert!(each < 8 * 1_024, "{each} bytes in an hour");
}
