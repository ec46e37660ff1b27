//! Peers that stall, withhold, hoard or lie, and honest ones that must not be blamed.

use super::*;
use crate::event::Event;
use crate::id::{BlockId, FactId};
use crate::peer::Source;
use crate::seal::authority;
use crate::wire::{ReconcileAnswer, ReconcileRequest};

pub(super) fn made_up(n: u32) -> FactId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    FactId(id)
}

/// An engine of the second founder, a chain without blocks, and the first two founders.
pub(super) fn pair(seals: bool) -> (Sole, TestChain, TestNode, TestNode) {
    let ([a, b, ..], params) = founders();
    let chain = TestChain::new(params.clone());
    let sole = Sole::new(&params, b.key.clone(), Limits::default(), seals);
    (sole, chain, a, b)
}

/// A founder that is neither of these.
pub(super) fn other(n: usize) -> NodeId {
    founders().0[n].id()
}

/// The chain with one more block, which seals a note.
pub(super) fn grow(chain: &mut TestChain, by: &TestNode, text: &str) -> BlockId {
    let note = by.record("note", text);
    chain.add(core::slice::from_ref(&note));
    chain.seal(&by.key, &[note.id()])
}

#[test]
fn the_mesh_goes_on_without_a_block_whose_body_nobody_shows() {
    let (mut sole, mut chain, a, b) = pair(true);
    let withheld = grow(&mut chain, &a, "nobody will see this");
    chain.bodies.clear();
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    assert_eq!(sole.engine.status().target, 1, "the header is known");
    sole.publish(b.record("note", "mine"));
    for _ in 0..20 {
        sole.serve(1, &chain);
        sole.pass(1_000);
    }
    assert_eq!(sole.tip().height.0, 0, "the body may still come");
    for _ in 0..40 {
        sole.serve(1, &chain);
        sole.pass(1_000);
    }
    assert_eq!(sole.tip().height.0, 1);
    assert_ne!(sole.tip().id, withheld);
    assert!(sole.closed().is_empty(), "slowness is no crime");
}

#[test]
fn a_body_that_comes_slowly_is_waited_for() {
    let (mut sole, mut chain, a, b) = pair(true);
    let notes: Vec<_> = (0..6).map(|n| a.record("note", &format!("{n}"))).collect();
    let ids: Vec<_> = notes.iter().map(|note| note.id()).collect();
    chain.add(&notes);
    let block = chain.seal(&a.key, &ids);
    let all = core::mem::take(&mut chain.facts);
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    sole.publish(b.record("note", "mine"));
    // One fact every 20 s: longer in all than a withheld body is waited for.
    for (id, bytes) in all {
        sole.serve(1, &chain);
        sole.pass(20_000);
        assert_eq!(sole.tip().height.0, 0);
        chain.facts.insert(id, bytes);
    }
    for _ in 0..10 {
        sole.serve(1, &chain);
        sole.pass(1_000);
    }
    let first = sole.store.block_at(crate::work::Height(1)).unwrap();
    assert_eq!(first, Some(block), "and it goes on from there");
}

#[test]
fn a_body_of_a_block_given_up_meanwhile_blames_nobody() {
    let (mut sole, mut chain, a, _) = pair(false);
    let id = grow(&mut chain, &a, "x");
    sole.join(1, a.id(), &chain);
    sole.settle();
    // Answer the headers, but not the body yet.
    let at = sole.asked.iter().position(|(.., class, _)| *class == Class::Headers).unwrap();
    let (_, tag, class, bytes) = sole.asked.remove(at);
    let headers = chain.answer(class, &bytes).unwrap();
    sole.conn(1, ConnInput::Answer { tag, bytes: &headers });
    let at = sole.asked.iter().position(|(.., class, _)| *class == Class::Blocks).unwrap();
    let (_, tag, class, bytes) = sole.asked.remove(at);
    // The header leaves memory, as a light branch does when there is no room.
    sole.engine.chain =
        Chain::load(&sole.engine.config.params, &Limits::default(), &sole.store).unwrap();
    let body = chain.answer(class, &bytes).unwrap();
    sole.conn(1, ConnInput::Answer { tag, bytes: &body });
    assert!(sole.closed().is_empty());
    assert_eq!(sole.engine.chain.judge_body(&id, &[]), None);
}

