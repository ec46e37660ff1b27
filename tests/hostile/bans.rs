//! What happens to whoever was caught, over real QUIC: it is kept out and told until when, on every
//! connection; both sides know why each connection ended.

use cairn_core::engine::{Command, Frame};
use cairn_core::id::NodeId;
use cairn_core::ledger::rows::Close;
use cairn_core::peer::Subject;
use cairn_core::signature::SigningKey;
use cairn_core::wire::{CloseCode, Control};

use crate::attacker::{Attacker, hello};
use crate::raw::Raw;
use crate::scene::{MEMBERS, Scene, until};

fn node(seed: [u8; 32]) -> NodeId {
    SigningKey::from_seed(seed).node_id()
}

/// How the victim remembers the last connection with a node.
fn remembered(scene: &Scene, node: NodeId) -> Option<Close> {
    let peers = scene.victim().handle().peers();
    peers.iter().find(|peer| peer.node == Some(node))?.closes.first().cloned()
}

#[test]
fn who_was_caught_is_told_until_when_and_others_are_not_concerned() {
    let scene = Scene::with(|_| {}, |limits| limits.bans = (600_000, 3_600_000));
    let chain = scene.chain();
    let mut raw = Raw::join(&scene, &chain, 0);
    let runtime = raw.runtime();
    runtime.block_on(async { raw.control.0.write_all(&[0xff; 64]).await.unwrap() });
    let (code, text) = raw.closed_saying();
    // The first connection is ended by the transport, which knows of no bans.
    assert_eq!(code, Some(CloseCode::Misbehavior), "{text}");
    until("the victim knows", || remembered(&scene, node(MEMBERS[0])).is_some());
    let mut again = Attacker::dial(&scene, MEMBERS[0]);
    assert_eq!(again.closed(&chain), Some(CloseCode::Misbehavior));
    until("the victim remembers what it said", || {
        remembered(&scene, node(MEMBERS[0])).is_some_and(|close| close.reason.contains("until 20"))
    });
    // Another member from the same address is welcome, and a person lets the first in again.
    let _other = Attacker::join_as(&scene, &chain, 1);
    let unban = Command::Unban(Subject::Node(node(MEMBERS[0])));
    scene.runtime.block_on(scene.victim().handle().command(unban)).unwrap();
    let _forgiven = Attacker::join(&scene, &chain);
    scene.unharmed();
}

#[test]
fn the_side_that_closes_remembers_the_code_as_well() {
    let scene = Scene::new();
    let chain = scene.chain();
    let cases: [(CloseCode, fn(&mut cairn_core::wire::Hello)); 3] = [
        (CloseCode::WrongMesh, |hello| hello.mesh = cairn_core::id::MeshId([7; 32])),
        (CloseCode::RulesVersion, |hello| hello.rules = 99),
        (CloseCode::Protocol, |hello| hello.protocol = (98, 99)),
    ];
    for (code, change) in cases {
        let mut attacker = Attacker::dial(&scene, MEMBERS[0]);
        let mut hello = hello(&chain);
        change(&mut hello);
        attacker.control(&Control::Hello(hello));
        assert_eq!(attacker.closed(&chain), Some(code));
        until("the victim remembers", || {
            remembered(&scene, node(MEMBERS[0])).is_some_and(|close| close.code == code)
        });
        let close = remembered(&scene, node(MEMBERS[0])).unwrap();
        assert!(!close.by_peer && !close.outbound, "{close:?}");
        let range = close.reason.contains("1 to 1");
        assert_eq!(range, code == CloseCode::Protocol, "its own range is told: {close:?}");
    }
    let mut silly = Attacker::dial(&scene, MEMBERS[0]);
    silly.send(Frame::Control(vec![0xff; 9]));
    assert_eq!(silly.closed(&chain), Some(CloseCode::BadHello));
    let mut stranger = Attacker::dial(&scene, [99; 32]);
    stranger.control(&Control::Hello(hello(&chain)));
    assert_eq!(stranger.closed(&chain), Some(CloseCode::NotMember));
    for (seed, code) in [(MEMBERS[0], CloseCode::BadHello), ([99; 32], CloseCode::NotMember)] {
        until("the victim remembers", || {
            remembered(&scene, node(seed)).is_some_and(|close| close.code == code)
        });
    }
    scene.unharmed();
}
