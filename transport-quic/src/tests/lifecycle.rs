//! How connections begin and end.

use std::time::Instant;

use super::*;
use crate::admission::{Gate, Verdict};
use crate::{BindError, DialError};

#[test]
fn both_sides_learn_the_numbered_reason_once_and_nothing_after_it() {
    let runtime = runtime();
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let b = Node::start(&runtime, 2, TransportLimits::default());
    for code in CloseCode::ALL {
        a.dial(0, &b, None);
        let (at_a, at_b) = (a.opened().0, b.opened().0);
        a.endpoint.close(at_a, code, "");
        a.endpoint.close(at_a, CloseCode::Full, "");
        a.request(at_a, 1, Class::Peers, vec![]);
        assert_eq!(a.closed(at_a), (Some(code), false, code.to_string()));
        assert_eq!(b.closed(at_b), (Some(code), true, code.to_string()));
        a.control(at_a, 1);
        b.request(at_b, 1, Class::Peers, vec![]);
    }
    assert_eq!((a.inbox.try_recv(), b.inbox.try_recv()), (None, None));
}

#[test]
fn who_is_closed_at_once_is_told_why_and_not_that_nobody_knows_the_mesh() {
    let runtime = runtime();
    let limits = TransportLimits::default();
    let a = Node::start(&runtime, 1, limits.clone());
    let b = Node::start(&runtime, 2, limits);
    for dial in 0..50 {
        a.dial(dial, &b, None);
        let conn = b.opened().0;
        b.endpoint.close(conn, CloseCode::NotMember, "");
        let conn = a.opened().0;
        assert_eq!(
            a.closed(conn),
            (Some(CloseCode::NotMember), true, CloseCode::NotMember.to_string())
        );
        assert!(matches!(b.next(), TransportEvent::Closed { by_peer: false, .. }));
    }
}

#[test]
fn what_is_said_with_the_number_gets_through_and_is_fit_to_print() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::default());
    a.endpoint.close(at_a, CloseCode::Misbehavior, "until 2026-11-21T18:05:00Z\u{1b}[2J");
    let text = "misbehaviour or rate limit: until 2026-11-21T18:05:00Z[2J".to_owned();
    assert_eq!(a.closed(at_a), (Some(CloseCode::Misbehavior), false, text.clone()));
    assert_eq!(b.closed(at_b), (Some(CloseCode::Misbehavior), true, text));
}

#[test]
fn what_waits_from_a_connection_that_the_driver_closes_is_not_told() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::default());
    b.control(at_b, 1);
    a.request(at_a, 1, Class::Peers, vec![]);
    assert!(matches!(b.next(), TransportEvent::Request { .. }));
    a.endpoint.close(at_a, CloseCode::Duplicate, "");
    assert_eq!(a.closed(at_a).0, Some(CloseCode::Duplicate));
    assert_eq!(b.closed(at_b).0, Some(CloseCode::Duplicate));
}

#[test]
fn a_port_in_use_is_told_as_such() {
    let runtime = runtime();
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let (sender, _inbox) = inbox::<TransportEvent>(1);
    let (address, limits) = (a.endpoint.local_addr(), TransportLimits::default());
    let second = Endpoint::bind(address, &[2; 32], knock(), limits, runtime.handle(), sender);
    let error = second.err().unwrap();
    assert!(matches!(error, BindError::PortInUse(_)));
    assert_eq!(error.to_string(), format!("UDP port is in use: {address}"));
}

#[test]
fn a_dial_to_nobody_fails_in_time() {
    let runtime = runtime();
    let limits = TransportLimits {
        handshake_timeout: Duration::from_millis(300),
        ..TransportLimits::default()
    };
    let a = Node::start(&runtime, 1, limits);
    let silent = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let address = PeerAddr(silent.local_addr().unwrap().to_string());
    a.endpoint.dial(DialId(1), &address, None);
    let error = DialError::Timeout;
    assert_eq!(a.next(), TransportEvent::DialFailed { dial: DialId(1), error });
    a.endpoint.dial(DialId(2), &PeerAddr("no port".to_owned()), None);
    let failed = a.next();
    assert!(matches!(failed, TransportEvent::DialFailed { error: DialError::Resolve(_), .. }));
}

