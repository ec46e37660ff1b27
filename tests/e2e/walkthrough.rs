//! What the README says to type, with the exit codes and the fields that programs rely on.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::process::{Cairn, Ran, eventually};

use crate::mesh::{agree, sound, text};

/// Checks that a document has these fields; `/` leads into objects.
fn has(document: &Value, schema: &str, fields: &[&str]) {
    assert_eq!(document["schema"], schema, "{document}");
    for field in fields {
        assert!(document.pointer(&format!("/{field}")).is_some(), "no {field} in {document}");
    }
}

/// Founds a mesh on `attic` and lets the others join by the invite that `init` printed.
fn enroll(attic: &mut Cairn, others: [&mut Cairn; 2]) {
    let founded = attic.ok(&["init", "home", "--spacing", "200ms"]);
    has(&founded, "cairn.init/1", &["invite", "expires", "node_id", "mesh/id", "mesh/name"]);
    assert_eq!(founded["mesh"]["name"], "home");
    let again = attic.cli(&["init", "home"]);
    assert_ne!(again.code, Some(0), "a mesh is not founded over another: {again:?}");

    let away = attic.cli(&["status"]);
    assert_eq!(away.code, Some(3), "{away:?}");
    has(&away.json(), "cairn.error/1", &["code", "message", "hint"]);

    attic.start(&[]);
    let address = attic.listen().to_string();
    for node in others {
        let joined = node.ok(&["join", founded["invite"].as_str().unwrap(), "--name", &node.name]);
        has(&joined, "cairn.join/1", &["node_id", "mesh/id", "mesh/name"]);
        assert_eq!(joined["mesh"], founded["mesh"]);
        node.start(&["--peer", &address]);
    }
}

/// One event for everything that was written, each a document of its own.
fn events(node: &Cairn, fact: &str) {
    let mut command = node.command(&["events", "--since", "0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let told = events.any(|event| {
        has(&event, "cairn.event/1", &["event", "seq"]);
        event["fact_id"] == fact
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told, "no event told of {fact}");
}

fn written(shed: &Cairn, boat: &Cairn) {
    let note = shed.ok(&["note", "the drill is in the blue box"]);
    has(&note, "cairn.receipt/1", &["fact_id", "state", "durable"]);
    assert_eq!(note["durable"], true);
    let id = text(&note, "fact_id");
    let fact = eventually("boat has the note sealed", 20, || {
        let ran = boat.cli(&["fact", "get", &id[..12]]);
        assert!([Some(0), Some(4)].contains(&ran.code), "{ran:?}");
        Some(ran.json()).filter(|fact| fact["state"] == "sealed")
    });
    let fields = ["content_hash", "author", "time", "block/height", "block/id", "signature"];
    has(&fact, "cairn.fact/1", &fields);
    assert_eq!(fact["fact_id"], id);
    assert_eq!(fact["text"], "the drill is in the blue box");
    assert_eq!((&fact["topic"], &fact["media_type"]), (&"note".into(), &"text/plain".into()));
    assert_eq!(fact["corroboration"], 0);
    let list = boat.ok(&["fact", "list", "--topic", "note", "--limit", "1"]);
    has(&list, "cairn.facts/1", &["facts/0/fact_id", "next"]);
    events(shed, &id);
}

fn screens(nodes: &[&Cairn; 3]) {
    for node in nodes {
        let status = node.ok(&["status", "--wait", "synced", "--timeout", "30s"]);
        let fields = ["node_id", "mesh/id", "mesh/name", "tip/height", "tip/id", "facts/total"];
        has(&status, "cairn.status/1", &fields);
        let fields = ["facts/pending", "facts/conflict", "peers/known", "version"];
        has(&status, "cairn.status/1", &fields);
        assert_eq!(
            (&status["state"], &status["peers"]["connected"]),
            (&"synced".into(), &2.into())
        );
        assert!(status["tip"]["work"].is_string());
        let tip = node.ok(&["chain", "tip"]);
        has(&tip, "cairn.tip/1", &["height", "id", "work", "time"]);
        assert_eq!(tip["id"], nodes[0].ok(&["chain", "tip"])["id"]);
        let reorgs = node.ok(&["chain", "reorgs"]);
        has(&reorgs, "cairn.reorgs/1", &["reorgs"]);
        let peers = node.ok(&["peers"]);
        has(&peers, "cairn.peers/1", &["peers/0/last_close"]);
        assert_eq!(peers["peers"].as_array().unwrap().len(), 2, "{peers}");
        let fields = ["node_id", "name", "address", "direction", "connected", "rtt_ms", "score"];
        for peer in peers["peers"].as_array().unwrap() {
            let missing: Vec<_> = fields.iter().filter(|name| peer.get(**name).is_none()).collect();
            assert!(missing.is_empty(), "{missing:?} in {peer}");
            assert_eq!(peer["connected"], true);
        }
    }
}

#[test]
fn the_readme_can_be_typed_as_it_stands() {
    let [mut attic, mut shed, mut boat] = ["attic", "shed", "boat"].map(Cairn::new);
    enroll(&mut attic, [&mut shed, &mut boat]);
    eventually("all three are linked", 30, || {
        let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 2;
        [&attic, &shed, &boat].into_iter().all(linked).then_some(())
    });
    written(&shed, &boat);
    let request = shed.ok(&["item", "request", "drill-2"]);
    has(&request, "cairn.receipt/1", &["fact_id", "state", "durable"]);
    eventually("boat sees who holds the drill", 20, || {
        let item = boat.ok(&["item", "show", "drill-2"]);
        has(&item, "cairn.item/1", &["item", "holder", "since"]);
        (item["holder_name"] == "shed").then_some(())
    });
    shed.ok(&["item", "release", "drill-2"]);
    agree(&[&attic, &shed, &boat], 30);
    screens(&[&attic, &shed, &boat]);
    assert_eq!(boat.cli(&["fact", "get", "00000000"]).code, Some(4));
    assert_eq!(boat.cli(&["no-such-verb"]).code, Some(2));
    assert_eq!(Ran::of(&mut boat.command(&["version"])).code, Some(0));
    sound(&[&attic, &shed, &boat]);

    // Attic stops; the others go on; it comes back and has what it missed.
    attic.stop();
    let missed = text(&boat.ok(&["note", "while attic was away"]), "fact_id");
    agree(&[&shed, &boat], 30);
    attic.start(&[]);
    eventually("attic has what it missed", 30, || attic.try_get(&format!("/v1/facts/{missed}")));
    sound(&[&attic, &shed, &boat]);
}
