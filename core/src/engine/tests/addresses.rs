//! What the engine hears of addresses, dials, and writes down.

use super::peers::{other, pair};
use super::*;
use crate::event::Event;
use crate::wire::PeersAnswer;

const MINUTE: u64 = 60_000;

fn dials(sole: &Sole) -> Vec<(DialId, PeerAddr)> {
    let dial = |output: &Output| match output {
        Output::Dial(dial, address, _) => Some((*dial, address.clone())),
        _ => None,
    };
    sole.out.iter().filter_map(dial).collect()
}

fn address(text: &str) -> PeerAddr {
    PeerAddr(text.into())
}

/// The newest dial is answered by a node that says hello.
fn answer_dial(sole: &mut Sole, conn: u64, node: NodeId, chain: &TestChain) {
    let (dial, _) = dials(sole).pop().unwrap();
    let at = PeerAddr(format!("192.0.2.9:{conn}"));
    sole.conn(
        conn,
        ConnInput::Opened { node, address: at, dial: Some(dial), key_exchange: "test" },
    );
    sole.control(conn, &Control::Hello(hello(chain)));
    sole.settle();
}

/// A peer is asked for addresses, and tells these.
fn tell(sole: &mut Sole, conn: u64, places: &[&str]) {
    let is_asked = |(to, _, class, _): &(ConnId, RequestTag, Class, Vec<u8>)| {
        to.0 == conn && *class == Class::Peers
    };
    let at = sole.asked.iter().position(is_asked).expect("it is asked");
    let (_, tag, ..) = sole.asked.remove(at);
    let peers = places.iter().map(|place| ((*place).into(), NodeId([7; 32]))).collect();
    let bytes = codec::encode(&PeersAnswer { peers });
    sole.conn(conn, ConnInput::Answer { tag, bytes: &bytes });
    sole.settle();
}

/// An engine that has all the links it wants: one, to a name that a person gave.
fn content() -> (Sole, TestChain) {
    let ([_, b, ..], params) = founders();
    let chain = TestChain::new(params.clone());
    let limits = Limits { outbound_wanted: 1, ..Limits::default() };
    let mut config = Sole::config(&params, b.key.clone(), limits, false);
    config.dial = alloc::vec![(address("raspi.example:7071"), None)];
    let mut store = MemStore::new();
    store.apply(&genesis_batch(&params, &crate::block::genesis(&params)));
    let mut sole = Sole::start(store, config);
    sole.pass(0);
    answer_dial(&mut sole, 1, other(0), &chain);
    (sole, chain)
}

/// A peer comes and says that it listens on this port.
fn come(sole: &mut Sole, conn: u64, node: NodeId, chain: &TestChain, port: u16) {
    sole.join_saying(conn, node, Hello { port, ..hello(chain) });
}

/// Remembered addresses in the store.
fn rows(sole: &Sole) -> usize {
    sole.store.peer_rows(1_000).unwrap().len()
}

#[test]
fn an_answer_that_nobody_asked_for_teaches_nothing() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let before = dials(&sole).len();
    let peers = alloc::vec![("45.1.0.1:7071".into(), other(2))];
    let bytes = codec::encode(&PeersAnswer { peers });
    sole.conn(1, ConnInput::Answer { tag: RequestTag(1 << 40), bytes: &bytes });
    sole.pass(1_000);
    assert_eq!(dials(&sole).len(), before);
    tell(&mut sole, 1, &["45.1.0.1:7071"]);
    assert_eq!(dials(&sole).pop().unwrap().1, address("45.1.0.1:7071"));
    // The same answer again is one that nobody asked for.
    assert!(sole.closed().is_empty(), "and no crime");
}

#[test]
fn a_question_for_addresses_that_came_to_nothing_is_asked_again_soon() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let at = sole.asked.iter().position(|(_, _, class, _)| *class == Class::Peers);
    let (conn, tag, ..) = sole.asked.remove(at.expect("it is asked"));
    sole.conn(conn.0, ConnInput::NoAnswer(tag));
    sole.pass(crate::engine::addresses::ASK_AGAIN);
    tell(&mut sole, 1, &["45.1.0.1:7071"]);
}

#[test]
fn addresses_that_mean_this_machine_are_not_believed_of_others() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let before = dials(&sole).len();
    tell(&mut sole, 1, &["127.0.0.1:9", "[::1]:9", "0.0.0.0:9", "nonsense", "[fe80::1%1]:9"]);
    sole.pass(1_000);
    assert_eq!(dials(&sole).len(), before);
}