#[test]
fn names_are_resolved() {
    let runtime = runtime();
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let b = Node::start(&runtime, 2, TransportLimits::default());
    let address = format!("localhost:{}", b.endpoint.local_addr().port());
    a.endpoint.dial(DialId(1), &PeerAddr(address), Some(b.endpoint.node_id()));
    assert_eq!(a.opened().1, b.endpoint.node_id());
}

#[test]
fn a_full_node_refuses_until_a_place_is_free() {
    let runtime = runtime();
    let limits = TransportLimits { inbound_max: 1, ..TransportLimits::default() };
    let (full, first) = (Node::start(&runtime, 1, limits), TransportLimits::default());
    let (first, second) =
        (Node::start(&runtime, 2, first.clone()), Node::start(&runtime, 3, first));
    first.dial(0, &full, None);
    let (conn, _) = full.opened();
    second.dial(1, &full, None);
    let error = DialError::Refused;
    assert_eq!(second.next(), TransportEvent::DialFailed { dial: DialId(1), error });
    full.endpoint.close(conn, CloseCode::Full, "");
    full.closed(conn);
    second.dial(2, &full, None);
    assert_eq!(second.opened().1, full.endpoint.node_id());
}

#[test]
fn dials_beyond_the_limit_fail_at_once() {
    let runtime = runtime();
    let limits = TransportLimits { outbound_max: 1, ..TransportLimits::default() };
    let a = Node::start(&runtime, 1, limits);
    let b = Node::start(&runtime, 2, TransportLimits::default());
    a.dial(1, &b, None);
    a.opened();
    a.dial(2, &b, None);
    let error = DialError::TooMany;
    assert_eq!(a.next(), TransportEvent::DialFailed { dial: DialId(2), error });
}

#[test]
fn under_load_an_address_is_proven_first_and_gets_in() {
    let runtime = runtime();
    // A quarter of three is none, so every first packet counts as load.
    let limits = TransportLimits { half_open_max: 3, ..TransportLimits::default() };
    let now = Instant::now();
    let first = Gate::new(3, now).judge(LOOPBACK.ip(), false, 0, now);
    assert_eq!(first, Verdict::Retry);
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let b = Node::start(&runtime, 2, limits);
    a.dial(0, &b, None);
    assert_eq!(b.opened().1, a.endpoint.node_id());
}

#[test]
fn shutdown_says_so_to_everybody_and_ends_dialling() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::default());
    wait(&runtime, a.endpoint.shutdown());
    let (stopping, text) = (CloseCode::ShuttingDown, CloseCode::ShuttingDown.to_string());
    assert_eq!(a.closed(at_a), (Some(stopping), false, text.clone()));
    assert_eq!(b.closed(at_b), (Some(stopping), true, text));
    a.dial(9, &b, None);
    let error = DialError::ShuttingDown;
    assert_eq!(a.next(), TransportEvent::DialFailed { dial: DialId(9), error });
}

#[test]
fn a_peer_that_vanishes_is_noticed_and_blamed_for_nothing() {
    let runtime = runtime();
    let limits =
        TransportLimits { idle_timeout: Duration::from_millis(300), ..TransportLimits::default() };
    let node = Node::start(&runtime, 1, limits);
    let doomed = self::runtime();
    let (_endpoint, _connection, conn) = hostile(&doomed, TransportConfig::default(), &node);
    doomed.shutdown_background();
    let (code, by_peer, detail) = node.closed(conn);
    assert_eq!((code, by_peer, detail.as_str()), (None, false, "timed out"));
}

#[test]
fn a_reason_from_a_peer_is_fit_to_print() {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::default());
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &node);
    let reason = [b"\x1b[2J\n\xffbye".to_vec(), vec![b'x'; 500]].concat();
    peer.close(quinn::VarInt::from_u32(0x7777), &reason);
    let (code, by_peer, detail) = node.closed(conn);
    assert_eq!((code, by_peer, detail.chars().count()), (None, true, 120));
    assert!(detail.starts_with("[2J\u{fffd}bye"));
}
