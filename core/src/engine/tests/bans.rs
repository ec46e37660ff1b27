//! Who is kept out, for how long, and who never is.

use super::peers::{grow, made_up, other, pair};
use super::*;
use crate::event::Event;
use crate::ledger::read::Read as _;
use crate::peer::Subject;
use crate::wire::PeersRequest;

/// First ban of all, by default.
const FIRST: u64 = 600_000;
const DAY: u64 = 24 * 3_600_000;

/// What was said when a connection was closed.
fn said(sole: &Sole, conn: u64) -> Option<String> {
    sole.out.iter().rev().find_map(|output| match output {
        Output::Close(id, code, detail) if id.0 == conn => Some(code.text(detail)),
        _ => None,
    })
}

fn bans(sole: &Sole) -> usize {
    let banned = |output: &&Output| matches!(output, Output::Event(Event::PeerBanned { .. }));
    sole.out.iter().filter(banned).count()
}

/// A peer sends what no correct program sends; the transport reports the end of its connection.
fn misbehave(sole: &mut Sole, conn: u64) {
    sole.conn(conn, ConnInput::Announce(&[0xee; 9]));
    let reason = said(sole, conn).unwrap();
    let code = Some(CloseCode::Misbehavior);
    sole.conn(conn, ConnInput::Closed { code, by_peer: false, reason: &reason });
    sole.settle();
}

fn command(sole: &mut Sole, command: Command) -> Result<Receipt, Refusal> {
    sole.commands += 1;
    let id = CommandId(sole.commands);
    sole.input(Input::Command(id, command));
    sole.settle();
    let reply = sole.out.iter().find_map(|output| match output {
        Output::Reply(other, result) if *other == id => Some(result.clone()),
        _ => None,
    });
    reply.unwrap()
}

/// The same node after a restart, so many milliseconds later.
fn restarted(sole: Sole, after: u64) -> Sole {
    let Sole { store, engine, now, .. } = sole;
    Sole::start_at(store, engine.config.clone(), now + after)
}

#[test]
fn who_misbehaves_is_kept_out_for_the_time_and_told_until_when() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    misbehave(&mut sole, 1);
    assert_eq!(bans(&sole), 1);
    let until = UnixTime(EPOCH + sole.now + FIRST);
    let text = said(&sole, 1).unwrap();
    let expected =
        format!("misbehaviour or rate limit: until {until}: a malformed message (Announce)");
    assert_eq!(text, expected);
    sole.pass(FIRST - 1);
    sole.join(2, a.id(), &chain);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::Misbehavior));
    assert_eq!(said(&sole, 2), Some(expected));
    sole.pass(1);
    sole.join(3, a.id(), &chain);
    assert_eq!(sole.closed().get(&3), None);
    // The next time it is longer.
    misbehave(&mut sole, 3);
    sole.pass(3 * FIRST);
    sole.join(4, a.id(), &chain);
    assert_eq!(sole.closed().get(&4), Some(&CloseCode::Misbehavior));
}

#[test]
fn a_ban_outlives_the_process_but_not_its_time() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    misbehave(&mut sole, 1);
    // Why is written less often than that.
    sole.pass(30_000);
    let mut sole = restarted(sole, FIRST / 2);
    sole.join(2, a.id(), &chain);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::Misbehavior));
    let mut sole = restarted(sole, FIRST / 2);
    sole.join(3, a.id(), &chain);
    assert_eq!(sole.closed().get(&3), None);
    let peers = sole.engine.peers();
    let ends = peers.iter().find(|peer| peer.node == Some(a.id())).unwrap();
    let close = &ends.closes[0];
    assert_eq!((close.code, close.by_peer, close.outbound), (CloseCode::Misbehavior, false, false));
    assert!(close.reason.contains("until "), "the reason is remembered: {}", close.reason);
}

#[test]
fn what_the_transport_found_counts_as_well_and_what_the_peer_says_does_not() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let code = Some(CloseCode::Misbehavior);
    sole.conn(1, ConnInput::Closed { code, by_peer: true, reason: "you did it\u{1b}[2J" });
    assert_eq!(bans(&sole), 0, "an accusation of ours by a peer is no offense of the peer");
    let peers = sole.engine.peers();
    let shown = &peers.iter().find(|peer| peer.node == Some(a.id())).unwrap().closes[0];
    assert_eq!((shown.by_peer, shown.reason.as_str()), (true, "you did it[2J"));
    sole.join(2, a.id(), &chain);
    sole.conn(2, ConnInput::Closed { code, by_peer: false, reason: "unknown class 9" });
    assert_eq!(bans(&sole), 1);
}

