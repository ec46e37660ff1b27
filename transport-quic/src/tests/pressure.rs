//! Peers that are slow, greedy or silent, and drivers that are slow.

use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::ReadError;

use super::*;

fn hasty() -> TransportLimits {
    TransportLimits { frame_timeout: Duration::from_millis(200), ..TransportLimits::small() }
}

#[test]
fn a_slow_driver_slows_its_peer_loses_nothing_and_hears_others_in_turn() {
    const FRAMES: usize = 600;
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::small());
    let honest = Node::start(&runtime, 2, TransportLimits::small());
    honest.dial(0, &victim, None);
    let (at_honest, at_victim) = (honest.opened().0, victim.opened().0);
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
    let written = Arc::new(AtomicUsize::new(0));
    let flood = runtime.spawn({
        let written = Arc::clone(&written);
        async move {
            let mut send = peer.open_uni().await.unwrap();
            send.write_all(&[Class::Announce as u8, WIRE_VERSION]).await.unwrap();
            for number in 0..FRAMES as u32 {
                let frame = [8192u32.to_le_bytes(), number.to_le_bytes()].concat();
                send.write_all(&frame).await.unwrap();
                send.write_all(&[0; 8188]).await.unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
            send.finish().unwrap();
            peer
        }
    });
    // Control of the honest peer passes while the flood stands.
    let mut flooded = 0;
    for byte in 0..50 {
        honest.control(at_honest, byte);
        loop {
            match victim.next() {
                TransportEvent::Control { conn, bytes } => {
                    assert_eq!((conn, bytes), (at_victim, vec![byte]));
                    break;
                }
                TransportEvent::Announce { .. } => flooded += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    // At no time is more underway than the windows of both sides and the frames in the inbox.
    let underway = written.load(Ordering::Relaxed) - flooded;
    assert!(underway <= 100, "{underway} frames on their way");
    while flooded < FRAMES {
        match victim.next() {
            TransportEvent::Announce { conn: from, bytes } => {
                assert_eq!((from, bytes.len()), (conn, 8192));
                assert_eq!(bytes[..4], (flooded as u32).to_le_bytes());
                flooded += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    wait(&runtime, flood).unwrap();
}

#[test]
fn old_announcements_give_way_when_the_peer_does_not_listen() {
    let runtime = runtime();
    let (a, at_a, b, _) = pair(&runtime, &TransportLimits::small());
    for number in 0..1_000u32 {
        let mut bytes = vec![0; 32 * 1024];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        a.endpoint.send(at_a, Frame::Announce(bytes));
    }
    let (mut seen, mut last) = (0, None);
    while last != Some(999) {
        let TransportEvent::Announce { bytes, .. } = b.next() else {
            panic!("not an announcement")
        };
        let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        assert!(last < Some(number), "in order");
        (seen, last) = (seen + 1, Some(number));
    }
    assert!(seen < 100, "{seen} of 1000 were kept");
}

#[test]
fn a_peer_that_does_not_read_control_is_let_go_without_blame() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::small());
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
    let mut control = wait(&runtime, peer.open_bi()).unwrap();
    wait(&runtime, control.0.write_all(&raw_frame(Class::Control, 1, b"x"))).unwrap();
    victim.next();
    for _ in 0..1_000 {
        victim.endpoint.send(conn, Frame::Control(vec![0; 8 * 1024]));
    }
    assert_eq!(victim.closed(conn), (None, false, "control queue full".to_owned()));
}

#[test]
fn requests_beyond_the_limit_get_no_answer_at_once() {
    let runtime = runtime();
    let limits = TransportLimits { requests_max: 2, ..TransportLimits::small() };
    let (a, at_a, b, at_b) = pair(&runtime, &limits);
    for tag in 1..=3 {
        a.request(at_a, tag, Class::Peers, vec![]);
    }
    assert_eq!(a.next(), TransportEvent::NoAnswer { conn: at_a, tag: RequestTag(3) });
    a.endpoint.send(at_a, Frame::Forget(RequestTag(1)));
    a.request(at_a, 4, Class::Facts, vec![4]);
    loop {
        let TransportEvent::Request { stream, bytes, .. } = b.next() else { panic!("no request") };
        if bytes == [4] {
            b.endpoint.send(at_b, Frame::Answer { stream, bytes });
            break;
        }
    }
    let answer = TransportEvent::Answer { conn: at_a, tag: RequestTag(4), bytes: vec![4] };
    assert_eq!(a.next(), answer);
}

#[test]
fn a_request_that_is_no_request_or_too_large_gets_no_answer() {
    let runtime = runtime();
    let (a, at_a, _b, _) = pair(&runtime, &TransportLimits::small());
    a.request(at_a, 1, Class::Control, vec![]);
    a.request(at_a, 2, Class::Peers, vec![0; 65]);
    for tag in [1, 2].map(RequestTag) {
        assert_eq!(a.next(), TransportEvent::NoAnswer { conn: at_a, tag });
    }
}

#[test]
fn a_peer_that_lets_no_stream_open_or_never_answers_gives_no_answer() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, hasty());
    for streams in [0u32, 100] {
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(streams.into());
        let (_endpoint, _peer, conn) = hostile(&runtime, transport, &victim);
        victim.request(conn, 1, Class::Facts, vec![]);
        assert_eq!(victim.next(), TransportEvent::NoAnswer { conn, tag: RequestTag(1) });
        victim.endpoint.close(conn, CloseCode::Full, "");
        victim.closed(conn);
    }
}

#[test]
fn a_stalled_request_is_stopped_and_nothing_else_suffers() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, hasty());
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
    wait(&runtime, async {
        for bytes in [vec![], raw_frame(Class::Facts, 100, b"x")] {
            let (mut send, mut recv) = peer.open_bi().await.unwrap();
            // One byte at least, or the other side does not see the stream.
            send.write_all(if bytes.is_empty() { &[4] } else { &bytes }).await.unwrap();
            assert!(send.stopped().await.unwrap().is_some());
            assert!(matches!(recv.read(&mut [0]).await, Err(ReadError::Reset(_))));
        }
        let (mut send, _recv) = peer.open_bi().await.unwrap();
        send.write_all(&raw_frame(Class::Peers, 1, b"y")).await.unwrap();
        send.finish().unwrap();
    });
    let event = victim.next();
    assert!(matches!(event, TransportEvent::Request { conn: c, .. } if c == conn), "{event:?}");
}

