//! One test for each rule about recoveries, in the chain and in the set.

use super::revoke::{ahead, sealers};
use super::*;
use crate::fact::{Body, verify};
use crate::id::{MeshId, NodeId};
use crate::ledger::arrival::Arrived;
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::verified::Unverified;

/// A world with another admin and a sealer, whom a thief with the founder's key has revoked.
struct Stolen {
    world: World,
    admin: TestNode,
    sealer: TestNode,
}

fn stolen() -> Stolen {
    let mut world = World::new(ReleaseRule::Member);
    let [admin, sealer] = [7, 8].map(|n| TestNode::new(n, world.root.mesh));
    let admits =
        [world.root.admit(admin.id(), Role::Admin), world.root.admit(sealer.id(), Role::Sealer)];
    world.seal(&[&admits[0], &admits[1]]);
    let revokes = [&admin, &sealer, &world.member].map(|node| world.root.revoke(node.id()));
    world.seal(&revokes.iter().collect::<Vec<_>>());
    Stolen { world, admin, sealer }
}

fn standing(world: &World, node: &TestNode) -> Standing {
    line::standing(&world.ledger.store, &node.id()).unwrap()
}

fn cut_off(world: &World, node: &TestNode) -> bool {
    line::cut_off(&world.ledger.store, &node.id()).unwrap().is_some()
}

/// A recovery by two of the three keys: `author` takes over from `ended`.
fn recover(
    author: &TestNode,
    ended: &[&TestNode],
    kept: &[&TestNode],
    seats: &[&TestNode],
) -> Verified<EncodedFact> {
    let ids = |nodes: &[&TestNode]| nodes.iter().map(|node| node.id()).collect::<Vec<NodeId>>();
    let keys = [recovery_key(0), recovery_key(2)];
    author.recover(&[&keys[0], &keys[1]], None, &ids(ended), &ids(kept), &ids(seats))
}

#[test]
fn whom_a_stolen_key_revoked_belongs_again_and_the_key_never_does() {
    let Stolen { mut world, admin, sealer } = stolen();
    for node in [&admin, &sealer] {
        assert_eq!(standing(&world, node), Standing::Revoked);
    }
    assert_eq!(sealers(&world), [world.root.id()]);
    let before = world.ledger.store.clone();
    let fact = recover(&admin, &[&world.root], &[], &[&sealer]);
    assert_eq!(world.verdict(&fact), Ok(()));
    world.seal(&[&fact]);
    for node in [&admin, &sealer, &world.member] {
        assert_eq!(standing(&world, node), Standing::Member);
        assert!(!cut_off(&world, node));
        assert_eq!(world.verdict(&node.record("t", "back")), Ok(()));
        assert_eq!(ahead(&world, &node.record("t", "back")), Ok(()));
    }
    let mut both = alloc::vec![admin.id(), sealer.id()];
    both.sort_unstable();
    assert_eq!(sealers(&world), both);
    let root = &world.root;
    assert_eq!((standing(&world, root), cut_off(&world, root)), (Standing::Revoked, true));
    assert_eq!(world.verdict(&root.record("t", "x")), Err(FactReject::Revoked));
    assert_eq!(world.verdict(&root.revoke(sealer.id())), Err(FactReject::Deposed));
    let newcomer = TestNode::new(9, root.mesh);
    assert_eq!(world.verdict(&admin.admit(newcomer.id(), Role::Member)), Ok(()));
    world.ledger.disconnect();
    assert_eq!(standing(&world, &sealer), Standing::Revoked);
    assert_eq!(sealers(&world), [world.root.id()]);
    for table in [crate::store::Table::Member, crate::store::Table::Undo] {
        let rows = |store: &crate::testing::MemStore| {
            crate::store::View::scan(store, table, &[], &[0xff; 33], usize::MAX).unwrap()
        };
        assert_eq!(rows(&world.ledger.store), rows(&before));
    }
}

