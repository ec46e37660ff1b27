//! A lone node that writes enough to make its store flush and start new files, for tests that take
//! its machine away meanwhile.

use std::collections::BTreeSet;

use serde_json::json;
use support::process::{Cairn, Client};

/// Rounds of a few notes and one import.
const ROUNDS: usize = 3;
const NOTES: usize = 3;
const LINES: usize = 80;
/// Bytes of an imported text: a round is about as large as the memtable of the smallest profile.
const TEXT_BYTES: usize = 14_000;
/// Flags of `run`.
pub(crate) const TINY: [&str; 2] = ["--profile", "tiny"];

/// A mesh of one, which has its identity and its rules, and never ran.
pub(crate) fn alone(name: &str) -> Cairn {
    let node = Cairn::new(name);
    node.ok(&["init", "e2e", "--spacing", "50ms", "--address", "127.0.0.1:9"]);
    node
}

fn note(client: &Client, text: &str) -> bool {
    client.note(text).is_some()
}

fn import(client: &Client, texts: &[String]) -> bool {
    let line = |text: &String| json!({"topic": "line", "text": text}).to_string();
    let lines: Vec<_> = texts.iter().map(line).collect();
    let answer = client.post("/v1/facts/batch", &lines.join("\n"));
    answer.is_some_and(|(status, counts)| {
        status == 200 && counts["accepted"].as_u64() == Some(texts.len() as u64)
    })
}

/// Writes one thing after another until all is written or one is not promised. Gives the texts of
/// each request that was promised, in order.
pub(crate) fn write(node: &Cairn) -> Vec<Vec<String>> {
    let (client, mut promised) = (node.client(), Vec::new());
    for round in 0..ROUNDS {
        for number in 0..NOTES {
            let text = format!("note {round}.{number}");
            if !note(&client, &text) {
                return promised;
            }
            promised.push(vec![text]);
        }
        let text = |line: usize| format!("line {round}.{line} ").repeat(TEXT_BYTES / 12);
        let texts: Vec<_> = (0..LINES).map(text).collect();
        if !import(&client, &texts) {
            return promised;
        }
        promised.push(texts);
    }
    promised
}

/// What of the promised texts a node that runs does not have.
pub(crate) fn lost(node: &Cairn, promised: &[Vec<String>]) -> Vec<String> {
    let facts = crate::mesh::facts(node);
    let there: BTreeSet<&str> = facts.values().filter_map(|fact| fact["text"].as_str()).collect();
    let texts = promised.iter().flatten();
    let lost = texts.filter(|text| !there.contains(text.as_str()));
    lost.map(|text| text.chars().take(16).collect()).collect()
}
