//! An admin's key is stolen: it revokes everybody, and those who keep the recovery phrases end it.

use serde_json::Value;
use support::process::{Cairn, Ran, eventually};

use crate::mesh::{agree, invite, joined, sound, text};

fn state(node: &Cairn) -> Value {
    node.try_get("/v1/status").map_or(Value::Null, |status| status["state"].clone())
}

fn member(node: &Cairn, name: &str) -> Value {
    let members = node.get("/v1/members");
    let members = members["members"].as_array().unwrap();
    members.iter().find(|member| member["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn two_of_three_phrases_bring_back_whom_a_stolen_key_revoked() {
    let mut a = Cairn::new("a");
    let args =
        ["init", "e2e", "--spacing", "200ms", "--address", "127.0.0.1:9", "--recovery", "2of3"];
    let founded = a.ok(&args);
    let phrases: Vec<String> = founded["recovery"]["phrases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phrase| phrase.as_str().unwrap().to_string())
        .collect();
    assert_eq!((phrases.len(), &founded["recovery"]["threshold"]), (3, &2.into()));
    for file in std::fs::read_dir(a.dir()).unwrap() {
        let path = file.unwrap().path();
        let word = phrases[0].split(' ').take(3).collect::<Vec<_>>().join(" ");
        let content = std::fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&content).contains(&word), "{path:?} has a phrase");
    }
    a.start(&[]);
    let (b, c) = (joined("b", &invite(&a)), joined("c", &invite(&a)));
    eventually("everybody is linked to everybody", 60, || {
        let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 2;
        [&a, &b, &c].into_iter().all(linked).then_some(())
    });
    agree(&[&a, &b, &c], 60);
    // The machine of a was stolen.
    a.ok(&["member", "revoke", "c"]);
    eventually("c is revoked", 60, || (state(&c) == "revoked").then_some(()));
    agree(&[&a, &b], 60);
    a.stop();
    // One holder begins on the node that is to be the new admin, another goes on elsewhere.
    let one = b.file("one", &phrases[2]);
    let begun = b.ok(&["member", "recover", "founder", "--phrase-file", one.to_str().unwrap()]);
    assert_eq!(begun["missing"], 1);
    let line = text(&begun, "statement");
    let early = b.cli(&["member", "recover", "--statement", &line]);
    assert_eq!(early.json()["missing"], 1);
    let holder = Cairn::new("holder");
    let two = holder.file("two", &phrases[0]);
    let signed = holder.ok(&[
        "member",
        "recover",
        "--no-publish",
        "--statement",
        &line,
        "--phrase-file",
        two.to_str().unwrap(),
    ]);
    assert_eq!(signed["missing"], 0);
    let stray = holder.file("stray", &phrases[1].replace(' ', "  ").replacen("  ", " x ", 1));
    let args =
        ["member", "recover", "--statement", &line, "--phrase-file", stray.to_str().unwrap()];
    let mistyped: Ran = holder.cli(&args);
    assert_eq!((mistyped.code, &mistyped.json()["code"]), (Some(5), &"malformed".into()));
    b.ok(&["member", "recover", "--statement", &text(&signed, "statement")]);
    for node in [&b, &c] {
        eventually("it is back", 120, || (state(node) == "synced").then_some(()));
    }
    c.ok(&["note", "back"]);
    agree(&[&b, &c], 60);
    assert_eq!(member(&c, "b")["role"], "admin");
    assert_eq!(member(&c, "founder")["state"], "revoked");
    b.ok(&["invite", "create"]);
    sound(&[&b, &c]);
}
