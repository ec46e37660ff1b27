//! One test for each rule about revocations and names, in the chain and ahead of it.

use super::*;
use crate::fact::Fact;
use crate::id::NodeId;
use crate::ledger::arrival::Arrived;
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::ledger::reject::BlockReject;
use crate::ledger::rows::{FOR_GOOD, FactState};
use crate::ledger::state::State;
use crate::merkle;
use crate::params::Admission;
use crate::store::Table;
use crate::time::UnixTime;

fn world() -> World {
    World::new(ReleaseRule::Member)
}

/// The verdict on a fact that no block seals yet, as revocations in the set have it.
pub(super) fn ahead(world: &World, fact: &EncodedFact) -> Result<(), FactReject> {
    let tip = world.ledger.tip();
    let mut state = State::ahead(&world.ledger.params, &tip.header, UnixTime(100));
    let said: Fact<'_> = fact.fact();
    state.load(&world.ledger.store, &said).unwrap();
    state.judge(fact.id(), &said).map(|_| ())
}

#[test]
fn in_an_open_mesh_the_revoked_write_and_hold_on_whatever_else_is_judged_with_them() {
    let mut world = world();
    world.ledger.params.admission = Admission::Open;
    let revoke = world.root.revoke(world.member.id());
    let drill = world.root.request("drill", None);
    world.seal(&[&revoke, &drill]);
    let tip = world.ledger.tip();
    let mut state = State::ahead(&world.ledger.params, &tip.header, UnixTime(100));
    let mut judge = |fact: &EncodedFact| {
        let said: Fact<'_> = fact.fact();
        state.load(&world.ledger.store, &said).unwrap();
        state.judge(fact.id(), &said).map(|_| ())
    };
    // It loads the row of its author; and is judged again should the revocation be undone.
    let named = world.member.rename(world.member.id(), "x");
    assert_eq!(judge(&named), Err(FactReject::Deposed));
    assert_eq!(judge(&world.member.record("t", "x")), Ok(()));
    assert_eq!(judge(&world.member.request("saw", None)), Ok(()));
    assert_eq!(judge(&world.root.transfer("drill", drill.id(), world.member.id())), Ok(()));
}

fn admin(world: &mut World) -> TestNode {
    let admin = TestNode::new(7, world.root.mesh);
    let admit = world.root.admit(admin.id(), Role::Admin);
    world.seal(&[&admit]);
    admin
}

pub(super) fn sealers(world: &World) -> Vec<NodeId> {
    let root = world.ledger.tip().header.sealers_root;
    world.ledger.store.sealers(&root).unwrap().unwrap()
}

#[test]
fn admins_revoke_anybody_and_others_only_themselves() {
    let world = world();
    let (member, reader) = (&world.member, &world.reader);
    assert_eq!(world.verdict(&world.root.revoke(member.id())), Ok(()));
    assert_eq!(world.verdict(&member.revoke(member.id())), Ok(()));
    assert_eq!(world.verdict(&reader.revoke(reader.id())), Ok(()));
    assert_eq!(world.verdict(&member.revoke(reader.id())), Err(FactReject::NotAdmin));
    let stranger = world.verdict(&world.stranger.revoke(world.stranger.id()));
    assert_eq!(stranger, Err(FactReject::NotMember));
}

#[test]
fn whoever_is_revoked_says_nothing_any_more_and_keeps_what_was_sealed() {
    let mut world = world();
    let before = world.member.record("t", "before");
    world.seal(&[&before]);
    let revoke = world.root.revoke(world.member.id());
    world.seal(&[&revoke]);
    let row = world.ledger.store.member(&world.member.id()).unwrap().unwrap();
    assert_eq!(row.revoked.unwrap().since, world.ledger.tip().header.height);
    let state = world.ledger.store.fact_row(&before.id()).unwrap().unwrap().state;
    assert!(matches!(state, FactState::Sealed(..)));
    let said = world.member.record("t", "after");
    assert_eq!(world.verdict(&said), Err(FactReject::Revoked));
    let revokes = world.member.revoke(world.reader.id());
    assert_eq!(world.verdict(&revokes), Err(FactReject::Deposed));
    let held = world.root.transfer("saw", before.id(), world.member.id());
    assert!(world.verdict(&held).is_err());
}

