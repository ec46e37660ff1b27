//! `peers` and `peer`: who this node is connected to, whom it should dial, who is kept out and why.

use std::thread::sleep;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::escape;
use super::output::{self, field, short, table, time_field};
use super::{Context, Outcome, duration, seeds};

#[derive(Debug, Args)]
pub(super) struct PeersArgs {
    /// Show those that are not connected as well
    #[arg(long)]
    all: bool,
    /// Show them again every second
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PeerVerb {
    /// Remember an address and dial it at once
    Add {
        /// HOST:PORT
        #[arg(value_parser = seeds::peer)]
        address: String,
        /// Connect to nobody else there
        #[arg(long, value_name = "NODE")]
        node_id: Option<String>,
    },
    /// Forget an address; a link to it stays up until it ends
    Remove {
        /// HOST:PORT
        #[arg(value_parser = seeds::peer)]
        address: String,
    },
    /// Ask a connected node for a sign of life
    Ping {
        /// Its id, a unique beginning of it, or its name
        #[arg(value_name = "NODE")]
        peer: String,
    },
    /// End the links with a node or an address and take none for a time
    Ban {
        /// The node's id, a unique beginning of it, or its name; or an IP address
        #[arg(value_name = "NODE|ADDR")]
        peer: String,
        /// For how long
        #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = duration::parse)]
        span: Duration,
        /// Why; shown by `cairn peers`, told to nobody
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Lift a ban
    Unban {
        /// The node's id, a unique beginning of it, or its name; or an IP address
        #[arg(value_name = "NODE|ADDR")]
        peer: String,
    },
}

pub(super) fn list(args: &PeersArgs, context: &Context) -> Outcome {
    let client = context.client()?;
    loop {
        let peers = client.get("/v1/peers")?;
        context.out.data(&peers, |peers| show(peers, args.all))?;
        if !args.watch {
            return Ok(0);
        }
        sleep(Duration::from_secs(1));
    }
}

fn show(peers: &Value, all: bool) -> String {
    let listed = output::list(peers, "peers").iter();
    let shown: Vec<&Value> = listed.filter(|peer| all || peer["connected"] == true).collect();
    let rows = shown.iter().map(|peer| {
        vec![
            short(peer, "/node_id"),
            field(peer, "/name"),
            field(peer, "/address"),
            field(peer, "/direction"),
            if peer["connected"] == true { "up".into() } else { "down".into() },
            field(peer, "/rtt_ms"),
            field(peer, "/score"),
            field(peer, "/key_exchange"),
            time_field(peer, "/last_seen"),
        ]
    });
    let header = [
        "NODE",
        "NAME",
        "ADDRESS",
        "DIRECTION",
        "STATE",
        "RTT ms",
        "SCORE",
        "KEY EXCHANGE",
        "LAST SEEN",
    ];
    let mut text = table(&header, rows);
    if all {
        text.push_str(&ends(&shown));
        text.push_str(&bans(output::list(peers, "bans")));
    }
    text
}

/// Why the last links ended, one line each.
fn ends(peers: &[&Value]) -> String {
    let ended = peers.iter().filter(|peer| !peer["last_close"].is_null());
    let lines = ended.map(|peer| {
        let who =
            if peer["name"].is_null() { short(peer, "/node_id") } else { field(peer, "/name") };
        let close = &peer["last_close"];
        let whose = if close["by_peer"] == true { "it said" } else { "this node said" };
        let again = if peer["connected"] == true { ", up again" } else { "" };
        let mut line = format!(
            "  {who} at {} ({}{again}): {} ({whose} {}: {}): {}",
            field(peer, "/address"),
            time_field(close, "/time"),
            field(close, "/meaning"),
            field(close, "/code"),
            field(close, "/reason"),
            field(close, "/cause"),
        );
        if close["next"].as_str().is_some_and(|next| !next.is_empty()) {
            line.push_str(&format!("; next: {}", field(close, "/next")));
        }
        line
    });
    section("Why links ended:", lines)
}

fn bans(bans: &[Value]) -> String {
    let lines = bans.iter().map(|ban| {
        let who = if ban["address"].is_null() { "/node_id" } else { "/address" };
        let by = if ban["by"] == "person" { "a person" } else { "this node" };
        let reason = field(ban, "/reason");
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        let who = field(ban, who);
        format!("  {who} until {}, by {by}{reason}", time_field(ban, "/until"))
    });
    section("Kept out (cairn peer unban NODE|ADDR lets in again):", lines)
}

/// A headline and lines below it; nothing if there are none.
fn section(headline: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { String::new() } else { format!("\n\n{headline}\n{}", lines.join("\n")) }
}

/// Whoever a document of `ban` or `unban` names.
fn who(done: &Value) -> String {
    field(done, if done["address"].is_null() { "/node_id" } else { "/address" })
}

pub(super) fn run(verb: &PeerVerb, context: &Context) -> Outcome {
    let path = |peer: &str, verb: &str| format!("/v1/peers/{}/{verb}", escape(peer));
    let post = |path: &str, document: &Value| context.client()?.post(path, document);
    let nothing = json!({});
    match verb {
        PeerVerb::Add { address, node_id } => {
            let done = post("/v1/peers", &json!({"address": address, "node_id": node_id}))?;
            context.out.data(&done, |done| format!("dialing {}", field(done, "/address")))?;
        }
        PeerVerb::Remove { address } => {
            let done = post(&path(address, "remove"), &nothing)?;
            context.out.data(&done, |done| format!("forgot {}", field(done, "/address")))?;
        }
        PeerVerb::Ping { peer } => {
            let done = post(&path(peer, "ping"), &nothing)?;
            context.out.data(&done, |done| {
                format!("{} answered after {} ms", who(done), field(done, "/rtt_ms"))
            })?;
        }
        PeerVerb::Ban { peer, span, reason } => {
            let document = json!({"for_ms": duration::millis(*span), "reason": reason});
            let done = post(&path(peer, "ban"), &document)?;
            context.out.data(&done, |done| {
                format!("{} is kept out until {}", who(done), time_field(done, "/until"))
            })?;
        }
        PeerVerb::Unban { peer } => {
            let done = post(&path(peer, "unban"), &nothing)?;
            context.out.data(&done, |done| format!("{} may come again", who(done)))?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_links_are_explained_and_bans_listed_only_with_all() {
        let close = json!({
            "code": "0x13", "reason": "not a member", "by_peer": true, "time": 0,
            "meaning": "m", "cause": "c", "next": "cairn join INVITE",
        });
        let peers = json!({
            "peers": [{
                "node_id": "cairn1qqqqqqqqqqqq", "name": null, "address": "192.0.2.1:7071",
                "connected": false, "last_close": close,
            }],
            "bans": [{
                "node_id": null, "address": "192.0.2.9", "until": 0, "reason": "noisy\u{1b}[2J",
                "by": "person",
            }],
        });
        let text = show(&peers, true);
        let line = "cairn1qqqqqqqq at 192.0.2.1:7071 (1970-01-01 00:00:00): m (it said 0x13: \
                    not a member): c; next: cairn join INVITE";
        assert!(text.contains(line), "{text}");
        let mut up = peers.clone();
        up["peers"][0]["connected"] = true.into();
        assert!(show(&up, true).contains("(1970-01-01 00:00:00, up again): m"), "{up}");
        assert!(
            text.contains("192.0.2.9 until 1970-01-01 00:00:00, by a person: noisy[2J"),
            "{text}"
        );
        assert_eq!(show(&peers, false).lines().count(), 1);
    }
}
