//! `events`: what happens, as it happens (server-sent events, one JSON document each).

use std::io::{BufRead as _, BufReader};

use clap::Args;
use serde_json::Value;

use super::client::with_query;
use super::output::{field, time_field};
use super::{Context, Outcome, terminal};
use crate::problem::{Code, Problem};

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Begin after this event, if the node still remembers it
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
}

pub(super) fn run(args: &EventsArgs, context: &Context) -> Outcome {
    let since = args.since.map(|seq| seq.to_string());
    let stream = context.client()?.stream(&with_query("/v1/events", &[("since", since)]))?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|error| {
            Problem::new(
                Code::NotReachable,
                format!("the node went away: {error}"),
                "run: cairn status",
            )
        })?;
        let document = line.strip_prefix("data:").map(serde_json::from_str::<Value>);
        if let Some(Ok(document)) = document {
            context.out.data(&document, show)?;
        }
    }
    Err(Problem::new(Code::NotReachable, "the node ended the stream", "run: cairn status"))
}

fn show(event: &Value) -> String {
    let mut rest = event.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "schema" | "seq" | "time" | "event"));
    }
    format!(
        "{:>6}  {}  {:<16} {}",
        field(event, "/seq"),
        time_field(event, "/time"),
        field(event, "/event"),
        terminal::line(&rest.to_string()),
    )
}
