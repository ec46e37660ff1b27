//! Files of a store that are damaged while the node is down: it starts anyway, ends with what the
//! others have, and brings along what only it had.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::process::{Cairn, Ran, within};

use crate::mesh::{agree, founder, invite, joined, sound};

/// Places that are damaged, spread over the files; `CAIRN_DAMAGES` sets another number.
const DAMAGES: usize = 5;

fn files(at: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.retain(|file| !file.ends_with("lock") && fs::metadata(file).unwrap().len() > 0);
    files.sort();
    files
}

/// Flips a bit in the part of the file that is in use.
fn flip(file: &Path, turn: usize) {
    let mut bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = (used / 7 * (turn % 7)).min(used - 1);
    bytes[at] ^= 1 << (turn % 8);
    fs::write(file, bytes).unwrap();
}

fn ids(node: &Cairn) -> Option<BTreeSet<String>> {
    let ran = Ran::of(&mut node.command(&["export"]));
    let id = |line: &str| {
        let document: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(document["fact_id"].as_str()?.to_string())
    };
    (ran.code == Some(0)).then(|| ran.stdout.lines().filter_map(id).collect())
}

#[test]
fn a_flipped_byte_costs_a_member_nothing() {
    let mut a = founder("a", "20ms");
    let mut b = joined("b", &invite(&a));
    agree(&[&a, &b], 60);
    for n in 0..40 {
        b.client().note(&format!("note {n} {}", "x".repeat(2_000))).unwrap();
    }
    agree(&[&a, &b], 60);
    let mut own = BTreeSet::new();
    for turn in 0..support::process::count("CAIRN_DAMAGES", DAMAGES) {
        a.stop();
        own.insert(b.client().note(&format!("only here, {turn}")).unwrap());
        b.stop();
        let all = files(&b.dir().join("db"));
        let file = &all[turn * 3 % all.len()];
        eprintln!("turn {turn}: {}", file.display());
        flip(file, turn);
        a.start(&[]);
        b.start(&[]);
        within(90, || {
            let (theirs, ours) = (ids(&a), ids(&b));
            let whole = theirs.as_ref().is_some_and(|theirs| own.is_subset(theirs));
            if whole && theirs == ours { Ok(()) } else { Err("both have all facts".into()) }
        });
        agree(&[&a, &b], 60);
    }
    sound(&[&a, &b]);
}

#[test]
fn what_no_peer_has_survives_the_loss_of_the_whole_store() {
    let mut a = founder("a", "20ms");
    let mut b = joined("b", &invite(&a));
    agree(&[&a, &b], 60);
    a.stop();
    let own: Vec<String> =
        (0..5).map(|n| b.client().note(&format!("only here, {n}")).unwrap()).collect();
    b.kill();
    for file in files(&b.dir().join("db")) {
        let length = fs::metadata(&file).unwrap().len().min(1 << 20) as usize;
        fs::write(&file, vec![0xa5; length]).unwrap();
    }
    // Nobody is there to refill it, but others exist.
    b.start(&[]);
    assert_eq!(b.get("/v1/status")["quarantined"], serde_json::json!(["db.bad-1"]));
    for id in &own {
        assert!(b.try_get(&format!("/v1/facts/{id}")).is_some(), "{id}");
    }
    a.start(&[]);
    agree(&[&a, &b], 90);
    for id in &own {
        assert!(a.try_get(&format!("/v1/facts/{id}")).is_some(), "{id}");
    }
    sound(&[&a, &b]);
}
