//! Who may speak at all: every refusal of a hello has its own close code.

use cairn_core::engine::{Frame, State};
use cairn_core::fact::Role;
use cairn_core::id::MeshId;
use cairn_core::testing::TestNode;
use cairn_core::wire::{Announce, CloseCode, Control, Hello};
use serde_bytes::ByteBuf;

use crate::attacker::{Attacker, hello};
use crate::scene::{MEMBERS, Scene, member};

/// How a hello is made wrong.
type Change = fn(&mut Hello);

/// A key that nobody ever admitted.
const STRANGER: [u8; 32] = [99; 32];

#[test]
fn each_wrong_hello_is_refused_with_its_code() {
    let scene = Scene::new();
    let chain = scene.chain();
    let wrong: [(CloseCode, Change); 6] = [
        (CloseCode::WrongMesh, |hello| hello.mesh = MeshId([7; 32])),
        (CloseCode::RulesVersion, |hello| hello.rules = 99),
        (CloseCode::Protocol, |hello| hello.protocol = (98, 99)),
        (CloseCode::Protocol, |hello| hello.protocol = (9, 0)),
        // The mesh is judged before its rules: two meshes need not agree on those.
        (CloseCode::WrongMesh, |hello| (hello.mesh, hello.rules) = (MeshId([7; 32]), 99)),
        (CloseCode::Protocol, |hello| (hello.mesh, hello.protocol) = (MeshId([7; 32]), (9, 9))),
    ];
    for (code, change) in wrong {
        let mut attacker = Attacker::dial(&scene, MEMBERS[0]);
        let mut hello = hello(&chain);
        change(&mut hello);
        attacker.control(&Control::Hello(hello));
        assert_eq!(attacker.closed(&chain), Some(code));
    }
    scene.unharmed();
}

#[test]
fn what_is_no_hello_is_refused_and_so_is_silence() {
    let scene = Scene::with(|_| {}, |limits| limits.hello_timeout = 1_500);
    let chain = scene.chain();
    let mut silent = Attacker::dial(&scene, MEMBERS[1]);
    for frame in [vec![], vec![0xff; 40], vec![0; 8 * 1024]] {
        let mut attacker = Attacker::dial(&scene, MEMBERS[0]);
        attacker.send(Frame::Control(frame));
        assert_eq!(attacker.closed(&chain), Some(CloseCode::BadHello));
    }
    let mut early = Attacker::dial(&scene, MEMBERS[0]);
    early.ping(&chain);
    assert_eq!(early.closed(&chain), Some(CloseCode::BadHello), "a ping before the hello");
    assert_eq!(silent.closed(&chain), Some(CloseCode::BadHello), "too late");
    scene.unharmed();
}

#[test]
fn a_second_hello_is_misbehavior() {
    let scene = Scene::new();
    let chain = scene.chain();
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.control(&Control::Hello(hello(&chain)));
    assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior));
    scene.unharmed();
}

#[test]
fn a_stranger_learns_nothing_and_is_told_why() {
    let scene = Scene::new();
    let chain = scene.chain();
    let mut attacker = Attacker::dial(&scene, STRANGER);
    // It asks before it has said who it is.
    let locator = vec![chain.last()];
    let request = cairn_core::wire::HeadersRequest { locator, max: 9 };
    attacker.request(cairn_core::wire::Class::Headers, cairn_core::codec::encode(&request));
    attacker.control(&Control::Hello(hello(&chain)));
    assert_eq!(attacker.closed(&chain), Some(CloseCode::NotMember));
    assert!(attacker.heard.is_empty(), "{:?}", attacker.heard);
    assert_eq!(attacker.announced, 0);
    assert!(attacker.answers.iter().all(|(_, answer)| answer.is_none()));
    scene.unharmed();
}

#[test]
fn a_stranger_with_a_worthless_introduction_is_refused() {
    let scene = Scene::new();
    let chain = scene.chain();
    let stranger = TestNode { key: key(STRANGER), mesh: scene.mesh() };
    let other = stranger.in_mesh(MeshId([1; 32]));
    let founder = member(0, scene.mesh());
    let own = stranger.admit(stranger.id(), Role::Member).bytes().to_vec();
    let foreign = other.admit(stranger.id(), Role::Member).bytes().to_vec();
    let mut forged = founder.admit(stranger.id(), Role::Member).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let note = founder.record("note", "no admission").bytes().to_vec();
    let cases = [
        (CloseCode::NotMember, vec![own]),
        (CloseCode::BadHello, vec![foreign]),
        (CloseCode::BadHello, vec![forged]),
        (CloseCode::BadHello, vec![note]),
        (CloseCode::BadHello, vec![vec![0xee; 100]]),
        (CloseCode::BadHello, vec![vec![1; 1_100]; 4]),
    ];
    for (code, introduction) in cases {
        let mut attacker = Attacker::dial(&scene, STRANGER);
        let mut hello = hello(&chain);
        hello.introduction = introduction.into_iter().map(ByteBuf::from).collect();
        attacker.control(&Control::Hello(hello));
        assert_eq!(attacker.closed(&chain), Some(code));
        assert!(attacker.heard.is_empty());
    }
    scene.unharmed();
}

#[test]
fn who_has_the_victims_key_is_noticed_and_its_own_address_is_not_taken_for_that() {
    let scene = Scene::new();
    let chain = scene.chain();
    let dir = cairn_node::data_dir::DataDir::new(scene.victim_dir());
    let key = cairn_node::keys::load(&dir.key_file()).unwrap().unwrap();
    // A node that is told its own address takes note, and goes on.
    let own = cairn_core::engine::PeerAddr(scene.victim().mesh_address().to_string());
    let add = cairn_core::engine::Command::AddPeer(own, None);
    scene.runtime.block_on(scene.victim().handle().command(add)).unwrap();
    crate::scene::until("it noticed that it dialled itself", || {
        let peers = scene.victim().handle().peers();
        peers.iter().any(|p| matches!(p.last_close, Some((CloseCode::Myself, _))))
    });
    let state = || scene.victim().handle().status().state;
    assert_ne!(state(), State::Degraded);
    let attacker = Attacker::dial(&scene, *key.seed());
    attacker.control(&Control::Hello(hello(&chain)));
    crate::scene::until("it noticed that its key is used twice", || state() == State::Degraded);
    scene.unharmed();
}

#[test]
fn a_second_connection_of_one_node_replaces_the_first() {
    let scene = Scene::new();
    let chain = scene.chain();
    let mut first = Attacker::join(&scene, &chain);
    let second = Attacker::join(&scene, &chain);
    assert_eq!(first.closed(&chain), Some(CloseCode::Duplicate));
    second.announce(&Announce::Facts(Vec::new()));
    scene.unharmed();
}

fn key(seed: [u8; 32]) -> cairn_core::signature::SigningKey {
    cairn_core::signature::SigningKey::from_seed(seed)
}
