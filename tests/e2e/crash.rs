//! `kill -9` of everybody in the middle of everything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use support::process::{Cairn, Client, count, eventually};
use support::random::Random;

use crate::mesh::{agree, facts, sound, text, three};

/// Times that all nodes are killed; `CAIRN_KILLS` sets another number.
const KILLS: usize = 5;
/// Lines of an import that is acknowledged as a whole.
const LINES: u64 = 100;

/// Promises made so far, by all nodes.
static PROMISES: AtomicU64 = AtomicU64::new(0);

/// What a node promised to keep, as its clients noted it down.
#[derive(Default)]
struct Promised {
    ids: Vec<String>,
    texts: Vec<String>,
}

/// Writes single notes until the node is gone.
fn notes(client: &Client, label: &str) -> Promised {
    let mut promised = Promised::default();
    for number in 0.. {
        let note = serde_json::json!({"topic": "note", "text": format!("{label} {number}")});
        let Some((status, receipt)) = client.post("/v1/facts", &note.to_string()) else {
            break;
        };
        assert_eq!((status, &receipt["durable"]), (201, &true.into()), "{receipt}");
        promised.ids.push(text(&receipt, "fact_id"));
        PROMISES.fetch_add(1, Ordering::Relaxed);
    }
    promised
}

/// Imports files of some lines until the node is gone.
fn imports(client: &Client, label: &str) -> Promised {
    let mut promised = Promised::default();
    for number in 0.. {
        let texts: Vec<_> = (0..LINES).map(|line| format!("{label} {number} {line}")).collect();
        let line = |text: &String| serde_json::json!({"topic": "line", "text": text}).to_string();
        let lines: Vec<_> = texts.iter().map(line).collect();
        let Some((status, counts)) = client.post("/v1/facts/batch", &lines.join("\n")) else {
            break;
        };
        assert_eq!((status, counts["accepted"].as_u64()), (200, Some(LINES)), "{counts}");
        promised.texts.extend(texts);
        PROMISES.fetch_add(LINES, Ordering::Relaxed);
    }
    promised
}

/// Clients of one node that write until it is gone.
fn writers(node: &Cairn, round: usize) -> Vec<JoinHandle<Promised>> {
    let start = |kind: &str, write: fn(&Client, &str) -> Promised| {
        let (client, label) = (node.client(), format!("{kind} {} {round}", node.name));
        thread::spawn(move || write(&client, &label))
    };
    vec![start("one", notes), start("two", notes), start("file", imports)]
}

/// Everything that was promised is in this node's ledger.
fn check(node: &Cairn, promised: &Promised) {
    let facts = facts(node);
    let missing: Vec<_> = promised.ids.iter().filter(|id| !facts.contains_key(*id)).collect();
    assert!(missing.is_empty(), "{} lost {missing:?}", node.name);
    let texts: std::collections::BTreeSet<_> =
        facts.values().filter_map(|fact| fact["text"].as_str()).collect();
    let missing: Vec<_> =
        promised.texts.iter().filter(|text| !texts.contains(text.as_str())).collect();
    assert!(missing.is_empty(), "{} lost {missing:?}", node.name);
}

#[test]
fn what_was_promised_survives_a_kill_of_all_nodes_at_any_moment() {
    let mut nodes = three("100ms");
    let (mut random, mut promised) = (Random::new(4), Promised::default());
    for round in 0..count("CAIRN_KILLS", KILLS) {
        let wanted = PROMISES.load(Ordering::Relaxed) + 1 + random.below(900);
        let writers: Vec<_> = nodes.iter().flat_map(|node| writers(node, round)).collect();
        eventually("enough was promised", 60, || {
            (PROMISES.load(Ordering::Relaxed) >= wanted).then_some(())
        });
        nodes.iter_mut().for_each(Cairn::kill);
        for writer in writers {
            let noted = writer.join().unwrap();
            promised.ids.extend(noted.ids);
            promised.texts.extend(noted.texts);
        }
        nodes.iter_mut().for_each(|node| node.start(&[]));
        agree(&nodes.each_ref(), 90);
        nodes.iter().for_each(|node| check(node, &promised));
    }
    assert!(!promised.ids.is_empty() && !promised.texts.is_empty());
    sound(&nodes.each_ref());
}
