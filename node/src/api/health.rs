//! How the node is doing: for people (`status`), for supervisors (`healthz`, `readyz`) and for
//! Prometheus (`metrics`; text exposition format 0.0.4, no peer ids as labels).

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use cairn_core::engine::State as EngineState;
use cairn_core::ledger::read::Read as _;
use serde_json::{Value, json};

use super::{Context, dto};
use crate::problem::{Code, Problem};

pub(super) async fn status(State(context): State<Context>) -> Json<Value> {
    let node = context.node();
    let mut document = dto::status(&node.status());
    document["node_id"] = node.node_id().to_string().into();
    document["mesh"] = dto::mesh(&node.mesh(), &node.params().name);
    document["listen"] = context.0.listen.to_string().into();
    document["http"] = context.bound().to_string().into();
    document["uptime_s"] = context.0.started.elapsed().as_secs().into();
    let store = node.store();
    document["disk"] = match store.space() {
        Ok(space) => json!({"free_bytes": space.free, "used_bytes": space.used}),
        // Whoever reads the ledger next is told why.
        Err(_) => Value::Null,
    };
    document["quarantined"] = store.quarantined().into();
    Json(document)
}

pub(super) async fn alive() -> Json<Value> {
    Json(json!({"schema": "cairn.health/1", "ok": true}))
}

pub(super) async fn ready(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let state = context.node().status().state;
    if matches!(state, EngineState::Starting | EngineState::Stopping) {
        let message = format!("the node is {}", dto::state_name(state));
        return Err(Problem::new(Code::Stopping, message, "try again in a moment"));
    }
    Ok(Json(json!({"schema": "cairn.health/1", "ok": true, "state": dto::state_name(state)})))
}

fn metric(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

pub(super) async fn metrics(State(context): State<Context>) -> Result<impl IntoResponse, Problem> {
    let status = context.node().status();
    let (bytes, reorgs, sealed) = context
        .read(|view| {
            let tip = view.tip_row()?;
            let (reorgs, sealed) = tip.map_or((0, 0), |tip| (tip.reorgs, tip.sealed));
            Ok((view.set_row()?.bytes, reorgs, sealed))
        })
        .await?;
    let connected = status.peers.iter().filter(|peer| peer.connected).count() as u64;
    let mut out = String::new();
    let mut gauge = |name, help, value| metric(&mut out, name, "gauge", help, value);
    gauge("cairn_tip_height", "Height of the best chain.", status.tip.height.0);
    gauge("cairn_facts", "Facts held.", status.facts.count);
    gauge("cairn_facts_bytes", "Bytes of the encoded facts held.", bytes);
    gauge("cairn_facts_pending", "Facts that wait to be sealed.", status.pending);
    gauge("cairn_facts_sealed", "Facts in blocks of the best chain.", sealed);
    gauge("cairn_facts_conflict", "Facts that lost against others.", status.conflict);
    gauge("cairn_facts_wanted", "Facts known to be missing.", status.wanted);
    gauge("cairn_peers_connected", "Peers connected.", connected);
    gauge("cairn_peers_known", "Peers remembered.", status.peers.len() as u64);
    gauge("cairn_uptime_seconds", "Since the start.", context.0.started.elapsed().as_secs());
    let synced = u64::from(status.state == EngineState::Synced);
    gauge("cairn_synced", "1 if nothing is known to be missing.", synced);
    gauge("vision_p2p_peers_connected", "Peers connected.", connected);
    let mut counter = |name, help, value| metric(&mut out, name, "counter", help, value);
    counter("cairn_reorgs_total", "Reorgs of the best chain.", reorgs);
    counter("vision_p2p_announces_received", "Announcements received.", status.announces_received);
    let help = "Announced ids that were held already.";
    counter("vision_p2p_dupes_dropped", help, status.duplicates_dropped);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, out))
}
