//! Too much of everything, and promises that are never kept.

use std::time::Instant;

use cairn_core::block::facts_root;
use cairn_core::codec;
use cairn_core::engine::Frame;
use cairn_core::id::BlockId;
use cairn_core::seal::authority;
use cairn_core::wire::{
    Announce, BlocksRequest, Class, CloseCode, Control, FactsRequest, HeadersRequest, PeersRequest,
    ReconcileRequest, Tip,
};
use cairn_core::work::{Height, Work};

use crate::attacker::Attacker;
use crate::facts::made_up;
use crate::scene::{Scene, member, until};

/// Bytes of memory that this process occupies.
pub(crate) fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

#[test]
fn a_flood_of_requests_is_cut_to_the_rate_without_blame() {
    let scene = Scene::with(|_| {}, |limits| limits.rates.peers = (5, 20));
    let chain = scene.chain();
    let mut attacker = Attacker::join(&scene, &chain);
    let ask = codec::encode(&PeersRequest { max: 64 });
    for _ in 0..60 {
        let asked = attacker.answers.len() + 1;
        attacker.request(Class::Peers, ask.clone());
        attacker.serve_until(&chain, "an answer or a refusal", |a| a.answers.len() == asked);
    }
    let refused = attacker.answers.iter().filter(|(_, answer)| answer.is_none()).count();
    assert!(refused >= 10, "{refused} of 60 were refused");
    assert!(refused < 60, "within the rate it is served");
    scene.unharmed();
}

#[test]
fn announcements_that_are_never_served_do_not_keep_facts_of_others_out() {
    let scene = Scene::with(|_| {}, |limits| limits.request_timeout = 1_000);
    let mut chain = scene.chain();
    let mut attacker = Attacker::join(&scene, &chain);
    let before = memory();
    for n in 0..300 {
        let ids = (0..1_024).map(|i| made_up(n * 1_024 + i)).collect();
        attacker.announce(&Announce::Facts(ids));
        if n % 20 == 0 {
            attacker.ping(&chain);
            attacker.heard.clear();
            attacker.ignore_facts_until(&chain, "a pong", |a| !a.heard.is_empty());
        }
    }
    assert!(scene.victim().handle().status().wanted <= 65_536);
    // Another peer's fact comes through meanwhile.
    let note = member(1, scene.mesh()).record("note", "true");
    chain.add(std::slice::from_ref(&note));
    let mut other = Attacker::join_as(&scene, &chain, 1);
    other.announce(&Announce::Facts(vec![note.id()]));
    other.serve_until(&chain, "the true fact", |_| Scene::has(scene.victim(), &note.id()));
    assert!(memory() - before.min(memory()) < 256 << 20);
    scene.unharmed();
}

#[test]
fn a_flood_of_light_branches_is_bounded_and_the_chain_goes_on() {
    let scene = Scene::with(
        |_| {},
        |limits| (limits.headers_in_memory, limits.headers_kept) = (2_400, 100),
    );
    let by = member(0, scene.mesh());
    let flood = scene.chain();
    let mut attacker = Attacker::join(&scene, &flood);
    for n in 0..200u32 {
        let mut branch = flood.clone();
        let mut header = branch.draft(&by.key, &[]);
        header.facts_root = facts_root(&[made_up(n)]);
        let id = branch.push(authority::seal(header, &by.key), vec![made_up(n)]);
        attacker.boast(&branch);
        let request = HeadersRequest { locator: vec![flood.last()], max: 9 };
        let headers = branch.answer(Class::Headers, &codec::encode(&request)).unwrap();
        attacker.answer_once(&flood, Class::Headers, headers);
        assert_ne!(scene.victim().handle().status().tip.id, id);
    }
    let mut honest = scene.chain();
    let other = member(1, scene.mesh());
    for n in 0..3 {
        let note = other.record("note", &format!("{n}"));
        honest.add(std::slice::from_ref(&note));
        honest.seal(&other.key, &[note.id()]);
    }
    let mut peer = Attacker::join_as(&scene, &honest, 1);
    peer.boast(&honest);
    peer.serve_until(&honest, "the honest chain", |_| {
        scene.victim().handle().status().tip.id == honest.last()
    });
    scene.unharmed();
}

