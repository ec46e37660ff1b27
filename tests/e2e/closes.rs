//! Why a link between two real nodes ended: both show the same code, in the words of their side, and
//! the doctor of who was refused names the cause. Codes that no two honest nodes of one version come
//! to are in `tests/hostile/closes.rs`.

use cairn_core::wire::CloseCode;
use support::closes::{diagnosed, ended, ended_by};
use support::process::Cairn;

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

/// A node dials another a second time. Both may notice that first, so each of them may say that the
/// other ended the old link, but not both.
fn dialed_twice(from: &Cairn, to: &Cairn) {
    // Under another name, or it would know whom it finds there.
    let address = format!("localhost:{}", to.listen().port());
    from.ok(&["peer", "add", &address]);
    let ends = [(from, to), (to, from)].map(|(node, other)| {
        let close = ended(node, &other.node_id(), CloseCode::Duplicate);
        assert_eq!(node.peer(&other.node_id()).unwrap()["connected"], true, "there is the new one");
        close["by_peer"] == true
    });
    assert_ne!(ends, [true, true]);
    let ran = from.cli(&["doctor", "peer", &address]);
    assert_eq!(ran.code, Some(0), "there is a link, so nothing is wrong: {ran:?}");
}

#[test]
fn members_whose_links_end_both_show_why() {
    let a = founder("a", "200ms");
    let b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    dialed_twice(&b, &a);
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
    let mut b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    let (at_a, at_b) = (a.node_id(), b.node_id());
    a.stop();
    ended_by(&b, &at_a, CloseCode::ShuttingDown, true);
    let checks = b.cli(&["doctor", "peers"]).json();
    let said = |check: &serde_json::Value| text(check, "message").contains("the peer was stopped");
    assert!(checks["checks"].as_array().unwrap().iter().any(said), "{checks:#}");
    // Or they would link again, twice maybe, and one of the links end.
    b.stop();
    a.start(&[]);
    ended_by(&a, &at_b, CloseCode::ShuttingDown, false);
}