#[test]
fn a_body_over_the_bounds_is_refused_before_its_facts_are_wanted() {
    let ([a, b, ..], mut params) = founders();
    params.block_facts_max = 3;
    let mesh = crate::block::mesh_id(&params);
    let a = a.in_mesh(mesh);
    let mut chain = TestChain::new(params.clone());
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), false);
    let facts: Vec<_> = (0..4).map(made_up).collect();
    let mut header = chain.draft(&a.key, &[]);
    header.facts_root = crate::block::facts_root(&facts);
    chain.push(authority::seal(header, &a.key), facts);
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Misbehavior));
    assert_eq!(sole.engine.status().wanted, 0);
    assert!(sole.out.iter().any(|o| matches!(o, Output::Event(Event::BlockRefused { .. }))));
}

#[test]
fn facts_of_a_branch_that_lost_are_not_wanted_for_ever() {
    let (mut sole, mut chain, a, b) = pair(false);
    let mut rival = chain.clone();
    let facts: Vec<_> = (0..9).map(made_up).collect();
    let mut header = chain.draft(&a.key, &[]);
    header.facts_root = crate::block::facts_root(&facts);
    chain.push(authority::seal(header, &a.key), facts);
    sole.join(1, a.id(), &chain);
    sole.serve(1, &chain);
    assert_eq!(sole.engine.status().wanted, 9);
    // A heavier branch comes and is complete.
    for n in 0..4 {
        grow(&mut rival, if n % 2 == 0 { &b } else { &a }, &format!("{n}"));
    }
    sole.announce(1, &Announce::Block(rival.tip()));
    for _ in 0..30 {
        sole.serve(1, &rival);
        sole.pass(1_000);
    }
    assert_eq!(sole.tip().id, rival.last());
    assert_eq!(sole.engine.status().wanted, 0);
}

#[test]
fn announcements_of_what_is_never_served_leave_room_for_others() {
    let (mut sole, mut chain, a, b) = pair(false);
    sole.join(1, a.id(), &chain);
    let share = Limits::default().wants as u64 / 8;
    for n in 0..200 {
        let ids = (0..1_024).map(|i| made_up(n * 1_024 + i)).collect();
        sole.announce(1, &Announce::Facts(ids));
    }
    // Its share, and what is in requests already.
    assert!(sole.engine.status().wanted <= share + 4 * 1_024);
    let note = b.record("note", "true");
    chain.add(core::slice::from_ref(&note));
    sole.join(2, other(2), &chain);
    sole.announce(2, &Announce::Facts(alloc::vec![note.id()]));
    sole.serve(2, &chain);
    assert!(sole.store.fact_row(&note.id()).unwrap().is_some());
}

#[test]
fn who_lets_requests_expire_is_asked_last() {
    let (mut sole, mut chain, a, b) = pair(false);
    for n in 0..3 {
        grow(&mut chain, if n % 2 == 0 { &a } else { &b }, &format!("{n}"));
    }
    sole.join(1, a.id(), &chain);
    // Headers come, bodies do not.
    let at = sole.asked.iter().position(|(.., class, _)| *class == Class::Headers).unwrap();
    let (_, tag, class, bytes) = sole.asked.remove(at);
    let headers = chain.answer(class, &bytes).unwrap();
    sole.conn(1, ConnInput::Answer { tag, bytes: &headers });
    sole.settle();
    sole.join(2, other(2), &chain);
    assert!(sole.asked.iter().all(|(to, _, class, _)| *class != Class::Blocks || to.0 == 1));
    for nonce in 0..11 {
        sole.control(2, &Control::Ping { nonce, tip: chain.tip(), facts: chain.set() });
        sole.pass(1_000);
    }
    assert!(sole.asked.iter().any(|(to, _, class, _)| *class == Class::Blocks && to.0 == 2));
}

