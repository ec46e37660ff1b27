//! One test for each rule about facts.

use super::*;
use crate::params::{Admission, SEALERS_MAX};
use crate::store::{Batch, Table};
use crate::time::UnixTime;

fn world() -> World {
    World::new(ReleaseRule::Member)
}

#[test]
fn members_write_and_strangers_may_later() {
    let world = world();
    assert_eq!(world.verdict(&world.member.record("t", "x")), Ok(()));
    let verdict = world.verdict(&world.stranger.record("t", "x")).unwrap_err();
    assert_eq!(verdict, FactReject::NotMember);
    assert!(verdict.may_pass());
}

#[test]
fn readers_do_not_write() {
    let world = world();
    let verdict = world.verdict(&world.reader.record("t", "x"));
    assert_eq!(verdict, Err(FactReject::Reader));
}

#[test]
fn anybody_writes_and_holds_in_an_open_mesh() {
    let mut world = world();
    world.ledger.params.admission = Admission::Open;
    assert_eq!(world.verdict(&world.stranger.record("t", "x")), Ok(()));
    assert_eq!(world.verdict(&world.stranger.request("saw", None)), Ok(()));
}

#[test]
fn a_custody_fact_waits_for_what_it_follows() {
    let mut world = world();
    let first = world.member.request("saw", None);
    let second = world.member.release("saw", first.id());
    assert_eq!(world.verdict(&second), Err(FactReject::FollowsUnknown));
    world.ledger.arrive(&[first]);
    assert_eq!(world.verdict(&second), Err(FactReject::FollowsUnknown));
}

#[test]
fn a_custody_fact_that_follows_an_old_one_is_superseded() {
    let mut world = world();
    let first = world.member.request("saw", None);
    let release = world.member.release("saw", first.id());
    let again = world.root.request("saw", Some(release.id()));
    world.seal(&[&first, &release, &again]);
    let (item, holder) = ("saw".into(), Some(world.root.id()));
    let superseded = Err(FactReject::Superseded { item, holder });
    // A late release cannot end a later hold; a request that knows of nobody comes too late.
    let late = world.root.release("saw", first.id());
    assert_eq!(world.verdict(&late), superseded);
    assert_eq!(world.verdict(&world.member.request("saw", None)), superseded);
}

#[test]
fn a_custody_fact_that_follows_a_conflict_is_superseded() {
    let mut world = world();
    let lost = world.member.request("saw", None);
    world.ledger.arrive(core::slice::from_ref(&lost));
    assert!(mark(&mut world.ledger, lost.id(), FactReject::NotAdmin));
    let verdict = world.verdict(&world.member.release("saw", lost.id()));
    let (item, holder) = ("saw".into(), None);
    assert_eq!(verdict, Err(FactReject::Superseded { item, holder }));
}

#[test]
fn a_held_item_is_not_given_again() {
    let mut world = world();
    let first = world.member.request("saw", None);
    world.seal(&[&first]);
    let verdict = world.verdict(&world.root.request("saw", Some(first.id())));
    let (item, holder) = ("saw".into(), world.member.id());
    assert_eq!(verdict, Err(FactReject::Held { item, holder }));
}

#[test]
fn a_free_item_is_neither_released_nor_handed_over() {
    let mut world = world();
    let first = world.member.request("saw", None);
    let release = world.member.release("saw", first.id());
    world.seal(&[&first, &release]);
    let free = Err(FactReject::Free { item: "saw".into() });
    let again = world.member.release("saw", release.id());
    let transfer = world.member.transfer("saw", release.id(), world.root.id());
    assert_eq!(world.verdict(&again), free);
    assert_eq!(world.verdict(&transfer), free);
}