#[test]
fn a_revoked_key_never_returns() {
    let mut world = world();
    let (member, key, node) = (world.member.id(), world.key.id(), world.stranger.id());
    // A key that nobody knows yet as well: the admission may be on its way.
    let facts = [member, key, node].map(|id| world.root.revoke(id));
    world.seal(&facts.iter().collect::<Vec<_>>());
    for id in [member, key, node] {
        let refused = Err(FactReject::AlreadyRevoked(id));
        assert_eq!(world.verdict(&world.root.admit(id, Role::Member)), refused);
        assert_eq!(world.verdict(&world.root.invite(id, Role::Member, 1, 900)), refused);
        assert_eq!(world.verdict(&world.root.rename(id, "x")), refused);
        assert_eq!(world.verdict(&world.reader.revoke(world.reader.id())), Ok(()));
        let again = TestNode { mesh: world.root.mesh, ..world.root.clone() };
        assert_eq!(world.verdict(&again.fact(5, crate::fact::Body::Revoke { node: id })), refused);
    }
}

#[test]
fn an_invite_that_was_taken_back_admits_nobody() {
    let mut world = world();
    let invite = world.root.invite(world.key.id(), Role::Member, 5, 900);
    world.seal(&[&invite]);
    let admit = world.key.admit(world.stranger.id(), Role::Member);
    assert_eq!(world.verdict(&admit), Ok(()));
    let back = world.root.revoke(world.key.id());
    world.seal(&[&back]);
    assert_eq!(world.verdict(&admit), Err(FactReject::Deposed));
}

#[test]
fn the_invites_of_a_revoked_admin_are_void() {
    let mut world = world();
    let admin = admin(&mut world);
    let invite = admin.invite(world.key.id(), Role::Member, 5, 900);
    world.seal(&[&invite]);
    let admit = world.key.admit(world.stranger.id(), Role::Member);
    assert_eq!(world.verdict(&admit), Ok(()));
    let revoke = world.root.revoke(admin.id());
    world.ledger.arrive(core::slice::from_ref(&revoke));
    assert_eq!(world.verdict(&admit), Ok(()), "the chain does not know yet");
    assert_eq!(ahead(&world, &admit), Err(FactReject::InviteVoid));
    world.seal(&[&revoke]);
    assert_eq!(world.verdict(&admit), Err(FactReject::InviteVoid));
}

#[test]
fn a_revoked_sealer_leaves_the_next_sealers() {
    let mut world = world();
    let admin = admin(&mut world);
    let mut both = alloc::vec![world.root.id(), admin.id()];
    both.sort_unstable();
    assert_eq!(sealers(&world), both);
    let revoke = world.root.revoke(admin.id());
    world.ledger.arrive(core::slice::from_ref(&revoke));
    let mut wrong = world.ledger.block(&[revoke.id()], None);
    assert_eq!(wrong.header.sealers_root, merkle::root([world.root.id()]));
    world.ledger.connect(&wrong.clone()).unwrap();
    assert_eq!(sealers(&world), [world.root.id()]);
    world.ledger.disconnect();
    wrong.header.sealers_root = merkle::root(&both);
    assert_eq!(world.ledger.judge(&wrong), Err(BlockReject::SealersRoot));
}

#[test]
fn the_last_sealer_stays_in_the_chain() {
    let mut world = world();
    let leave = world.root.revoke(world.root.id());
    assert_eq!(world.verdict(&leave), Err(FactReject::LastSealer));
    admin(&mut world);
    assert_eq!(world.verdict(&leave), Ok(()));
}

#[test]
fn of_two_admins_who_revoke_each_other_the_chain_keeps_one_and_the_set_none() {
    for root_first in [true, false] {
        let mut world = world();
        let admin = admin(&mut world);
        let [by_root, by_admin] = [world.root.revoke(admin.id()), admin.revoke(world.root.id())];
        let (_, risen) = world.ledger.arrive(&[by_root.clone(), by_admin.clone()]);
        assert!(risen.is_empty());
        // Ahead of the chain both count, and both may still be sealed: order decides.
        for node in [&world.root, &admin] {
            assert!(world.ledger.store.revoked(&node.id()).unwrap().is_some());
            assert_eq!(ahead(&world, &node.record("t", "x")), Err(FactReject::Revoked));
        }
        assert_eq!(ahead(&world, &by_root), Ok(()));
        assert_eq!(ahead(&world, &by_admin), Ok(()));
        let (first, second) =
            if root_first { (&by_root, &by_admin) } else { (&by_admin, &by_root) };
        world.seal(&[first]);
        assert_eq!(ahead(&world, second), Err(FactReject::Deposed));
        let in_force = |node: &TestNode| {
            line::standing(&world.ledger.store, &node.id()) == Ok(Standing::Member)
        };
        assert_eq!((in_force(&world.root), in_force(&admin)), (root_first, !root_first));
    }
}

