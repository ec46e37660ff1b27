//! Meshes of real processes, and what must hold of them at the end of every story.

use std::collections::BTreeMap;

use serde_json::Value;
use support::process::{Cairn, Ran, eventually, within};

/// Headers asked for at one time.
const PAGE: usize = 500;

/// A founder that runs. Its mesh seals every `spacing`.
pub(crate) fn founder(name: &str, spacing: &str) -> Cairn {
    let mut founder = Cairn::new(name);
    founder.ok(&["init", "e2e", "--spacing", spacing, "--address", "127.0.0.1:9"]);
    founder.start(&[]);
    founder
}

/// An invite of a running node, with the address where it listens just now.
pub(crate) fn invite(node: &Cairn) -> String {
    let invite = node.ok(&["invite", "create", "--uses", "16"]);
    invite["invite"].as_str().unwrap().to_string()
}

/// A node that joined by an invite and runs; it is told nothing else.
pub(crate) fn joined(name: &str, invite: &str) -> Cairn {
    let mut node = Cairn::new(name);
    node.ok(&["join", invite, "--name", name]);
    node.start(&[]);
    node
}

/// A founder and two others who know only its address.
pub(crate) fn three(spacing: &str) -> [Cairn; 3] {
    let a = founder("a", spacing);
    let invite = invite(&a);
    let (b, c) = (joined("b", &invite), joined("c", &invite));
    let nodes = [a, b, c];
    eventually("everybody is linked to everybody", 30, || {
        let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 2;
        nodes.iter().all(linked).then_some(())
    });
    agree(&nodes.iter().collect::<Vec<_>>(), 30);
    nodes
}

/// What `status` says that all nodes must say alike.
fn ledger(status: &Value) -> (Value, Value, Value) {
    (status["tip"].clone(), status["facts"]["total"].clone(), status["facts"]["pending"].clone())
}

/// Waits until all nodes have the same tip and as many facts, and nothing waits to be sealed.
/// Gives the height.
pub(crate) fn agree(nodes: &[&Cairn], seconds: u64) -> u64 {
    within(seconds, || {
        let seen: Vec<_> = nodes.iter().map(|node| node.try_get("/v1/status")).collect();
        let first = seen[0].as_ref().filter(|status| status["facts"]["pending"] == 0);
        let same = |status: &Option<Value>| match (status, first) {
            (Some(status), Some(first)) => ledger(status) == ledger(first),
            _ => false,
        };
        match first {
            Some(first) if seen.iter().all(same) => Ok(first["tip"]["height"].as_u64().unwrap()),
            _ => Err(format!("the nodes agree and nothing is pending: {seen:#?}")),
        }
    })
}

/// Every block of the best chain from the first to the tip, header and facts, as a node tells it.
fn blocks(node: &Cairn) -> Vec<Value> {
    let mut headers = Vec::new();
    let mut before = String::new();
    loop {
        let page = node.get(&format!("/v1/headers?limit={PAGE}{before}"));
        headers.extend(page["headers"].as_array().unwrap().iter().cloned());
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    headers.reverse();
    for (height, header) in headers.iter_mut().enumerate() {
        assert_eq!(header["height"], height);
        let block = node.get(&format!("/v1/blocks/{height}"));
        header["facts"] = block["facts"].clone();
        assert_eq!(*header, block);
    }
    headers
}

/// Checks what must hold when a story is over: every node finds its own chain sound, and all have
/// the same blocks, byte for byte in everything that blocks consist of.
pub(crate) fn sound(nodes: &[&Cairn]) {
    let height = agree(nodes, 60);
    let first = blocks(nodes[0]);
    assert_eq!(first.len() as u64, height + 1);
    for node in nodes {
        let verdict = node.ok(&["chain", "verify", "--deep"]);
        assert_eq!(verdict["ok"], true, "{}: {verdict}", node.name);
        assert_eq!(verdict["height"], height, "{}", node.name);
        assert_eq!(blocks(node), first, "{}", node.name);
    }
}

/// Every fact of a node, by its id; without `seq`, the order in which it came to this node.
pub(crate) fn facts(node: &Cairn) -> BTreeMap<String, Value> {
    let ran = Ran::of(&mut node.command(&["export"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let documents = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shared = documents.map(|mut fact| {
        fact.as_object_mut().unwrap().remove("seq").unwrap();
        fact
    });
    shared.map(|fact| (text(&fact, "fact_id"), fact)).collect()
}

/// A field that is text.
pub(crate) fn text(document: &Value, field: &str) -> String {
    let text = document[field].as_str();
    text.unwrap_or_else(|| panic!("no text `{field}` in {document}")).to_string()
}
