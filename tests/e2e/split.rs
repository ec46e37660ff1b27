//! A mesh in two parts that cannot hear each other, and what is left of that when they can again.

use std::collections::BTreeSet;

use serde_json::Value;
use support::process::{Cairn, eventually};
use support::relay::Relay;

use crate::mesh::{agree, facts, sound, text};

/// Node a on one side of the relay, b and c on the other; whole at first.
struct Split {
    relay: Relay,
    nodes: [Cairn; 3],
}

impl Split {
    fn new(rules: &[&str], c_flags: &[&str]) -> Self {
        let mut relay = Relay::default();
        let places = [relay.place(), relay.place(), relay.place()];
        let [mut a, mut b, mut c] = [("a", 0), ("b", 1), ("c", 2)]
            .map(|(name, number): (&str, usize)| Cairn::at(name, places[number].0));
        let public = places[0].1.to_string();
        let founded = a.ok(&[&["init", "e2e", "--address", &public], rules].concat());
        a.start(&[]);
        for (node, flags) in [(&mut b, &[][..]), (&mut c, c_flags)] {
            node.ok(&["join", founded["invite"].as_str().unwrap(), "--name", &node.name]);
            node.start(flags);
        }
        let nodes = [a, b, c];
        eventually("everybody is linked to everybody", 60, || {
            let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 2;
            nodes.iter().all(linked).then_some(())
        });
        agree(&nodes.each_ref(), 60);
        Self { relay, nodes }
    }

    /// Writes on a node and waits until it has one block more. Gives the fact.
    fn block(&self, number: usize) -> String {
        let node = &self.nodes[number];
        let before = node.height();
        let id = text(&node.ok(&["note", &format!("{} after {before}", node.name)]), "fact_id");
        let what = format!("{} has a block above {before}", node.name);
        eventually(&what, 60, || (node.height() > before).then_some(()));
        id
    }

    /// Heals and waits for agreement; everything that was written is sealed, nothing is lost, and
    /// the winner's branch is everybody's.
    fn heal(&self, winner: &Value, written: &[String]) {
        self.relay.heal();
        agree(&self.nodes.each_ref(), 150);
        let height = winner["height"].as_u64().unwrap();
        for node in &self.nodes {
            assert_eq!(node.get(&format!("/v1/blocks/{height}"))["id"], winner["id"]);
            let facts = facts(node);
            for id in written {
                assert_eq!(facts[id]["state"], "sealed", "{}: {}", node.name, facts[id]);
            }
            for reorg in node.ok(&["chain", "reorgs"])["reorgs"].as_array().unwrap() {
                assert_eq!(reorg["lost"], 0, "{}: {reorg}", node.name);
            }
        }
        sound(&self.nodes.each_ref());
    }
}

/// Who sealed the blocks above a height.
fn sealers(node: &Cairn, above: u64) -> BTreeSet<String> {
    (above + 1..=node.height())
        .map(|h| text(&node.get(&format!("/v1/blocks/{h}")), "sealer"))
        .collect()
}

#[test]
fn the_side_with_more_sealers_wins_and_the_other_loses_no_fact() {
    let split = Split::new(&["--spacing", "200ms"], &[]);
    let [a, b, c] = &split.nodes;
    let fork = a.height();
    split.relay.cut(&[0], &[1, 2]);

    let request = |node: &Cairn| text(&node.ok(&["item", "request", "drone"]), "fact_id");
    let (late, first) = (request(a), request(b));
    let mut written = vec![first.clone()];
    // The lone side is the busier one, which does not help it.
    for _ in 0..8 {
        written.push(split.block(0));
    }
    eventually("b and c both seal", 60, || {
        written.extend([split.block(1), split.block(2)]);
        (sealers(b, fork).len() == 2).then_some(())
    });
    agree(&[b, c], 60);
    let (lonely, winner) = (a.get("/v1/chain/tip"), b.get("/v1/chain/tip"));
    assert!(lonely["height"].as_u64() >= Some(fork + 8), "{lonely}");
    assert_ne!(
        a.get(&format!("/v1/blocks/{}", fork + 1)),
        b.get(&format!("/v1/blocks/{}", fork + 1))
    );

    split.heal(&winner, &written);
    let reorgs = a.ok(&["chain", "reorgs"]);
    let depth = lonely["height"].as_u64().unwrap() - fork;
    assert!(
        reorgs["reorgs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|reorg| { reorg["depth"] == depth && reorg["from"]["id"] == lonely["id"] }),
        "{reorgs}"
    );
    let holder = b.get("/v1/status")["node_id"].clone();
    for node in &split.nodes {
        let item = node.ok(&["item", "show", "drone"]);
        assert_eq!((&item["holder"], &item["since"]["fact_id"]), (&holder, &first.clone().into()));
        let lost = node.ok(&["fact", "get", &late]);
        assert_eq!(lost["state"], "conflict", "{lost}");
        assert!(text(&lost, "reason").contains(holder.as_str().unwrap()), "{lost}");
        assert_eq!(node.get("/v1/status")["facts"]["conflict"], 1);
    }
}

#[test]
fn five_blocks_of_work_win_against_four() {
    let rules = ["--seal", "pow", "--pow-target", "207fffff", "--pow-half-life", "0"];
    let rules = [&rules[..], &["--spacing", "100ms"]].concat();
    let split = Split::new(&rules, &["--seal-blocks", "off"]);
    let [a, b, c] = &split.nodes;
    let fork = a.height();
    split.relay.cut(&[0], &[1, 2]);
    let mut written = Vec::new();
    for round in 0..5 {
        written.push(split.block(1));
        if round < 4 {
            written.push(split.block(0));
        }
    }
    assert_eq!((a.height(), b.height()), (fork + 4, fork + 5));
    // The fifth block has left its maker, so nobody can seal beside it in good faith.
    agree(&[b, c], 60);
    let winner = b.get("/v1/chain/tip");
    // Another block may have come just before the cut, and not reached everybody.
    let id = |node: &Cairn, height: u64| node.get(&format!("/v1/blocks/{height}"))["id"].clone();
    let common = (0..=fork).rev().find(|h| id(a, *h) == id(b, *h)).unwrap();
    split.heal(&winner, &written);
    let reorgs = a.ok(&["chain", "reorgs"]);
    let deep = |reorg: &&Value| reorg["depth"] == fork + 4 - common;
    assert_eq!(reorgs["reorgs"].as_array().unwrap().iter().filter(deep).count(), 1, "{reorgs}");
}