#[test]
fn a_forger_that_hangs_up_at_once_is_kept_out_all_the_same() {
    let (mut sole, mut chain, a, b) = pair(false);
    let note = b.record("note", "true");
    let mut forged = note.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    chain.facts.insert(note.id(), forged);
    sole.join(1, a.id(), &chain);
    sole.announce(1, &Announce::Facts(alloc::vec![note.id()]));
    sole.settle_but_jobs();
    let at = sole.asked.iter().position(|(.., class, _)| *class == Class::Facts).unwrap();
    let (_, tag, class, bytes) = sole.asked.remove(at);
    let answer = chain.answer(class, &bytes).unwrap();
    sole.conn(1, ConnInput::Answer { tag, bytes: &answer });
    sole.conn(1, ConnInput::Closed { code: None, by_peer: true, reason: "" });
    sole.settle();
    sole.join(2, a.id(), &chain);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::Misbehavior));
}

#[test]
fn slowness_clocks_floods_and_missing_parents_ban_nobody() {
    let (mut sole, mut chain, a, _) = pair(false);
    grow(&mut chain, &a, "x");
    sole.ahead = 400 * DAY;
    sole.join(1, a.id(), &chain);
    sole.mute.push(1);
    // It tells of a tip and of facts and never shows either.
    sole.announce(1, &Announce::Block(chain.tip()));
    sole.announce(1, &Announce::Facts((0..900).map(made_up).collect()));
    let peers = codec::encode(&PeersRequest { max: 9 });
    for n in 0..500 {
        let stream = crate::conn::StreamTag(n);
        sole.conn(1, ConnInput::Request { stream, class: Class::Peers, bytes: &peers });
    }
    sole.pass(300_000);
    let late = PeerAddr("192.0.2.9:7071".into());
    let node = other(2);
    sole.conn(2, ConnInput::Opened { node, address: late, dial: None, key_exchange: "test" });
    sole.pass(60_000);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::BadHello), "that hello never came");
    assert_eq!((bans(&sole), sole.closed().get(&1)), (0, None));
    assert!(sole.store.ban_rows(9).unwrap().is_empty());
    let peers = sole.engine.peers();
    let slow = peers.iter().find(|peer| peer.node == Some(a.id())).unwrap();
    assert!((-120..20).contains(&slow.score), "it only stands lower: {}", slow.score);
}

#[test]
fn a_person_keeps_a_node_out_and_lets_it_in_again() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let subject = Subject::Node(a.id());
    let ban = Command::Ban { subject: subject.clone(), length: DAY, reason: "private".into() };
    assert_eq!(command(&mut sole, ban), Ok(Receipt::Done));
    let text = said(&sole, 1).unwrap();
    assert!(text.contains("until ") && !text.contains("private"), "{text}");
    let code = Some(CloseCode::Misbehavior);
    sole.conn(1, ConnInput::Closed { code, by_peer: false, reason: &text });
    let mut sole = restarted(sole, DAY / 2);
    sole.join(2, a.id(), &chain);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::Misbehavior));
    assert_eq!(command(&mut sole, Command::Unban(subject.clone())), Ok(Receipt::Done));
    assert_eq!(command(&mut sole, Command::Unban(subject)), Err(Refusal::NotBanned));
    sole.join(3, a.id(), &chain);
    assert_eq!(sole.closed().get(&3), None);
    let myself = Subject::Node(sole.engine.me);
    let ban = Command::Ban { subject: myself, length: DAY, reason: String::new() };
    assert!(matches!(command(&mut sole, ban), Err(Refusal::Malformed(_))));
}

#[test]
fn an_address_is_kept_out_with_everybody_there_and_not_dialled() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    sole.join(2, other(2), &chain);
    let dials = |sole: &Sole| sole.out.iter().filter(|o| matches!(o, Output::Dial(..))).count();
    let subject = Subject::at([192, 0, 2, 1].into());
    let ban = Command::Ban { subject: subject.clone(), length: DAY, reason: String::new() };
    command(&mut sole, ban).unwrap();
    assert_eq!(sole.closed().len(), 2, "both come from there");
    let (banned, free) = (PeerAddr("192.0.2.1:7071".into()), PeerAddr("192.0.2.2:7071".into()));
    command(&mut sole, Command::AddPeer(banned, None)).unwrap();
    sole.pass(DAY / 2);
    assert_eq!(dials(&sole), 0);
    command(&mut sole, Command::AddPeer(free, None)).unwrap();
    assert_eq!(dials(&sole), 1);
    command(&mut sole, Command::Unban(subject)).unwrap();
    sole.pass(1_000);
    assert_eq!(dials(&sole), 2, "it is dialled at once");
}

