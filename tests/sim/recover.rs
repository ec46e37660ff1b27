//! A stolen admin key that revokes everybody, and the recovery keys that end it, while the mesh is
//! split.

use cairn_core::engine::{Command, Recovery, State};
use cairn_core::fact::{Body, Keys};
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::params::{self, Params};
use cairn_core::signature::SigningKey;
use cairn_core::testing::TestNode;
use support::checkers::{nobody_blamed, nothing_lost, revoked_cut_off, same_ledger, settled};
use support::model::Model;
use support::world::World;

use crate::mesh::{key, note, private, star};

const MINUTE: u64 = 60_000;

fn recovery_key() -> SigningKey {
    SigningKey::from_seed([0xee; 32])
}

fn rules() -> Params {
    let keys = [recovery_key().node_id()].into_iter().collect();
    Params { recovery: params::Recovery { threshold: 1, keys }, ..private() }
}

/// The thief has the founder's key: what it says.
fn thief(world: &World, body: Body<'_>) -> Command {
    let thief = TestNode { key: key(0), mesh: world.mesh() };
    Command::Publish(vec![thief.fact(9, body)])
}

/// Node `n` takes over from the founder's key, with the seats of these.
fn recover(world: &mut World, n: usize, seats: &[usize]) {
    let mut seats: Vec<_> = seats.iter().map(|n| key(*n).node_id()).collect();
    seats.sort_unstable();
    let seats: Vec<u8> = seats.iter().flat_map(|key| key.0).collect();
    let ended = key(0).node_id().0.to_vec();
    let mut said = Recovery { ended, seats, ..Recovery::default() };
    let author = key(n).node_id();
    said.signatures = said.statement().sign(&world.mesh(), &author, &recovery_key()).to_vec();
    assert_eq!(said.statement().ended, Keys(&said.ended));
    world.command(n, Command::Recover(said));
}

fn state(world: &World, n: usize) -> State {
    world.nodes[n].engine().unwrap().status().state
}

fn standing(world: &World, n: usize, number: usize) -> Standing {
    line::standing(world.nodes[n].view(), &key(number).node_id()).unwrap()
}

fn sound(world: &World) {
    same_ledger(world);
    nothing_lost(world);
    nobody_blamed(world);
    assert!(revoked_cut_off(world));
    for node in world.nodes.iter().filter(|node| node.engine().is_some()) {
        Model::replay(&world.params, node.view()).assert_is(node.view());
    }
}

/// Four nodes; the founder's machine is the thief's.
fn robbed(seed: u64) -> World {
    let mut world = star(seed, rules(), 3);
    world.run(10_000);
    assert!(world.run_until(MINUTE, settled));
    // They know one another.
    assert!(world.run_until(5 * MINUTE, |world| {
        let linked = |n: usize| {
            let peers = &world.nodes[n].engine().unwrap().status().peers;
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
    recover(&mut world, 1, &[2, 3]);
    let back = |world: &World| (1..4).all(|n| state(world, n) == State::Synced);
    assert!(world.run_until(30 * MINUTE, back), "all are back");
    let written = note(&mut world, 3, "back");
    assert!(world.run_until(10 * MINUTE, |world| {
        settled(world) && support::checkers::sealed(world, &[written])
    }));
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
        recover(&mut world, 1, &[2, 3]);
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
