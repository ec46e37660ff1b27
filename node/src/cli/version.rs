//! `version`: this program, and the formats it speaks.

use cairn_core::params::RULES_VERSION;
use cairn_core::store::STORE_FORMAT;
use cairn_core::wire::WIRE_VERSION;
use serde_json::json;

use super::output::field;
use super::{Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let document = json!({
        "schema": "cairn.version/1", "version": env!("CARGO_PKG_VERSION"),
        "rules": RULES_VERSION, "store": STORE_FORMAT, "wire": WIRE_VERSION,
    });
    context.out.data(&document, |document| format!("cairn {}", field(document, "/version")))?;
    Ok(0)
}
