//! Branches that begin below the headers in memory.

use super::peers::grow;
use super::*;
use crate::seal::authority;

const SMALL: (u64, usize) = (100, 4_000);

fn limits() -> Limits {
    let (headers_kept, headers_in_memory) = SMALL;
    Limits { headers_kept, headers_in_memory, ..Limits::default() }
}

/// An engine whose chain is one block of the first founder's and then `height` − 1 of the second's;
/// the engine is the fourth's. The chain as it was after the first block, and as it is now.
fn long(height: usize) -> (Sole, TestChain, TestChain, [TestNode; 4]) {
    let (keys, mut params) = founders();
    params.spacing = 10;
    let mesh = crate::block::mesh_id(&params);
    let keys = keys.map(|key| key.in_mesh(mesh));
    let mut sole = Sole::new(&params, keys[3].key.clone(), limits(), false);
    // The blocks' times are over by now.
    sole.pass(1_000_000);
    let mut trunk = TestChain::new(params);
    grow(&mut trunk, &keys[0], "trunk");
    let mut ours = trunk.clone();
    for n in 1..height {
        grow(&mut ours, &keys[1], &format!("ours {n}"));
    }
    sole.join(1, keys[0].id(), &ours);
    while sole.tip().id != ours.last() {
        if !sole.serve_one(1, &ours) {
            sole.pass(100);
        }
    }
    assert!(sole.engine.chain.tree.len() < 120, "most of it has left memory");
    (sole, trunk, ours, keys)
}

#[test]
fn an_old_header_of_a_member_loads_nothing() {
    let (mut sole, trunk, ours, keys) = long(1_500);
    let mut branch = trunk;
    // Sealed by a member long ago, or as if: many such, each from a connection of its own.
    for conn in 2..12 {
        let mut header = branch.draft(&keys[2].key, &[]);
        header.facts_root = crate::block::facts_root(&[super::peers::made_up(conn)]);
        branch.headers.truncate(2);
        branch.push(authority::seal(header, &keys[2].key), Vec::new());
        sole.join(conn.into(), keys[2].id(), &branch);
        for _ in 0..5 {
            sole.serve(conn.into(), &branch);
            sole.pass(1_000);
        }
        assert!(sole.engine.chain.tree.len() < 120, "{}", sole.engine.chain.tree.len());
        let code = CloseCode::Duplicate;
        sole.conn(conn.into(), ConnInput::Closed { code: Some(code), by_peer: true, reason: "" });
    }
    assert_eq!(sole.tip().id, ours.last());
    let blamed = sole.closed().into_values().any(|code| code == CloseCode::Misbehavior);
    assert!(!blamed, "it is true that it sealed that block");
}

/// Serves a branch, so many headers at a time, until it is the tip or for a minute.
fn offer(sole: &mut Sole, branch: &TestChain, headers_max: u16) {
    sole.announce(2, &Announce::Block(branch.tip()));
    for _ in 0..60 {
        while sole.serve_some(2, branch, headers_max) {}
        sole.pass(1_000);
        if sole.tip().id == branch.last() {
            return;
        }
    }
}

#[test]
fn a_branch_of_more_sealers_from_far_below_wins_however_few_headers_come_at_a_time() {
    for headers_max in [37, 2_000] {
        let (mut sole, trunk, _, keys) = long(700);
        let mut branch = trunk;
        for n in 0..300 {
            grow(&mut branch, &keys[n % 2 * 2], &format!("theirs {n}"));
        }
        sole.join(2, keys[2].id(), &branch);
        offer(&mut sole, &branch, headers_max);
        assert_eq!(sole.tip().id, branch.last(), "{headers_max} at a time");
        assert!(sole.closed().is_empty());
    }
}

#[test]
fn a_branch_of_as_many_sealers_has_to_show_more_work() {
    let (mut sole, trunk, ours, keys) = long(400);
    let mut branch = trunk;
    for n in 0..250 {
        grow(&mut branch, &keys[2], &format!("theirs {n}"));
    }
    sole.join(2, keys[2].id(), &branch);
    offer(&mut sole, &branch, 50);
    assert_eq!(sole.tip().id, ours.last());
    assert!(sole.engine.chain.tree.len() < 120, "it was followed and not kept");
    // It goes on; nothing that was followed is asked for again.
    for n in 250..450 {
        grow(&mut branch, &keys[2], &format!("theirs {n}"));
    }
    offer(&mut sole, &branch, 50);
    assert_eq!(sole.tip().id, branch.last());
    assert!(sole.closed().is_empty());
}

#[test]
fn a_header_that_breaks_a_rule_far_below_blames_its_sender() {
    let (mut sole, trunk, ours, keys) = long(300);
    let mut branch = trunk;
    grow(&mut branch, &keys[2], "good");
    let mut header = branch.draft(&keys[2].key, &[]);
    header.history_root = crate::id::Hash([1; 32]);
    branch.push(authority::seal(header, &keys[2].key), Vec::new());
    sole.join(2, keys[2].id(), &branch);
    offer(&mut sole, &branch, 1);
    assert_eq!(sole.closed().get(&2), Some(&CloseCode::Misbehavior));
    assert_eq!(sole.tip().id, ours.last());
    // And a seal in another's name.
    let mut forged = branch.headers.pop().unwrap();
    forged.history_root = crate::id::Hash([1; 32]);
    forged.sealer = keys[0].id();
    let mut other = branch.clone();
    other.push(forged, Vec::new());
    sole.join(3, keys[2].id(), &other);
    sole.announce(3, &Announce::Block(other.tip()));
    for _ in 0..5 {
        sole.serve(3, &other);
        sole.pass(1_000);
    }
    assert_eq!(sole.closed().get(&3), Some(&CloseCode::Misbehavior));
}

#[test]
fn a_fork_deeper_than_memory_allows_is_not_followed() {
    let (mut sole, trunk, ours, keys) = long(2_200);
    let mut branch = trunk;
    for n in 0..60 {
        grow(&mut branch, &keys[n % 2 * 2], &format!("theirs {n}"));
    }
    sole.join(2, keys[2].id(), &branch);
    offer(&mut sole, &branch, 2_000);
    assert_eq!(sole.tip().id, ours.last());
    assert!(sole.engine.chain.tree.len() < 120);
    assert!(sole.closed().is_empty());
}
