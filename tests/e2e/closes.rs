//! Why a link between two real nodes ended: both show the same code, in the words of their side, and
//! the doctor of who was refused names the cause. Codes that no two honest nodes of one version come
//! to are in `tests/hostile/closes.rs`.

use cairn_core::id::NodeId;
use cairn_core::wire::CloseCode;
use support::closes::{diagnosed, ended, ended_by};
use support::process::{Cairn, eventually};

use crate::mesh::{agree, founder, invite, joined, text};

/// One node refuses another: both show it, and the doctor says why.
#[track_caller]
fn refused(refused: &Cairn, by: &Cairn, code: CloseCode) {
    let there = ended_by(refused, &by.node_id(), code, true);
    let here = ended_by(by, &refused.node_id(), code, false);
    assert_eq!(there["reason"], here["reason"]);
    diagnosed(refused, &by.listen().to_string(), code);
}

#[test]
fn newcomers_who_are_turned_away_and_who_turns_them_away_show_why() {
    let mut a = founder("a", "200ms");
    let create = |uses: &str| text(&a.ok(&["invite", "create", "--uses", uses]), "invite");
    let (once, back) = (create("1"), create("3"));
    let mut b = joined("b", &once);
    a.ok(&["invite", "revoke", &back]);
    agree(&[&a, &b], 30);
    let (second, third) = (joined("second", &once), joined("third", &back));
    refused(&second, &a, CloseCode::InviteSpent);
    refused(&third, &a, CloseCode::InviteRevoked);
    let known = a.get("/get_peers")["peers"].to_string();
    assert!(!known.contains(&second.listen().to_string()), "it is no peer to tell of: {known}");

    // Whoever knows of this invite is away.
    b.stop();
    let fresh = invite(&a);
    a.stop();
    b.start(&[]);
    let mut early = Cairn::new("early");
    early.ok(&["join", &fresh, "--name", "early"]);
    early.start(&["--peer", &b.listen().to_string()]);
    refused(&early, &b, CloseCode::NotMember);
}

/// Waits until a node is linked to another in this direction.
fn linked(node: &Cairn, other: &str, direction: &str) {
    eventually(&format!("{} has an {direction} link", node.name), 60, || {
        let peer = node.peer(other)?;
        (peer["connected"] == true && peer["direction"] == direction).then_some(())
    });
}

/// Both dial. The link stays that the lower key dialed, and who has it refuses the other.
fn dial_both_ways(a: &Cairn, b: &Cairn) {
    let key = |node: &Cairn| node.node_id().parse::<NodeId>().unwrap();
    let (low, high) = if key(a) < key(b) { (a, b) } else { (b, a) };
    // Under another name, or the nodes would know whom they find there.
    let dial = |node: &Cairn, other: &Cairn| {
        node.ok(&["peer", "add", &format!("localhost:{}", other.listen().port())]);
    };
    dial(low, high);
    linked(low, &high.node_id(), "outbound");
    linked(high, &low.node_id(), "inbound");
    dial(high, low);
    ended_by(high, &low.node_id(), CloseCode::Duplicate, true);
    ended_by(low, &high.node_id(), CloseCode::Duplicate, false);
    assert!(
        [(low, high), (high, low)]
            .iter()
            .all(|(node, other)| { node.peer(&other.node_id()).unwrap()["connected"] == true })
    );
    assert_eq!(high.cli(&["doctor", "peer", &low.listen().to_string()]).code, Some(0));
}

#[test]
fn members_whose_links_end_both_show_why() {
    let a = founder("a", "200ms");
    let b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    dial_both_ways(&a, &b);
    a.ok(&["peer", "add", &a.listen().to_string()]);
    ended(&a, &a.node_id(), CloseCode::Myself);
    diagnosed(&a, &a.listen().to_string(), CloseCode::Myself);
    a.ok(&["peer", "ban", "b", "--for", "1h"]);
    refused(&b, &a, CloseCode::Misbehavior);
    a.ok(&["peer", "unban", "b"]);
    a.ok(&["member", "revoke", "b"]);
    refused(&b, &a, CloseCode::Revoked);
}

#[test]
fn who_is_stopped_says_so_and_remembers_that_it_did() {
    let mut a = founder("a", "200ms");
    let b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    let (at_a, at_b) = (a.node_id(), b.node_id());
    a.stop();
    ended_by(&b, &at_a, CloseCode::ShuttingDown, true);
    let checks = b.cli(&["doctor", "peers"]).json();
    let said = |check: &serde_json::Value| text(check, "message").contains("the peer was stopped");
    assert!(checks["checks"].as_array().unwrap().iter().any(said), "{checks:#}");
    a.start(&[]);
    ended_by(&a, &at_b, CloseCode::ShuttingDown, false);
}
