//! `key`: which key this node has, and how it gets another.

use std::time::{Duration, Instant};

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::field;
use super::{Context, Outcome};
use crate::problem::{Code, Problem};

#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Show the public key, which is the node's id
    Show,
    /// Go on under a new key; name, role and what is held stay. Not for a key that somebody else may
    /// have: revoke that
    Rotate {
        /// Do not wait until the mesh knows the new key
        #[arg(long)]
        no_wait: bool,
    },
}

/// Between two looks at whether the node has its new key.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

fn rotate(no_wait: bool, context: &Context) -> Outcome {
    let client = context.client()?;
    let mut document = client.post("/v1/key/rotate", &json!({}))?;
    document["active"] = (!no_wait).into();
    if !no_wait {
        wait_until_it_is(&document["next"], context)?;
    }
    context.out.data(&document, |document| field(document, "/next"))?;
    context.out.say("make a new backup of node.key and mesh.json: the old one is of no use now");
    Ok(0)
}

/// Waits until the node runs under the key `next`. It starts again meanwhile.
fn wait_until_it_is(next: &Value, context: &Context) -> Result<(), Problem> {
    let starting = [Code::NotReachable, Code::Stopping, Code::TimedOut, Code::Failed];
    let deadline = Instant::now() + context.patience();
    while Instant::now() < deadline {
        // Found anew each time: a node that starts says only then where it listens.
        match context.client()?.get("/v1/status") {
            Ok(status) if status["node_id"] == *next => return Ok(()),
            Err(problem) if !starting.contains(&problem.code) => return Err(problem),
            _ => std::thread::sleep(LOOK_INTERVAL),
        }
    }
    Err(Problem::new(
        Code::TimedOut,
        "no block has the new key yet; the node takes it by itself as soon as one does",
        "run: cairn status, and later: cairn key show",
    ))
}

pub(super) fn run(verb: &KeyVerb, context: &Context) -> Outcome {
    if let KeyVerb::Rotate { no_wait } = verb {
        return rotate(*no_wait, context);
    }
    let status = context.client()?.get("/v1/status")?;
    let document = json!({
        "schema": "cairn.key/1", "node_id": status["node_id"], "algorithm": "ed25519",
        "mesh": status["mesh"],
    });
    context.out.data(&document, |document| field(document, "/node_id"))?;
    Ok(0)
}
