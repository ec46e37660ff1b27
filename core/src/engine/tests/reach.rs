//! Calling back: only to where the asker is, seldom, and what is heard of it.

use super::peers::other;
use super::*;
use crate::conn::CallId;
use crate::engine::Reach;
use crate::wire::CallOutcome;

fn sole() -> (Sole, TestChain) {
    let ([_, b, ..], params) = founders();
    let chain = TestChain::new(params.clone());
    (Sole::new(&params, b.key, Limits::default(), false), chain)
}

/// A peer that accepts connections on port 7071 connects from another.
fn join(sole: &mut Sole, conn: u64, node: NodeId, chain: &TestChain) {
    sole.join_saying(conn, node, Hello { port: 7_071, ..hello(chain) });
}

/// The calls it wants made, since the last look.
fn calls(sole: &mut Sole) -> Vec<(CallId, PeerAddr, NodeId)> {
    let out = core::mem::take(&mut sole.out);
    let call = |output: Output| match output {
        Output::CallBack(call, address, node) => Some((call, address, node)),
        _ => None,
    };
    out.into_iter().filter_map(call).collect()
}

/// Whether it wants no call made; leaves what came out for others to look at.
fn nobody_called(sole: &Sole) -> bool {
    !sole.out.iter().any(|output| matches!(output, Output::CallBack(..)))
}

/// What it said of calling back on a connection, since the last look.
fn answers(sole: &mut Sole, conn: u64) -> Vec<(u64, CallOutcome)> {
    let out = core::mem::take(&mut sole.out);
    let said = |output: Output| match output {
        Output::Send(to, Frame::Control(bytes)) if to == ConnId(conn) => {
            match codec::decode(&bytes, bytes.len()) {
                Ok(Control::CalledBack { nonce, outcome }) => Some((nonce, outcome)),
                _ => None,
            }
        }
        _ => None,
    };
    out.into_iter().filter_map(said).collect()
}

#[test]
fn a_call_goes_to_where_the_asker_is_at_the_port_of_its_hello() {
    let (mut sole, chain) = sole();
    join(&mut sole, 1, other(0), &chain);
    sole.control(1, &Control::CallBack { nonce: 9 });
    let made = calls(&mut sole);
    let [(call, address, node)] = &made[..] else { panic!("{made:?}") };
    assert_eq!((address.0.as_str(), *node), ("192.0.2.1:7071", other(0)));
    sole.input(Input::CalledBack(*call, true));
    assert_eq!(answers(&mut sole, 1), [(9, CallOutcome::Reached)]);
    sole.input(Input::CalledBack(*call, false));
    assert_eq!(answers(&mut sole, 1), [], "one answer to a question");
}

#[test]
fn who_asks_again_at_once_is_told_busy_and_nobody_is_called() {
    let (mut sole, chain) = sole();
    join(&mut sole, 1, other(0), &chain);
    join(&mut sole, 2, other(2), &chain);
    sole.control(1, &Control::CallBack { nonce: 1 });
    assert_eq!(calls(&mut sole).len(), 1);
    for nonce in 2..50 {
        sole.control(1, &Control::CallBack { nonce });
        sole.control(2, &Control::CallBack { nonce });
    }
    assert!(nobody_called(&sole));
    let busy = (2..50).map(|nonce| (nonce, CallOutcome::Busy));
    assert_eq!(answers(&mut sole, 2), busy.collect::<Vec<_>>());
    sole.now += 1_000;
    sole.control(1, &Control::CallBack { nonce: 50 });
    assert!(nobody_called(&sole), "its own turn is later");
    sole.control(2, &Control::CallBack { nonce: 50 });
    assert_eq!(calls(&mut sole).len(), 1, "another's is not");
    sole.now += 10_000;
    sole.control(1, &Control::CallBack { nonce: 51 });
    assert_eq!(calls(&mut sole).len(), 1);
}

#[test]
fn who_named_no_port_is_not_called() {
    let (mut sole, chain) = sole();
    sole.join_saying(1, other(0), Hello { port: 0, ..hello(&chain) });
    sole.control(1, &Control::CallBack { nonce: 3 });
    assert!(nobody_called(&sole));
    assert_eq!(answers(&mut sole, 1), [(3, CallOutcome::Unreached)]);
}

#[test]
fn what_peers_found_is_shown_and_what_nobody_asked_for_is_not() {
    let (mut sole, chain) = sole();
    check(&mut sole);
    assert_eq!(sole.engine.status().reach, Reach { round: 1, ..Reach::default() });
    for (conn, n) in [(1, 0), (2, 2)] {
        sole.join(conn, other(n), &chain);
        let outcome = CallOutcome::Reached;
        sole.control(conn, &Control::CalledBack { nonce: 0, outcome });
    }
    sole.out.clear();
    check(&mut sole);
    assert_eq!((sole.engine.status().reach.round, sole.engine.status().reach.waiting), (2, 2));
    let asked: Vec<(u64, u64)> = sole.out.iter().filter_map(question).collect();
    let (conn, nonce) = asked[0];
    let outcome = CallOutcome::Unreached;
    sole.control(conn, &Control::CalledBack { nonce: nonce + 1, outcome });
    assert_eq!(sole.engine.status().reach.waiting, 2, "that is no answer to the question");
    sole.control(conn, &Control::CalledBack { nonce, outcome });
    sole.conn(asked[1].0, ConnInput::Closed { code: None, by_peer: false, reason: "" });
    let reach = &sole.engine.status().reach;
    assert_eq!((reach.waiting, reach.outcomes.len()), (0, 1));
    assert_eq!(reach.outcomes[0].1, outcome);
}

fn check(sole: &mut Sole) {
    sole.commands += 1;
    sole.input(Input::Command(CommandId(sole.commands), Command::CheckReach));
}

fn question(output: &Output) -> Option<(u64, u64)> {
    match output {
        Output::Send(conn, Frame::Control(bytes)) => match codec::decode(bytes, bytes.len()) {
            Ok(Control::CallBack { nonce }) => Some((conn.0, nonce)),
            _ => None,
        },
        _ => None,
    }
}