#[test]
fn false_locators_and_ids_that_nobody_has_get_an_honest_answer_or_an_end() {
    let scene = Scene::new();
    let chain = scene.chain();
    let no_mesh_of_ours = HeadersRequest { locator: vec![BlockId([9; 32]); 5], max: 100 };
    let empty = HeadersRequest { locator: Vec::new(), max: 100 };
    let too_long = HeadersRequest { locator: vec![chain.last(); 33], max: 100 };
    for request in [no_mesh_of_ours, empty, too_long] {
        let mut attacker = Attacker::join(&scene, &chain);
        attacker.request(Class::Headers, codec::encode(&request));
        assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior), "{request:?}");
    }
    let mut attacker = Attacker::join(&scene, &chain);
    let unsorted = HeadersRequest { locator: vec![chain.last(); 32], max: u16::MAX };
    let asks = [
        (Class::Headers, codec::encode(&unsorted)),
        (Class::Blocks, codec::encode(&BlocksRequest { ids: vec![BlockId([1; 32]); 64] })),
        (Class::Facts, codec::encode(&FactsRequest { ids: vec![made_up(1); 1_024] })),
        (Class::Reconcile, codec::encode(&ReconcileRequest::Buckets((0..64).collect()))),
        (Class::Peers, codec::encode(&PeersRequest { max: u16::MAX })),
    ];
    let count = asks.len();
    for (class, bytes) in asks {
        attacker.request(class, bytes);
    }
    attacker.serve_until(&chain, "every answer", |attacker| attacker.answers.len() == count);
    assert!(attacker.answers.iter().all(|(_, answer)| answer.is_some()));
    for request in [
        ReconcileRequest::Buckets(vec![64]),
        ReconcileRequest::Buckets(vec![0; 65]),
        ReconcileRequest::Ids { buckets: vec![5, 4], after: None },
        ReconcileRequest::Ids { buckets: vec![4_096], after: None },
        ReconcileRequest::Ids { buckets: (0..300).collect(), after: None },
    ] {
        let mut attacker = Attacker::join(&scene, &chain);
        attacker.request(Class::Reconcile, codec::encode(&request));
        assert_eq!(attacker.closed(&chain), Some(CloseCode::Misbehavior), "{request:?}");
    }
    scene.unharmed();
}

#[test]
fn a_peer_that_answers_nothing_costs_time_and_no_more() {
    let scene = Scene::with(|_| {}, |limits| limits.request_timeout = 500);
    let mut chain = scene.chain();
    let by = member(0, scene.mesh());
    let note = by.record("note", "x");
    chain.add(std::slice::from_ref(&note));
    chain.seal(&by.key, &[note.id()]);
    let mut silent = Attacker::join(&scene, &scene.chain());
    let start = Instant::now();
    for n in 0..10u8 {
        let work = Work::from_u64(u64::MAX);
        silent.announce(&Announce::Block(Tip { height: Height(9), id: BlockId([n; 32]), work }));
        silent.announce(&Announce::Facts(vec![made_up(n.into())]));
    }
    let mut peer = Attacker::join_as(&scene, &chain, 1);
    peer.boast(&chain);
    peer.serve_until(&chain, "the chain of the other", |_| {
        scene.victim().handle().status().tip.id == chain.last()
    });
    assert!(start.elapsed() < crate::scene::PATIENCE);
    // Slowness is not provable.
    silent.heard.clear();
    silent.ping(&scene.chain());
    silent.ignore_facts_until(&scene.chain(), "a pong", |silent| !silent.heard.is_empty());
    scene.unharmed();
}

#[test]
fn many_pings_get_as_many_pongs_and_a_pong_to_nothing_gets_nothing() {
    let scene = Scene::new();
    let chain = scene.chain();
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.heard.clear();
    // Within the rate of control frames; what is above it is dropped (core's engine tests).
    for nonce in 0..80 {
        attacker.control(&Control::Pong { nonce });
        attacker.ping(&chain);
        if nonce % 20 == 19 {
            attacker.serve_until(&chain, "pongs", |attacker| {
                let pong = |heard: &&Control| matches!(heard, Control::Pong { .. });
                attacker.heard.iter().filter(pong).count() > nonce as usize
            });
        }
    }
    scene.unharmed();
}

#[test]
fn a_block_whose_body_is_withheld_does_not_stop_the_mesh() {
    let scene = Scene::with(|_| {}, |limits| limits.request_timeout = 500);
    let by = member(0, scene.mesh());
    let mut chain = scene.chain();
    let mut header = chain.draft(&by.key, &[]);
    header.facts_root = facts_root(&[made_up(1)]);
    chain.push(authority::seal(header, &by.key), vec![made_up(1)]);
    chain.bodies.clear();
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.boast(&chain);
    attacker.serve_until(&chain, "the header is known", |_| {
        scene.victim().handle().status().target == 1
    });
    // A better chain that can be had is taken all the same.
    let mut honest = scene.chain();
    let other = member(1, scene.mesh());
    let note = other.record("note", "x");
    honest.add(std::slice::from_ref(&note));
    honest.seal(&other.key, &[note.id()]);
    let more = other.record("note", "y");
    honest.add(std::slice::from_ref(&more));
    honest.seal(&other.key, &[more.id()]);
    let last = by.record("note", "z");
    honest.add(std::slice::from_ref(&last));
    honest.seal(&by.key, &[last.id()]);
    let mut peer = Attacker::join_as(&scene, &honest, 1);
    peer.boast(&honest);
    peer.serve_until(&honest, "the chain that can be had", |_| {
        scene.victim().handle().status().tip.id == honest.last()
    });
    until("no block is waited for", || scene.victim().handle().status().target == 3);
    attacker.send(Frame::Announce(codec::encode(&Announce::Facts(Vec::new()))));
    scene.unharmed();
}
