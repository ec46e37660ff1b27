//! Entering the set.

use super::*;
use crate::ledger::arrival::Arrived;
use crate::ledger::read::Read;
use crate::ledger::rows::{Known, Seq, half};
use crate::params::Admission;
use crate::store::Table;
use crate::wire::SetSummary;
use proptest::prelude::*;

fn fresh() -> (TestLedger, TestNode, impl Fn(u64) -> TestNode) {
    fresh_in(Admission::Invite)
}

fn fresh_in(admission: Admission) -> (TestLedger, TestNode, impl Fn(u64) -> TestNode) {
    let params = Params { admission, ..rules(ReleaseRule::Member) };
    let mesh = TestLedger::mesh(&params);
    let node = move |number| TestNode::new(number, mesh);
    (TestLedger::new(params), node(0), node)
}

#[test]
fn a_fact_enters_once_and_is_indexed() {
    let (mut ledger, root, _) = fresh();
    let fact = root.record("tools", "a saw");
    let (arrived, _) = ledger.arrive(&[fact.clone(), fact.clone()]);
    assert_eq!(arrived, [Arrived::Entered(Seq(1)), Arrived::Duplicate]);
    assert_eq!(ledger.arrive(core::slice::from_ref(&fact)).0, [Arrived::Duplicate]);
    let store = &ledger.store;
    let set = store.set_row().unwrap();
    assert_eq!((set.summary.count, set.summary.sum), (1, fact.id().0));
    assert_eq!(set.bytes, fact.bytes().len() as u64);
    let (row, stored) = store.fact(&fact.id()).unwrap().unwrap();
    assert_eq!((row.seq, stored), (Seq(1), fact.clone()));
    let author = root.id();
    let content = fact.fact().content_hash();
    for (table, prefix) in [
        (Table::Topic, &b"tools\0"[..]),
        (Table::Author, half(author.as_bytes())),
        (Table::Content, half(content.as_bytes())),
        (Table::Pending, b""),
    ] {
        assert_eq!(store.seqs(table, prefix, Seq(0), 9).unwrap(), [Seq(1)]);
    }
}

#[test]
fn relations_and_custody_are_found_from_both_ends() {
    let (mut ledger, root, _) = fresh();
    let (a, b) = (root.record("t", "a"), root.record("t", "b"));
    let (relation, request) = (root.relate(a.id(), b.id()), root.request("saw", None));
    ledger.arrive(&[relation, request]);
    let store = &ledger.store;
    let from = store.seqs(Table::RelationFrom, a.id().as_bytes(), Seq(0), 9);
    let to = store.seqs(Table::RelationTo, b.id().as_bytes(), Seq(0), 9);
    assert_eq!((from.unwrap(), to.unwrap()), (alloc::vec![Seq(1)], alloc::vec![Seq(1)]));
    assert_eq!(store.item_facts("saw", Seq(0), 9).unwrap(), [Seq(2)]);
}

#[test]
fn a_stranger_waits_until_somebody_admits_it() {
    let (mut ledger, root, node) = fresh();
    let stranger = node(1);
    let fact = stranger.record("t", "x");
    let waits = Arrived::Stranger(stranger.id());
    assert_eq!(ledger.arrive(core::slice::from_ref(&fact)).0, [waits]);
    let admit = root.admit(stranger.id(), Role::Reader);
    // In one batch too: the fact sees the admission before it.
    let (arrived, risen) = ledger.arrive(&[admit, fact]);
    assert_eq!(arrived, [Arrived::Entered(Seq(1)), Arrived::Entered(Seq(2))]);
    assert_eq!(risen, [stranger.id()]);
}

#[test]
fn an_admission_by_who_may_not_admit_waits_until_it_may() {
    for admission in [Admission::Invite, Admission::Open] {
        let (mut ledger, root, node) = fresh_in(admission);
        let (member, other) = (node(1), node(2));
        let admit = member.admit(other.id(), Role::Member);
        ledger.arrive(&[root.admit(member.id(), Role::Member)]);
        let waits = Arrived::Stranger(member.id());
        assert_eq!(ledger.arrive(core::slice::from_ref(&admit)).0, [waits], "{admission:?}");
        let (_, risen) = ledger.arrive(&[root.admit(member.id(), Role::Admin)]);
        assert_eq!(risen, [member.id()]);
        let (arrived, risen) = ledger.arrive(&[admit]);
        assert_eq!(arrived, [Arrived::Entered(Seq(3))]);
        assert_eq!(risen, [other.id()]);
    }
}