#[test]
fn a_revocation_counts_ahead_of_the_chain_for_what_is_not_sealed() {
    let mut world = world();
    let said = world.member.record("t", "x");
    let take = world.member.request("saw", None);
    let admit = world.root.admit(world.stranger.id(), Role::Member);
    let revokes = [world.member.id(), world.stranger.id()].map(|id| world.root.revoke(id));
    world.ledger.arrive(&[said.clone(), take.clone(), admit.clone()]);
    world.ledger.arrive(&revokes);
    for fact in [&said, &take] {
        assert_eq!(ahead(&world, fact), Err(FactReject::Revoked));
        assert_eq!(world.verdict(fact), Ok(()), "blocks of others may name it");
    }
    let gone = FactReject::AlreadyRevoked(world.stranger.id());
    assert_eq!(ahead(&world, &admit), Err(gone));
    assert_eq!(ahead(&world, &revokes[0]), Ok(()));
}

#[test]
fn facts_of_a_revoked_author_come_in_only_for_a_block() {
    let mut world = world();
    let revoke = world.root.revoke(world.member.id());
    world.ledger.arrive(core::slice::from_ref(&revoke));
    let late = world.member.record("t", "late");
    let gone = Arrived::Revoked(world.member.id());
    assert_eq!(world.ledger.arrive(core::slice::from_ref(&late)).0, [gone]);
    assert_eq!(world.ledger.store.fact_row(&late.id()).unwrap(), None);
    // What changes who may bring in what is in every set, or sets would differ for good.
    let leave = world.member.revoke(world.member.id());
    assert!(matches!(world.ledger.arrive(&[leave]).0[..], [Arrived::Entered(_)]));
    let mut arrival =
        crate::ledger::arrival::Arrival::new(&world.ledger.params, &world.ledger.store).unwrap();
    assert!(matches!(arrival.add_named(&late).unwrap(), Arrived::Entered(_)));
}

#[test]
fn a_fact_out_of_the_set_is_not_reopened_by_a_reorg_and_can_be_sealed() {
    let mut world = world();
    let [said, lost] = ["a", "b"].map(|text| world.member.record("t", text));
    let revoke = world.root.revoke(world.member.id());
    world.ledger.arrive(&[said.clone(), lost.clone(), revoke.clone()]);
    world.seal(&[&world.root.clone().record("t", "c")]);
    assert!(mark(&mut world.ledger, said.id(), FactReject::Revoked));
    assert!(mark(&mut world.ledger, lost.id(), FactReject::NotAdmin));
    assert!(mark(&mut world.ledger, lost.id(), FactReject::Revoked), "a better reason");
    assert!(!mark(&mut world.ledger, lost.id(), FactReject::Revoked));
    let mut overlay = Overlay::new(&world.ledger.store);
    let taken = crate::ledger::delta::take_back_conflict(&mut overlay, &said.id());
    assert_eq!((taken, overlay.is_empty()), (Ok(false), true), "nor by what it follows");
    drop(overlay);
    let conflicts = |world: &World| world.ledger.store.tip_row().unwrap().unwrap().conflict;
    assert_eq!(conflicts(&world), 2);
    assert_eq!(world.ledger.store.len(Table::Conflict), 2);
    let back = world.ledger.disconnect();
    assert!(back.reopened.is_empty());
    let state = |world: &World, id| world.ledger.store.fact_row(&id).unwrap().unwrap().state;
    assert_eq!(state(&world, said.id()), FactState::Conflict(FOR_GOOD, FactReject::Revoked));
    let effects = world.seal(&[&said]);
    assert!(effects.facts[0].before.is_outside());
    assert_eq!(conflicts(&world), 1);
    world.ledger.disconnect();
    assert_eq!(state(&world, said.id()), FactState::Pending);
}

#[test]
fn members_name_themselves_and_admins_name_anybody() {
    let mut world = world();
    let (member, reader) = (&world.member, &world.reader);
    let own = member.rename(member.id(), "attic");
    assert_eq!(world.verdict(&own), Ok(()));
    assert_eq!(world.verdict(&world.root.rename(reader.id(), "shed")), Ok(()));
    assert_eq!(world.verdict(&member.rename(reader.id(), "x")), Err(FactReject::NotAdmin));
    assert_eq!(world.verdict(&reader.rename(reader.id(), "x")), Err(FactReject::Reader));
    let stranger = world.stranger.id();
    let nobody = world.verdict(&world.root.rename(stranger, "x")).unwrap_err();
    assert_eq!(nobody, FactReject::NoSuchMember(stranger));
    assert!(nobody.may_pass());
    world.seal(&[&own]);
    let name =
        |world: &World| world.ledger.store.member(&world.member.id()).unwrap().map(|row| row.name);
    assert_eq!(name(&world).as_deref(), Some("attic"));
    world.ledger.disconnect();
    assert_eq!(name(&world).as_deref(), Some("someone"));
}
