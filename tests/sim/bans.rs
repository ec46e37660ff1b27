//! Who misbehaves provably is kept out by everybody it wronged, for the time and no longer; who is
//! only slow, skewed or behind never is. And a node with few places leaves nobody outside.

use cairn_core::ledger::read::Read;
use cairn_core::peer::Subject;
use support::checkers::{
    agree, honest_sealed, nobody_blamed, same_ledger, sealed, settled, state_of,
};
use support::evil::{Evil, Habit};
use support::mesh::{key, linked, note, private, star};
use support::world::World;

const MINUTE: u64 = 60_000;

/// Whether a node keeps another out, as its store says.
fn bans(world: &World, by: usize, whom: usize) -> bool {
    let subject = Subject::Node(key(whom).node_id()).key();
    let rows = world.nodes[by].view().ban_rows(usize::MAX).unwrap();
    rows.iter().any(|(key, _)| *key == subject)
}

/// No node keeps anybody out.
fn nobody_banned(world: &World) {
    for (n, node) in world.nodes.iter().enumerate() {
        assert!(node.view().ban_rows(usize::MAX).unwrap().is_empty(), "node {n}");
    }
}

#[test]
fn who_misbehaves_is_kept_out_by_all_it_wronged_for_the_time_and_across_restarts() {
    let mut world = star(81, private(), 4);
    world.run(MINUTE);
    assert!((0..4).all(|n| linked(&world, n, 4)), "all are linked to the one who will lie");
    world.corrupt(4, Evil::new(&[Habit::Garbling], 100, 5));
    let mut told = 0;
    let mut of_the_liar = Vec::new();
    let all_ban = |world: &World| (0..4).all(|n| bans(world, n, 4));
    while !all_ban(&world) {
        assert!(told < 60, "it was not caught");
        told += 1;
        of_the_liar.push(note(&mut world, 4, &format!("garbled {told}")));
        note(&mut world, 0, &format!("clear {told}"));
        world.run(1_000);
    }
    let banned_at = world.now();
    // From now on it would behave, but nobody hears it, restarted or not.
    world.corrupt(4, Evil::new(&[], 0, 5));
    while world.now() < banned_at + 8 * MINUTE {
        world.run(MINUTE);
        let n = (world.now() / MINUTE) as usize % 4;
        world.kill(n);
        world.start(n);
        world.run(1_000);
        assert!((0..4).all(|n| !linked(&world, n, 4)), "at {} minutes", world.now() / MINUTE);
    }
    let goes_on = note(&mut world, 1, "the others go on");
    assert!(world.run_until(MINUTE, |world| honest_sealed(world, &[goes_on])));
    // Its time is over: it is let in again, and what it wrote comes through.
    assert!(world.run_until(60 * MINUTE, |world| {
        (0..4).any(|n| linked(world, n, 4))
            && of_the_liar.iter().all(|id| (0..4).all(|n| state_of(world, n, id).is_some()))
    }));
    // The last block may be on its way.
    assert!(world.run_until(MINUTE, agree));
    same_ledger(&world);
    nobody_blamed(&world);
}

#[test]
fn slow_skewed_late_and_sleepy_nodes_are_never_kept_out() {
    for seed in 90..94 {
        let mut world = star(seed, private(), 4);
        world.weather.latency = (1, 4_000);
        world.weather.loss = 20;
        world.weather.announce_loss = 50;
        world.weather.request_loss = 30;
        world.weather.bandwidth = 4;
        world.run(10_000);
        world.set_clock(1, 3_600_000);
        world.set_clock(2, -400 * 24 * 3_600_000);
        for round in 0..20 {
            for n in 0..5 {
                if world.nodes[n].engine().is_some() {
                    note(&mut world, n, &format!("{round} {n}"));
                }
            }
            match round {
                3 => world.kill(3),
                5 => world.split(&[0, 1], &[2, 4]),
                8 => world.sleep(4, 3 * MINUTE, true),
                12 => world.heal(),
                14 => world.start(3),
                _ => {}
            }
            world.run(20_000);
        }
        world.weather = support::world::Weather::default();
        assert!(world.run_until(30 * MINUTE, settled), "seed {seed}");
        nobody_banned(&world);
        nobody_blamed(&world);
    }
}

#[test]
fn a_node_with_few_places_sends_the_others_on_and_all_agree() {
    let mut world = World::new(85, private());
    let mesh = world.mesh();
    let founder = cairn_core::testing::TestNode { key: key(0), mesh };
    world.add_sleeper(key(0), &[], &[]);
    world.configure(0, |config| config.limits.inbound_max = 3);
    world.start(0);
    for n in 1..=10 {
        let admit = founder.admit(key(n).node_id(), cairn_core::fact::Role::Sealer);
        world.add_node(key(n), &[0], &[admit]);
        world.run(2_000);
    }
    let ids: Vec<_> = (0..=10).map(|n| note(&mut world, n, &format!("{n}"))).collect();
    assert!(world.run_until(10 * MINUTE, |world| sealed(world, &ids)));
    let peers = world.nodes[0].engine().unwrap().peers();
    let inbound = peers.iter().filter(|peer| peer.connected && !peer.outbound).count();
    assert!(inbound <= 3, "{inbound}");
    nobody_banned(&world);
    nobody_blamed(&world);
}
