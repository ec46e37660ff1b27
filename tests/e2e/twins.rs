//! A copied card: two nodes that run with one key.

use std::fs;

use support::process::{Cairn, eventually};

use crate::mesh::{agree, facts, founder, invite, joined, sound, text};

fn state(node: &Cairn) -> String {
    text(&node.get("/v1/status"), "state")
}

#[test]
fn two_nodes_with_one_key_are_both_told_and_neither_loses_anything() {
    let a = founder("a", "200ms");
    let mut b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    let mut copy = Cairn::new("copy");
    fs::create_dir(copy.dir()).unwrap();
    for file in ["node.key", "mesh.json"] {
        fs::copy(b.dir().join(file), copy.dir().join(file)).unwrap();
    }
    copy.start(&[]);
    eventually("both know", 30, || {
        [&b, &copy].iter().all(|node| state(node) == "degraded").then_some(())
    });
    assert_ne!(state(&a), "degraded");
    let told = &copy.ok(&["status"])["degraded"];
    assert_eq!(told["code"], "twin");
    assert!(text(told, "hint").contains("cairn join"), "{told}");
    assert!(b.logged().contains("another running node has this node's key"));

    // Both write on, and what they write gets everywhere.
    let ids = [&b, &copy].map(|node| text(&node.ok(&["note", &node.name]), "fact_id"));
    agree(&[&a, &b, &copy], 60);
    let kept = facts(&a);
    assert!(ids.iter().all(|id| kept.contains_key(id)));
    sound(&[&a, &b, &copy]);

    // One of them is stopped, and the other started again: it is alone, and as ever.
    copy.stop();
    b.stop();
    b.start(&[]);
    b.ok(&["status", "--wait", "synced", "--timeout", "30s"]);
    b.ok(&["note", "alone again"]);
    agree(&[&a, &b], 30);
}
