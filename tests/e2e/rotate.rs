//! Nodes that change their key while the mesh goes on.

use serde_json::Value;
use support::process::{Cairn, count, eventually, within};
use support::random::Random;

use crate::mesh::{agree, sound, text, three};

/// Kills in the middle of a rotation; `CAIRN_KILLS` sets another number.
const KILLS: usize = 3;

fn member(node: &Cairn, id: &str) -> Value {
    let members = node.get("/v1/members");
    let members = members["members"].as_array().unwrap();
    members.iter().find(|member| member["node_id"] == id).cloned().unwrap_or_default()
}

/// Waits until a node is linked to the one with this key. (A link to a process that was killed is
/// noticed later.)
fn linked(node: &Cairn, to: &str) {
    within(60, || {
        let peers = node.get("/v1/peers");
        let live = |peer: &&Value| peer["connected"] == true;
        let mut live = peers["peers"].as_array().unwrap().iter().filter(live);
        let there = live.any(|peer| peer["node_id"] == to);
        if there { Ok(()) } else { Err(peers.to_string()) }
    });
}

#[test]
fn a_node_goes_on_under_a_new_key_and_everybody_follows() {
    let [mut a, b, c] = three("200ms");
    let old = a.node_id();
    a.ok(&["item", "request", "saw"]);
    agree(&[&a, &b, &c], 30);
    let rotated = a.ok(&["key", "rotate"]);
    assert_eq!(rotated["schema"], "cairn.rotation/1");
    let new = text(&rotated, "next");
    assert_eq!((a.node_id(), old == new), (new.clone(), false));
    for node in [&b, &c] {
        linked(node, &new);
        let (before, now) = (member(node, &old), member(node, &new));
        assert_eq!((&before["state"], &before["next"]), (&"rotated".into(), &new.clone().into()));
        assert_eq!((&now["state"], &now["role"]), (&"member".into(), &"admin".into()));
        assert_eq!(node.ok(&["item", "show", "saw"])["holder"], new.as_str());
    }
    // It holds, writes, seals and invites as before; names mean the new key.
    let height = a.height();
    a.ok(&["item", "release", "saw"]);
    a.ok(&["invite", "create"]);
    a.ok(&["member", "rename", "founder", "boss"]);
    agree(&[&a, &b, &c], 30);
    assert!(a.height() > height);
    assert_eq!(member(&b, &new)["name"], "boss");
    let again = a.cli(&["key", "rotate"]);
    assert_eq!((again.code, &again.json()["code"]), (Some(5), &"refused".into()));
    // Also after it was away, and to those who were.
    a.stop();
    b.ok(&["note", "meanwhile"]);
    a.start(&[]);
    assert_eq!(a.node_id(), new);
    agree(&[&a, &b, &c], 60);
    sound(&[&a, &b, &c]);
}

#[test]
fn a_peer_that_was_away_while_a_node_changed_its_key_finds_it() {
    let [a, mut b, c] = three("200ms");
    b.stop();
    let new = text(&a.ok(&["key", "rotate"]), "next");
    c.ok(&["note", "meanwhile"]);
    agree(&[&a, &c], 30);
    b.start(&[]);
    linked(&b, &new);
    agree(&[&a, &b, &c], 60);
}

#[test]
fn a_kill_in_the_middle_of_a_rotation_loses_neither_key() {
    let mut random = Random::new(9);
    for _ in 0..count("CAIRN_KILLS", KILLS) {
        let [a, mut b, c] = three("200ms");
        let old = b.node_id();
        b.ok(&["item", "request", "saw"]);
        let mut rotate = b.command(&["key", "rotate"]).spawn().unwrap();
        // Somewhere between the first file and the start with the new key.
        let files = |node: &Cairn| {
            let names = ["next.key", "next.key.copy"].map(|name| node.dir().join(name).exists());
            names.into_iter().filter(|there| *there).count() as u64
        };
        let wanted = random.below(2) + 1;
        let looks = random.below(12);
        eventually("the rotation began", 30, || (files(&b) >= wanted).then_some(()));
        let mut looked = 0;
        eventually("a moment passed", 30, || {
            looked += 1;
            (looked > looks).then_some(())
        });
        b.kill();
        let _ = rotate.kill();
        rotate.wait().unwrap();
        b.start(&[]);
        // What is not told of yet is told by the same command; what is goes on by itself, so that the
        // node may start again while it is asked.
        let new = eventually("b has its new key", 60, || {
            let id = text(&b.try_get("/v1/status")?, "node_id");
            if id == old {
                let ran = b.cli(&["key", "rotate"]);
                assert!(matches!(ran.code, Some(0 | 3)), "done, or nobody listens: {ran:?}");
                return None;
            }
            Some(id)
        });
        linked(&a, &new);
        assert!(!b.dir().join("next.key").exists());
        assert_eq!(b.ok(&["item", "show", "saw"])["holder"], new.as_str());
        b.ok(&["item", "release", "saw"]);
        sound(&[&a, &b, &c]);
    }
}
