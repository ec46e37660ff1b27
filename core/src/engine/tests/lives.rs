//! Beginning, stopping and starting again: what may be said and built on when.

use super::peers::{grow, other, pair};
use super::*;
use crate::id::BlockId;
use crate::wire::{BlocksAnswer, BlocksRequest, HeadersAnswer};
use crate::work::Height;

/// What an engine answers to a request of its first peer.
fn answer(sole: &mut Sole, class: Class, bytes: &[u8]) -> Vec<u8> {
    let before = sole.out.len();
    sole.conn(1, ConnInput::Request { stream: crate::conn::StreamTag(9), class, bytes });
    let found = sole.out[before..].iter().find_map(|output| match output {
        Output::Send(_, Frame::Answer { bytes, .. }) => Some(bytes.clone()),
        _ => None,
    });
    found.expect("an answer")
}

/// Whether anything that was sent names a block.
fn told(sole: &Sole, id: BlockId) -> bool {
    sole.out.iter().any(|output| match output {
        Output::Send(_, Frame::Announce(bytes) | Frame::Control(bytes)) => {
            bytes.windows(32).any(|part| part == id.0)
        }
        Output::Send(_, Frame::Answer { bytes, .. } | Frame::Request { bytes, .. }) => {
            bytes.windows(32).any(|part| part == id.0)
        }
        _ => false,
    })
}

#[test]
fn a_block_of_ours_is_neither_told_nor_built_upon_before_it_is_durable() {
    let (mut sole, chain, a, b) = pair(true);
    sole.join(1, a.id(), &chain);
    let before = sole.store.clone();
    sole.stuck = true;
    sole.publish(b.record("note", "first"));
    sole.pass(60_000);
    sole.publish(b.record("note", "second"));
    sole.pass(60_000);
    let ours = sole.tip();
    assert_eq!(ours.height, Height(1), "sealed, and nothing on top");
    let genesis = chain.last();
    let locator = alloc::vec![genesis];
    let headers =
        answer(&mut sole, Class::Headers, &codec::encode(&HeadersRequest { locator, max: 9 }));
    let headers: HeadersAnswer = codec::decode(&headers, headers.len()).unwrap();
    assert!(headers.headers.is_empty());
    let ids = alloc::vec![ours.id];
    let bodies = answer(&mut sole, Class::Blocks, &codec::encode(&BlocksRequest { ids }));
    let bodies: BlocksAnswer = codec::decode(&bodies, bodies.len()).unwrap();
    assert!(bodies.bodies.is_empty());
    // Somebody who comes now hears of it no more than the others.
    sole.join(2, other(2), &chain);
    assert!(!told(&sole, ours.id));
    // The power fails: the block is gone, and the next life seals another one at that height.
    let config = sole.engine.config.clone();
    let mut next = Sole::start(before, config);
    next.join(1, a.id(), &chain);
    next.publish(b.record("note", "after the power cut"));
    next.pass(60_000);
    assert_eq!(next.tip().height, Height(1));
    assert!(next.tip().id != ours.id && told(&next, next.tip().id));
    // In the first life the disk comes back: the block is told, and built upon.
    sole.stuck = false;
    sole.pass(60_000);
    assert!(told(&sole, ours.id));
    assert_eq!(sole.tip().height, Height(2));
    assert_eq!(sole.store.block_at(Height(1)).unwrap(), Some(ours.id));
}

#[test]
fn headers_on_a_block_that_we_refused_blame_nobody_who_relays_them() {
    let (mut sole, mut chain, a, b) = pair(false);
    let (mine, theirs) = (a.request("drill", None), b.request("drill", None));
    chain.add(&[mine.clone(), theirs.clone()]);
    // An item given to two: the header is fine, the block is not.
    let ids = alloc::vec![mine.id(), theirs.id()];
    let mut header = chain.draft(&a.key, &[]);
    header.facts_root = crate::block::facts_root(&ids);
    let bad = chain.push(crate::seal::authority::seal(header, &a.key), ids);
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Misbehavior), "who served its body");
    // Another peer only knows the headers, and one more on top.
    let on_top = chain.headers.last().unwrap().clone();
    let mut header = on_top.clone();
    header.parent = bad;
    header.height = Height(2);
    header.time = header.time.after(60_000);
    let mut history = crate::merkle::Frontier::new();
    chain.headers.iter().for_each(|header| history.push(header.id().as_bytes()));
    header.history_root = history.root();
    chain.push(crate::seal::authority::seal(header, &b.key), Vec::new());
    chain.bodies.clear();
    sole.join(2, other(2), &chain);
    sole.announce(2, &Announce::Block(chain.tip()));
    for _ in 0..10 {
        sole.serve(2, &chain);
        sole.pass(1_000);
    }
    assert_eq!(sole.closed().get(&2), None);
    assert_eq!(sole.tip().height, Height::GENESIS);
}

