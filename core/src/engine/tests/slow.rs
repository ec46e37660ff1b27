//! Peers that are alive and answer no requests: they delay catching up once, and are not blamed.

use super::peers::{grow, other};
use super::*;

/// A chain of so many blocks, an engine that lacks it, and two peers that have it.
fn behind(blocks: usize) -> (Sole, TestChain) {
    let ([a, b, ..], mut params) = founders();
    params.spacing = 10;
    let mut chain = TestChain::new(params.clone());
    let (a, b) = (a.in_mesh(chain.mesh()), b.in_mesh(chain.mesh()));
    for n in 0..blocks {
        grow(&mut chain, &a, &format!("{n}"));
    }
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), false);
    sole.pass(1_000_000);
    sole.join(1, a.id(), &chain);
    sole.join(2, other(2), &chain);
    (sole, chain)
}

/// Requests of a class that wait for an answer of a peer.
fn waiting(sole: &Sole, conn: u64, class: Class) -> usize {
    sole.asked.iter().filter(|(to, _, asked, _)| to.0 == conn && *asked == class).count()
}

#[test]
fn a_peer_that_answers_pings_and_nothing_else_delays_catching_up_once() {
    let (mut sole, chain) = behind(1_000);
    let start = sole.now;
    while sole.tip().id != chain.last() {
        sole.serve(2, &chain);
        sole.pass(100);
        assert!(sole.now < start + 25_000, "{}", sole.tip().height.0);
    }
    assert!(sole.closed().is_empty(), "slowness is no crime");
}

#[test]
fn a_peer_that_let_us_wait_is_asked_little_and_for_nothing_that_others_give() {
    let (mut sole, mut chain) = behind(40);
    while sole.tip().id != chain.last() {
        sole.serve(2, &chain);
        sole.pass(1_000);
    }
    let ([a, ..], _) = founders();
    let a = a.in_mesh(chain.mesh());
    for n in 0..200 {
        grow(&mut chain, &a, &format!("more {n}"));
    }
    sole.pass(10_000);
    for conn in [1, 2] {
        sole.announce(conn, &Announce::Block(chain.tip()));
    }
    while sole.tip().id != chain.last() {
        assert_eq!(waiting(&sole, 1, Class::Blocks), 0, "the other one is prompt");
        assert!(sole.serve_one(2, &chain));
    }
    // Left alone with it, we ask it all the same, one request at a time.
    sole.conn(2, ConnInput::Closed { code: None, by_peer: true, reason: "" });
    for n in 0..200 {
        grow(&mut chain, &a, &format!("still more {n}"));
    }
    sole.announce(1, &Announce::Block(chain.tip()));
    let mut most = 0;
    for _ in 0..300 {
        most = most.max(waiting(&sole, 1, Class::Blocks));
        // Every other second it remembers that it can answer.
        sole.serve_one(1, &chain);
        sole.pass(2_000);
    }
    assert_eq!(sole.tip().id, chain.last());
    assert!(most >= 1);
}
