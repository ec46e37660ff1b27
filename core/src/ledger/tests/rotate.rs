//! One test for each rule about rotations, in the chain and ahead of it.

use super::revoke::{ahead, sealers};
use super::*;
use crate::fact::{Body, sign_rotation, verify};
use crate::id::{MeshId, NodeId};
use crate::ledger::arrival::Arrived;
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::ledger::rows::FactState;
use crate::params::Admission;
use crate::verified::Unverified;
use crate::work::Height;

/// Blocks for which the key before counts in these tests.
const OVERLAP: u64 = 2;

fn world() -> World {
    World::new(ReleaseRule::Holder)
}

/// So many blocks that say nothing of interest.
fn pass(world: &mut World, blocks: u64) {
    for _ in 0..blocks {
        let height = world.ledger.tip().header.height.0;
        let said = world.root.record("t", &alloc::format!("at {height}"));
        world.seal(&[&said]);
    }
}

fn rotated(world: &mut World) -> (TestNode, TestNode) {
    let (old, new) = (world.member.clone(), world.stranger.clone());
    let rotate = old.rotate(&new, Role::Member);
    world.seal(&[&rotate]);
    (old, new)
}

fn standing(world: &World, node: &TestNode) -> Standing {
    line::standing(&world.ledger.store, &node.id()).unwrap()
}

#[test]
fn the_new_key_takes_over_and_the_old_one_counts_for_the_overlap() {
    let mut world = world();
    let named = world.member.rename(world.member.id(), "attic");
    world.seal(&[&named]);
    let (old, new) = rotated(&mut world);
    let height = world.ledger.tip().header.height;
    let row = world.ledger.store.member(&new.id()).unwrap().unwrap();
    assert_eq!((row.role, row.name.as_str(), row.since), (Role::Member, "attic", height));
    assert_eq!(line::current(&world.ledger.store, &old.id()), Ok(new.id()));
    for _ in 0..OVERLAP {
        assert_eq!(world.verdict(&old.record("t", "x")), Ok(()));
        assert_eq!(world.verdict(&new.record("t", "x")), Ok(()));
        assert_eq!(standing(&world, &old), Standing::Member);
        pass(&mut world, 1);
    }
    let past = Err(FactReject::Replaced(old.id()));
    assert_eq!(world.verdict(&old.record("t", "x")), past);
    assert_eq!(world.verdict(&old.revoke(old.id())), past);
    assert_eq!(world.verdict(&new.record("t", "x")), Ok(()));
    assert_eq!(standing(&world, &old), Standing::Replaced);
    assert_eq!(standing(&world, &new), Standing::Member);
    world.ledger.disconnect();
    assert_eq!(world.verdict(&old.record("t", "x")), Ok(()));
}

#[test]
fn in_its_own_block_a_rotation_counts_for_what_comes_after_it() {
    let mut world = world();
    let (old, new) = (world.member.clone(), world.stranger.clone());
    let rotate = old.rotate(&new, Role::Member);
    let (take, late) = (new.request("saw", None), old.record("t", "in flight"));
    world.seal(&[&rotate, &take, &late]);
    let custody = world.ledger.store.custody("saw").unwrap().unwrap();
    assert_eq!(custody.holder, Some(new.id()));
    world.ledger.disconnect();
    assert_eq!(standing(&world, &new), Standing::Unknown);
    assert_eq!(world.verdict(&take), Err(FactReject::NotMember), "it may still come");
}

#[test]
fn what_the_old_key_holds_the_new_one_holds() {
    let mut world = world();
    let take = world.member.request("saw", None);
    world.seal(&[&take]);
    let (old, new) = rotated(&mut world);
    for key in [&old, &new] {
        assert_eq!(world.verdict(&key.release("saw", take.id())), Ok(()));
    }
    let other = world.root.release("saw", take.id());
    assert!(matches!(world.verdict(&other), Err(FactReject::NotHolder { .. })));
    let give = new.transfer("saw", take.id(), world.root.id());
    world.seal(&[&give]);
    pass(&mut world, OVERLAP);
    let back = world.root.transfer("saw", give.id(), old.id());
    assert_eq!(world.verdict(&back), Err(FactReject::ReceiverNotMember(old.id())));
    assert_eq!(world.verdict(&world.root.transfer("saw", give.id(), new.id())), Ok(()));
}

#[test]
fn in_an_open_mesh_too_the_new_key_holds_what_the_old_one_did() {
    let mut world = world();
    world.ledger.params.admission = Admission::Open;
    let take = world.member.request("saw", None);
    world.seal(&[&take]);
    let (_, new) = rotated(&mut world);
    assert_eq!(world.verdict(&new.release("saw", take.id())), Ok(()));
}