#[test]
fn an_invite_lets_its_key_admit_up_to_its_role() {
    let (mut ledger, root, node) = fresh();
    let (key, joiner) = (node(1), node(2));
    let admit = key.admit(joiner.id(), Role::Member);
    let waits = Arrived::Stranger(key.id());
    assert_eq!(ledger.arrive(core::slice::from_ref(&admit)).0, [waits]);
    ledger.arrive(&[root.invite(key.id(), Role::Member, 1, 9)]);
    let higher = key.admit(joiner.id(), Role::Sealer);
    assert_eq!(ledger.arrive(&[higher]).0, [waits]);
    assert_eq!(ledger.arrive(core::slice::from_ref(&admit)).1, [joiner.id()]);
    let known = ledger.store.known(&joiner.id()).unwrap();
    let (role, admit) = (Role::Member, Some(admit.id()));
    assert_eq!(known, Some(Known::Node { role, admit, recovered: false, invite: None }));
}

/// What a key may bring in: as a node, and by invites; and by what it was revoked.
type Powers = (Option<Role>, Option<Role>, Option<FactId>);

fn powers(ledger: &TestLedger, node: &TestNode) -> Powers {
    let revoked = ledger.store.revoked(&node.id()).unwrap();
    match ledger.store.known(&node.id()).unwrap() {
        None => (None, None, revoked),
        Some(Known::Node { role, invite, .. }) => (Some(role), invite, revoked),
        Some(Known::Invite { role, .. }) => (None, Some(role), revoked),
    }
}

/// The set, and what it makes of each key, once all facts were offered again and again in this
/// order.
fn closure(admission: Admission, facts: &[Verified<EncodedFact>]) -> (SetSummary, Vec<Powers>) {
    let (mut ledger, _, node) = fresh_in(admission);
    loop {
        let before = ledger.store.set_row().unwrap();
        for fact in facts {
            ledger.arrive(core::slice::from_ref(fact));
        }
        if ledger.store.set_row().unwrap() == before {
            let powers = (0..4).map(|n| powers(&ledger, &node(n))).collect();
            return (before.summary, powers);
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(96))]
    /// Keys act as nodes, admins and invites at once, so every way to be known is mixed.
    #[test]
    fn the_set_does_not_depend_on_the_order_of_arrival(
        plan in prop::collection::vec((0..6u64, 1..4u64, 0..4u8, 0..8u8), 4..16)
            .prop_flat_map(|plan| (Just(plan.clone()), Just(plan).prop_shuffle())),
        open in any::<bool>(),
    ) {
        let admission = if open { Admission::Open } else { Admission::Invite };
        let (_, _, node) = fresh_in(admission);
        let make = |plan: &[(u64, u64, u8, u8)]| -> Vec<_> {
            plan.iter().map(|(author, subject, role, kind)| {
                // The founder makes half of them.
                let (author, heir) = (node(author.saturating_sub(2)), node(*subject));
                let subject = heir.id();
                let keys = [recovery_key(0), recovery_key(2)];
                let signers = [&keys[0], &keys[1]];
                let roles = [Role::Reader, Role::Member, Role::Sealer, Role::Admin];
                match kind {
                    0 | 1 => author.invite(subject, roles[usize::from(*role).min(2)], 1, 9),
                    2 => author.revoke(subject),
                    6 => author.recover(&signers, None, &[subject], &[], &[]),
                    7 => author.recover(&signers, None, &[subject], &[node(u64::from(*role)).id()], &[]),
                    3 => author.rotate(&heir, roles[usize::from(*role)]),
                    _ => author.admit(subject, roles[usize::from(*role)]),
                }
            }).collect()
        };
        let [one, another] = [plan.0, plan.1].map(|plan| closure(admission, &make(&plan)));
        prop_assert_eq!(one, another);
    }
}
