//! One test for each rule about memberships that are lent.

use super::revoke::{ahead, sealers};
use super::*;
use crate::fact::Body;
use crate::id::NodeId;
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::ledger::reject::BlockReject;
use crate::merkle;
use crate::params::SealRule;
use crate::testing::MemStore;
use crate::work::Height;

fn world() -> World {
    World::new(ReleaseRule::Holder)
}

fn height(world: &World) -> u64 {
    world.ledger.tip().header.height.0
}

/// So many blocks that say nothing of interest.
fn pass(world: &mut World, blocks: u64) {
    for _ in 0..blocks {
        let said = world.root.record("t", &alloc::format!("at {}", height(world)));
        world.seal(&[&said]);
    }
}

/// Lends a membership for so many blocks after the one that says so. Returns its end.
fn lend(world: &mut World, node: &TestNode, blocks: u64) -> Height {
    let until = height(world) + 2 + blocks;
    let lease = world.root.lease(node.id(), Some(until));
    world.seal(&[&lease]);
    Height(until)
}

fn renew(world: &mut World, node: &TestNode, until: Option<u64>) {
    let lease = world.root.lease(node.id(), until);
    world.seal(&[&lease]);
}

fn standing(world: &World, node: &TestNode) -> Standing {
    line::standing(&world.ledger.store, &node.id()).unwrap()
}

fn sealer(world: &mut World, number: u64) -> TestNode {
    let sealer = TestNode::new(number, world.root.mesh);
    let admit = world.root.admit(sealer.id(), Role::Sealer);
    world.seal(&[&admit]);
    sealer
}

fn sorted(nodes: &[&TestNode]) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = nodes.iter().map(|node| node.id()).collect();
    ids.sort_unstable();
    ids
}

fn rows(store: &MemStore) -> MemStore {
    super::reorg::without_stale(store)
}

#[test]
fn a_membership_counts_below_its_height_and_not_from_there_on() {
    let mut world = world();
    let member = world.member.clone();
    let take = member.request("saw", None);
    world.seal(&[&take]);
    let until = lend(&mut world, &member, 2);
    assert_eq!(line::lease(&world.ledger.store, &member.id()), Ok(Some(until)));
    for _ in 0..2 {
        assert_eq!(world.verdict(&member.record("t", "x")), Ok(()));
        assert_eq!(standing(&world, &member), Standing::Member);
        pass(&mut world, 1);
    }
    assert_eq!(height(&world) + 1, until.0);
    let lapsed = Err(FactReject::Lapsed(until));
    assert_eq!(world.verdict(&member.record("t", "x")), lapsed);
    assert_eq!(ahead(&world, &member.record("t", "x")), lapsed);
    assert_eq!(world.verdict(&member.rename(member.id(), "x")), lapsed);
    assert_eq!(world.verdict(&member.rotate(&world.stranger, Role::Member)), lapsed);
    assert_eq!(standing(&world, &member), Standing::Lapsed(until));
    // What it holds stays its own.
    assert_eq!(world.verdict(&member.release("saw", take.id())), lapsed);
    let other = world.root.release("saw", take.id());
    assert!(matches!(world.verdict(&other), Err(FactReject::NotHolder { .. })));
    world.ledger.disconnect();
    assert_eq!(world.verdict(&member.record("t", "x")), Ok(()));
}

#[test]
fn who_is_renewed_is_back_with_the_same_key_at_once() {
    for (after_lapse, until) in [(false, None), (true, None), (true, Some(90))] {
        let mut world = world();
        let member = world.member.clone();
        let over = lend(&mut world, &member, 1);
        pass(&mut world, u64::from(after_lapse) * 3);
        let (lease, said) = (world.root.lease(member.id(), until), member.record("t", "back"));
        world.ledger.arrive(&[lease.clone(), said.clone()]);
        let before = rows(&world.ledger.store);
        // In the very block that renews it.
        let effects = world.seal(&[&lease, &said]);
        assert!(effects.changes.moves_an_end());
        assert_eq!(effects.changes.renewed().next(), Some((member.id(), over)));
        let after = rows(&world.ledger.store);
        world.ledger.disconnect();
        assert!(rows(&world.ledger.store) == before, "taken back exactly");
        world.seal(&[&lease, &said]);
        assert!(rows(&world.ledger.store) == after);
        assert_eq!(standing(&world, &member), Standing::Member);
        pass(&mut world, 3);
        assert_eq!(world.verdict(&member.record("t", "y")), Ok(()));
        (0..3).for_each(|_| drop(world.ledger.disconnect()));
        world.ledger.disconnect();
        assert_eq!(matches!(standing(&world, &member), Standing::Lapsed(_)), after_lapse);
    }
}

#[test]
fn a_later_lease_may_be_shorter() {
    let mut world = world();
    let member = world.member.clone();
    lend(&mut world, &member, 50);
    let until = lend(&mut world, &member, 0);
    assert_eq!(world.verdict(&member.record("t", "x")), Err(FactReject::Lapsed(until)));
}

