//! People come, are revoked, come back with a new key; invites that are over say why.

use serde_json::Value;
use support::process::{Cairn, eventually, within};
use support::relay::Relay;

use crate::mesh::{agree, founder, invite, joined, sound, text, three};

fn state(node: &Cairn) -> Value {
    node.get("/v1/status")["state"].clone()
}

fn is_cut_off(node: &Cairn, from: &str) -> Option<()> {
    node.peer(from).is_none_or(|peer| peer["connected"] == false).then_some(())
}

fn member(node: &Cairn, id: &str) -> Value {
    let members = node.get("/v1/members");
    let members = members["members"].as_array().unwrap();
    members.iter().find(|member| member["node_id"] == id).cloned().unwrap_or_default()
}

#[track_caller]
fn refused(node: &Cairn, args: &[&str], exit: i32, code: &str) {
    let ran = node.cli(args);
    assert_eq!(ran.code, Some(exit), "{args:?}: {ran:?}");
    let document = ran.json();
    assert_eq!((&document["schema"], &document["code"]), (&"cairn.error/1".into(), &code.into()));
    assert!(!document["hint"].as_str().unwrap().is_empty(), "{document}");
}

#[test]
fn a_revoked_member_is_cut_off_everywhere_and_comes_back_with_a_new_key() {
    let [a, mut b, c] = three("200ms");
    let gone = b.node_id();
    let before = text(&b.ok(&["note", "before"]), "fact_id");
    agree(&[&a, &b, &c], 30);
    refused(&b, &["member", "revoke", "c"], 5, "not-admin");
    refused(&a, &["member", "revoke", "founder"], 5, "last-admin");
    let receipt = a.ok(&["member", "revoke", "b"]);
    assert_eq!(receipt["schema"], "cairn.receipt/1");
    for node in [&a, &c] {
        eventually("the link to b is closed", 5, || is_cut_off(node, &gone));
    }
    eventually("b says that it is revoked", 5, || (state(&b) == "revoked").then_some(()));
    refused(&b, &["note", "after"], 5, "revoked");
    agree(&[&a, &c], 30);
    for node in [&a, &c] {
        assert_eq!(member(node, &gone)["state"], "revoked");
        assert_eq!(node.get(&format!("/v1/facts/{before}"))["state"], "sealed");
    }
    // Neither side forgets it over a restart.
    b.stop();
    b.start(&[]);
    assert_eq!(state(&b), "revoked");
    refused(&a, &["member", "revoke", &gone], 5, "refused");
    // The person comes back under the old name; the name then means the new key.
    let again = joined("b", &invite(&a));
    agree(&[&a, &c, &again], 30);
    assert_ne!(again.node_id(), gone);
    again.ok(&["note", "back"]);
    a.ok(&["member", "rename", "b", "boat"]);
    eventually("c knows the new name", 20, || {
        (member(&c, &again.node_id())["name"] == "boat").then_some(())
    });
    assert_eq!(member(&c, &gone)["name"], "b");
    sound(&[&a, &c, &again]);
}

#[test]
fn a_member_that_was_revoked_while_away_is_told_when_it_dials() {
    let [a, mut b, c] = three("200ms");
    let (gone, founder) = (b.node_id(), a.node_id());
    b.stop();
    a.ok(&["member", "revoke", &gone[..16]]);
    agree(&[&a, &c], 30);
    b.start(&[]);
    eventually("b says that it is revoked", 20, || (state(&b) == "revoked").then_some(()));
    within(20, || {
        let close = b.peer(&founder).map(|peer| peer["last_close"].clone());
        let told =
            close.as_ref().is_some_and(|close| close["code"] == "0x14" && close["by_peer"] == true);
        if told { Ok(()) } else { Err(format!("closed with 0x14: {close:?}")) }
    });
    for node in [&a, &c] {
        assert!(is_cut_off(node, &gone).is_some());
    }
}