#[test]
fn the_new_key_has_the_seat_of_a_sealer_from_the_next_block_on() {
    let mut world = world();
    let (old, new) = (world.root.clone(), world.stranger.clone());
    assert_eq!(sealers(&world), [old.id()]);
    let rotate = old.rotate(&new, Role::Admin);
    world.seal(&[&rotate]);
    assert_eq!(sealers(&world), [new.id()]);
    for key in [&old, &new] {
        let last = world.verdict(&new.revoke(key.id()));
        assert_eq!(last, Err(FactReject::LastSealer), "both keys are one sealer");
    }
    // What the old key began goes on.
    assert_eq!(world.verdict(&new.invite(world.key.id(), Role::Member, 1, 900)), Ok(()));
    world.ledger.disconnect();
    assert_eq!(sealers(&world), [old.id()]);
}

#[test]
fn invites_of_the_old_key_stay_good() {
    let mut world = world();
    let invite = world.root.invite(world.key.id(), Role::Member, 5, 900);
    let rotate = world.root.rotate(&world.stranger, Role::Admin);
    world.seal(&[&invite, &rotate]);
    let newcomer = TestNode::new(9, world.root.mesh);
    let admit = world.key.admit(newcomer.id(), Role::Member);
    for _ in 0..=OVERLAP {
        assert_eq!(world.verdict(&admit), Ok(()));
        let said = world.stranger.record("t", &alloc::format!("{}", world.ledger.tip().work));
        world.seal(&[&said]);
    }
}

#[test]
fn a_key_is_rotated_once_and_the_first_in_the_chain_counts() {
    let mut world = world();
    let [one, two] = [3, 8].map(|n| TestNode::new(n, world.root.mesh));
    let rotations = [&one, &two].map(|new| world.member.rotate(new, Role::Member));
    world.ledger.arrive(&rotations);
    for (winner, loser) in [(0, 1), (1, 0)] {
        world.seal(&[&rotations[winner]]);
        let again = world.verdict(&rotations[loser]);
        assert_eq!(again, Err(FactReject::Replaced(world.member.id())));
        world.ledger.disconnect();
    }
    for rotation in rotations {
        assert_eq!(world.verdict(&rotation), Ok(()));
    }
}

#[test]
fn a_new_key_rotates_when_the_one_before_it_is_past() {
    let mut world = world();
    let (old, new) = rotated(&mut world);
    let next = TestNode::new(8, world.root.mesh);
    let again = new.rotate(&next, Role::Member);
    assert_eq!(world.verdict(&again), Err(FactReject::RotatedLately));
    pass(&mut world, OVERLAP);
    world.seal(&[&again]);
    for key in [&old, &new, &next] {
        assert_eq!(line::current(&world.ledger.store, &key.id()), Ok(next.id()));
    }
    assert_eq!(standing(&world, &old), Standing::Replaced);
    assert_eq!(standing(&world, &new), Standing::Member);
    world.ledger.disconnect();
    assert_eq!(line::current(&world.ledger.store, &old.id()), Ok(new.id()));
}

#[test]
fn what_a_rotation_may_not_name() {
    let mut world = world();
    let (member, reader, stranger) =
        (world.member.clone(), world.reader.clone(), world.stranger.clone());
    let never = TestNode::new(9, world.root.mesh);
    let cases = [
        (member.rotate(&reader, Role::Member), FactReject::AlreadyMember(reader.id())),
        (member.rotate(&member, Role::Member), FactReject::AlreadyMember(member.id())),
        (member.rotate(&stranger, Role::Admin), FactReject::RotateRole),
        (member.rotate(&stranger, Role::Reader), FactReject::RotateRole),
        (stranger.rotate(&never, Role::Member), FactReject::NotMember),
    ];
    for (fact, reject) in cases {
        assert_eq!(world.verdict(&fact), Err(reject));
    }
    assert_eq!(world.verdict(&reader.rotate(&stranger, Role::Reader)), Ok(()));
    let gone = world.root.revoke(never.id());
    world.seal(&[&gone]);
    let reject = FactReject::AlreadyRevoked(never.id());
    assert_eq!(world.verdict(&member.rotate(&never, Role::Member)), Err(reject));
}