#[test]
fn one_request_too_many_of_a_class_is_reset_until_one_is_answered() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::default());
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
    let ask = || {
        wait(&runtime, async {
            let (mut send, recv) = peer.open_bi().await.unwrap();
            send.write_all(&raw_frame(Class::Headers, 1, b"y")).await.unwrap();
            let _ = send.finish();
            recv
        })
    };
    let taken = || match victim.next() {
        TransportEvent::Request { stream, .. } => stream,
        other => panic!("expected Request, got {other:?}"),
    };
    let mut open = Vec::new();
    for _ in 0..Class::Headers.inbound_max() {
        let recv = ask();
        open.push((recv, taken()));
    }
    let refused = wait(&runtime, ask_end(ask()));
    assert!(matches!(refused, Err(quinn::ReadToEndError::Read(ReadError::Reset(_)))));
    let (answered, stream) = open.pop().unwrap();
    victim.endpoint.send(conn, Frame::Answer { stream, bytes: vec![] });
    assert_eq!(wait(&runtime, ask_end(answered)), Ok(vec![0; 4]));
    let _recv = ask();
    taken();
}

async fn ask_end(mut recv: quinn::RecvStream) -> Result<Vec<u8>, quinn::ReadToEndError> {
    recv.read_to_end(64).await
}

#[test]
fn answers_that_a_peer_leaves_unread_are_bounded() {
    let runtime = runtime();
    let victim = Node::start(&runtime, 1, TransportLimits::small());
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(1024u32.into());
    let (_endpoint, peer, conn) = hostile(&runtime, transport, &victim);
    let mut answers = Vec::new();
    for _ in 0..Class::Facts.inbound_max() {
        let recv = wait(&runtime, async {
            let (mut send, recv) = peer.open_bi().await.unwrap();
            send.write_all(&raw_frame(Class::Facts, 1, b"y")).await.unwrap();
            send.finish().unwrap();
            recv
        });
        let TransportEvent::Request { stream, .. } = victim.next() else { panic!("no request") };
        victim.endpoint.send(conn, Frame::Answer { stream, bytes: vec![1; 1024 * 1024] });
        answers.push(recv);
    }
    // Room for two and a half: two arrive whole, the others are reset.
    let outcomes: Vec<bool> = wait(&runtime, async {
        let mut outcomes = Vec::new();
        for mut recv in answers.into_iter().rev() {
            outcomes.push(recv.read_to_end(2 << 20).await.is_ok());
        }
        outcomes
    });
    assert_eq!(outcomes, [false, false, true, true]);
}

#[test]
fn unread_announcements_leave_room_for_the_other_streams() {
    let runtime = runtime();
    let least = TransportLimits { receive_window: 3 * 64 * 1024, ..TransportLimits::small() };
    let victim = Node::start(&runtime, 1, least);
    let (_endpoint, peer, conn) = hostile(&runtime, TransportConfig::default(), &victim);
    let flood = runtime.spawn({
        let peer = peer.clone();
        async move {
            let mut send = peer.open_uni().await.unwrap();
            let opening = [Class::Announce as u8, WIRE_VERSION];
            send.write_all(&opening).await.unwrap();
            let frame = [1024u32.to_le_bytes().to_vec(), vec![0; 1024]].concat();
            send.write_all(&frame.repeat(5_000)).await
        }
    });
    // The driver takes nothing; still a long control frame and a request arrive.
    wait(&runtime, async {
        let (mut send, _recv) = peer.open_bi().await.unwrap();
        let frame = raw_frame(Class::Control, 8192, &[1; 8192]);
        send.write_all(&frame).await.unwrap();
        let (mut send, _recv) = peer.open_bi().await.unwrap();
        let frame = raw_frame(Class::Facts, 30_000, &[1; 30_000]);
        send.write_all(&frame).await.unwrap();
        send.finish().unwrap();
        assert_eq!(send.stopped().await.unwrap(), None, "all was acknowledged");
    });
    assert!(!flood.is_finished());
    let before = std::iter::from_fn(|| match victim.next() {
        TransportEvent::Control { .. } => None,
        other => Some(other),
    });
    assert!(before.count() < 100);
    victim.endpoint.close(conn, CloseCode::Misbehavior, "");
    victim.closed(conn);
    assert!(wait(&runtime, flood).unwrap().is_err());
}