#[test]
fn an_address_that_is_forgotten_is_not_dialled_again() {
    let (mut sole, ..) = pair(false);
    let address = PeerAddr("192.0.2.2:7071".into());
    command(&mut sole, Command::AddPeer(address.clone(), None)).unwrap();
    let dial = sole.out.iter().find_map(|output| match output {
        Output::Dial(dial, ..) => Some(*dial),
        _ => None,
    });
    sole.input(Input::DialFailed(dial.unwrap()));
    let remove = Command::RemovePeer(address.clone());
    assert_eq!(command(&mut sole, remove.clone()), Ok(Receipt::Done));
    assert_eq!(command(&mut sole, remove), Err(Refusal::UnknownAddress(address)));
    sole.out.clear();
    sole.pass(DAY);
    assert!(!sole.out.iter().any(|output| matches!(output, Output::Dial(..))));
}

#[test]
fn a_ping_is_answered_by_the_pong_the_end_or_time_and_once() {
    let (mut sole, chain, a, _) = pair(false);
    let ping = Command::PingPeer(a.id());
    assert_eq!(command(&mut sole, ping.clone()), Err(Refusal::NotConnected(a.id())));
    sole.join(1, a.id(), &chain);
    assert_eq!(command(&mut sole, ping.clone()), Ok(Receipt::Pong(0)));
    sole.mute.push(1);
    for _ in 0..2 {
        sole.commands += 1;
        sole.input(Input::Command(CommandId(sole.commands), ping.clone()));
        sole.settle();
    }
    let replies = sole.replies();
    sole.pass(4_999);
    assert_eq!(sole.replies(), replies);
    sole.pass(1);
    assert_eq!(sole.replies(), replies + 2);
    sole.commands += 1;
    sole.input(Input::Command(CommandId(sole.commands), ping));
    sole.conn(1, ConnInput::Closed { code: None, by_peer: true, reason: "" });
    let last = sole.out.iter().rev().find(|output| matches!(output, Output::Reply(..)));
    assert!(
        matches!(last, Some(Output::Reply(_, Err(Refusal::NoAnswer(node)))) if *node == a.id())
    );
    assert_eq!(sole.replies() as u64, sole.commands);
}

/// A peer connects that can be dialled as well.
fn listening(sole: &mut Sole, conn: u64, node: NodeId, chain: &TestChain) {
    let port = 7_000 + conn as u16;
    sole.join_saying(conn, node, Hello { port, ..hello(chain) });
}

#[test]
fn a_full_node_makes_room_for_a_newcomer_and_tells_who_goes_where_others_are() {
    let ([_, b, ..], mut params) = founders();
    params.admission = crate::params::Admission::Open;
    let chain = TestChain::new(params.clone());
    let limits = Limits { inbound_max: 8, ..Limits::default() };
    let mut sole = Sole::new(&params, b.key.clone(), limits, false);
    let stranger = |n: u8| crate::signature::SigningKey::from_seed([n; 32]).node_id();
    for n in 1..=8 {
        listening(&mut sole, n, stranger(100 + n as u8), &chain);
        sole.pass(10);
    }
    listening(&mut sole, 10, stranger(110), &chain);
    sole.pass(2_000);
    assert_eq!(sole.closed(), BTreeMap::from([(10, CloseCode::Full)]), "nobody had its turn yet");
    sole.pass(60_000);
    sole.out.clear();
    listening(&mut sole, 9, stranger(109), &chain);
    sole.pass(2_000);
    // All are neighbors: the youngest of them goes, and not the newcomer.
    assert_eq!(sole.closed(), BTreeMap::from([(8, CloseCode::Full)]));
    let told = sole.out.iter().find_map(|output| match output {
        Output::Send(conn, Frame::Control(bytes)) if conn.0 == 8 => {
            match codec::decode(bytes, bytes.len()) {
                Ok(Control::Full { peers }) => Some(peers),
                _ => None,
            }
        }
        _ => None,
    });
    let told = told.unwrap();
    assert!(!told.is_empty() && told.iter().all(|(_, node)| *node != stranger(108)));
}

#[test]
fn a_newcomer_is_refused_where_every_link_is_worth_more() {
    let ([a, b, ..], params) = founders();
    let chain = TestChain::new(params.clone());
    let limits = Limits { inbound_max: 1, ..Limits::default() };
    let mut sole = Sole::new(&params, b.key.clone(), limits, false);
    sole.join(1, a.id(), &chain);
    sole.join(2, other(2), &chain);
    sole.pass(2_000);
    assert_eq!(sole.closed(), BTreeMap::from([(2, CloseCode::Full)]));
    // The same node may always replace its own link.
    sole.join(3, a.id(), &chain);
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Duplicate));
    assert_eq!(sole.closed().get(&3), None);
}
