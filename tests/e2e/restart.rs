//! Stopping and starting: quickly, cleanly, without flags, and with nothing lost.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::process::{Cairn, eventually};

use crate::mesh::{agree, facts, founder, invite, joined, sound, text, three};

#[test]
fn sigterm_ends_a_busy_node_with_exit_status_0_within_five_seconds() {
    let [mut a, b, c] = three("200ms");
    let client = a.client();
    let writer = std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Some(id) = client.note(&format!("note {}", kept.len())) {
            kept.push(id);
        }
        kept
    });
    eventually("the node is busy", 20, || {
        (a.get("/v1/status")["facts"]["total"].as_u64()? > 30).then_some(())
    });
    a.signal(Signal::TERM);
    let (code, took) = a.wait(20);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(!a.dir().join("runtime.json").exists());

    // The others were told why, and all that was promised is there when it is back.
    let kept = writer.join().unwrap();
    let goodbye = |node: &Cairn| {
        let peers = node.ok(&["peers", "--all"]);
        let peers = peers["peers"].as_array().unwrap().clone();
        peers.iter().any(|peer| peer["connected"] == false && closed_by_shutdown(peer))
    };
    eventually("somebody remembers the goodbye", 10, || (goodbye(&b) || goodbye(&c)).then_some(()));
    a.start(&[]);
    agree(&[&a, &b, &c], 30);
    let there = facts(&c);
    assert!(kept.iter().all(|id| there.contains_key(id)));
    sound(&[&a, &b, &c]);
}

#[test]
fn who_was_dialed_is_linked_again_seconds_after_a_kill() {
    let mut a = founder("a", "200ms");
    let b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    let up = || b.get("/v1/status")["uptime_s"].as_u64().filter(|seconds| *seconds >= 3);
    eventually("they were linked for a while", 20, up);
    a.kill();
    a.start(&[]);
    // Long before the other notices that its link is dead.
    eventually("they are linked again", 10, || {
        (a.get("/v1/status")["peers"]["connected"] == 1).then_some(())
    });
    b.ok(&["note", "you were away"]);
    agree(&[&a, &b], 10);
    assert_eq!(b.get("/v1/status")["peers"]["connected"], 1, "one peer, though two links");
    sound(&[&a, &b]);
}

fn closed_by_shutdown(peer: &Value) -> bool {
    peer["last_close"]["code"] == "0x19"
}

#[test]
fn a_mesh_that_was_switched_off_comes_back_without_being_told_anything() {
    let mut nodes = three("200ms");
    let id = text(&nodes[1].ok(&["note", "before the night"]), "fact_id");
    nodes[2].ok(&["item", "request", "ladder"]);
    agree(&nodes.each_ref(), 30);
    let before: Vec<Value> = nodes.iter().map(|node| node.get("/v1/chain/tip")).collect();
    let who: Vec<Value> = nodes.iter().map(|node| node.ok(&["key", "show"])).collect();
    let kept = facts(&nodes[0]);
    nodes.iter_mut().for_each(Cairn::stop);
    // The last one to go down is the first one to come up: nobody waits for anybody.
    nodes.iter_mut().rev().for_each(|node| node.start(&[]));
    for (node, (tip, who)) in nodes.iter().zip(before.iter().zip(&who)) {
        assert_eq!(node.ok(&["key", "show"]), *who);
        assert_eq!(node.get("/v1/chain/tip"), *tip);
        assert_eq!(facts(node), kept);
        node.ok(&["status", "--wait", "synced", "--timeout", "30s"]);
        assert_eq!(node.get(&format!("/v1/facts/{id}"))["state"], "sealed");
    }
    nodes[0].ok(&["note", "after the night"]);
    agree(&nodes.each_ref(), 30);
    assert!(nodes.iter().all(|node| facts(node).len() == kept.len() + 1));
    sound(&nodes.each_ref());
}
