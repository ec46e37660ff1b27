//! A disk that fills up: the node reads on, says so, loses nothing, and goes on by itself when there
//! is room again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::process::{Cairn, eventually, within};
use support::small_disk::SmallDisk;

use crate::mesh::{agree, founder, invite, sound, text};

const MIB: u64 = 1024 * 1024;

/// A member of a mesh with its store on a small disk; none where nothing may be mounted.
fn member(name: &str, invite: &str, size: &str) -> Option<(Cairn, SmallDisk)> {
    let mut node = Cairn::new(name);
    node.ok(&["join", invite, "--name", name]);
    let Some(disk) = SmallDisk::mount(node.dir().with_file_name("small-disk"), size) else {
        eprintln!("not tested: this process may not mount a filesystem");
        return None;
    };
    let db = disk.path().join("db");
    node.start(&["--db", db.to_str().unwrap(), "--profile", "tiny"]);
    Some((node, disk))
}

fn state(node: &Cairn) -> Option<String> {
    Some(text(&node.try_get("/v1/status")?, "state"))
}

fn total(node: &Cairn) -> Option<u64> {
    node.try_get("/v1/status")?["facts"]["total"].as_u64()
}

/// Writes until the node says that there is no room; the refusal.
fn until_refused(node: &Cairn) -> (u16, Value) {
    let client = node.client();
    let body = r#"{"topic": "note", "text": "is there room?"}"#;
    eventually("a write is refused", 30, || {
        let (status, answer) = client.post("/v1/facts", body)?;
        (status != 201).then_some((status, answer))
    })
}

#[test]
fn without_room_it_only_reads_and_with_room_it_catches_up_by_itself() {
    let a = founder("a", "20ms");
    let Some((mut node, disk)) = member("small", &invite(&a), "160m") else { return };
    agree(&[&a, &node], 60);
    let id = node.client().note("before").unwrap();
    disk.fill(16 * MIB);
    let (status, refusal) = until_refused(&node);
    assert_eq!((status, refusal["code"].as_str()), (507, Some("storage")), "{refusal}");
    assert_eq!(state(&node).as_deref(), Some("read-only"));
    let ran = node.cli(&["note", "no room"]);
    assert_eq!((ran.code, &ran.json()["code"]), (Some(8), &Value::from("storage")), "{ran:?}");
    // It serves what it has, and follows without taking anything in.
    assert!(node.try_get(&format!("/v1/facts/{id}")).is_some());
    within(30, || match a.try_get(&format!("/v1/facts/{id}")) {
        Some(_) => Ok(()),
        None => Err("the fact is with the peer".into()),
    });
    let held = total(&node).unwrap();
    for n in 0..20 {
        a.client().note(&format!("meanwhile {n}")).unwrap();
    }
    agree(&[&a], 60);
    assert_eq!((total(&node), state(&node).as_deref()), (Some(held), Some("read-only")));
    disk.free();
    agree(&[&a, &node], 60);
    assert!(node.client().note("there is room again").is_some());
    sound(&[&a, &node]);
    let log = std::fs::read_to_string(node.dir().with_file_name("log")).unwrap();
    assert!(log.contains("no room to spare") && log.contains("has room again"), "{log}");
    node.stop();
}

#[test]
fn a_disk_that_is_full_at_once_loses_nothing_that_was_acknowledged() {
    let a = founder("a", "20ms");
    let Some((mut node, disk)) = member("small", &invite(&a), "200m") else { return };
    agree(&[&a, &node], 60);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (client, stop) = (node.client(), stop.clone());
        std::thread::spawn(move || {
            let long = "x".repeat(12_000);
            let going = |_: &usize| !stop.load(Ordering::Relaxed);
            (0..).take_while(going).filter_map(|n| client.note(&format!("{n} {long}"))).collect()
        })
    };
    eventually("it writes", 30, || total(&node).filter(|total| *total > 20));
    // Nothing is left for what is being written: whether it notices in time or not.
    disk.fill(0);
    eventually("it notices", 60, || match state(&node) {
        Some(state) => (state == "read-only").then_some(()),
        // The store failed; the node waits for room.
        None => Some(()),
    });
    disk.free();
    eventually("it writes again", 60, || node.client().note("there is room again"));
    stop.store(true, Ordering::Relaxed);
    let kept: Vec<String> = writer.join().unwrap();
    assert!(kept.len() > 20, "{}", kept.len());
    for id in &kept {
        assert!(node.try_get(&format!("/v1/facts/{id}")).is_some(), "{id} was acknowledged");
    }
    sound(&[&a, &node]);
    node.stop();
}
