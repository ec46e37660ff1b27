//! `peers` and `peer`: who this node is connected to, and whom it should dial.

use std::thread::sleep;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, field, short, table, time_field};
use super::{Context, Outcome};

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
        address: String,
        /// Connect to nobody else there
        #[arg(long, value_name = "NODE")]
        node_id: Option<String>,
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
    let shown = output::list(peers, "peers").iter().filter(|peer| all || peer["connected"] == true);
    let rows = shown.map(|peer| {
        let closed = match peer["last_close"]["reason"].as_str() {
            Some(_) => field(peer, "/last_close/reason"),
            None => String::new(),
        };
        vec![
            short(peer, "/node_id"),
            field(peer, "/name"),
            field(peer, "/address"),
            field(peer, "/direction"),
            if peer["connected"] == true { "up".into() } else { "down".into() },
            field(peer, "/rtt_ms"),
            time_field(peer, "/last_seen"),
            closed,
        ]
    });
    let header = ["NODE", "NAME", "ADDRESS", "DIRECTION", "STATE", "RTT ms", "LAST SEEN", "CLOSED"];
    table(&header, rows)
}

pub(super) fn run(verb: &PeerVerb, context: &Context) -> Outcome {
    let PeerVerb::Add { address, node_id } = verb;
    let document = json!({"address": address, "node_id": node_id});
    let done = context.client()?.post("/v1/peers", &document)?;
    context.out.data(&done, |done| format!("dialing {}", field(done, "/address")))?;
    Ok(0)
}
