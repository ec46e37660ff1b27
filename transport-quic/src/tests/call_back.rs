//! Calling back.

use cairn_core::engine::CallId;

use super::*;
use crate::DialError;

fn called_back(node: &Node, call: u64) -> Result<(), DialError> {
    match node.next() {
        TransportEvent::CalledBack { call: CallId(number), result } if number == call => result,
        other => panic!("expected CalledBack, got {other:?}"),
    }
}

#[test]
fn a_call_back_comes_from_another_port_and_is_over_at_once() {
    let runtime = runtime();
    let (a, _, b, _) = pair(&runtime, &TransportLimits::default());
    let address = PeerAddr(a.endpoint.local_addr().to_string());
    b.endpoint.call_back(CallId(7), &address, a.endpoint.node_id());
    assert_eq!(called_back(&b, 7), Ok(()));
    let TransportEvent::Opened { conn, node, address, dial: None } = a.next() else {
        panic!("a is called")
    };
    assert_eq!(node, b.endpoint.node_id());
    assert_ne!(address, b.endpoint.local_addr());
    assert!(a.closed(conn).1, "the caller hangs up");
}

#[test]
fn a_call_back_that_somebody_else_answers_did_not_reach_the_node() {
    let runtime = runtime();
    let (a, _, b, _) = pair(&runtime, &TransportLimits::default());
    let address = PeerAddr(a.endpoint.local_addr().to_string());
    b.endpoint.call_back(CallId(1), &address, NodeId([9; 32]));
    assert!(matches!(called_back(&b, 1), Err(DialError::WrongKey { .. })));
    b.endpoint.call_back(CallId(2), &PeerAddr("name.invalid:1".into()), NodeId([9; 32]));
    assert!(matches!(called_back(&b, 2), Err(DialError::Resolve(_))));
}
