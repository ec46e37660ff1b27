//! Who holds what, seen and refused across processes that know each other by one invite only.

use serde_json::Value;
use support::process::{Cairn, eventually};

use crate::mesh::{agree, sound, text, three};

/// Waits until a node sees the item with this holder.
fn sees(node: &Cairn, holder: Option<&str>) -> Value {
    let what = format!("{} sees {holder:?} as the holder", node.name);
    eventually(&what, 20, || {
        let item = node.ok(&["item", "show", "laptop-001"]);
        assert_eq!(item["item"], "laptop-001");
        (item["holder"].as_str() == holder && item["since"].is_object()).then_some(item)
    })
}

#[test]
fn a_request_is_seen_elsewhere_and_a_second_one_is_told_who_holds_it() {
    let [a, b, c] = three("200ms");
    let request = a.ok(&["item", "request", "laptop-001", "--note", "for the talk"]);
    assert_eq!(request["durable"], true);
    let seen = sees(&b, Some(&a.node_id()));
    assert_eq!(seen["since"]["fact_id"], request["fact_id"]);

    sees(&c, Some(&a.node_id()));
    c.ok(&["item", "release", "laptop-001"]);
    sees(&b, None);
    b.ok(&["item", "request", "laptop-001"]);
    sees(&a, Some(&b.node_id()));

    agree(&[&a, &b, &c], 20);
    let before = a.get("/v1/status")["facts"]["total"].clone();
    let refused = a.cli(&["item", "request", "laptop-001"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    let problem = refused.json();
    assert_eq!(
        (text(&problem, "schema"), text(&problem, "code")),
        ("cairn.error/1".into(), "held".into())
    );
    let message = text(&problem, "message");
    assert!(message.contains("held by b ") && message.contains(&b.node_id()), "{message}");
    assert!(!text(&problem, "hint").is_empty());
    // No fact is made of what the rules forbid.
    assert_eq!(a.get("/v1/status")["facts"]["total"], before);

    let history = a.ok(&["item", "history", "laptop-001"]);
    assert_eq!(history["facts"].as_array().unwrap().len(), 3, "{history}");
    sound(&[&a, &b, &c]);
}
