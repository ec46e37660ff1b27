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
    let begun = b.ok(&["recover", "founder", "--phrase-file", one.to_str().unwrap()]);
    assert_eq!(begun["missing"], 1);
    let line = text(&begun, "statement");
    let early = b.cli(&["recover", "--statement", &line]);
    assert_eq!(early.json()["missing"], 1);
    let holder = Cairn::new("holder");
    let two = holder.file("two", &phrases[0]);
    let signed = holder.ok(&[
        "recover",
        "--no-publish",
        "--statement",
        &line,
        "--phrase-file",
        two.to_str().unwrap(),
    ]);
    assert_eq!(signed["missing"], 0);
    let stray = holder.file("stray", &phrases[1].replace(' ', "  ").replacen("  ", " x ", 1));
    let args = ["recover", "--statement", &line, "--phrase-file", stray.to_str().unwrap()];
    let mistyped: Ran = holder.cli(&args);
    assert_eq!((mistyped.code, &mistyped.json()["code"]), (Some(5), &"malformed".into()));
    b.ok(&["recover", "--statement", &text(&signed, "statement")]);
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

#[test]
fn a_mesh_whose_only_sealer_is_lost_goes_on_with_a_phrase() {
    let mut a = Cairn::new("a");
    let founded = a.ok(&["init", "e2e", "--spacing", "200ms", "--address", "127.0.0.1:9"]);
    let phrases = founded["recovery"]["phrases"].as_array().unwrap();
    assert_eq!(phrases.len(), 1, "one phrase unless told otherwise");
    let phrase = phrases[0].as_str().unwrap().to_string();
    a.start(&[]);
    let invited = text(&a.ok(&["invite", "create", "--role", "member", "--uses", "2"]), "invite");
    let (b, c) = (joined("b", &invited), joined("c", &invited));
    eventually("everybody is linked to everybody", 60, || {
        let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 2;
        [&a, &b, &c].into_iter().all(linked).then_some(())
    });
    agree(&[&a, &b, &c], 60);
    a.stop();
    let waiting = text(&c.ok(&["note", "nobody can seal this"]), "fact_id");
    let file = b.file("phrase", &phrase);
    let path = file.to_str().unwrap();
    // A word that is not of the list is named by its place, and never shown.
    let mistyped = b.file("mistyped", &format!("rhubarbed {}", phrase.split_once(' ').unwrap().1));
    let refused = b.cli(&["recover", "founder", "--phrase-file", mistyped.to_str().unwrap()]);
    assert_eq!(refused.json()["code"], "malformed");
    let message = text(&refused.json(), "message");
    assert!(message.contains("word 1") && !message.contains("rhubarbed"), "{message}");
    b.ok(&["recover", "founder", "--phrase-file", path]);
    eventually("what waited is sealed", 120, || {
        let fact = c.try_get(&format!("/v1/facts/{waiting}"))?;
        (fact["state"] == "sealed").then_some(())
    });
    agree(&[&b, &c], 60);
    assert_eq!(member(&c, "b")["role"], "admin");
    assert_eq!(member(&c, "founder")["state"], "revoked");
    sound(&[&b, &c]);
}