#[test]
fn in_the_set_the_order_of_recovery_and_revocation_does_not_matter() {
    for recovery_first in [true, false] {
        let mut world = World::new(ReleaseRule::Member);
        let fact = recover(&world.member, &[&world.root], &[], &[]);
        let late = world.root.revoke(world.reader.id());
        let mut facts = [fact, late];
        if !recovery_first {
            facts.reverse();
        }
        for fact in &facts {
            world.ledger.arrive(core::slice::from_ref(fact));
        }
        assert!(!cut_off(&world, &world.reader));
        assert!(cut_off(&world, &world.root));
        let known = world.ledger.store.known(&world.member.id()).unwrap();
        let admin = crate::ledger::rows::Known::Node {
            role: Role::Admin,
            admit: Some(facts[usize::from(!recovery_first)].id()),
            recovered: true,
            invite: None,
        };
        assert_eq!(known, Some(admin));
    }
}

#[test]
fn a_revocation_that_is_kept_or_that_somebody_else_made_counts() {
    let Stolen { mut world, admin, sealer } = stolen();
    let fact = recover(&admin, &[&world.root], &[&world.member], &[&sealer]);
    world.seal(&[&fact]);
    assert_eq!(standing(&world, &world.member), Standing::Revoked);
    assert!(cut_off(&world, &world.member));
    assert_eq!(standing(&world, &sealer), Standing::Member);
    let revoke = admin.revoke(sealer.id());
    world.seal(&[&revoke]);
    assert_eq!(standing(&world, &sealer), Standing::Revoked);
    assert!(cut_off(&world, &sealer));
    // A further recovery keeps no more than both.
    let again = recover(&admin, &[&world.root], &[], &[]);
    world.seal(&[&again]);
    assert_eq!(standing(&world, &world.member), Standing::Member);
    assert!(!cut_off(&world, &world.member));
}

#[test]
fn it_takes_as_many_keys_of_the_mesh_as_its_rules_say() {
    let Stolen { mut world, admin, .. } = stolen();
    let [a, b, c] = [0, 1, 2].map(recovery_key);
    let ended = [world.root.id()];
    let stray = crate::signature::SigningKey::from_seed([9; 32]);
    for signers in [&[&a][..], &[&a, &stray], &[&a, &a], &[], &[&a, &b, &c]] {
        let fact = admin.recover(signers, None, &ended, &[], &[]);
        assert_eq!(world.verdict(&fact), Err(FactReject::NoQuorum));
        let arrived = world.ledger.arrive(core::slice::from_ref(&fact)).0;
        assert_eq!(arrived, [Arrived::Stranger(admin.id())]);
    }
    for signers in [[&a, &b], [&a, &c], [&b, &c]] {
        assert_eq!(world.verdict(&admin.recover(&signers, None, &ended, &[], &[])), Ok(()));
    }
}

#[test]
fn nobody_else_can_say_what_recovery_keys_signed() {
    let Stolen { world, admin, sealer } = stolen();
    let fact = recover(&admin, &[&world.root], &[], &[&sealer]);
    let mesh = admin.mesh;
    let holds = |mesh: &MeshId, author: &TestNode, body: Body<'_>| {
        let fact = author.in_mesh(*mesh).fact(5, body);
        verify(mesh, Unverified(fact.into_inner())).is_ok()
    };
    let Body::Recover(said) = fact.fact().body else { panic!("a recovery") };
    assert!(holds(&mesh, &admin, Body::Recover(said)), "at any time");
    assert!(!holds(&mesh, &sealer, Body::Recover(said)), "by nobody else");
    assert!(!holds(&MeshId::ZERO, &admin, Body::Recover(said)), "in no other mesh");
    let more = crate::fact::Recover { kept: said.seats, seats: said.kept, ..said };
    assert!(!holds(&mesh, &admin, Body::Recover(more)), "with no other list");
}

