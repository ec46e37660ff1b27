//! A membership that is lent ends at its height, says so, and is back when an admin renews it.

use cairn_core::wire::CloseCode;
use serde_json::Value;
use support::closes::{diagnosed, ended_by};
use support::process::{Cairn, eventually};

use crate::mesh::{agree, founder, joined, sound, text, three};

fn member(node: &Cairn, id: &str) -> Value {
    let members = node.get("/v1/members");
    let members = members["members"].as_array().unwrap();
    members.iter().find(|member| member["node_id"] == id).cloned().unwrap_or_default()
}

fn is_linked(node: &Cairn, to: &str) -> Option<()> {
    node.peer(to).filter(|peer| peer["connected"] == true).map(|_| ())
}

#[track_caller]
fn refused(node: &Cairn, args: &[&str], exit: i32, code: &str) -> String {
    let ran = node.cli(args);
    assert_eq!(ran.code, Some(exit), "{args:?}: {ran:?}");
    let document = ran.json();
    assert_eq!((&document["schema"], &document["code"]), (&"cairn.error/1".into(), &code.into()));
    assert!(!document["hint"].as_str().unwrap().is_empty(), "{document}");
    text(&document, "message")
}

#[test]
fn a_lease_ends_at_its_height_and_a_renewal_brings_the_node_back_by_itself() {
    let [a, b, c] = three("200ms");
    let [founder, guest] = [&a, &b].map(Cairn::node_id);
    refused(&c, &["member", "lease", "b", "--blocks", "3"], 5, "not-admin");
    refused(&a, &["member", "lease", "founder", "--unlimited"], 5, "refused");
    refused(&a, &["member", "lease", "b", "--until", "1"], 2, "usage");
    let until = a.ok(&["member", "lease", "b", "--blocks", "3"])["until"].as_u64().unwrap();
    agree(&[&a, &b, &c], 30);
    let lease = b.get("/v1/status")["lease"].clone();
    assert_eq!((&lease["until"], &lease["left"]), (&until.into(), &3.into()));
    assert!(lease["hint"].as_str().unwrap().contains(&guest), "{lease}");
    assert_eq!(member(&c, &guest)["lease"]["left"], 3);
    // Each fact is a block, up to the last one that it counts for.
    let early = text(&b.ok(&["note", "while it counts"]), "fact_id");
    agree(&[&a, &b, &c], 30);
    while a.height() + 1 < until {
        let before = a.height();
        a.ok(&["note", &format!("at {before}")]);
        eventually("a block", 30, || (a.height() > before).then_some(()));
    }
    for (node, other, by_peer) in [(&b, &founder, true), (&a, &guest, false)] {
        let close = ended_by(node, other, CloseCode::NotMember, by_peer);
        let reason = close["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("its lease ended at height {until}")), "{close}");
    }
    diagnosed(&b, &a.listen().to_string(), CloseCode::NotMember);
    assert_eq!(member(&a, &guest)["state"], "lapsed");
    eventually("b knows that it is over", 30, || {
        (b.get("/v1/status")["lease"]["left"] == 0).then_some(())
    });
    // Every peer that it had counts the same blocks.
    eventually("b has no peer and says why", 30, || {
        (b.get("/v1/status")["refused"]["code"] == "lapsed").then_some(())
    });
    let said = refused(&b, &["note", "too late"], 5, "lapsed");
    assert!(said.contains(&format!("height {until}")), "{said}");
    refused(&b, &["item", "request", "saw"], 5, "lapsed");
    // The others go on without it.
    let height = a.height();
    c.ok(&["note", "without b"]);
    eventually("a block without b", 30, || (a.height() > height).then_some(()));
    agree(&[&a, &c], 30);
    a.ok(&["member", "lease", "b", "--unlimited"]);
    for (node, to) in [(&b, &founder), (&a, &guest)] {
        eventually("they are linked again", 60, || is_linked(node, to));
    }
    agree(&[&a, &b, &c], 60);
    assert!(b.get("/v1/status")["lease"].is_null());
    let late = text(&b.ok(&["note", "back"]), "fact_id");
    agree(&[&a, &b, &c], 30);
    for fact in [early, late] {
        assert_eq!(a.get(&format!("/v1/facts/{fact}"))["state"], "sealed");
    }
    let back = member(&c, &guest);
    assert_eq!((&back["state"], &back["lease"]), (&"member".into(), &Value::Null));
    sound(&[&a, &b, &c]);
}

#[test]
fn who_joins_by_an_invite_that_lends_is_a_guest_from_the_start() {
    let a = founder("a", "200ms");
    let made = a.ok(&["invite", "create", "--role", "member", "--lease", "2"]);
    assert_eq!(made["lease"], 2);
    assert_eq!(a.ok(&["invite", "list"])["invites"][0]["lease"], 2);
    let guest = joined("guest", &text(&made, "invite"));
    agree(&[&a, &guest], 30);
    let seen = member(&a, &guest.node_id());
    let since = seen["since"].as_u64().unwrap();
    assert_eq!(seen["lease"]["until"], since + 3);
    guest.ok(&["note", "hello"]);
    agree(&[&a, &guest], 30);
    while a.height() + 1 < since + 3 {
        let before = a.height();
        a.ok(&["note", &format!("at {before}")]);
        eventually("a block", 30, || (a.height() > before).then_some(()));
    }
    let close = ended_by(&guest, &a.node_id(), CloseCode::NotMember, true);
    assert!(close["reason"].as_str().unwrap().contains("its lease ended"), "{close}");
    assert_eq!(member(&a, &guest.node_id())["state"], "lapsed");
}
