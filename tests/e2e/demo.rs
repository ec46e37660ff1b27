//! `demo`: the first thing that a visitor tries.

use support::process::{Ran, command};

#[test]
fn the_demo_agrees_and_exits_0() {
    let ran = Ran::of(command().args(["demo", "--exit", "--json"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = ran.json();
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        assert_eq!((&node["tip"], &node["facts"]), (&nodes[0]["tip"], &nodes[0]["facts"]));
        assert_eq!(node["state"], "synced");
    }
}
