//! `key`: which key this node has.

use clap::Subcommand;
use serde_json::json;

use super::output::field;
use super::{Context, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Show the public key, which is the node's id
    Show,
}

pub(super) fn run(verb: &KeyVerb, context: &Context) -> Outcome {
    let KeyVerb::Show = verb;
    let status = context.client()?.get("/v1/status")?;
    let document = json!({
        "schema": "cairn.key/1", "node_id": status["node_id"], "algorithm": "ed25519",
        "mesh": status["mesh"],
    });
    context.out.data(&document, |document| field(document, "/node_id"))?;
    Ok(0)
}
