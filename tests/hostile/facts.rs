//! Facts that are not what was asked for, and answers that make no sense.

use cairn_core::codec;
use cairn_core::engine::Frame;
use cairn_core::fact::Role;
use cairn_core::id::{FactId, MeshId};
use cairn_core::testing::{TestChain, TestNode};
use cairn_core::wire::{
    Announce, Class, CloseCode, Control, FactsAnswer, PeersAnswer, ReconcileAnswer, SetSummary,
};
use serde_bytes::Bytes;

use crate::attacker::Attacker;
use crate::scene::{Scene, member, until};

fn facts(facts: &[&[u8]]) -> Vec<u8> {
    let facts = facts.iter().map(|fact| Bytes::new(fact)).collect();
    codec::encode(&FactsAnswer { facts, more: false })
}

/// Announces an id and answers for it with these bytes.
fn serve(scene: &Scene, chain: &TestChain, id: FactId, bytes: &[u8]) -> Attacker {
    let mut attacker = Attacker::join(scene, chain);
    attacker.announce(&Announce::Facts(vec![id]));
    attacker.answer_once(chain, Class::Facts, facts(&[bytes]));
    attacker
}

#[test]
fn a_forged_signature_and_a_malformed_fact_blame_who_sent_them() {
    let scene = Scene::new();
    let chain = scene.chain();
    let note = member(1, scene.mesh()).record("note", "true");
    let mut forged = note.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let cut = &note.bytes()[..note.bytes().len() - 1];
    let long = [note.bytes(), &[0]].concat();
    for bytes in [&forged[..], cut, &long, b"", &[0xff; 300]] {
        let mut attacker = serve(&scene, &chain, note.id(), bytes);
        assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior));
        assert!(!Scene::has(scene.victim(), &note.id()));
    }
    // The id is not to blame: the true fact is welcome.
    let mut honest = chain.clone();
    honest.add(std::slice::from_ref(&note));
    let mut attacker = Attacker::join(&scene, &honest);
    attacker.announce(&Announce::Facts(vec![note.id()]));
    attacker.serve_until(&honest, "the true fact", |_| Scene::has(scene.victim(), &note.id()));
    scene.agreed();
}

#[test]
fn a_fact_that_was_not_asked_for_is_dropped() {
    let scene = Scene::new();
    let chain = scene.chain();
    let by = member(1, scene.mesh());
    let (asked, other) = (by.record("note", "asked"), by.record("note", "other"));
    let foreign = by.in_mesh(MeshId([4; 32])).record("note", "asked");
    let mut tampered = asked.bytes().to_vec();
    // One letter of the text: still a well-formed fact, but of another id.
    let at = tampered.windows(5).position(|window| window == b"asked").unwrap();
    tampered[at] = b'A';
    for bytes in [other.bytes(), foreign.bytes(), &tampered] {
        let _attacker = serve(&scene, &chain, asked.id(), bytes);
        until("it is no longer wanted", || scene.victim().handle().status().wanted == 0);
    }
    scene.agreed();
    for id in [asked.id(), other.id(), foreign.id()] {
        assert!(!Scene::has(scene.victim(), &id));
    }
}

#[test]
fn facts_of_strangers_wait_outside_the_set_and_cost_their_bearer_nothing() {
    let scene = Scene::with(
        |_| {},
        |limits| (limits.strangers_facts, limits.reconcile_interval) = (8, 1_000),
    );
    let mut chain = scene.chain();
    let stranger = TestNode::new(80, scene.mesh());
    let notes: Vec<_> = (0..40).map(|n| stranger.record("note", &format!("{n}"))).collect();
    chain.facts.extend(notes.iter().map(|note| (note.id(), note.bytes().to_vec())));
    let ids: Vec<FactId> = notes.iter().map(|note| note.id()).collect();
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.announce(&Announce::Facts(ids.clone()));
    let before = scene.victim().handle().status().facts;
    let mut seen = 0;
    attacker.serve_until(&chain, "they were fetched", |_| {
        seen = seen.max(scene.victim().handle().status().announces_received);
        seen > 0 && scene.victim().handle().status().wanted == 0
    });
    assert_eq!(scene.victim().handle().status().facts, before);
    // Once admitted, what still waits comes in, and the rest by reconciliation.
    chain.add(&[member(0, scene.mesh()).admit(stranger.id(), Role::Member)]);
    chain.add(&notes);
    attacker.ping(&chain);
    attacker.serve_until(&chain, "all of them are in", |_| {
        ids.iter().all(|id| Scene::has(scene.victim(), id))
    });
    scene.agreed();
}

#[test]
fn undecodable_frames_are_misbehavior_on_every_class() {
    let scene = Scene::new();
    let chain = scene.chain();
    let garbage = vec![0xff; 60];
    let frames: [fn(&mut Attacker, Vec<u8>); 7] = [
        |attacker, bytes| attacker.send(Frame::Control(bytes)),
        |attacker, bytes| attacker.send(Frame::Announce(bytes)),
        |attacker, bytes| _ = attacker.request(Class::Headers, bytes),
        |attacker, bytes| _ = attacker.request(Class::Blocks, bytes),
        |attacker, bytes| _ = attacker.request(Class::Facts, bytes),
        |attacker, bytes| _ = attacker.request(Class::Reconcile, bytes),
        |attacker, bytes| _ = attacker.request(Class::Peers, bytes),
    ];
    for frame in frames {
        let mut attacker = Attacker::join(&scene, &chain);
        frame(&mut attacker, garbage.clone());
        assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior));
    }
    scene.unharmed();
}