/// An engine of the first founder, in turn at no height below the fourth, and what it would dial.
fn beginning(dial: bool) -> (Sole, TestChain, TestNode) {
    let ([a, ..], mut params) = founders();
    params.spacing = 10;
    let a = a.in_mesh(crate::block::mesh_id(&params));
    let chain = TestChain::new(params.clone());
    let mut config = Sole::config(&params, a.key.clone(), Limits::default(), true);
    if dial {
        config.dial.push((PeerAddr("192.0.2.9:7071".into()), None));
    }
    let mut store = MemStore::new();
    store.apply(&genesis_batch(&params, &crate::block::genesis(&params)));
    (Sole::start(store, config), chain, a)
}

#[test]
fn a_node_with_somebody_to_dial_waits_for_news_before_it_seals() {
    let (mut alone, _, a) = beginning(false);
    alone.publish(a.record("note", "x"));
    alone.pass(1_000);
    assert_eq!(alone.tip().height, Height(1), "there is nobody to hear from");
    let (mut patient, _, a) = beginning(true);
    patient.publish(a.record("note", "x"));
    patient.pass(4_900);
    assert_eq!(patient.tip().height, Height::GENESIS);
    patient.pass(1_000);
    assert_eq!(patient.tip().height, Height(1), "a lone survivor goes on");
    let (mut heard, chain, a) = beginning(true);
    heard.publish(a.record("note", "x"));
    heard.join(1, other(1), &chain);
    heard.serve(1, &chain);
    heard.pass(1_000);
    assert_eq!(heard.tip().height, Height(1), "somebody told that there is no more");
}

#[test]
fn commands_and_connections_that_come_after_the_stop_are_turned_away() {
    let (mut sole, mut chain, a, b) = pair(true);
    sole.join(1, a.id(), &chain);
    sole.input(Input::Command(CommandId(1_000), Command::Stop));
    sole.settle();
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::ShuttingDown));
    assert_eq!(sole.engine.status().state, State::Stopping);
    let note = b.record("note", "too late");
    sole.publish(note.clone());
    let again = Input::Command(CommandId(1_001), Command::Stop);
    sole.input(again);
    sole.settle();
    let replies = sole.out.iter().filter_map(|output| match output {
        Output::Reply(id, result) => Some((id.0, result.is_ok())),
        _ => None,
    });
    let replies = replies.collect::<Vec<_>>();
    assert_eq!(replies, [(1_000, true), (1, false), (1_001, false)]);
    assert!(sole.store.fact_row(&note.id()).unwrap().is_none());
    // A dial that was under way, and one from outside that even says hello.
    grow(&mut chain, &a, "news");
    sole.join(2, other(2), &chain);
    let address = PeerAddr("192.0.2.9:7071".into());
    let dial = Some(crate::conn::DialId(77));
    sole.conn(3, ConnInput::Opened { node: other(3), address, dial, key_exchange: "test" });
    sole.pass(60_000);
    let turned_away = [2, 3].map(|conn| sole.closed().get(&conn).copied());
    assert_eq!(turned_away, [Some(CloseCode::ShuttingDown); 2]);
    let dials = sole.out.iter().filter(|output| matches!(output, Output::Dial(..))).count();
    assert_eq!((dials, sole.asked.iter().filter(|(to, ..)| to.0 > 1).count()), (0, 0));
}

#[test]
fn a_node_that_nobody_answers_is_isolated_and_stays_so_until_there_is_hope() {
    let (mut sole, ..) = beginning(true);
    let mut states = alloc::vec![sole.engine.status().state];
    let mut seen = 0;
    for _ in 0..600 {
        sole.pass(1_000);
        let dialled = sole.out[seen..].iter().filter_map(|output| match output {
            Output::Dial(dial, ..) => Some(*dial),
            _ => None,
        });
        let dialled: Vec<_> = dialled.collect();
        seen = sole.out.len();
        for dial in dialled {
            sole.pass(300);
            states.push(sole.engine.status().state);
            sole.input(Input::DialFailed(dial));
        }
        states.push(sole.engine.status().state);
    }
    states.dedup();
    assert_eq!(states, [State::Connecting, State::Isolated]);
    let to = PeerAddr("192.0.2.10:7071".into());
    sole.input(Input::Command(CommandId(1), Command::AddPeer(to, None)));
    assert_eq!(sole.engine.status().state, State::Connecting);
}
