//! `status`: one screen about the node.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::output::{field, short};
use super::{Context, Outcome};
use crate::problem::{Code, Problem};

/// Between two looks at the node.
pub(super) const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Wait until the node is synced, or has a peer
    #[arg(long, value_enum)]
    wait: Option<Awaited>,
    /// Show it again every second
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Awaited {
    Synced,
    Peers,
}

impl Awaited {
    fn came(self, status: &Value) -> bool {
        match self {
            Self::Synced => status["state"] == "synced",
            Self::Peers => status["peers"]["connected"].as_u64() > Some(0),
        }
    }
}

pub(super) fn run(args: &StatusArgs, context: &Context) -> Outcome {
    let client = context.client()?;
    if let Some(awaited) = args.wait {
        let status = wait(context, |status| awaited.came(status))?;
        context.out.data(&status, |status| screen(status, context))?;
        return Ok(0);
    }
    loop {
        let status = client.get("/v1/status")?;
        let clear = args.watch && context.out.color() && !context.out.json();
        let clear = if clear { "\u{1b}[2J\u{1b}[H" } else { "" };
        let text = |status: &Value| format!("{clear}{}", screen(status, context));
        context.out.data(&status, text)?;
        if !args.watch {
            return Ok(0);
        }
        sleep(Duration::from_secs(1));
    }
}

/// Looks at the node until it is as wanted; it may still be starting.
///
/// # Errors
/// `TimedOut` with the last state seen, or the last reason why there is none.
pub(super) fn wait(
    context: &Context,
    mut came: impl FnMut(&Value) -> bool,
) -> Result<Value, Problem> {
    let deadline = Instant::now() + context.patience();
    loop {
        // Found anew each time: a node that starts says only then where it listens.
        let last = context.client()?.get("/v1/status");
        match last {
            Ok(status) if came(&status) => return Ok(status),
            Err(problem) if !matches!(problem.code, Code::NotReachable | Code::TimedOut) => {
                return Err(problem);
            }
            Err(problem) if Instant::now() >= deadline => return Err(problem),
            Ok(status) if Instant::now() >= deadline => {
                let peers = field(&status, "/peers/connected");
                let message = format!(
                    "still {} with {peers} peers after {:?}",
                    field(&status, "/state"),
                    context.patience()
                );
                return Err(Problem::new(Code::TimedOut, message, "run: cairn peers --all"));
            }
            _ => sleep(POLL),
        }
    }
}

/// What a status says of a trouble, if it says anything.
fn told<'a>(status: &'a Value, trouble: &str) -> Option<&'a Value> {
    status.get(trouble).filter(|told| told.get("message").is_some())
}

fn screen(status: &Value, context: &Context) -> String {
    let state = field(status, "/state");
    let color = match state.as_str() {
        "synced" => 32,
        "isolated" | "degraded" | "read-only" | "revoked" => 31,
        _ => 33,
    };
    let rows = [
        ("state", context.out.paint(color, &state)),
        ("mesh", format!("{}  {}", field(status, "/mesh/name"), short(status, "/mesh/id"))),
        ("node", field(status, "/node_id")),
        ("tip", format!("height {}  {}", field(status, "/tip/height"), short(status, "/tip/id"))),
        (
            "facts",
            format!(
                "{} ({} pending, {} in conflict)",
                field(status, "/facts/total"),
                field(status, "/facts/pending"),
                field(status, "/facts/conflict"),
            ),
        ),
        (
            "peers",
            format!(
                "{} connected, {} known",
                field(status, "/peers/connected"),
                field(status, "/peers/known"),
            ),
        ),
        ("listens", format!("{} (UDP)", field(status, "/listen"))),
        ("version", field(status, "/version")),
    ];
    let mut lines: Vec<String> =
        rows.iter().map(|(name, value)| format!("{name:<8} {value}")).collect();
    if let Some(left) = status["lease"]["left"].as_u64().filter(|_| told(status, "lease").is_none())
    {
        lines.push(format!("lease    {left} more blocks, until {}", field(status, "/lease/until")));
    }
    for trouble in ["refused", "lease", "degraded", "isolated"] {
        if let Some(told) = told(status, trouble) {
            let (why, hint) = (field(told, "/message"), field(told, "/hint"));
            lines.push(format!("{trouble:<8} {why}; {hint}"));
        }
    }
    lines.join("\n")
}
