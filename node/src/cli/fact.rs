//! `fact` and `note`: writing and reading facts.

use std::io::Read;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cairn_core::params::FACT_BYTES_MAX;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{escape, with_query};
use super::output::{Output, field, list, short, table, time_field};
use super::{Context, Outcome, duration, terminal};
use crate::problem::{Code, Problem};

#[derive(Debug, Args)]
pub(super) struct NoteArgs {
    /// The note; `-` reads it from stdin
    #[arg(allow_hyphen_values = true)]
    text: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum FactVerb {
    /// Write a fact down
    Add(AddArgs),
    /// Show a fact
    Get {
        /// Its id, or the first 6 digits or more
        id: String,
    },
    /// List facts, the newest first
    List(ListArgs),
    /// State how two facts relate
    Relate {
        /// The fact that is spoken of
        subject: String,
        /// How they relate, such as `corrects`
        predicate: String,
        /// The other fact
        object: String,
    },
    /// What became of a fact: when it was sealed, and what others say of it
    History {
        /// Its id, or the first 6 digits or more
        id: String,
    },
}

#[derive(Debug, Args)]
#[group(id = "content", required = true, multiple = false)]
pub(super) struct Content {
    /// The content; `-` reads it from stdin
    text: Option<String>,
    /// Take the content from a file
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// What it is about
    #[arg(long)]
    topic: String,
    /// How to read it
    #[arg(long = "type", value_name = "MIME", default_value = "text/plain")]
    media_type: String,
    #[command(flatten)]
    content: Content,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only by this node (id, beginning of it, or name)
    #[arg(long)]
    author: Option<String>,
    /// Only written since then: a date, `2h` (ago), or milliseconds since 1970
    #[arg(long)]
    since: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Continue after a page; `next` of the page before
    #[arg(long)]
    after: Option<String>,
}

pub(super) fn note(args: NoteArgs, context: &Context) -> Outcome {
    let content = Content { text: Some(args.text), file: None };
    add("note", "text/plain", &content, context)
}

pub(super) fn run(verb: FactVerb, context: &Context) -> Outcome {
    match verb {
        FactVerb::Add(args) => add(&args.topic, &args.media_type, &args.content, context),
        FactVerb::Get { id } => {
            let fact = context.client()?.get(&format!("/v1/facts/{}", escape(&id)))?;
            context.out.data(&fact, show)?;
            Ok(0)
        }
        FactVerb::List(args) => print_list(&args, context),
        FactVerb::Relate { subject, predicate, object } => {
            let document = json!({
                "kind": "relation", "subject": subject, "predicate": predicate, "object": object,
            });
            receipt(&context.client()?.post("/v1/facts", &document)?, &context.out)
        }
        FactVerb::History { id } => history(&id, context),
    }
}

/// Prints what became of a request to write something.
pub(super) fn receipt(document: &Value, out: &Output) -> Outcome {
    out.data(document, |document| field(document, "/fact_id"))?;
    let duplicate = document["duplicate"] == true;
    out.detail(if duplicate { "it was there already" } else { "written and durable" });
    Ok(0)
}

fn read_all(mut from: impl Read, what: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = from.by_ref().take(FACT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Problem::file("cannot read", what.as_ref(), &error))?;
    if bytes.len() > FACT_BYTES_MAX {
        let message =
            format!("{what} has more than the {FACT_BYTES_MAX} bytes that a fact can have");
        return Err(Problem::new(Code::TooLarge, message, "split it, or write down its hash"));
    }
    Ok(bytes)
}

impl Content {
    fn read(&self) -> Result<Vec<u8>, Problem> {
        match (&self.text, &self.file) {
            (_, Some(path)) => {
                let file = std::fs::File::open(path);
                let file = file.map_err(|error| Problem::file("cannot open", path, &error))?;
                read_all(file, &path.display().to_string())
            }
            (Some(text), None) if text == "-" => {
                let mut bytes = read_all(std::io::stdin().lock(), "stdin")?;
                // A shell's echo ends with a line feed that nobody means.
                if bytes.ends_with(b"\n") {
                    bytes.pop();
                }
                Ok(bytes)
            }
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, None) => Err(Problem::usage("there is nothing to write down")),
        }
    }
}

fn add(topic: &str, media_type: &str, content: &Content, context: &Context) -> Outcome {
    let (name, value) = match String::from_utf8(content.read()?) {
        Ok(text) => ("text", text),
        Err(bytes) => ("base64", BASE64.encode(bytes.as_bytes())),
    };
    let document = json!({"topic": topic, "media_type": media_type, name: value});
    receipt(&context.client()?.post("/v1/facts", &document)?, &context.out)
}

/// A fact for people, as a few lines.
fn show(fact: &Value) -> String {
    let mut lines = vec![
        format!("fact     {}", field(fact, "/fact_id")),
        format!("author   {} {}", field(fact, "/author_name"), field(fact, "/author")),
        format!("time     {} (UTC)", time_field(fact, "/time")),
        format!("state    {}", state(fact)),
        format!("said by  {} other author(s) as well", field(fact, "/corroboration")),
    ];
    let named = [
        "topic",
        "media_type",
        "subject",
        "predicate",
        "object",
        "item",
        "to",
        "node",
        "name",
        "role",
        "uses",
        "note",
    ];
    for name in named {
        if fact.get(name).is_some_and(|value| !value.is_null() && value != "") {
            lines.push(format!("{name:<8} {}", field(fact, &format!("/{name}"))));
        }
    }
    if let Some(text) = fact["text"].as_str() {
        lines.push(format!("\n{}", terminal::block(text)));
    } else if let Some(text) = fact["base64"].as_str() {
        lines.push(format!("\n{text}"));
    }
    lines.join("\n")
}