#[test]
fn a_stranger_may_take_over_and_neither_the_key_itself_nor_one_that_another_revoked() {
    let Stolen { mut world, admin, sealer } = stolen();
    let own = recover(&world.root, &[&world.root], &[], &[]);
    assert_eq!(world.verdict(&own), Err(FactReject::AlreadyRevoked(world.root.id())));
    let stranger = world.stranger.clone();
    let fact = recover(&stranger, &[&world.root], &[], &[]);
    let (arrived, risen) = world.ledger.arrive(core::slice::from_ref(&fact));
    assert!(matches!(arrived[0], Arrived::Entered(_)));
    assert_eq!(risen, [stranger.id()]);
    world.seal(&[&fact]);
    assert_eq!(sealers(&world), [stranger.id()], "the seats of the others were not asked for");
    let row = world.ledger.store.member(&stranger.id()).unwrap().unwrap();
    assert_eq!((row.role, row.name.as_str()), (Role::Admin, "recovered"));
    let revoke = stranger.revoke(admin.id());
    world.seal(&[&revoke]);
    let late = recover(&admin, &[&world.root], &[], &[]);
    assert_eq!(world.verdict(&late), Err(FactReject::AlreadyRevoked(admin.id())));
    let seat = recover(&stranger, &[&world.root], &[], &[&sealer, &admin]);
    world.seal(&[&seat]);
    let mut both = alloc::vec![stranger.id(), sealer.id()];
    both.sort_unstable();
    assert_eq!(sealers(&world), both);
}

#[test]
fn all_keys_of_a_thief_end() {
    let Stolen { mut world, admin, .. } = stolen();
    let (old, new) = (world.root.clone(), world.stranger.clone());
    let rotate = old.rotate(&new, Role::Admin);
    world.seal(&[&rotate]);
    assert_eq!(sealers(&world), [new.id()]);
    let fact = recover(&admin, &[&old], &[], &[]);
    world.seal(&[&fact]);
    assert_eq!(sealers(&world), [admin.id()]);
    for key in [&old, &new] {
        assert_eq!(standing(&world, key), Standing::Revoked);
        assert!(cut_off(&world, key));
    }
}

#[test]
fn what_lets_a_new_admin_in_does_not_depend_on_the_order_of_its_recoveries() {
    let known = |facts: &[&Verified<EncodedFact>], world: &mut World| {
        for fact in facts {
            world.ledger.arrive(core::slice::from_ref(fact));
        }
        world.ledger.store.known(&world.member.id()).unwrap()
    };
    let mut seen = alloc::vec::Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let mut world = World::new(ReleaseRule::Member);
        let other = TestNode::new(7, world.root.mesh);
        let facts = [
            recover(&world.member, &[&other], &[], &[]),
            recover(&world.member, &[&other], &[&world.reader], &[]),
            world.root.admit(world.member.id(), Role::Admin),
        ];
        seen.push(known(&order.map(|at| &facts[at]), &mut world));
        let least = facts[..2].iter().map(|fact| fact.id()).min();
        assert!(matches!(&seen[0], Some(crate::ledger::rows::Known::Node { admit, .. })
            if *admit == least));
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
}

#[test]
fn whom_a_stolen_key_revoked_before_anybody_admitted_it_is_nobody_and_can_be_admitted() {
    let mut world = World::new(ReleaseRule::Member);
    let stranger = TestNode::new(9, world.root.mesh);
    world.seal(&[&world.root.revoke(stranger.id())]);
    assert_eq!(standing(&world, &stranger), Standing::Revoked);
    let fact = recover(&world.member, &[&world.root], &[], &[]);
    world.seal(&[&fact]);
    assert_eq!(standing(&world, &stranger), Standing::Unknown);
    let name = world.member.rename(stranger.id(), "bo");
    assert_eq!(world.verdict(&name), Err(FactReject::NoSuchMember(stranger.id())));
    let other = TestNode::new(10, world.root.mesh);
    for fact in [stranger.rotate(&other, Role::Reader), stranger.revoke(stranger.id())] {
        assert_eq!(world.verdict(&fact), Err(FactReject::NotMember));
    }
    assert_eq!(world.verdict(&world.reader.rotate(&stranger, Role::Reader)), Ok(()));
    let admit = world.member.admit(stranger.id(), Role::Reader);
    assert_eq!(world.verdict(&admit), Ok(()));
    world.seal(&[&admit]);
    assert_eq!(standing(&world, &stranger), Standing::Member);
}