#[test]
fn endless_ids_in_a_reconciliation_give_way_to_others() {
    let (mut sole, chain, a, _) = pair(false);
    let buckets = |bytes: &[u8]| codec::decode::<ReconcileRequest>(bytes, 1 << 16).unwrap();
    sole.join(1, a.id(), &chain);
    sole.control(1, &Control::Ping { nonce: 1, tip: chain.tip(), facts: huge() });
    let (mut next, mut answers) = (0u32, 0);
    while answers < 200 {
        sole.control(1, &Control::Ping { nonce: 1, tip: chain.tip(), facts: huge() });
        sole.pass(3_000);
        let Some(at) = sole.asked.iter().position(|(.., class, _)| *class == Class::Reconcile)
        else {
            // It forgets them once nobody serves them.
            sole.asked.retain(|(.., class, _)| *class != Class::Facts);
            sole.pass(11_000);
            answers += 1;
            if sole.engine.session.is_none() {
                break;
            }
            continue;
        };
        let (_, tag, _, bytes) = sole.asked.remove(at);
        let answer = match buckets(&bytes) {
            ReconcileRequest::Groups => ReconcileAnswer::Groups(alloc::vec![huge(); 64]),
            ReconcileRequest::Buckets(groups) => {
                ReconcileAnswer::Buckets(alloc::vec![huge(); 64 * groups.len()])
            }
            // All in the first bucket, ascending, never an end.
            ReconcileRequest::Span { .. } => panic!("the sums differ"),
            ReconcileRequest::Ids { .. } => {
                let ids = (0..4_096).map(|i| made_up(next + i)).collect();
                next += 4_096;
                ReconcileAnswer::Ids(ids, true)
            }
        };
        sole.conn(1, ConnInput::Answer { tag, bytes: &codec::encode(&answer) });
        answers += 1;
        if sole.engine.session.is_none() {
            break;
        }
    }
    assert!(sole.engine.session.is_none(), "the session ends by itself");
    assert!(sole.closed().is_empty());
}

fn huge() -> SetSummary {
    SetSummary { count: 1 << 40, sum: [3; 32] }
}

#[test]
fn ids_that_were_not_asked_for_or_go_backwards_are_nonsense() {
    let (a, b) = (made_up(1), made_up(2));
    let far = FactId([0xff; 32]);
    for ids in [alloc::vec![b, a], alloc::vec![a, a], alloc::vec![a, far]] {
        let (mut sole, chain, node, _) = pair(false);
        sole.join(1, node.id(), &chain);
        sole.control(1, &Control::Ping { nonce: 1, tip: chain.tip(), facts: huge() });
        sole.pass(3_000);
        let mut summary = SetSummary::default();
        summary.add(&a);
        let mut only_first = alloc::vec![SetSummary::default(); 64];
        only_first[0] = summary;
        for answer in [
            ReconcileAnswer::Groups(only_first.clone()),
            ReconcileAnswer::Buckets(only_first),
            ReconcileAnswer::Ids(ids, false),
        ] {
            let at = sole.asked.iter().position(|(.., class, _)| *class == Class::Reconcile);
            let (_, tag, ..) = sole.asked.remove(at.unwrap());
            sole.conn(1, ConnInput::Answer { tag, bytes: &codec::encode(&answer) });
            sole.settle();
        }
        assert_eq!(sole.closed().get(&1), Some(&CloseCode::Misbehavior));
    }
}

#[test]
fn a_flood_of_branches_does_not_stop_the_chain() {
    let ([a, b, ..], params) = founders();
    let limits = Limits { headers_in_memory: 2_300, headers_kept: 100, ..Limits::default() };
    let mut sole = Sole::new(&params, b.key.clone(), limits, false);
    let mut honest = TestChain::new(params.clone());
    let flood = TestChain::new(params);
    sole.join(1, a.id(), &flood);
    for n in 0..2_400u32 {
        let mut branch = flood.clone();
        let mut header = branch.draft(&a.key, &[]);
        header.facts_root = crate::block::facts_root(&[made_up(n)]);
        branch.push(authority::seal(header, &a.key), alloc::vec![made_up(n)]);
        sole.announce(1, &Announce::Block(branch.tip()));
        sole.asked.retain(|(.., class, _)| *class == Class::Headers);
        sole.serve(1, &branch);
    }
    assert!(sole.engine.chain.tree.len() <= 2_300);
    for n in 0..5 {
        grow(&mut honest, if n % 2 == 0 { &b } else { &a }, &format!("{n}"));
    }
    sole.join(2, other(2), &honest);
    for _ in 0..40 {
        sole.serve(2, &honest);
        sole.pass(1_000);
    }
    assert_eq!(sole.tip().id, honest.last());
}