#[test]
fn undecodable_answers_are_misbehavior_on_every_class() {
    let scene = Scene::new();
    let mut chain = scene.chain();
    let by = member(0, scene.mesh());
    // In the order of what follows from what: a reconciliation comes when all else is done.
    for wanted in [Class::Peers, Class::Headers, Class::Blocks, Class::Facts, Class::Reconcile] {
        // What an earlier one brought on the way is not asked for again.
        let note = by.record("note", &format!("{wanted:?}"));
        chain.add(std::slice::from_ref(&note));
        chain.seal(&by.key, &[note.id()]);
        if wanted == Class::Reconcile {
            // Told by nobody, so that nothing else finds it.
            chain.add(&[by.record("note", "found by reconciliation")]);
        }
        let mut attacker = Attacker::dial(&scene, crate::scene::MEMBERS[0]);
        attacker.control(&Control::Hello(crate::attacker::hello(&chain)));
        let closed = attacker.closed_by(|class, bytes| {
            if class == wanted { Some(vec![0xff; 60]) } else { chain.answer(class, bytes) }
        });
        assert_eq!(closed, Some(CloseCode::Misbehavior), "{wanted:?}");
    }
    scene.agreed();
}

#[test]
fn counts_beyond_what_exists_are_refused_before_anything_is_reserved() {
    let scene = Scene::new();
    let chain = scene.chain();
    // A list of 2^63 entries in a frame of a few bytes.
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for class in [Class::Headers, Class::Blocks, Class::Facts] {
        let mut attacker = Attacker::join(&scene, &chain);
        attacker.request(class, huge.to_vec());
        assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior), "{class:?}");
    }
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.send(Frame::Announce([&[1], &huge[..]].concat()));
    assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior));
    let ids: Vec<FactId> = (0..1_025u32).map(made_up).collect();
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.announce(&Announce::Facts(ids));
    assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior));
    scene.unharmed();
}

pub(crate) fn made_up(n: u32) -> FactId {
    let mut id = [0x77; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    FactId(id)
}

#[test]
fn a_reconciliation_that_makes_no_sense_is_misbehavior() {
    let scene = Scene::new();
    let chain = scene.chain();
    let claim = SetSummary { count: 1 << 40, sum: [1; 32] };
    let nonsense = [
        ReconcileAnswer::Groups(vec![claim; 3]),
        ReconcileAnswer::Buckets(vec![claim; 64]),
        ReconcileAnswer::Ids(vec![made_up(1)], true),
    ];
    for answer in nonsense {
        let mut attacker = Attacker::join(&scene, &chain);
        attacker.control(&Control::Ping { nonce: 9, tip: chain.tip(), facts: claim });
        let closed = attacker.closed_by(|class, bytes| match class {
            Class::Reconcile => Some(codec::encode(&answer)),
            _ => chain.answer(class, bytes),
        });
        assert_eq!(closed, Some(CloseCode::Misbehavior), "{answer:?}");
    }
    scene.agreed();
}

#[test]
fn ten_thousand_invented_addresses_displace_nothing_and_are_not_all_dialled() {
    let scene = Scene::with(
        |_| {},
        |limits| {
            (limits.addresses, limits.addresses_tried) = (160, 40);
        },
    );
    let chain = scene.chain();
    let honest = scene.honest().handle().node_id();
    let mut told = 0u32;
    // 64 in an answer, one answer for a connection.
    while told < 10_000 {
        let mut attacker = Attacker::dial(&scene, crate::scene::MEMBERS[(told / 64 % 2) as usize]);
        attacker.control(&Control::Hello(crate::attacker::hello(&chain)));
        let peers = (told..told + 64).map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            (format!("127.{a}.{b}.{c}:9"), TestNode::new(n.into(), chain.mesh()).id())
        });
        let answer = codec::encode(&PeersAnswer { peers: peers.collect() });
        attacker.answer_once(&chain, Class::Peers, answer);
        told += 64;
    }
    let peers = scene.victim().handle().peers();
    assert!(peers.len() <= 200 + 3, "{}", peers.len());
    assert!(peers.iter().any(|peer| peer.node == Some(honest) && peer.connected));
    scene.unharmed();
    // More addresses than a peer may tell at once.
    let peers = (0..65).map(|n| (format!("192.0.2.1:{}", n + 1), honest)).collect();
    let mut attacker = Attacker::dial(&scene, crate::scene::MEMBERS[0]);
    attacker.control(&Control::Hello(crate::attacker::hello(&chain)));
    let answer = codec::encode(&PeersAnswer { peers });
    let closed = attacker.closed_by(|class, bytes| match class {
        Class::Peers => Some(answer.clone()),
        _ => chain.answer(class, bytes),
    });
    assert_eq!(closed, Some(CloseCode::Misbehavior));
}
