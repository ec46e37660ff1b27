//! What the demo shows: facts written here and there, an item that changes hands, and every node
//! coming to the same ledger.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::drive::Client;
use crate::cli::output::{Output, field, short};
use crate::problem::{Code, Problem};

const POLL: Duration = Duration::from_millis(100);
const ITEM: &str = "/v1/items/laptop-001";

/// Ends a story that takes too long.
pub(super) async fn with_deadline(
    patience: Duration,
    story: impl Future<Output = Result<Value, Problem>>,
) -> Result<Value, Problem> {
    timeout(patience, story).await.unwrap_or_else(|_| {
        Err(Problem::new(
            Code::TimedOut,
            format!("the nodes did not agree within {patience:?}"),
            "run: cairn demo --exit -v",
        ))
    })
}

/// Writes on a node as soon as its membership lets it.
async fn write(client: &Client, path: &str, document: Value) -> Result<Value, Problem> {
    loop {
        match client.post(path, document.clone()).await {
            Err(problem) if may_pass(problem.code) => sleep(POLL).await,
            answer => return answer,
        }
    }
}

/// Whether a refusal ends by itself while admissions and blocks still travel.
const fn may_pass(code: Code) -> bool {
    matches!(code, Code::NotMember | Code::UnknownAuthor | Code::Free | Code::Held)
}

/// What a node sees.
async fn look(client: &Client, number: usize) -> Result<Value, Problem> {
    let status = client.get("/v1/status").await?;
    let item = client.get(ITEM).await?;
    let holder = match item["holder"].as_str() {
        None => "free".into(),
        Some(_) if item["holder_name"].is_string() => field(&item, "/holder_name"),
        Some(_) => short(&item, "/holder"),
    };
    Ok(json!({
        "name": format!("node-{number}"),
        "state": status["state"],
        "facts": status["facts"]["total"],
        "pending": status["facts"]["pending"],
        "height": status["tip"]["height"],
        "tip": short(&status, "/tip/id"),
        "holder": holder,
        "since": item["since"],
        "peers": status["peers"]["connected"],
        "http": client.base(),
    }))
}

/// What must be the same everywhere.
fn ledger(seen: &Value) -> [&Value; 5] {
    ["facts", "pending", "height", "tip", "since"].map(|name| &seen[name])
}

/// Whether a node has nothing left to seal or to fetch.
fn is_settled(seen: &Value) -> bool {
    seen["pending"] == 0 && seen["state"] == "synced"
}

/// Looks at all nodes until they have the same ledger with nothing left to seal, know that they
/// have, and it is as wanted.
async fn agree(clients: &[Client], wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>, Problem> {
    loop {
        let mut seen = Vec::with_capacity(clients.len());
        for (index, client) in clients.iter().enumerate() {
            seen.push(look(client, index + 1).await?);
        }
        let same = seen.windows(2).all(|pair| ledger(&pair[0]) == ledger(&pair[1]));
        let settled = seen.iter().all(|node| is_settled(node) && wanted(node));
        if same && settled {
            return Ok(seen);
        }
        sleep(POLL).await;
    }
}

/// The whole story; ends when all nodes agree on facts, tip and holder.
pub(super) async fn story(clients: &[Client], out: &Output) -> Result<Value, Problem> {
    let [first, second, ..] = clients else {
        return Err(Problem::usage("the demo needs two nodes or more"));
    };
    let notes = ["The key is under the stone", "Saw 2 needs a new blade", "Soup on Friday"];
    for (index, client) in clients.iter().enumerate() {
        let text = notes[index % notes.len()];
        let note = json!({"topic": "note", "text": format!("{text} (node-{})", index + 1)});
        write(client, "/v1/facts", note).await?;
        out.say(format!("node-{} wrote: {text}", index + 1));
    }
    let asked = json!({"note": "for the workshop"});
    write(first, &format!("{ITEM}/request"), asked).await?;
    out.say("node-1 requested laptop-001");
    agree(clients, |node| node["holder"] != "free").await?;
    out.say("every node sees that node-1 holds it");
    write(second, &format!("{ITEM}/release"), json!({"note": "found it on the bench"})).await?;
    out.say("node-2 released it\n");
    let released = |node: &Value| node["holder"] == "free" && !node["since"].is_null();
    let seen = agree(clients, released).await?;
    Ok(json!({"schema": "cairn.demo/1", "agree": true, "nodes": seen}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_still_fetches_or_seals_has_not_settled() {
        assert!(is_settled(&json!({"pending": 0, "state": "synced"})));
        assert!(!is_settled(&json!({"pending": 0, "state": "syncing"})));
        assert!(!is_settled(&json!({"pending": 1, "state": "synced"})));
    }

    #[test]
    fn nodes_differ_if_any_part_of_the_ledger_does() {
        let node = json!({"facts": 3, "pending": 0, "height": 2, "tip": "ab", "since": null});
        for (name, other) in [("facts", json!(4)), ("tip", json!("cd")), ("since", json!({}))] {
            let mut changed = node.clone();
            changed[name] = other;
            assert_ne!(ledger(&node), ledger(&changed), "{name}");
        }
        let mut named = node.clone();
        named["name"] = json!("node-2");
        assert_eq!(ledger(&node), ledger(&named));
    }
}
