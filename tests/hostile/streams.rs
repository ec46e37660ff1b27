//! Bytes that no correct program sends, and streams that stall, never end or are too many: from a
//! member of the mesh, against a whole node. What is provable is closed with 0x17, slowness is not;
//! neither costs the victim memory, its honest peer or its users anything.

use std::time::{Duration, Instant};

use cairn_core::codec;
use cairn_core::wire::{Announce, Class, CloseCode, Control, PeersAnswer, PeersRequest};
use quinn::{ReadError, ReadToEndError, SendStream};

use crate::floods::memory;
use crate::raw::{Raw, frame, honest_frame, stream};
use crate::scene::Scene;

const GIBIBYTE: u32 = 1 << 30;
/// What an attack may leave behind, with all that an honest node does besides.
const MEMORY: u64 = 96 << 20;

/// Where an attacker writes.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// On the control stream, after the hello.
    Control,
    /// On the stream of announcements.
    Announce,
    /// On a stream of its own, like a request; then it ends the stream.
    Request,
}

fn spoil(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(0);
    bytes
}

/// Everything that a correct program never writes.
fn crimes() -> Vec<(&'static str, Place, Vec<u8>)> {
    use Place::{Announce as Uni, Control as Ctl, Request as Bi};
    let class = |class: Class| class as u8;
    let over = |class: Class| stream(class as u8, class.request_bytes_max() as u32 + 1, &[0; 99]);
    let whole = |class: Class, body: &[u8]| stream(class as u8, body.len() as u32, body);
    let ids = codec::encode(&Announce::Facts(Vec::new()));
    let pong = codec::encode(&Control::Pong { nonce: 1 });
    let peers = codec::encode(&PeersRequest { max: 9 });
    let mut crimes = vec![
        ("1 GiB on control", Ctl, frame(GIBIBYTE, b"x")),
        ("1 GiB announced", Uni, stream(class(Class::Announce), GIBIBYTE, b"x")),
        ("4 GiB asked", Bi, stream(class(Class::Facts), u32::MAX, b"x")),
        ("a class that is none", Bi, vec![7, 1]),
        ("a class that is none, one way", Uni, vec![0xff, 1]),
        ("another version", Bi, vec![class(Class::Facts), 2]),
        ("a control stream too many", Bi, whole(Class::Control, &pong)),
        ("announcements both ways", Bi, whole(Class::Announce, &ids)),
        ("a request one way", Uni, whole(Class::Peers, &peers)),
        ("over the limit of control", Ctl, frame(8 * 1024 + 1, &[0; 99])),
        ("over the limit of announce", Uni, over(Class::Announce)),
        ("no message on control", Ctl, honest_frame(&[0xee; 30])),
        ("nothing on control", Ctl, honest_frame(&[])),
        ("no announcement", Uni, whole(Class::Announce, &[0xee; 30])),
        ("a byte after the message, control", Ctl, honest_frame(&spoil(pong.clone()))),
        ("a byte after the message, announce", Uni, whole(Class::Announce, &spoil(ids))),
        ("a byte after the message, request", Bi, whole(Class::Peers, &spoil(peers.clone()))),
        ("a byte after the frame", Bi, spoil(whole(Class::Peers, &peers))),
        ("a frame cut short", Bi, stream(class(Class::Facts), 30, b"cut")),
        ("a number written too long", Ctl, honest_frame(&[0x82, 0x00, 0x01])),
    ];
    for class in Class::ALL.into_iter().filter(|class| class.is_request()) {
        crimes.push(("over the limit of a request", Bi, over(class)));
        crimes.push(("no request", Bi, whole(class, &[0xee; 40])));
    }
    crimes
}