fn state(fact: &Value) -> String {
    match fact["state"].as_str() {
        Some("sealed") => format!("sealed in block {}", field(fact, "/block/height")),
        Some("conflict") => format!("in conflict: {}", field(fact, "/reason")),
        _ => field(fact, "/state"),
    }
}

/// What a fact says in one short line.
pub(super) fn gist(fact: &Value) -> String {
    let text = match fact["kind"].as_str() {
        Some("record") => match fact["text"].as_str() {
            Some(text) => text.into(),
            None => field(fact, "/media_type"),
        },
        Some("relation") => format!(
            "{} {} {}",
            short(fact, "/subject"),
            field(fact, "/predicate"),
            short(fact, "/object")
        ),
        Some("request" | "release" | "transfer") => {
            format!("{} {}", field(fact, "/item"), fact["note"].as_str().unwrap_or_default())
        }
        Some("admit") => field(fact, "/name"),
        _ => String::new(),
    };
    terminal::cut(&text, 60)
}

/// Facts for people, one a line.
pub(super) fn show_list(facts: &[Value]) -> String {
    let rows = facts.iter().map(|fact| {
        let about = if fact["topic"].is_null() { "/kind" } else { "/topic" };
        vec![
            short(fact, "/fact_id"),
            time_field(fact, "/time"),
            terminal::cut(&field(fact, about), 20),
            field(fact, "/state"),
            gist(fact),
        ]
    });
    table(&["FACT", "TIME (UTC)", "TOPIC", "STATE", "TEXT"], rows)
}

fn since(text: &str) -> Result<u64, Problem> {
    if let Ok(millis) = text.parse() {
        return Ok(millis);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    if let Ok(span) = duration::parse(text) {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        return Ok(u64::try_from(now.saturating_sub(span)).unwrap_or(0));
    }
    let stamp = text.parse::<jiff::Timestamp>().or_else(|error| {
        let date: jiff::civil::Date = text.parse().map_err(|_| error)?;
        date.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    let stamp = stamp.map_err(|_| {
        Problem::usage(format!(
            "`{text}` is no time; write 2026-05-01, 2026-05-01T12:00:00Z, 2h or milliseconds"
        ))
    })?;
    Ok(u64::try_from(stamp.as_millisecond()).unwrap_or(0))
}

fn print_list(args: &ListArgs, context: &Context) -> Outcome {
    let since = args.since.as_deref().map(since).transpose()?;
    let path = with_query(
        "/v1/facts",
        &[
            ("topic", args.topic.clone()),
            ("author", args.author.clone()),
            ("since", since.map(|millis| millis.to_string())),
            ("limit", Some(args.limit.to_string())),
            ("after", args.after.clone()),
        ],
    );
    let page = context.client()?.get(&path)?;
    context.out.data(&page, |page| show_list(list(page, "facts")))?;
    if !context.out.json() && page["next"].is_string() {
        context.out.say(format!("more: --after {}", field(&page, "/next")));
    }
    Ok(0)
}

fn history(id: &str, context: &Context) -> Outcome {
    let client = context.client()?;
    let fact = client.get(&format!("/v1/facts/{}", escape(id)))?;
    let full = field(&fact, "/fact_id");
    let relations = client.get(&format!("/v1/facts/{full}/relations"))?;
    let mut events = vec![json!({
        "event": "written", "time": fact["time"], "author": fact["author"],
    })];
    if fact["state"] != "pending" {
        events.push(json!({
            "event": fact["state"], "block": fact["block"], "reason": fact["reason"],
        }));
    }
    for side in ["from", "to"] {
        for relation in list(&relations, side) {
            events.push(json!({
                "event": "relation", "side": side, "time": relation["time"],
                "author": relation["author"], "fact_id": relation["fact_id"],
                "subject": relation["subject"], "predicate": relation["predicate"],
                "object": relation["object"],
            }));
        }
    }
    let document = json!({"schema": "cairn.fact-history/1", "fact_id": full, "history": events});
    context.out.data(&document, |document| {
        let rows = list(document, "history").iter().map(|event| {
            let what = match event["event"].as_str() {
                Some("relation") => gist(&json!({
                    "kind": "relation", "subject": event["subject"],
                    "predicate": event["predicate"], "object": event["object"],
                })),
                Some("sealed") => format!("block {}", field(event, "/block/height")),
                Some("conflict") => field(event, "/reason"),
                _ => short(event, "/author"),
            };
            vec![time_field(event, "/time"), field(event, "/event"), what]
        });
        table(&["TIME (UTC)", "EVENT", ""], rows)
    })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_dates_instants_spans_and_milliseconds() {
        assert_eq!(since("1500").ok(), Some(1_500));
        assert_eq!(since("1970-01-02").ok(), Some(86_400_000));
        assert_eq!(since("1970-01-01T00:00:01Z").ok(), Some(1_000));
        assert!(since("2h").is_ok_and(|at| at > 1_600_000_000_000));
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn text_of_peers_cannot_reach_the_terminal_raw() {
        let fact = json!({"kind": "record", "topic": "\u{1b}[1m", "text": "a\u{1b}]0;x\u{7}\nb"});
        let shown = show(&fact) + &show_list(&[fact]);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'));
    }
}
