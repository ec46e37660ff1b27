//! `recover`: an admin's key was lost or stolen, and those who keep the recovery phrases say
//! so.

use std::io::{BufRead, IsTerminal, Read};

use cairn_core::id::NodeId;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::output::field;
use super::{Context, Outcome};
use crate::problem::{Code, Problem};
use crate::recovery::{Phrase, Statement};

/// Most bytes of a file of phrases.
const PHRASES_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// Whose key was lost or stolen, and admins that a thief made: ids, beginnings of ids, or names
    #[arg(value_name = "NODE", required_unless_present = "statement")]
    members: Vec<String>,
    /// What they revoked in blocks below this height stays revoked
    #[arg(long, value_name = "HEIGHT", default_value_t = 0, conflicts_with = "statement")]
    since: u64,
    /// Nobody honest can seal any more: go on from this block, undoing what was sealed after it
    /// (without it: from the tip, if the keys that end are all that seal)
    #[arg(long, value_name = "HEIGHT", conflicts_with = "statement")]
    from: Option<u64>,
    /// Sign with the phrases in this file, one a line; `-` reads them from stdin
    #[arg(long, value_name = "FILE")]
    phrase_file: Option<String>,
    /// Go on with a statement that others began; works without a running node
    #[arg(long, value_name = "TEXT", conflicts_with = "members")]
    statement: Option<String>,
    /// Only print the statement, though enough have signed it
    #[arg(long)]
    no_publish: bool,
}

fn phrases(file: &str) -> Result<Vec<Phrase>, Problem> {
    // Not one byte more, or it would be copied as it grows.
    let mut text = Zeroizing::new(String::with_capacity(PHRASES_BYTES_MAX as usize));
    let stdin = std::io::stdin();
    let read = if file == "-" && stdin.is_terminal() {
        eprintln!("type the 24 words of a phrase on one line:");
        stdin.lock().take(PHRASES_BYTES_MAX).read_line(&mut text)
    } else if file == "-" {
        stdin.lock().take(PHRASES_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(PHRASES_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Problem::file("cannot read", file.as_ref(), &error))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.map(|line| line.parse::<Phrase>());
    parsed.collect::<Result<Vec<_>, _>>().map_err(|error| {
        Problem::new(Code::Malformed, error.to_string(), "type all 24 words on one line, in order")
    })
}

pub(super) fn run(args: &RecoverArgs, context: &Context) -> Outcome {
    let malformed = |error: &dyn std::fmt::Display| {
        Problem::new(Code::Malformed, error.to_string(), "copy it in whole, on one line")
    };
    let text = match &args.statement {
        Some(text) => text.clone(),
        None => {
            let wanted = json!({"members": args.members, "since": args.since, "from": args.from});
            field(&context.client()?.post("/v1/recovery/statement", &wanted)?, "/statement")
        }
    };
    let mut statement: Statement = text.parse().map_err(|error| malformed(&error))?;
    let (author, ended) = (statement.author(), statement.ended());
    let ended: Vec<String> = ended.iter().map(NodeId::to_string).collect();
    let name = statement.mesh().1.to_string();
    context.out.say(format!("in the mesh \"{name}\" these keys end: {}", ended.join(", ")));
    context.out.say(format!("this node becomes an admin: {author}"));
    if let Some(on) = statement.on() {
        context
            .out
            .say(format!("it seals the block after {on}; what others sealed there is undone"));
    }
    for phrase in args.phrase_file.as_deref().map(phrases).transpose()?.unwrap_or_default() {
        statement.sign(&phrase).map_err(|error| {
            Problem::new(Code::NotPermitted, error.to_string(), "look for the phrase of this mesh")
        })?;
    }
    let (missing, text) = (statement.missing(), statement.to_string());
    if missing == 0 && !args.no_publish {
        let receipt = context.client()?.post("/v1/recovery", &json!({"statement": text}))?;
        context.out.data(&receipt, |receipt| field(receipt, "/fact_id"))?;
        context.out.say("every node that hears of it lets in again whom those keys revoked");
        return Ok(0);
    }
    let document = json!({
        "schema": "cairn.recovery/1", "statement": text, "missing": missing,
        "admin": author.to_string(), "ended": ended,
    });
    context.out.data(&document, |document| field(document, "/statement"))?;
    context.out.say(if missing > 0 {
        format!(
            "{missing} more: pass the line on, then:\n  \
             cairn recover --statement LINE --phrase-file -"
        )
    } else {
        "on the node that becomes an admin: cairn recover --statement LINE".into()
    });
    Ok(0)
}