fn write(raw: &mut Raw, place: Place, bytes: &[u8]) -> Option<SendStream> {
    let connection = raw.connection.clone();
    let runtime = raw.runtime();
    runtime.block_on(async {
        match place {
            Place::Control => {
                raw.control.0.write_all(bytes).await.ok();
                None
            }
            Place::Announce => {
                let mut send = connection.open_uni().await.ok()?;
                send.write_all(bytes).await.ok();
                Some(send)
            }
            Place::Request => {
                let (mut send, _) = connection.open_bi().await.ok()?;
                send.write_all(bytes).await.ok();
                let _ = send.finish();
                Some(send)
            }
        }
    })
}

#[test]
fn bytes_that_no_correct_program_sends_end_the_connection_with_0x17() {
    let scene = Scene::new();
    let chain = scene.chain();
    let before = memory();
    for (what, place, bytes) in crimes() {
        let mut raw = Raw::join(&scene, &chain, 0);
        let _open = write(&mut raw, place, &bytes);
        assert_eq!(raw.closed(), Some(CloseCode::Misbehavior), "{what}: {place:?} {bytes:02x?}");
    }
    assert!(memory().saturating_sub(before) < MEMORY);
    scene.unharmed();
}

#[test]
fn answers_that_no_correct_program_gives_end_the_connection_with_0x17() {
    let scene = Scene::new();
    let chain = scene.chain();
    let truth = codec::encode(&PeersAnswer { peers: Vec::new() });
    let answers = [
        ("1 GiB", frame(GIBIBYTE, b"x")),
        ("over the limit", frame(1024 * 1024 + 1, b"x")),
        ("no answer at all", Vec::new()),
        ("cut short", frame(20, b"cut")),
        ("no message", honest_frame(&[0xee; 40])),
        ("a byte after the message", honest_frame(&spoil(truth.clone()))),
        ("a byte after the frame", spoil(honest_frame(&truth))),
    ];
    for (what, bytes) in answers {
        let raw = Raw::join(&scene, &chain, 0);
        // Every peer is asked for addresses when it is accepted. Other questions stay open: to drop
        // one would be an answer.
        let mut unanswered = Vec::new();
        raw.wait(async {
            loop {
                let (mut send, mut recv) = raw.connection.accept_bi().await.unwrap();
                let asked = recv.read_to_end(4_096).await.unwrap();
                if asked[0] == Class::Peers as u8 {
                    send.write_all(&bytes).await.unwrap();
                    let _ = send.finish();
                    return;
                }
                unanswered.push(send);
            }
        });
        assert_eq!(raw.closed(), Some(CloseCode::Misbehavior), "{what}");
    }
    scene.unharmed();
}

#[test]
fn streams_that_stall_are_given_up_without_blame_and_delay_nobody() {
    let scene = Scene::new();
    let chain = scene.chain();
    let mut raw = Raw::join(&scene, &chain, 0);
    // As many half-open requests as may be open: one byte, a class, a prefix, half a frame.
    let mut stalled = Vec::new();
    for class in Class::ALL.into_iter().filter(|class| class.is_request()) {
        let parts: [&[u8]; 4] = [
            &[class as u8],
            &[class as u8, 1],
            &stream(class as u8, 20, &[])[..4],
            &stream(class as u8, 20, &[1; 10]),
        ];
        for part in parts.iter().take(class.inbound_max()) {
            let opened = raw.wait(async {
                let (mut send, recv) = raw.connection.open_bi().await.unwrap();
                send.write_all(part).await.unwrap();
                (send, recv)
            });
            stalled.push(opened);
        }
    }
    scene.unharmed();
    raw.is_heard(&chain);
    let start = Instant::now();
    for (send, mut recv) in stalled {
        raw.wait(async {
            assert!(send.stopped().await.unwrap().is_some(), "the victim wants no more of it");
            let end = recv.read_to_end(9).await;
            assert!(matches!(end, Err(ReadToEndError::Read(ReadError::Reset(_)))), "{end:?}");
        });
    }
    assert!(start.elapsed() < Duration::from_secs(30), "all at one time");
    // And it may ask again, like everybody.
    let answer = raw.ask(Class::Peers, &codec::encode(&PeersRequest { max: 9 }));
    assert!(codec::decode::<PeersAnswer>(&answer, answer.len()).is_ok());
    scene.unharmed();
}