#[test]
fn two_peers_that_never_give_headers_do_not_keep_us_from_the_third() {
    let (mut sole, mut chain, a, _) = pair(false);
    let lie = |n: u8| Tip {
        height: crate::work::Height(9),
        id: BlockId([n; 32]),
        work: crate::work::Work::from_u64(u64::MAX),
    };
    for conn in [1, 2] {
        sole.join(conn, other(conn as usize + 1), &chain);
        sole.announce(conn, &Announce::Block(lie(conn as u8)));
    }
    grow(&mut chain, &a, "x");
    sole.join(3, a.id(), &chain);
    for n in 10..25 {
        for conn in [1, 2] {
            sole.announce(conn, &Announce::Block(lie(n * 2 + conn as u8)));
        }
        sole.serve(3, &chain);
        sole.pass(1_000);
    }
    assert_eq!(sole.tip().id, chain.last());
}

#[test]
fn invented_addresses_are_not_all_dialled_at_once() {
    let (mut sole, ..) = pair(false);
    for n in 0..500 {
        let address = PeerAddr(format!("192.0.2.7:{}", 2_000 + n));
        sole.engine.book.learn(&address, Source::Heard, None);
    }
    sole.pass(1_000);
    let dials = sole.out.iter().filter(|output| matches!(output, Output::Dial(..))).count();
    assert_eq!(dials, Limits::default().outbound_wanted);
}

#[test]
fn a_forged_signature_blames_its_sender_and_not_the_id() {
    let (mut sole, mut chain, a, b) = pair(false);
    let note = b.record("note", "true");
    let mut forged = note.bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    chain.facts.insert(note.id(), forged);
    sole.join(1, a.id(), &chain);
    sole.announce(1, &Announce::Facts(alloc::vec![note.id()]));
    sole.serve(1, &chain);
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Misbehavior));
    chain.add(core::slice::from_ref(&note));
    sole.join(3, TestNode::new(9, chain.mesh()).id(), &chain);
    assert_eq!(sole.closed().get(&3), Some(&CloseCode::NotMember));
    sole.join(4, other(2), &chain);
    sole.announce(4, &Announce::Facts(alloc::vec![note.id()]));
    sole.serve(4, &chain);
    assert!(sole.store.fact_row(&note.id()).unwrap().is_some());
    assert_eq!(sole.closed().get(&4), None);
}

#[test]
fn a_body_that_is_not_the_blocks_is_asked_of_somebody_else() {
    let (mut sole, mut chain, a, _) = pair(false);
    let block = grow(&mut chain, &a, "x");
    let mut lying = chain.clone();
    lying.bodies.insert(block, alloc::vec![made_up(1)]);
    sole.join(1, a.id(), &lying);
    sole.serve(1, &lying);
    assert_eq!(sole.closed().get(&1), Some(&CloseCode::Misbehavior));
    sole.conn(
        1,
        ConnInput::Closed { code: Some(CloseCode::Misbehavior), by_peer: false, reason: "" },
    );
    sole.join(2, other(2), &chain);
    sole.serve(2, &chain);
    sole.pass(1_000);
    sole.serve(2, &chain);
    assert_eq!(sole.tip().id, block);
}

#[test]
fn ten_thousand_blocks_are_caught_up_with_though_the_first_helper_stalls_half_way() {
    let ([a, b, ..], mut params) = founders();
    params.spacing = 10;
    let mut chain = TestChain::new(params.clone());
    let (a, b) = (a.in_mesh(chain.mesh()), b.in_mesh(chain.mesh()));
    for n in 0..10_000 {
        grow(&mut chain, &a, &format!("{n}"));
    }
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), false);
    // The blocks' times are over by now.
    sole.pass(1_000_000);
    sole.join(1, a.id(), &chain);
    while sole.tip().height.0 < 5_000 {
        if !sole.serve_one(1, &chain) {
            sole.pass(100);
        }
    }
    // It says nothing more; another one is there.
    sole.mute.push(1);
    sole.join(2, other(2), &chain);
    for _ in 0..100 {
        sole.serve(2, &chain);
        sole.pass(1_000);
    }
    assert_eq!(sole.tip().id, chain.last());
    assert_eq!(sole.engine.status().facts, chain.set());
    assert!(sole.closed().is_empty(), "slowness is no crime");
    assert!(sole.engine.chain.tree.len() < 3_000, "old headers left memory");
}