#[test]
fn what_a_lease_may_not_say() {
    let mut world = world();
    let (root, member, stranger) =
        (world.root.clone(), world.member.clone(), world.stranger.clone());
    let next = height(&world) + 1;
    let cases = [
        (member.lease(world.reader.id(), Some(90)), FactReject::NotAdmin),
        (member.lease(member.id(), None), FactReject::NotAdmin),
        (stranger.lease(member.id(), None), FactReject::NotMember),
        (root.lease(stranger.id(), Some(90)), FactReject::NoSuchMember(stranger.id())),
        (root.lease(root.id(), Some(90)), FactReject::LeaseAdmin(root.id())),
        (root.lease(member.id(), Some(next)), FactReject::LeaseOver(Height(next))),
        (root.lease(member.id(), Some(0)), FactReject::LeaseOver(Height(0))),
    ];
    for (fact, reject) in cases {
        assert_eq!(world.verdict(&fact), Err(reject));
    }
    assert_eq!(world.verdict(&root.lease(member.id(), Some(next + 1))), Ok(()));
    assert_eq!(world.verdict(&root.lease(world.reader.id(), None)), Ok(()));
    let revoke = root.revoke(member.id());
    world.seal(&[&revoke]);
    let reject = Err(FactReject::AlreadyRevoked(member.id()));
    assert_eq!(world.verdict(&root.lease(member.id(), None)), reject);
    assert_eq!(ahead(&world, &root.lease(member.id(), None)), reject);
}

#[test]
fn whose_lease_is_over_may_be_revoked_and_may_leave() {
    let mut world = world();
    let member = world.member.clone();
    lend(&mut world, &member, 0);
    assert!(matches!(standing(&world, &member), Standing::Lapsed(_)));
    let other = member.revoke(world.reader.id());
    assert_eq!(world.verdict(&other), Err(FactReject::NotAdmin));
    for by in [&world.root, &member] {
        assert_eq!(world.verdict(&by.revoke(member.id())), Ok(()));
    }
    let leave = member.revoke(member.id());
    world.seal(&[&leave]);
    assert_eq!(standing(&world, &member), Standing::Revoked);
}

#[test]
fn nothing_is_handed_to_whose_lease_is_over() {
    let mut world = world();
    let (root, member) = (world.root.clone(), world.member.clone());
    let take = root.request("saw", None);
    world.seal(&[&take]);
    lend(&mut world, &member, 0);
    let give = root.transfer("saw", take.id(), member.id());
    assert_eq!(world.verdict(&give), Err(FactReject::ReceiverNotMember(member.id())));
    renew(&mut world, &member, None);
    assert_eq!(world.verdict(&give), Ok(()));
}

#[test]
fn the_next_key_of_a_node_has_its_lease() {
    let mut world = world();
    let (old, new) = (world.member.clone(), world.stranger.clone());
    let until = lend(&mut world, &old, 4);
    let rotate = old.rotate(&new, Role::Member);
    world.seal(&[&rotate]);
    let reject = Err(FactReject::Replaced(old.id()));
    assert_eq!(world.verdict(&world.root.lease(old.id(), None)), reject);
    assert_eq!(line::lease(&world.ledger.store, &new.id()), Ok(Some(until)));
    pass(&mut world, 3);
    assert_eq!(standing(&world, &new), Standing::Lapsed(until));
    assert_eq!(world.verdict(&new.record("t", "x")), Err(FactReject::Lapsed(until)));
    renew(&mut world, &new, Some(90));
    assert_eq!(world.verdict(&new.record("t", "x")), Ok(()));
    assert_eq!(line::lease(&world.ledger.store, &old.id()), Ok(Some(Height(90))));
    world.ledger.disconnect();
    assert_eq!(standing(&world, &new), Standing::Lapsed(until));
}

#[test]
fn a_sealers_seat_ends_with_the_last_block_that_it_counts_for_and_comes_back() {
    let mut world = world();
    let (root, sealer) = (world.root.clone(), sealer(&mut world, 8));
    let both = sorted(&[&root, &sealer]);
    lend(&mut world, &sealer, 2);
    pass(&mut world, 1);
    assert_eq!(sealers(&world), both);
    // The header of that block has to say so.
    let said = root.record("t", "last");
    world.ledger.arrive(core::slice::from_ref(&said));
    let good = world.ledger.block(&[said.id()], None);
    let mut bad = good.clone();
    bad.header.sealers_root = merkle::root(&both);
    assert_eq!(world.ledger.judge(&bad), Err(BlockReject::SealersRoot));
    world.ledger.connect(&good).unwrap();
    assert_eq!(sealers(&world), [root.id()]);
    assert!(matches!(standing(&world, &sealer), Standing::Lapsed(_)));
    renew(&mut world, &sealer, None);
    assert_eq!(sealers(&world), both);
    (0..2).for_each(|_| drop(world.ledger.disconnect()));
    assert_eq!(sealers(&world), both);
    // A renewal in time keeps it.
    renew(&mut world, &sealer, Some(90));
    assert_eq!(sealers(&world), both);
}