#[test]
fn who_dialled_us_cannot_send_us_elsewhere() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let before = dials(&sole).len();
    let full = Control::Full { peers: alloc::vec![("45.1.0.1:7071".into(), other(2))] };
    let stranger = TestNode::new(9, chain.mesh()).id();
    let at = address("192.0.2.1:5");
    sole.conn(
        5,
        ConnInput::Opened { node: stranger, address: at, dial: None, key_exchange: "test" },
    );
    sole.control(5, &full);
    sole.control(1, &full);
    sole.pass(1_000);
    assert_eq!(dials(&sole).len(), before);
    assert_eq!(sole.closed().get(&5), Some(&CloseCode::BadHello));
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Misbehavior));
}

#[test]
fn who_was_dialled_and_is_full_can_send_us_elsewhere() {
    let (mut sole, _) = content();
    let full = Control::Full { peers: alloc::vec![("45.1.0.1:7071".into(), other(2))] };
    sole.control(1, &full);
    assert!(sole.closed().is_empty());
    sole.conn(1, ConnInput::Closed { code: Some(CloseCode::Full), by_peer: true, reason: "" });
    sole.pass(1_000);
    assert!(sole.engine.peers().iter().any(|peer| peer.address == address("45.1.0.1:7071")));
}

#[test]
fn peers_are_asked_again_now_and_then_each_in_turn() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    sole.join(2, other(2), &chain);
    tell(&mut sole, 1, &[]);
    tell(&mut sole, 2, &[]);
    for conn in [1, 2, 1] {
        sole.pass(10 * MINUTE);
        let asked = sole.asked.iter().filter(|(_, _, class, _)| *class == Class::Peers);
        assert_eq!(asked.map(|(to, ..)| to.0).collect::<Vec<_>>(), [conn]);
        tell(&mut sole, conn, &[]);
    }
}

#[test]
fn a_name_is_dialled_by_its_name_every_time() {
    let (mut sole, _) = content();
    sole.conn(1, ConnInput::Closed { code: None, by_peer: false, reason: "" });
    sole.pass(5_000);
    let places: Vec<_> = dials(&sole).into_iter().map(|(_, place)| place).collect();
    assert_eq!(places[..2], [address("raspi.example:7071"), address("raspi.example:7071")]);
}

#[test]
fn who_is_only_looked_at_is_told_that_there_are_links_enough_and_remembered() {
    let (mut sole, chain) = content();
    tell(&mut sole, 1, &["45.1.0.1:7071"]);
    assert_eq!(dials(&sole).len(), 1, "no further link is wanted");
    sole.pass(5 * MINUTE);
    assert_eq!(dials(&sole).pop().unwrap().1, address("45.1.0.1:7071"));
    answer_dial(&mut sole, 2, other(2), &chain);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::Full));
    sole.conn(2, ConnInput::Closed { code: Some(CloseCode::Full), by_peer: false, reason: "" });
    let is_news = |output: &&Output| matches!(output, Output::Event(Event::PeerConnected { node, .. }) if *node == other(2));
    assert_eq!(sole.out.iter().filter(is_news).count(), 0);
    let known = sole.engine.peers();
    let met = known.iter().find(|peer| peer.address == address("45.1.0.1:7071")).unwrap();
    assert!(met.last_seen.is_some());
    // The link is lost: who was looked at takes its place.
    sole.pass(MINUTE);
    sole.conn(1, ConnInput::Closed { code: None, by_peer: false, reason: "" });
    sole.pass(5_000);
    let places: Vec<_> = dials(&sole).into_iter().skip(2).map(|(_, place)| place).collect();
    assert!(places.contains(&address("45.1.0.1:7071")), "{places:?}");
}

#[test]
fn a_look_becomes_a_link_if_the_last_one_was_lost_meanwhile() {
    let (mut sole, chain) = content();
    tell(&mut sole, 1, &["45.1.0.1:7071"]);
    sole.pass(5 * MINUTE);
    assert_eq!(dials(&sole).len(), 2);
    let looked = dials(&sole).pop().unwrap();
    sole.conn(1, ConnInput::Closed { code: None, by_peer: false, reason: "" });
    let at = address("192.0.2.9:2");
    sole.conn(
        2,
        ConnInput::Opened {
            node: other(2),
            address: at,
            dial: Some(looked.0),
            key_exchange: "test",
        },
    );
    sole.control(2, &Control::Hello(hello(&chain)));
    sole.settle();
    assert!(sole.closed().is_empty());
}

