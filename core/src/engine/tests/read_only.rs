//! A disk without room to spare: nothing is written, much is still done, and it ends.

use super::*;

/// An engine of a founder whose turn is not the fourth block, and a chain of three blocks that
/// another one holds.
fn behind() -> (Sole, TestChain, TestNode, TestNode) {
    let (mut nodes, params) = founders();
    nodes.sort_by_key(TestNode::id);
    let [_, a, b, _] = nodes;
    let mut chain = TestChain::new(params.clone());
    for n in 0..3 {
        let note = a.record("note", &format!("note {n}"));
        chain.add(core::slice::from_ref(&note));
        chain.seal(&a.key, &[note.id()]);
    }
    let sole = Sole::new(&params, b.key.clone(), Limits::default(), true);
    (sole, chain, a, b)
}

fn commits(sole: &Sole) -> usize {
    sole.out.iter().filter(|output| matches!(output, Output::Commit(..))).count()
}

/// Serves and lets time pass, bounded in steps, so that an engine that spins fails.
fn live(sole: &mut Sole, chain: &TestChain, seconds: u64) {
    for _ in 0..seconds {
        sole.serve(1, chain);
        sole.pass(1_000);
    }
}

#[test]
fn without_room_nothing_is_written_and_with_room_it_catches_up() {
    let (mut sole, chain, a, b) = behind();
    sole.input(Input::ReadOnly(true));
    sole.join(1, a.id(), &chain);
    live(&mut sole, &chain, 100);
    assert_eq!(sole.engine.status().state, State::ReadOnly);
    assert_eq!(
        (sole.tip().height.0, sole.engine.status().target),
        (0, 3),
        "it knows what it lacks"
    );
    sole.publish(b.record("note", "mine"));
    let last = sole.out.iter().rev().find_map(|output| match output {
        Output::Reply(_, result) => Some(result.clone()),
        _ => None,
    });
    assert_eq!(last, Some(Err(Refusal::ReadOnly)));
    assert_eq!(commits(&sole), 0);
    sole.input(Input::ReadOnly(false));
    live(&mut sole, &chain, 10);
    assert_eq!(sole.tip().id, chain.last());
    assert_eq!(sole.engine.status().state, State::Synced);
    assert!(sole.closed().is_empty(), "nobody is to blame");
}

#[test]
fn facts_that_come_when_the_room_has_just_gone_are_asked_for_again() {
    let (mut sole, chain, a, _) = behind();
    sole.join(1, a.id(), &chain);
    while sole.jobs.is_empty() {
        sole.settle_but_jobs();
        let at = sole.asked.iter().position(|(to, ..)| to.0 == 1).unwrap();
        let (_, tag, class, bytes) = sole.asked.remove(at);
        let answer = chain.answer(class, &bytes).unwrap();
        sole.conn(1, ConnInput::Answer { tag, bytes: &answer });
    }
    sole.input(Input::ReadOnly(true));
    let before = commits(&sole);
    sole.settle();
    assert_eq!(commits(&sole), before);
    assert!(sole.engine.status().facts.count < 3);
    sole.input(Input::ReadOnly(false));
    live(&mut sole, &chain, 10);
    assert_eq!(sole.tip().id, chain.last());
}

#[test]
fn whoever_is_revoked_is_cut_off_though_the_room_has_just_gone() {
    let (mut sole, chain, a, b) = behind();
    sole.join(1, a.id(), &chain);
    live(&mut sole, &chain, 5);
    sole.commands += 1;
    let revoke = Command::Publish(alloc::vec![b.revoke(a.id())]);
    sole.input(Input::Command(CommandId(sole.commands), revoke));
    sole.input(Input::ReadOnly(true));
    sole.pass(5_000);
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Revoked));
}

#[test]
fn a_node_without_room_serves_what_it_holds_and_does_not_seal() {
    let (mut sole, chain, a, b) = behind();
    sole.join(1, a.id(), &chain);
    live(&mut sole, &chain, 5);
    sole.publish(b.record("note", "waits to be sealed"));
    sole.input(Input::ReadOnly(true));
    let before = commits(&sole);
    live(&mut sole, &chain, 60);
    assert_eq!((commits(&sole), sole.tip().height.0), (before, 3));
    let locator = alloc::vec![chain.mesh().into()];
    let request = codec::encode(&crate::wire::HeadersRequest { locator, max: 10 });
    let (stream, class) = (StreamTag(1), Class::Headers);
    sole.conn(1, ConnInput::Request { stream, class, bytes: &request });
    let answer = sole.out.iter().rev().find_map(|output| match output {
        Output::Send(_, Frame::Answer { bytes, .. }) => Some(bytes.clone()),
        _ => None,
    });
    let answer: crate::wire::HeadersAnswer =
        codec::decode(&answer.unwrap(), class.answer_bytes_max()).unwrap();
    assert_eq!(answer.headers.len(), 3);
    sole.input(Input::ReadOnly(false));
    sole.pass(30_000);
    assert_eq!(sole.tip().height.0, 4);
}

#[test]
fn a_newcomer_whose_facts_have_no_room_is_sent_elsewhere() {
    let (mut sole, chain, a, _) = behind();
    let newcomer = TestNode::new(99, chain.mesh());
    let mut hello = hello(&TestChain::new(sole.engine.config.params.clone()));
    let admit = a.admit(newcomer.id(), crate::fact::Role::Sealer);
    hello.introduction = alloc::vec![serde_bytes::ByteBuf::from(admit.bytes().to_vec())];
    let arrive = |sole: &mut Sole, conn: u64| sole.join_saying(conn, newcomer.id(), hello.clone());
    sole.input(Input::ReadOnly(true));
    arrive(&mut sole, 7);
    assert_eq!(sole.closed().get(&7), Some(&CloseCode::Full));
    assert_eq!((commits(&sole), sole.engine.status().facts.count), (0, 0));
    sole.input(Input::ReadOnly(false));
    arrive(&mut sole, 8);
    assert_eq!((sole.closed().get(&8), sole.engine.status().facts.count), (None, 1));
}

#[test]
fn an_answer_to_a_reconciliation_that_was_broken_off_is_not_taken_for_one_of_the_next() {
    let (mut sole, chain, a, _) = behind();
    sole.join(1, a.id(), &chain);
    let asked = |sole: &Sole| {
        sole.asked.iter().filter(|(_, _, class, _)| *class == Class::Reconcile).count()
    };
    for _ in 0..60 {
        if asked(&sole) == 1 {
            break;
        }
        sole.pass(100);
    }
    assert_eq!(asked(&sole), 1);
    sole.input(Input::ReadOnly(true));
    sole.input(Input::ReadOnly(false));
    sole.pass(2_000);
    assert_eq!(asked(&sole), 1, "the first is answered before there is another");
    let at = sole.asked.iter().position(|(_, _, class, _)| *class == Class::Reconcile).unwrap();
    let (conn, tag, ..) = sole.asked.remove(at);
    // It makes no sense as an answer to the first question of the next.
    let bytes = codec::encode(&crate::wire::ReconcileAnswer::Ids(Vec::new(), false));
    sole.conn(conn.0, ConnInput::Answer { tag, bytes: &bytes });
    live(&mut sole, &chain, 10);
    assert!(sole.closed().is_empty(), "nobody is to blame");
    assert_eq!(sole.tip().id, chain.last());
}
