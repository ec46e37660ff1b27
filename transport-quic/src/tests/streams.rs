//! What goes over the streams, and what is misbehavior.

use cairn_core::engine::StreamTag;

use super::*;

#[test]
fn control_and_announcements_go_both_ways_in_order() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::default());
    for byte in 0..10 {
        a.control(at_a, byte);
        b.control(at_b, byte);
    }
    for byte in 0..10 {
        let control = |conn| TransportEvent::Control { conn, bytes: vec![byte] };
        assert_eq!((a.next(), b.next()), (control(at_a), control(at_b)));
    }
    for (from, conn, to, at_to) in [(&a, at_a, &b, at_b), (&b, at_b, &a, at_a)] {
        for size in [0, 1, Class::Announce.request_bytes_max()] {
            from.endpoint.send(conn, Frame::Announce(vec![7; size]));
            let bytes = vec![7; size];
            assert_eq!(to.next(), TransportEvent::Announce { conn: at_to, bytes });
        }
    }
}

#[test]
fn every_class_of_request_is_answered_both_ways_up_to_its_limits() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::small());
    let mut tag = 0;
    for (from, conn, to, at_to) in [(&a, at_a, &b, at_b), (&b, at_b, &a, at_a)] {
        for class in Class::ALL.into_iter().filter(|class| class.is_request()) {
            let limits = (class.request_bytes_max(), class.answer_bytes_max());
            for (request, answer) in [(0, 0), limits] {
                from.request(conn, tag, class, vec![1; request]);
                let TransportEvent::Request { conn: c, stream, class: k, bytes } = to.next() else {
                    panic!("no request of {class:?}");
                };
                assert_eq!((c, k, bytes), (at_to, class, vec![1; request]));
                to.endpoint.send(at_to, Frame::Answer { stream, bytes: vec![2; answer] });
                let (tag_, bytes) = (RequestTag(tag), vec![2; answer]);
                assert_eq!(from.next(), TransportEvent::Answer { conn, tag: tag_, bytes });
                tag += 1;
            }
        }
    }
}

#[test]
fn a_refused_request_gets_no_answer_and_a_forgotten_one_nothing() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::default());
    let stream_of = |event| match event {
        TransportEvent::Request { stream, .. } => stream,
        other => panic!("expected Request, got {other:?}"),
    };
    a.request(at_a, 1, Class::Peers, vec![]);
    b.endpoint.send(at_b, Frame::Refuse(stream_of(b.next())));
    assert_eq!(a.next(), TransportEvent::NoAnswer { conn: at_a, tag: RequestTag(1) });
    a.request(at_a, 2, Class::Peers, vec![]);
    let forgotten = stream_of(b.next());
    a.endpoint.send(at_a, Frame::Forget(RequestTag(2)));
    b.endpoint.send(at_b, Frame::Answer { stream: forgotten, bytes: vec![2] });
    // Answering what nobody asked is no harm either.
    b.endpoint.send(at_b, Frame::Answer { stream: StreamTag(99), bytes: vec![] });
    a.request(at_a, 3, Class::Peers, vec![]);
    b.endpoint.send(at_b, Frame::Answer { stream: stream_of(b.next()), bytes: vec![3] });
    let answer = TransportEvent::Answer { conn: at_a, tag: RequestTag(3), bytes: vec![3] };
    assert_eq!(a.next(), answer);
}

#[test]
fn an_answer_under_way_is_not_told_once_its_request_is_forgotten() {
    let runtime = runtime();
    let (a, at_a, b, at_b) = pair(&runtime, &TransportLimits::default());
    let stream = || match b.next() {
        TransportEvent::Request { stream, .. } => stream,
        other => panic!("expected Request, got {other:?}"),
    };
    for round in 0..50 {
        a.request(at_a, 2 * round, Class::Peers, vec![]);
        let bytes = vec![1];
        b.endpoint.send(at_b, Frame::Answer { stream: stream(), bytes });
        // By the time that this is answered the answer is under way or waits for the driver.
        a.request(at_a, 2 * round + 1, Class::Facts, vec![]);
        let second = stream();
        a.endpoint.send(at_a, Frame::Forget(RequestTag(2 * round)));
        b.endpoint.send(at_b, Frame::Refuse(second));
        let tag = RequestTag(2 * round + 1);
        assert_eq!(a.next(), TransportEvent::NoAnswer { conn: at_a, tag });
    }
}

/// What a hostile peer does, on a stream in one direction or both.
enum Stream {
    Bi,
    Uni,
}

