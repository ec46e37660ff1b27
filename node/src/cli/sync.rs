//! `sync`: pull now, and wait until nothing is missing.

use serde_json::{Value, json};

use super::output::field;
use super::{Context, Outcome, status};
use crate::problem::{Code, Problem};

pub(super) fn run(context: &Context) -> Outcome {
    let client = context.client()?;
    client.post("/v1/sync", &json!({}))?;
    let bar = context.out.bar(None, "{bar:30} {pos}/{len} blocks, {msg} facts wanted {eta}");
    let caught_up = |status: &Value| {
        let wanted = status["facts"]["wanted"].as_u64().unwrap_or(0);
        bar.set_length(status["target"].as_u64().unwrap_or(0));
        bar.set_position(status["tip"]["height"].as_u64().unwrap_or(0));
        bar.set_message(wanted.to_string());
        status["state"] == "synced" && wanted == 0
    };
    let outcome = status::wait(context, caught_up);
    bar.finish_and_clear();
    let status = match outcome {
        Ok(status) => status,
        Err(problem) if problem.code == Code::TimedOut => {
            let status = client.get("/v1/status")?;
            if status["peers"]["connected"].as_u64() != Some(0) {
                return Err(problem);
            }
            return Err(Problem::new(
                Code::Network,
                "no peer is connected, so there is nobody to sync with",
                "run: cairn peers --all, then: cairn peer add HOST:PORT",
            ));
        }
        Err(problem) => return Err(problem),
    };
    context.out.data(&status, |status| {
        let height = field(status, "/tip/height");
        format!("synced: height {height}, {} facts", field(status, "/facts/total"))
    })?;
    Ok(0)
}