#[test]
fn who_came_to_us_is_dialled_at_once_after_a_kill() {
    let (mut sole, chain, a, b) = pair(false);
    sole.pass(5 * MINUTE);
    come(&mut sole, 1, a.id(), &chain, 7071);
    assert_eq!(rows(&sole), 1, "nothing was written lately");
    let config = Sole::config(&sole.engine.config.params, b.key, Limits::default(), false);
    let mut again = Sole::start(sole.store, config);
    again.pass(0);
    assert_eq!(dials(&again), [(DialId(1), address("192.0.2.1:7071"))]);
}

#[test]
fn members_that_come_one_after_the_other_cost_a_write_in_half_a_minute() {
    let (mut sole, chain, a, _) = pair(false);
    come(&mut sole, 1, a.id(), &chain, 7071);
    sole.pass(2_000);
    assert_eq!(rows(&sole), 1);
    come(&mut sole, 2, other(2), &chain, 7072);
    sole.pass(20_000);
    assert_eq!(rows(&sole), 1);
    sole.pass(10_000);
    assert_eq!(rows(&sole), 2);
}

#[test]
fn how_links_ended_is_written_rarely_and_at_the_end() {
    let (mut sole, chain, a, _) = pair(false);
    let writes = |sole: &Sole| {
        let is_write = |output: &&Output| match output {
            Output::Commit(_, batch) => {
                batch.iter().any(|op| matches!(op, Op::Put(Table::Close, ..)))
            }
            _ => false,
        };
        sole.out.iter().filter(is_write).count()
    };
    let full = ConnInput::Closed { code: Some(CloseCode::Full), by_peer: true, reason: "" };
    for conn in 0..50 {
        sole.join(conn, a.id(), &chain);
        sole.conn(conn, full.clone());
        sole.pass(30_000);
    }
    let made = writes(&sole);
    assert!((2..=4).contains(&made), "{made} in 25 minutes");
    sole.join(50, a.id(), &chain);
    sole.conn(50, full);
    sole.input(Input::Command(CommandId(9), Command::Stop));
    sole.settle();
    assert_eq!(writes(&sole), made + 1);
}

#[test]
fn what_is_known_already_is_no_news() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    tell(&mut sole, 1, &["45.1.0.1:7071"]);
    let version = sole.engine.status().peers_version;
    sole.pass(10 * MINUTE);
    let before = sole.engine.status().peers_version;
    tell(&mut sole, 1, &["45.1.0.1:7071"]);
    assert_eq!(sole.engine.status().peers_version, before);
    sole.pass(10 * MINUTE);
    tell(&mut sole, 1, &["45.1.0.2:7071"]);
    assert!(sole.engine.status().peers_version > before && before >= version);
}

#[test]
fn peers_are_written_soon_the_first_time_then_rarely_and_at_the_end() {
    let (mut sole, chain) = content();
    sole.pass(999);
    assert_eq!(rows(&sole), 0);
    sole.pass(1);
    assert_eq!(rows(&sole), 1);
    let is_write = |output: &&Output| match output {
        Output::Commit(_, batch) => batch.iter().any(|op| matches!(op, Op::Put(Table::Peer, ..))),
        _ => false,
    };
    let writes = |sole: &Sole| sole.out.iter().filter(is_write).count();
    // A link that comes and goes.
    for conn in 10..17 {
        sole.conn(conn - 1, ConnInput::Closed { code: None, by_peer: false, reason: "" });
        sole.conn(1, ConnInput::Closed { code: None, by_peer: false, reason: "" });
        sole.pass(MINUTE);
        answer_dial(&mut sole, conn, other(0), &chain);
    }
    assert_eq!(writes(&sole), 1);
    sole.pass(4 * MINUTE);
    assert_eq!(writes(&sole), 2);
    sole.pass(60 * MINUTE);
    assert_eq!(writes(&sole), 2, "nothing has changed");
    let before = sole.store.peer_rows(9).unwrap();
    sole.input(Input::Command(CommandId(9), Command::Stop));
    sole.settle();
    let after = sole.store.peer_rows(9).unwrap();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert!(after[0].1.last_seen > before[0].1.last_seen, "it was linked to the end");
}