#[test]
fn provable_misbehavior_ends_the_connection_and_says_why() {
    let headers_max = Class::Headers.request_bytes_max() as u32;
    let gibibyte = 1 << 30;
    let mut trailing = raw_frame(Class::Peers, 1, b"x");
    trailing.push(0);
    let deeds = [
        (Stream::Bi, raw_frame(Class::Headers, headers_max + 1, b""), "frame of 1089 bytes"),
        (Stream::Bi, raw_frame(Class::Control, gibibyte, b"x"), "frame of 1073741824 bytes"),
        (Stream::Uni, raw_frame(Class::Announce, gibibyte, b"x"), "frame of 1073741824 bytes"),
        (Stream::Bi, vec![7, WIRE_VERSION], "unknown class 7"),
        (Stream::Uni, vec![255, WIRE_VERSION], "unknown class 255"),
        (Stream::Bi, vec![Class::Facts as u8, 2], "wire version 2"),
        (Stream::Bi, raw_frame(Class::Facts, 10, b"short"), "frame truncated"),
        (Stream::Bi, raw_frame(Class::Control, 10, b"short"), "frame truncated"),
        (Stream::Bi, vec![Class::Facts as u8, WIRE_VERSION], "frame truncated"),
        (Stream::Bi, vec![], "frame truncated"),
        (Stream::Bi, trailing, "bytes after the frame"),
        (Stream::Bi, raw_frame(Class::Announce, 0, b""), "unexpected stream of class 1"),
        (Stream::Uni, raw_frame(Class::Control, 0, b""), "unexpected stream of class 0"),
        (Stream::Uni, raw_frame(Class::Facts, 0, b""), "unexpected stream of class 4"),
    ];
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::default());
    for (stream, bytes, expected) in deeds {
        let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
        let end = wait(&runtime, async {
            let (mut send, _recv) = match stream {
                Stream::Bi => {
                    let (send, recv) = peer.open_bi().await.unwrap();
                    (send, Some(recv))
                }
                Stream::Uni => (peer.open_uni().await.unwrap(), None),
            };
            send.write_all(&bytes).await.unwrap();
            let _ = send.finish();
            peer.closed().await
        });
        assert_misbehavior(&victim, conn, &end, expected);
    }
}

fn assert_misbehavior(victim: &Node, conn: ConnId, end: &ConnectionError, expected: &str) {
    let (code, by_peer, detail) = victim.closed(conn);
    assert_eq!((code, by_peer), (Some(CloseCode::Misbehavior), false), "{expected}");
    assert!(detail.contains(expected), "{detail:?} should say {expected:?}");
    let ConnectionError::ApplicationClosed(close) = end else {
        panic!("{end}");
    };
    assert_eq!(close.error_code.into_inner(), CloseCode::Misbehavior as u64);
}

#[test]
fn a_second_control_stream_is_misbehavior() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::default());
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
    let bytes = raw_frame(Class::Control, 1, b"x");
    let mut first = wait(&runtime, peer.open_bi()).unwrap();
    wait(&runtime, first.0.write_all(&bytes)).unwrap();
    assert_eq!(victim.next(), TransportEvent::Control { conn, bytes: b"x".to_vec() });
    let mut second = wait(&runtime, peer.open_bi()).unwrap();
    wait(&runtime, second.0.write_all(&bytes)).unwrap();
    let end = wait(&runtime, peer.closed());
    assert_misbehavior(&victim, conn, &end, "unexpected stream of class 0");
}

#[test]
fn a_broken_answer_is_misbehavior_and_never_an_answer() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::default());
    let max = Class::Peers.answer_bytes_max() as u32;
    let answers = [
        ((max + 1).to_le_bytes().to_vec(), "at most 32768"),
        (vec![9, 0, 0, 0, 1], "frame truncated"),
        (vec![], "frame truncated"),
        (vec![1, 0, 0, 0, 1, 1], "bytes after the frame"),
    ];
    for (bytes, expected) in answers {
        let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
        victim.request(conn, 1, Class::Peers, vec![]);
        let end = wait(&runtime, async {
            let (mut send, mut recv) = peer.accept_bi().await.unwrap();
            recv.read_to_end(64).await.unwrap();
            send.write_all(&bytes).await.unwrap();
            let _ = send.finish();
            peer.closed().await
        });
        let mut event = victim.next();
        if event == (TransportEvent::NoAnswer { conn, tag: RequestTag(1) }) {
            event = victim.next();
        }
        let TransportEvent::Closed { code, by_peer, detail, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!((code, by_peer), (Some(CloseCode::Misbehavior), false));
        assert!(detail.contains(expected), "{detail:?} should say {expected:?}");
        assert!(matches!(end, ConnectionError::ApplicationClosed(_)));
    }
}