#[test]
fn only_the_holder_hands_over_and_releases_where_the_rules_say_so() {
    for (release, any_member) in [(ReleaseRule::Member, true), (ReleaseRule::Holder, false)] {
        let mut world = World::new(release);
        let first = world.member.request("saw", None);
        world.seal(&[&first]);
        let (item, holder) = ("saw".into(), world.member.id());
        let not_holder = Err(FactReject::NotHolder { item, holder });
        let released = world.verdict(&world.root.release("saw", first.id()));
        assert_eq!(released, if any_member { Ok(()) } else { not_holder.clone() });
        let transfer = world.root.transfer("saw", first.id(), world.root.id());
        assert_eq!(world.verdict(&transfer), not_holder);
        assert_eq!(world.verdict(&world.member.release("saw", first.id())), Ok(()));
    }
}

#[test]
fn an_item_is_handed_to_members_who_may_hold_it() {
    let mut world = world();
    let first = world.member.request("saw", None);
    world.seal(&[&first]);
    let to = |node: &TestNode| world.verdict(&world.member.transfer("saw", first.id(), node.id()));
    assert_eq!(to(&world.root), Ok(()));
    for node in [&world.stranger, &world.reader] {
        assert_eq!(to(node), Err(FactReject::ReceiverNotMember(node.id())));
    }
}

#[test]
fn only_admins_invite_and_admit() {
    let world = world();
    let node = world.stranger.id();
    let invite = |author: &TestNode| world.verdict(&author.invite(node, Role::Member, 1, 9));
    assert_eq!(invite(&world.root), Ok(()));
    assert_eq!(invite(&world.member), Err(FactReject::NotAdmin));
    assert_eq!(invite(&world.stranger), Err(FactReject::NotMember));
    let admit = world.verdict(&world.member.admit(node, Role::Member));
    assert_eq!(admit, Err(FactReject::NotAdmin));
}

#[test]
fn an_invite_key_is_used_once() {
    let mut world = world();
    let invite = world.root.invite(world.key.id(), Role::Member, 1, 200);
    world.seal(&[&invite]);
    let other = world.root.invite(world.key.id(), Role::Sealer, 2, 300);
    assert_eq!(world.verdict(&other), Err(FactReject::InviteExists));
}

#[test]
fn an_admission_waits_for_its_invite() {
    let world = world();
    let verdict = world.verdict(&world.key.admit(world.stranger.id(), Role::Member));
    assert_eq!(verdict, Err(FactReject::InviteUnknown));
}

#[test]
fn an_invite_admits_in_its_role_until_it_expires_or_is_spent() {
    let mut world = world();
    let invite = world.root.invite(world.key.id(), Role::Member, 1, 200);
    world.seal(&[&invite]);
    let admit = world.key.admit(world.stranger.id(), Role::Member);
    assert_eq!(world.verdict_at(200, &admit), Ok(()));
    let expired = Err(FactReject::InviteExpired(UnixTime(200)));
    assert_eq!(world.verdict_at(201, &admit), expired);
    let higher = world.key.admit(world.stranger.id(), Role::Sealer);
    assert_eq!(world.verdict(&higher), Err(FactReject::InviteRole));
    world.seal(&[&admit]);
    let second = world.key.admit(TestNode::new(9, world.key.mesh).id(), Role::Member);
    assert_eq!(world.verdict(&second), Err(FactReject::InviteSpent));
}

#[test]
fn a_member_is_not_admitted_again() {
    let world = world();
    let node = world.reader.id();
    let verdict = world.verdict(&world.root.admit(node, Role::Member));
    assert_eq!(verdict, Err(FactReject::AlreadyMember(node)));
}

#[test]
fn there_are_only_so_many_sealers() {
    let mut world = world();
    let node = world.stranger.id();
    let mut many: Vec<_> = (0..SEALERS_MAX as u64)
        .map(|n| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_le_bytes());
            crate::id::NodeId(id)
        })
        .collect();
    many.sort_unstable();
    let root = world.ledger.tip().header.sealers_root;
    let mut batch = Batch::new();
    batch.put(Table::Sealers, root.as_bytes(), &crate::codec::encode(&many));
    world.ledger.store.apply(&batch);
    let verdict = world.verdict(&world.root.admit(node, Role::Sealer));
    assert_eq!(verdict, Err(FactReject::TooManySealers));
    assert_eq!(world.verdict(&world.root.admit(node, Role::Member)), Ok(()));
}
