//! Nodes that change their key while the mesh is split, and what comes of those that do it twice.

use cairn_core::engine::{Command, CustodyAction, State};
use cairn_core::fact::{Role, sign_rotation};
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::FactState;
use cairn_core::testing::TestNode;
use support::checkers::{sealed, settled, sound, state_of};
use support::world::World;

use crate::mesh::{custody, key, linked, note, private, star, state};

const MINUTE: u64 = 60_000;

fn node(world: &World, number: usize) -> TestNode {
    TestNode { key: key(number), mesh: world.mesh() }
}

/// Node `n` asks to go on under another key.
fn rotate(world: &mut World, n: usize, to: usize) {
    let signature = sign_rotation(&world.mesh(), &key(n).node_id(), &key(to));
    world.command(n, Command::Rotate { key: key(to).node_id(), signature });
}

fn standing(world: &World, n: usize, number: usize) -> Standing {
    line::standing(world.nodes[n].view(), &key(number).node_id()).unwrap()
}

#[test]
fn a_node_that_changes_its_key_in_one_part_is_known_in_all_when_they_meet() {
    for (seed, left, right) in [(81, &[0usize, 1, 2][..], &[3][..]), (82, &[2, 3], &[0, 1])] {
        let mut world = star(seed, private(), 3);
        world.run(10_000);
        custody(&mut world, 2, "saw", CustodyAction::Request);
        assert!(world.run_until(MINUTE, settled));
        world.split(left, right);
        world.run(2 * MINUTE);
        rotate(&mut world, 2, 12);
        let waiting = note(&mut world, 2, "by the old key");
        assert!(world.run_until(2 * MINUTE, |world| standing(world, 2, 12) == Standing::Member));
        world.rekey(2, key(12));
        for n in left.iter().chain(right).filter(|n| **n != 2) {
            note(&mut world, *n, &format!("apart {n}"));
        }
        world.run(MINUTE);
        world.heal();
        assert!(world.run_until(10 * MINUTE, |world| sealed(world, &[waiting])), "seed {seed}");
        let follow = |world: &World| [0, 1, 3].iter().all(|n| linked(world, *n, 12));
        assert!(world.run_until(5 * MINUTE, follow), "everybody is linked to the new key");
        let view = world.nodes[3].view();
        let holder = view.custody("saw").unwrap().unwrap().holder.unwrap();
        assert_eq!(line::current(view, &holder), Ok(key(12).node_id()));
        custody(&mut world, 2, "saw", CustodyAction::Release);
        assert!(world.run_until(2 * MINUTE, |world| {
            settled(world)
                && world.nodes[0].view().custody("saw").unwrap().unwrap().holder.is_none()
        }));
        assert!(!linked(&world, 0, 2));
        sound(&world);
    }
}

#[test]
fn of_two_rotations_of_one_key_made_apart_one_counts_everywhere() {
    for seed in 83..87 {
        let mut world = star(seed, private(), 3);
        world.run(10_000);
        assert!(world.run_until(MINUTE, settled));
        // A copy of node 3's card is in the other part.
        world.split(&[0, 1], &[2, 3]);
        world.run(2 * MINUTE);
        rotate(&mut world, 3, 13);
        let copy = node(&world, 3).rotate(&node(&world, 23), Role::Sealer);
        let by_copy = copy.id();
        world.command(0, Command::Publish(vec![copy]));
        world.run(MINUTE);
        assert_eq!(standing(&world, 0, 23), Standing::Member);
        assert_eq!(standing(&world, 3, 13), Standing::Member);
        world.rekey(3, key(13));
        world.run(MINUTE);
        world.heal();
        // If the copy won, node 3 is no member any more, and stays behind.
        world.run(10 * MINUTE);
        let won = standing(&world, 0, 13) == Standing::Member;
        assert_ne!(won, standing(&world, 0, 23) == Standing::Member);
        if won {
            let state = state_of(&world, 0, &by_copy);
            assert!(matches!(state, Some(FactState::Conflict(..))), "{state:?}");
        } else {
            assert!(!linked(&world, 0, 13));
            world.kill(3);
        }
        assert!(world.run_until(5 * MINUTE, settled));
        sound(&world);
    }
}

#[test]
fn who_revokes_a_key_that_was_rotated_elsewhere_ends_both_keys() {
    for (seed, left, right) in [(88, &[0usize, 1, 2][..], &[3][..]), (89, &[0], &[1, 2, 3])] {
        let mut world = star(seed, private(), 3);
        world.run(10_000);
        assert!(world.run_until(MINUTE, settled));
        world.split(left, right);
        world.run(2 * MINUTE);
        // A thief has node 3's key and takes another at once; the founder knows only the old one.
        rotate(&mut world, 3, 13);
        world.command(0, Command::Revoke { key: key(3).node_id() });
        assert!(world.run_until(2 * MINUTE, |world| standing(world, 3, 13) == Standing::Member));
        world.rekey(3, key(13));
        world.run(MINUTE);
        world.heal();
        let cut = |world: &World| {
            let refused = [3, 13].iter().all(|key| !linked(world, 0, *key));
            refused && standing(world, 0, 13) != Standing::Member
        };
        assert!(world.run_until(10 * MINUTE, cut), "seed {seed}");
        world.run(MINUTE);
        let revoked = State::Revoked;
        let knows = state(&world, 3);
        assert!(knows == revoked || right.len() == 1, "{knows:?}");
        world.kill(3);
        assert!(world.run_until(10 * MINUTE, settled), "seed {seed}");
        assert!([0, 1, 2].iter().all(|n| standing(&world, *n, 13) != Standing::Member));
        sound(&world);
    }
}