#[test]
fn whoever_revokes_one_key_of_a_node_revokes_all_of_them() {
    for by_old in [true, false] {
        let mut world = world();
        let (old, new) = rotated(&mut world);
        let revoke = world.root.revoke(if by_old { old.id() } else { new.id() });
        world.ledger.arrive(core::slice::from_ref(&revoke));
        // At once, whatever the chain says; only what the very key wrote leaves the set.
        for (key, named) in [(&old, by_old), (&new, !by_old)] {
            assert_eq!(line::cut_off(&world.ledger.store, &key.id()), Ok(Some(revoke.id())));
            let reject = if named { FactReject::Revoked } else { FactReject::Deposed };
            assert_eq!(ahead(&world, &key.record("t", "x")), Err(reject));
            assert_eq!(world.verdict(&key.record("t", "x")), Ok(()));
        }
        world.seal(&[&revoke]);
        for key in [&old, &new] {
            assert!(world.verdict(&key.record("t", "x")).is_err());
            assert_eq!(standing(&world, key), Standing::Revoked);
            let again = world.root.fact(9, Body::Revoke { node: key.id() });
            assert_eq!(world.verdict(&again), Err(FactReject::AlreadyRevoked(key.id())));
        }
        world.ledger.disconnect();
        assert_eq!(standing(&world, &new), Standing::Member);
    }
}

#[test]
fn of_a_rotation_and_a_revocation_of_the_old_key_either_order_ends_both_keys() {
    for revoke_first in [true, false] {
        let mut world = world();
        let (old, new) = (world.member.clone(), world.stranger.clone());
        let rotate = old.rotate(&new, Role::Member);
        let revoke = world.root.revoke(old.id());
        world.ledger.arrive(&[rotate.clone(), revoke.clone()]);
        if revoke_first {
            world.seal(&[&revoke]);
            assert_eq!(world.verdict(&rotate), Err(FactReject::Deposed));
            assert_eq!(standing(&world, &new), Standing::Unknown);
        } else {
            world.seal(&[&rotate]);
            world.seal(&[&revoke]);
            assert_eq!(standing(&world, &new), Standing::Revoked);
        }
        assert!(world.verdict(&new.record("t", "x")).is_err());
    }
}

#[test]
fn who_finds_an_old_key_does_not_end_the_new_one_by_it() {
    let mut world = world();
    let (old, new) = rotated(&mut world);
    pass(&mut world, OVERLAP);
    let found = old.revoke(old.id());
    assert_eq!(world.verdict(&found), Err(FactReject::Replaced(old.id())));
    world.ledger.arrive(core::slice::from_ref(&found));
    assert_eq!(line::cut_off(&world.ledger.store, &new.id()), Ok(None));
    assert_eq!(ahead(&world, &new.record("t", "x")), Ok(()));
}

#[test]
fn a_rotation_lets_the_new_key_in_as_far_as_its_author_is() {
    let mut world = world();
    let (member, new) = (world.member.clone(), world.stranger.clone());
    let said = new.record("t", "x");
    let waits = Arrived::Stranger(new.id());
    assert_eq!(world.ledger.arrive(core::slice::from_ref(&said)).0, [waits]);
    let higher = member.rotate(&new, Role::Admin);
    assert_eq!(world.ledger.arrive(&[higher]).0, [Arrived::Stranger(member.id())]);
    let (arrived, risen) = world.ledger.arrive(&[member.rotate(&new, Role::Member), said]);
    assert!(arrived.iter().all(|arrived| matches!(arrived, Arrived::Entered(_))));
    assert_eq!(risen, [new.id()]);
}

#[test]
fn the_new_key_has_to_agree_in_this_mesh() {
    let world = world();
    let (old, new) = (world.member.clone(), world.stranger.clone());
    let mesh = old.mesh;
    let signed = |signature| {
        let body = Body::Rotate { key: new.id(), role: Role::Member, signature };
        verify(&mesh, Unverified(old.fact(0, body).into_inner())).is_ok()
    };
    assert!(signed(sign_rotation(&mesh, &old.id(), &new.key)));
    assert!(!signed(sign_rotation(&mesh, &old.id(), &old.key)));
    assert!(!signed(sign_rotation(&mesh, &new.id(), &new.key)));
    assert!(!signed(sign_rotation(&MeshId::ZERO, &old.id(), &new.key)));
}

#[test]
fn rows_say_until_when_the_old_key_counts() {
    let mut world = world();
    let (old, new) = rotated(&mut world);
    let height = world.ledger.tip().header.height.0;
    let row = |node: NodeId| world.ledger.store.member(&node).unwrap().unwrap();
    assert_eq!(row(old.id()).until, Some(Height(height + OVERLAP + 1)));
    assert_eq!(row(new.id()).until, None);
    let admit = row(new.id()).admit.unwrap();
    let state = world.ledger.store.fact_row(&admit).unwrap().unwrap().state;
    assert_eq!(state, FactState::Sealed(Height(height), 0));
}
