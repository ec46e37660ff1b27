//! Real input, a lot of it: every package that this machine knows of goes in at one node, is the
//! same everywhere, and comes out whole.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::process::{Cairn, Ran, count};

use crate::mesh::{agree, founder, sound, text, three};

/// Records that must go in at least.
const RECORDS: usize = 50_000;

/// Writes the records to a file of this node's; gives how many there are.
fn records(path: &Path, least: usize) -> u64 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/apt_records.py");
    let ran = Ran::of(Command::new("python3").arg(script).arg(path).arg(least.to_string()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    eprint!("{}", ran.stderr);
    let last = ran.stderr.lines().last().and_then(|line| line.split(' ').nth(1)).unwrap();
    last.parse().unwrap()
}

/// Hashes of the contents of all records in an export.
fn contents(export: &Path) -> BTreeSet<String> {
    let lines = BufReader::new(File::open(export).unwrap()).lines();
    let documents = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let records = documents.filter(|fact| fact["kind"] == "record");
    records.map(|fact| text(&fact, "content_hash")).collect()
}

fn export(node: &Cairn) -> std::path::PathBuf {
    let path = node.dir().with_file_name("export.jsonl");
    let done = node.ok(&["export", "-o", path.to_str().unwrap()]);
    assert_eq!(done["facts"], node.get("/v1/status")["facts"]["total"]);
    path
}

#[test]
fn every_package_of_this_machine_becomes_the_same_ledger_everywhere() {
    let [a, b, c] = three("1s");
    let file = a.dir().with_file_name("records.jsonl");
    let file_text = file.to_str().unwrap();
    let known = a.get("/v1/status")["facts"]["total"].as_u64().unwrap();
    let records = records(&file, count("CAIRN_RECORDS", RECORDS));

    let started = std::time::Instant::now();
    let done = a.ok(&["import", file_text, "--timeout", "200s"]);
    let counts = ["accepted", "duplicate", "refused", "skipped"].map(|name| done[name].as_u64());
    assert_eq!(counts, [Some(records), Some(0), Some(0), Some(0)], "{done}");
    eprintln!("{records} records imported in {:?}", started.elapsed());
    agree(&[&a, &b, &c], 200);
    eprintln!("everywhere and sealed after {:?}", started.elapsed());
    assert_eq!(b.get("/v1/status")["facts"]["total"], known + records);
    sound(&[&a, &b, &c]);

    // Written before: nothing is made of it a second time.
    let again = a.ok(&["import", file_text, "--timeout", "200s"]);
    assert_eq!((&again["accepted"], &again["duplicate"]), (&0.into(), &records.into()));

    let exported = export(&b);
    let whole = contents(&exported);
    assert_eq!(whole.len() as u64, records);
    let other = founder("other", "1s");
    let done = other.ok(&["import", exported.to_str().unwrap(), "--timeout", "200s"]);
    let counts = ["accepted", "duplicate", "refused", "skipped"].map(|name| done[name].as_u64());
    assert_eq!(counts, [Some(records), Some(0), Some(0), Some(known)], "{done}");
    assert_eq!(contents(&export(&other)), whole);
    sound(&[&other]);
}
