//! The same facts, headers and bodies make the same state in every order of arrival.

use proptest::prelude::*;

use super::*;
use crate::fact::Role;
use crate::id::FactId;
use crate::ledger::rows::FactState;
use crate::store::Table;
use crate::work::Height;

/// Two branches over one history, and facts that no block seals.
struct Scene {
    params: Params,
    branches: [TestChain; 2],
    facts: Vec<Verified<EncodedFact>>,
}

fn scene() -> Scene {
    let ([a, b, c, _], params) = founders();
    let mesh = crate::block::mesh_id(&params);
    let invite = TestNode::new(40, mesh);
    let newcomer = TestNode::new(41, mesh);
    let facts = alloc::vec![
        a.record("note", "first"),
        a.invite(invite.id(), Role::Member, 1, u64::MAX),
        invite.admit(newcomer.id(), Role::Member),
        newcomer.record("note", "by one who was let in"),
        b.request("drill", None),
        c.request("drill", None),
        b.record("note", "never sealed"),
        newcomer.request("saw", None),
    ];
    let ids: Vec<FactId> = facts.iter().map(|fact| fact.id()).collect();
    let mut trunk = TestChain::new(params.clone());
    trunk.add(&facts);
    trunk.seal(&a.key, &ids[..1]);
    let (mut left, mut right) = (trunk.clone(), trunk);
    left.seal(&b.key, &[ids[1], ids[2], ids[4]]);
    right.seal(&c.key, &[ids[5]]);
    right.seal(&a.key, &[ids[1], ids[2]]);
    right.seal(&b.key, &[ids[3]]);
    Scene { params, branches: [left, right], facts }
}

#[derive(Debug, Clone)]
enum Step {
    Fact(usize),
    Announce(usize),
    Answer(usize),
    Settle,
}

fn take(sole: &mut Sole, scene: &Scene, step: &Step) {
    match step {
        Step::Fact(n) => sole.publish(scene.facts[*n].clone()),
        Step::Announce(n) => {
            let branch = &scene.branches[*n];
            sole.announce(*n as u64 + 1, &Announce::Block(branch.tip()));
        }
        Step::Answer(n) if !sole.asked.is_empty() => {
            let at = n % sole.asked.len();
            let (conn, tag, class, bytes) = sole.asked.remove(at);
            let answer = scene.branches[conn.0 as usize - 1].answer(class, &bytes).unwrap();
            sole.conn(conn.0, ConnInput::Answer { tag, bytes: &answer });
        }
        Step::Answer(_) => {}
        Step::Settle => sole.settle(),
    }
}

/// Everything that the order of arrival must not show in.
type Seen = (Tip, SetSummary, Vec<Vec<crate::store::Row>>, BTreeMap<FactId, FactState>);

fn seen(sole: &Sole, scene: &Scene) -> Seen {
    let tables = [Table::Chain, Table::History, Table::Item, Table::Member, Table::Invite];
    let all = |table| sole.store.scan(table, &[], &[0xff; 64], usize::MAX).unwrap();
    let rows = tables.into_iter().map(all).collect();
    let state = |fact: &Verified<EncodedFact>| {
        let state = sole.store.fact_row(&fact.id()).unwrap().unwrap().state;
        // At which height a conflict was noticed is each node's own affair.
        let state = match state {
            FactState::Conflict(_, reject) => FactState::Conflict(Height(0), reject),
            other => other,
        };
        (fact.id(), state)
    };
    let states = scene.facts.iter().map(state).collect();
    (sole.tip(), sole.engine.status().facts, rows, states)
}

fn run(scene: &Scene, steps: &[Step]) -> Seen {
    let ([_, _, _, d], _) = founders();
    let mut sole = Sole::new(&scene.params, d.key.clone(), Limits::default(), false);
    let peers = founders().0;
    let empty = TestChain::new(scene.params.clone());
    sole.join(1, peers[0].id(), &empty);
    sole.join(2, peers[1].id(), &empty);
    for step in steps {
        take(&mut sole, scene, step);
    }
    // In the end everybody has said everything.
    for branch in [0, 1] {
        take(&mut sole, scene, &Step::Announce(branch));
    }
    for n in 0..scene.facts.len() {
        take(&mut sole, scene, &Step::Fact(n));
    }
    for _ in 0..20 {
        sole.serve(1, &scene.branches[0]);
        sole.serve(2, &scene.branches[1]);
        sole.pass(1_000);
    }
    assert!(sole.closed().is_empty(), "{:?}", sole.closed());
    seen(&sole, scene)
}

fn step(facts: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..facts).prop_map(Step::Fact),
        1 => (0usize..2).prop_map(Step::Announce),
        6 => any::<usize>().prop_map(Step::Answer),
        2 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(crate::testing::cases(64))]

    #[test]
    fn every_order_of_arrival_gives_the_same_state(
        steps in proptest::collection::vec(step(8), 0..60),
    ) {
        let scene = scene();
        let expected = run(&scene, &[]);
        prop_assert_eq!(expected.0.id, scene.branches[1].last(), "the heavier branch");
        prop_assert_eq!(run(&scene, &steps), expected);
    }
}
