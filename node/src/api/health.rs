//! How the node is doing: for people (`status`), for supervisors (`healthz`, `readyz`) and for
//! Prometheus (`metrics`; text exposition format 0.0.4, no peer ids as labels).

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use cairn_core::engine::{PeerStatus, Refusal, State as EngineState};
use cairn_core::id::NodeId;
use cairn_core::ledger::read::Read as _;
use cairn_core::time::UnixTime;
use serde_json::{Value, json};

use super::{Context, dto};
use crate::problem::{Code, Problem};
use crate::{clock, explain};

/// From so many blocks before its end on, a node says that its lease has to be renewed.
const LEASE_NEAR: u64 = 100;

pub(super) async fn status(State(context): State<Context>) -> Json<Value> {
    let node = context.node();
    let (status, peers) = (node.status(), node.peers());
    let mut document = dto::status(&status, &peers);
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
    if let Some(problem) = turned_away(status.state, &peers, node.invite_expires()) {
        document["refused"] = told(&problem);
    }
    if status.state == EngineState::Degraded {
        document["degraded"] = told(&Problem::new(
            Code::Twin,
            "another running node has this node's key (a restored backup or a copied card), so this \
             one seals no blocks; all else goes on, and nothing is lost",
            "stop one of the two for good; give its machine a key of its own with: cairn join INVITE \
             --data-dir NEW",
        ));
    }
    let me = node.node_id();
    if let Ok(Some(lease)) = context.read(move |view| Ok(dto::lease(view, &me)?)).await {
        document["lease"] = own_lease(lease, &me);
    }
    if let Some((message, hint)) = alone(status.state, dto::connected_known(&peers).1) {
        document["isolated"] = json!({"message": message, "hint": hint});
    }
    Json(document)
}

fn told(problem: &Problem) -> Value {
    json!({"code": problem.code.name(), "message": problem.message, "hint": problem.hint})
}

/// What is said of this node's own lease: once it is near its end or over, what to do.
fn own_lease(mut lease: Value, me: &NodeId) -> Value {
    let (until, left) = (lease["until"].clone(), lease["left"].as_u64().unwrap_or(0));
    if left > LEASE_NEAR {
        return lease;
    }
    lease["message"] = match left {
        0 => format!("this node's membership was lent until height {until}, which is over"),
        1 => format!("this node's membership is lent for one more block, until height {until}"),
        _ => format!("this node's membership is lent for {left} more blocks, until height {until}"),
    }
    .into();
    lease["hint"] = format!("ask an admin to run: cairn member lease {me} --blocks N").into();
    lease
}

/// Why a node of a mesh that has others has no peer, and what to type.
fn alone(state: EngineState, known: usize) -> Option<(String, &'static str)> {
    match (state, known) {
        (EngineState::Isolated, 0) => {
            Some(("no address of another node is known".into(), "run: cairn peer add HOST:PORT"))
        }
        (EngineState::Isolated, known) => {
            Some((format!("nobody answers at {known} known addresses"), "run: cairn doctor peers"))
        }
        _ => None,
    }
}

/// Why nobody lets this node in, as the peers said that closed its connections.
fn turned_away(
    state: EngineState,
    peers: &[PeerStatus],
    invite_expires: Option<UnixTime>,
) -> Option<Problem> {
    if state == EngineState::Revoked {
        return Some(Problem::from(Refusal::Revoked));
    }
    if peers.iter().any(|peer| peer.connected) {
        return None;
    }
    let ended = |peer: &PeerStatus| {
        let (code, _) = peer.last_close.filter(|(_, by_peer)| *by_peer)?;
        let said = peer.closes.iter().find(|close| close.by_peer && close.code == code);
        Some(explain::close(code, true, said.map_or("", |close| &close.reason)))
    };
    let mut ends = peers.iter().filter_map(ended);
    let (why, code) = ends.find_map(|why| Some((why, why.shuts_out?)))?;
    // Peers have one word for both.
    let expired = invite_expires.is_some_and(|at| at < clock::wall());
    let code = if code == Code::InviteUsed && expired { Code::InviteExpired } else { code };
    let message = format!("{}: {}", why.meaning, why.cause);
    Some(Problem::new(code, message, format!("run: {}", why.next)))
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
    let (status, peers) = (context.node().status(), context.node().peers());
    let (bytes, reorgs, sealed) = context
        .read(|view| {
            let tip = view.tip_row()?;
            let (reorgs, sealed) = tip.map_or((0, 0), |tip| (tip.reorgs, tip.sealed));
            Ok((view.set_row()?.bytes, reorgs, sealed))
        })
        .await?;
    let (connected, known) = dto::connected_known(&peers);
    let mut out = String::new();
    let mut gauge = |name, help, value| metric(&mut out, name, "gauge", help, value);
    gauge("cairn_tip_height", "Height of the best chain.", status.tip.height.0);
    gauge("cairn_facts", "Facts held.", status.facts.count);
    gauge("cairn_facts_bytes", "Bytes of the encoded facts held.", bytes);
    gauge("cairn_facts_pending", "Facts that wait to be sealed.", status.pending);
    gauge("cairn_facts_sealed", "Facts in blocks of the best chain.", sealed);
    gauge("cairn_facts_conflict", "Facts that lost against others.", status.conflict);
    gauge("cairn_facts_wanted", "Facts known to be missing.", status.wanted);
    gauge("cairn_peers_connected", "Peers connected.", connected as u64);
    gauge("cairn_peers_known", "Peers remembered.", known as u64);
    gauge("cairn_uptime_seconds", "Since the start.", context.0.started.elapsed().as_secs());
    let synced = u64::from(status.state == EngineState::Synced);
    gauge("cairn_synced", "1 if nothing is known to be missing.", synced);
    gauge("vision_p2p_peers_connected", "Peers connected.", connected as u64);
    let mut counter = |name, help, value| metric(&mut out, name, "counter", help, value);
    counter("cairn_reorgs_total", "Reorgs of the best chain.", reorgs);
    counter("vision_p2p_announces_received", "Announcements received.", status.announces_received);
    let help = "Announced ids that were held already.";
    counter("vision_p2p_dupes_dropped", help, status.duplicates_dropped);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_asks_to_be_renewed_when_it_is_near_its_end() {
        let me = NodeId([1; 32]);
        let said = |left: u64| {
            let lease = own_lease(json!({"until": 500, "left": left}), &me);
            assert_eq!(lease["message"].is_null(), lease["hint"].is_null());
            lease["message"].as_str().map(str::to_owned)
        };
        assert_eq!(said(LEASE_NEAR + 1), None);
        for (left, words) in
            [(LEASE_NEAR, "100 more blocks"), (1, "one more block"), (0, "is over")]
        {
            let message = said(left).unwrap();
            assert!(message.contains(words) && message.contains("height 500"), "{message}");
        }
    }
}