#[test]
fn a_revocation_in_one_part_of_a_split_mesh_holds_when_it_heals() {
    let mut relay = Relay::default();
    let places = [relay.place(), relay.place(), relay.place()];
    let [mut a, mut b, mut c] =
        [("a", 0), ("b", 1), ("c", 2)].map(|(name, n): (&str, usize)| Cairn::at(name, places[n].0));
    let public = places[0].1.to_string();
    let founded = a.ok(&["init", "e2e", "--address", &public, "--spacing", "200ms", "--name", "a"]);
    a.start(&[]);
    for node in [&mut b, &mut c] {
        node.ok(&["join", founded["invite"].as_str().unwrap(), "--name", &node.name.clone()]);
        node.start(&[]);
    }
    eventually("everybody is linked to everybody", 60, || {
        let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 2;
        [&a, &b, &c].into_iter().all(linked).then_some(())
    });
    agree(&[&a, &b, &c], 60);
    let gone = c.node_id();
    relay.cut(&[0, 1], &[2]);
    a.ok(&["member", "revoke", "c"]);
    eventually("b has heard", 30, || (member(&b, &gone)["state"] == "revoked").then_some(()));
    let apart = text(&c.ok(&["note", "nobody told me"]), "fact_id");
    eventually("c seals alone", 60, || {
        (c.get(&format!("/v1/facts/{apart}"))["state"] == "sealed").then_some(())
    });
    // Two sealers weigh more than one.
    for round in 0..6 {
        let before = a.height();
        b.ok(&["note", &format!("here {round}")]);
        eventually("a and b seal", 60, || (a.height() > before).then_some(()));
    }
    relay.heal();
    eventually("c says that it is revoked", 150, || (state(&c) == "revoked").then_some(()));
    agree(&[&a, &b], 60);
    for node in [&a, &b] {
        assert!(is_cut_off(node, &gone).is_some());
        assert!(node.try_get(&format!("/v1/facts/{apart}")).is_none_or(|f| f["state"] != "sealed"));
    }
    assert_eq!(member(&b, &a.node_id())["name"], "a");
    sound(&[&a, &b]);
}

/// A newcomer that runs with this invite and is not let in: what its status says of that.
fn turned_away(name: &str, invite: &str, code: &str) {
    let node = joined(name, invite);
    within(30, || {
        let status = node.get("/v1/status");
        if status["refused"]["code"] == code { Ok(()) } else { Err(status.to_string()) }
    });
    let status = node.get("/v1/status");
    assert!(!status["refused"]["hint"].as_str().unwrap().is_empty(), "{status}");
}

#[test]
fn an_invite_that_is_used_up_or_taken_back_or_over_says_so() {
    let mut a = founder("a", "200ms");
    let once = text(&a.ok(&["invite", "create", "--role", "member"]), "invite");
    let first = joined("first", &once);
    agree(&[&a, &first], 30);
    turned_away("second", &once, "invite-used");

    let back = text(&a.ok(&["invite", "create", "--uses", "3"]), "invite");
    a.ok(&["invite", "revoke", &back]);
    agree(&[&a, &first], 30);
    turned_away("third", &back, "invite-revoked");
    refused(&a, &["invite", "revoke", &back], 5, "refused");

    let mut mistyped = once.clone();
    let last = mistyped.pop();
    mistyped.push(if last == Some('q') { 'p' } else { 'q' });
    let node = Cairn::new("typo");
    refused(&node, &["join", &mistyped], 2, "invite-mistyped");
    let short = text(&a.ok(&["invite", "create", "--expires", "1ms"]), "invite");
    refused(&node, &["join", &short], 5, "invite-expired");

    let invites = a.ok(&["invite", "list"]);
    let mut states: Vec<_> =
        invites["invites"].as_array().unwrap().iter().map(|one| text(one, "state")).collect();
    states.sort();
    assert_eq!(states, ["expired", "open", "revoked", "used"]);
    // Roles are what the invite says.
    let member = member(&a, &first.node_id());
    assert_eq!((&member["role"], &member["name"]), (&"member".into(), &"first".into()));
    let reads = text(&a.ok(&["invite", "create", "--role", "reader"]), "invite");
    let reader = joined("reader", &reads);
    agree(&[&a, &first, &reader], 30);
    refused(&reader, &["note", "may I?"], 5, "reader");
    refused(&first, &["invite", "create"], 5, "not-admin");

    // The inviter is away; whoever else is there lets the newcomer in.
    let late = text(&a.ok(&["invite", "create"]), "invite");
    agree(&[&a, &first, &reader], 30);
    a.stop();
    let mut newcomer = Cairn::new("late");
    newcomer.ok(&["join", &late, "--name", "late"]);
    newcomer.start(&["--peer", &first.listen().to_string()]);
    eventually("the newcomer is linked", 30, || {
        let connected = newcomer.get("/v1/status")["peers"]["connected"].as_u64();
        connected.filter(|peers| *peers > 0)
    });
    a.start(&[]);
    agree(&[&a, &first, &reader, &newcomer], 60);
    sound(&[&a, &first, &reader, &newcomer]);
}
