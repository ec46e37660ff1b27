//! `peer ban`, `unban`, `ping`, `remove`.

use serde_json::Value;
use support::process::{Cairn, Ran, eventually};

use crate::mesh::{agree, founder, invite, joined};

fn linked(a: &Cairn, b: &str) -> Option<Value> {
    a.peer(b).filter(|peer| peer["connected"] == true)
}

/// The last end of a link with another, once it has this code.
fn ended(node: &Cairn, other: &str, code: &str) -> Value {
    eventually(&format!("{} shows {code}", node.name), 60, || {
        node.peer(other).map(|peer| peer["last_close"].clone()).filter(|end| end["code"] == code)
    })
}

#[track_caller]
fn fails(node: &Cairn, args: &[&str], exit: i32) {
    let ran = node.cli(args);
    assert_eq!(ran.code, Some(exit), "{args:?}: {ran:?}");
    assert!(!ran.json()["hint"].as_str().unwrap().is_empty());
}

#[test]
fn a_person_bans_a_node_for_a_time_and_lets_it_in_again() {
    let mut a = founder("a", "200ms");
    let mut b = joined("b", &invite(&a));
    let (at_a, at_b) = (a.node_id(), b.node_id());
    let seen = eventually("they are linked", 30, || linked(&a, &at_b));
    assert_eq!(seen["key_exchange"], "X25519MLKEM768");
    agree(&[&a, &b], 30);
    let pong = a.ok(&["peer", "ping", "b"]);
    assert_eq!(
        (&pong["schema"], &pong["node_id"]),
        (&"cairn.peer-ping/1".into(), &at_b.clone().into())
    );
    assert!(pong["rtt_ms"].is_u64(), "{pong}");
    // A beginning of the id is enough.
    let ban = a.ok(&["peer", "ban", &at_b[..16], "--for", "1h", "--reason", "noisy"]);
    assert_eq!(ban["node_id"], at_b);
    let close = ended(&b, &at_a, "0x17");
    assert!(close["reason"].as_str().unwrap().contains("until 20"), "{close}");
    assert!(!close.to_string().contains("noisy"), "why is nobody else's business: {close}");
    assert_eq!(close["by_peer"], true);
    assert_eq!(ended(&a, &at_b, "0x17")["by_peer"], false);
    // It holds over restarts of both.
    a.stop();
    b.stop();
    a.start(&[]);
    b.start(&[]);
    let bans = a.ok(&["peers", "--all"])["bans"].clone();
    assert_eq!((&bans[0]["node_id"], &bans[0]["reason"]), (&at_b.clone().into(), &"noisy".into()));
    ended(&b, &at_a, "0x17");
    assert!(linked(&a, &at_b).is_none());
    fails(&a, &["peer", "ping", "b"], 9);
    let shown = Ran::of(&mut a.command(&["peers", "--all"])).stdout;
    assert!(shown.contains("Kept out") && shown.contains("noisy"), "{shown}");
    a.ok(&["peer", "unban", "b"]);
    fails(&a, &["peer", "unban", "b"], 4);
    eventually("they are linked again", 90, || linked(&a, &at_b));
    assert_eq!(a.ok(&["peers"])["bans"].as_array().unwrap().len(), 0);
}

#[test]
fn addresses_are_banned_and_forgotten_and_nonsense_is_refused() {
    let a = founder("a", "200ms");
    let ban = a.ok(&["peer", "ban", "[::ffff:192.0.2.7]:7071"]);
    assert_eq!(ban["address"], "192.0.2.7");
    assert_eq!(a.get("/v1/peers")["bans"][0]["by"], "person");
    a.ok(&["peer", "unban", "192.0.2.7"]);
    a.ok(&["peer", "add", "192.0.2.7:7071"]);
    a.ok(&["peer", "remove", "192.0.2.7:7071"]);
    fails(&a, &["peer", "remove", "192.0.2.7:7071"], 4);
    fails(&a, &["peer", "remove", "no address"], 2);
    fails(&a, &["peer", "ban", "nobody"], 4);
    fails(&a, &["peer", "ban", "raspi.local:7071"], 2);
    fails(&a, &["peer", "ban", "192.0.2.7", "--for", "9999d"], 2);
    fails(&a, &["peer", "ban", &a.node_id()], 5);
    fails(&a, &["peer", "unban", "192.0.2.7"], 4);
}