#[test]
fn the_last_seats_stay_until_somebody_else_has_one() {
    let mut world = world();
    let (root, one, two) = (world.root.clone(), sealer(&mut world, 8), sealer(&mut world, 9));
    let admin = TestNode::new(7, root.mesh);
    let admit = root.admit(admin.id(), Role::Admin);
    let leases = [&one, &two].map(|node| root.lease(node.id(), Some(height(&world) + 4)));
    world.seal(&[&admit, &leases[0], &leases[1]]);
    let leave = [root.revoke(admin.id()), root.revoke(root.id())];
    world.seal(&[&leave[0], &leave[1]]);
    let said = one.record("t", "the last that counts");
    world.seal(&[&said]);
    let both = sorted(&[&one, &two]);
    for text in ["a", "b"] {
        assert_eq!(sealers(&world), both);
        assert_eq!(standing(&world, &one), Standing::Member);
        let said = one.record("t", text);
        world.seal(&[&said]);
    }
    // Recovery keys make an admin, who has a seat.
    let keys = [recovery_key(0), recovery_key(1)];
    let recover = admin.recover(&[&keys[0], &keys[1]], None, &[root.id()], &[], &[two.id()]);
    world.seal(&[&recover]);
    assert_eq!(sealers(&world), [admin.id()]);
    assert!(matches!(standing(&world, &one), Standing::Lapsed(_)));
    assert!(world.verdict(&one.record("t", "c")).is_err());
    world.ledger.disconnect();
    assert_eq!(sealers(&world), both);
}

#[test]
fn recovery_keys_make_an_admin_of_whose_lease_is_over() {
    let mut world = world();
    let member = world.member.clone();
    lend(&mut world, &member, 0);
    let keys = [recovery_key(0), recovery_key(1)];
    let recover = member.recover(&[&keys[0], &keys[1]], None, &[world.root.id()], &[], &[]);
    world.seal(&[&recover]);
    assert_eq!(standing(&world, &member), Standing::Member);
    assert_eq!(line::lease(&world.ledger.store, &member.id()), Ok(None));
    assert_eq!(sealers(&world), [member.id()]);
    assert_eq!(world.verdict(&member.lease(world.reader.id(), Some(90))), Ok(()));
}

#[test]
fn under_proof_of_work_a_lease_ends_as_well() {
    let mut world = world();
    world.ledger.params.seal = SealRule::Pow { initial: crate::work::Target(0), half_life: 0 };
    let member = world.member.clone();
    let until = lend(&mut world, &member, 0);
    assert_eq!(world.verdict(&member.record("t", "x")), Err(FactReject::Lapsed(until)));
}

#[test]
fn a_lease_names_a_key() {
    let none = Body::Lease { node: NodeId([0xff; 32]), until: None };
    assert_eq!(none.check(), Err(crate::fact::BodyError::Key));
    assert_eq!(none.kind(), "lease");
    assert!(none.is_membership() && !none.is_lasting());
}

#[test]
fn renewing_all_seats_at_once_is_bounded_by_the_number_of_seats() {
    let mut world = world();
    let max = crate::params::SEALERS_MAX as u64;
    let nodes: Vec<TestNode> = (1..max).map(|n| TestNode::new(100 + n, world.root.mesh)).collect();
    let admits: Vec<_> = nodes.iter().map(|n| world.root.admit(n.id(), Role::Sealer)).collect();
    world.seal(&admits.iter().collect::<Vec<_>>());
    let (gone, extra) = (nodes[0].clone(), TestNode::new(99, world.root.mesh));
    lend(&mut world, &gone, 0);
    let admit = world.root.admit(extra.id(), Role::Sealer);
    world.seal(&[&admit]);
    assert_eq!(sealers(&world).len() as u64, max);
    let full = world.verdict(&world.root.lease(gone.id(), None));
    assert_eq!(full, Err(FactReject::TooManySealers));
    assert!(world.ledger.store.member(&gone.id()).unwrap().unwrap().lease.is_some());
}

#[test]
fn who_comes_by_an_invite_that_lends_is_lent_its_membership_from_its_admission_on() {
    let mut world = world();
    let (key, guest) = (world.key.clone(), world.stranger.clone());
    let invite = world.root.invite_guests(key.id(), Role::Sealer, 2);
    let admit = key.admit(guest.id(), Role::Sealer);
    world.seal(&[&invite, &admit]);
    let until = Height(height(&world) + 3);
    assert_eq!(line::lease(&world.ledger.store, &guest.id()), Ok(Some(until)));
    pass(&mut world, 1);
    assert_eq!(world.verdict(&guest.record("t", "x")), Ok(()));
    assert_eq!(sealers(&world), sorted(&[&world.root, &guest]));
    pass(&mut world, 1);
    assert_eq!(world.verdict(&guest.record("t", "x")), Err(FactReject::Lapsed(until)));
    assert_eq!(sealers(&world), [world.root.id()]);
    // Whom an admin admits is lent nothing.
    let by_admin = TestNode::new(9, world.root.mesh);
    let admit = world.root.admit(by_admin.id(), Role::Member);
    world.seal(&[&admit]);
    assert_eq!(line::lease(&world.ledger.store, &by_admin.id()), Ok(None));
}