#[test]
fn a_control_stream_that_stalls_or_ends_ends_the_connection_and_not_the_peer() {
    let scene = Scene::new();
    let chain = scene.chain();
    for part in [&[9u8][..], &[9, 0, 0, 0, 1], &[]] {
        let mut raw = Raw::join(&scene, &chain, 0);
        let runtime = raw.runtime();
        runtime.block_on(raw.control.0.write_all(part)).unwrap();
        if part.is_empty() {
            raw.control.0.finish().unwrap();
        }
        assert_eq!(raw.closed(), None, "slow or gone, which is no crime");
    }
    // It was not blamed: it is welcome at once, and again after it closed and opened the stream.
    let mut raw = Raw::join(&scene, &chain, 0);
    raw.control.0.reset(0u32.into()).unwrap();
    let pong = codec::encode(&Control::Pong { nonce: 1 });
    write(&mut raw, Place::Request, &stream(Class::Control as u8, 2, &pong));
    let code = raw.closed();
    assert!(matches!(code, None | Some(CloseCode::Misbehavior)), "{code:?}");
    let mut raw = Raw::join(&scene, &chain, 0);
    raw.is_heard(&chain);
    scene.unharmed();
}

#[test]
fn a_stream_without_an_end_costs_no_memory_and_delays_nobody() {
    let scene = Scene::new();
    let chain = scene.chain();
    let before = memory();
    // A request whose frame ends and whose stream does not.
    let endless = Raw::join(&scene, &chain, 0);
    let request = codec::encode(&PeersRequest { max: 9 });
    let bytes = stream(Class::Peers as u8, request.len() as u32, &request);
    endless.wait(async {
        let (mut send, _recv) = endless.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        while send.write_all(&[0; 65_536]).await.is_ok() {}
    });
    assert_eq!(endless.closed(), Some(CloseCode::Misbehavior));
    // Announcements without an end, as fast as they are taken.
    let mut talker = Raw::join(&scene, &chain, 0);
    let ids = codec::encode(&Announce::Facts((0..1_024).map(crate::facts::made_up).collect()));
    let connection = talker.connection.clone();
    let flood = scene.runtime.spawn(async move {
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(&[Class::Announce as u8, 1]).await.unwrap();
        for _ in 0..1_000 {
            send.write_all(&honest_frame(&ids)).await.unwrap();
        }
        // Dropping it would end it.
        send
    });
    scene.unharmed();
    talker.is_heard(&chain);
    let _open = talker.wait(flood).unwrap();
    talker.is_heard(&chain);
    assert!(memory().saturating_sub(before) < MEMORY);
    scene.unharmed();
}

#[test]
fn more_streams_than_allowed_cannot_be_opened_and_those_open_delay_nobody() {
    let scene = Scene::new();
    let chain = scene.chain();
    let mut raw = Raw::join(&scene, &chain, 0);
    let allowed: usize = Class::ALL
        .into_iter()
        .filter(|class| class.is_request() || *class == Class::Control)
        .map(Class::inbound_max)
        .sum();
    let soon = Duration::from_secs(2);
    let mut open = Vec::new();
    raw.wait(async {
        while let Ok(opened) = tokio::time::timeout(soon, raw.connection.open_bi()).await {
            let (mut send, recv) = opened.unwrap();
            // All of one class, of which so many are too many: those are reset at once, and no
            // one is to blame.
            send.write_all(&[Class::Headers as u8, 1]).await.unwrap();
            open.push((send, recv));
            if open.len() > 200 {
                break;
            }
        }
    });
    assert!(open.len() >= allowed - 1, "{} streams", open.len());
    let _first = raw.wait(raw.connection.open_uni()).unwrap();
    let second =
        raw.wait(async { tokio::time::timeout(soon, raw.connection.open_uni()).await.is_ok() });
    assert!(!second, "one stream of announcements");
    raw.is_heard(&chain);
    scene.unharmed();
}
