//! Peers: who they are, whom to dial, and who is kept out.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cairn_core::engine::{Command, PeerAddr, Receipt};
use cairn_core::id::NodeId;
use cairn_core::invite::ADDRESS_BYTES_MAX;
use cairn_core::ledger::read::Read as _;
use cairn_core::peer::{BANS_MAX, Subject};
use cairn_core::store::View;
use serde::Deserialize;
use serde_json::{Value, json};

use super::query::PREFIX_CHARS_MIN;
use super::reply::{Named, Posted};
use super::{Context, dto, query, stopping};
use crate::clock;
use crate::problem::{Code, Problem};

pub(super) async fn list(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let peers = context.node().peers();
    context.read(move |view| Ok(dto::peers(view, &peers, clock::wall())?)).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct NewPeer {
    address: String,
    node_id: Option<String>,
}

/// Whether a text is `host:port` with a port that can be dialed.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_ok = match inner {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
            !host.is_empty() && host.bytes().all(allowed)
        }
    };
    let port_ok = port.parse::<u16>().is_ok_and(|port| port != 0);
    host_ok && port_ok && text.len() <= ADDRESS_BYTES_MAX
}

/// Refuses what is no address to dial.
pub(super) fn require_address(text: &str) -> Result<(), Problem> {
    let wrong = || format!("`{text}` is no address; write HOST:PORT or [IPV6]:PORT");
    if is_address(text) { Ok(()) } else { Err(Problem::usage(wrong())) }
}

pub(super) async fn add(
    State(context): State<Context>,
    Posted(new): Posted<NewPeer>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    require_address(&new.address)?;
    let node = match new.node_id {
        Some(name) => {
            let read = move |view: &dyn View| query::node_id(view, &name);
            Some(context.read(read).await?)
        }
        None => None,
    };
    context.node().command(Command::AddPeer(PeerAddr(new.address.clone()), node)).await?;
    let document = json!({
        "schema": "cairn.peer-add/1", "address": new.address,
        "node_id": node.map(|node| node.to_string()),
    });
    Ok((StatusCode::ACCEPTED, Json(document)))
}

/// Most that somebody can be kept out for at once: ten years.
const BAN_MS_MAX: u64 = 3_650 * 24 * 3_600_000;
/// If nothing is said: a day.
const BAN_MS: u64 = 24 * 3_600_000;

/// The address that a text is, without port and brackets; none for names.
fn ip(text: &str) -> Option<IpAddr> {
    let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    socket.or_else(|_| bare.parse()).ok()
}

/// The node that a text means: its id, a beginning of the id of somebody whom this node met, or the
/// name of a member.
async fn node(context: &Context, text: String) -> Result<NodeId, Problem> {
    if let Ok(node) = text.parse() {
        return Ok(node);
    }
    let long_enough = text.len() >= PREFIX_CHARS_MIN + "cairn1".len();
    let peers = context.node().peers();
    let met: Vec<NodeId> = peers.iter().filter_map(|peer| peer.node).collect();
    let read = move |view: &dyn View| {
        let banned = view.ban_rows(BANS_MAX)?.into_iter();
        let banned = banned.filter_map(|(key, _)| match Subject::from_key(&key)? {
            Subject::Node(node) => Some(node),
            Subject::Host(_) => None,
        });
        let fits = |node: &NodeId| long_enough && node.to_string().starts_with(&text);
        let found: BTreeSet<NodeId> = met.into_iter().chain(banned).filter(fits).collect();
        match found.first() {
            Some(only) if found.len() == 1 => Ok(*only),
            _ => query::node_id(view, &text),
        }
    };
    context.read(read).await
}

async fn subject(context: &Context, text: String) -> Result<Subject, Problem> {
    if let Some(ip) = ip(&text) {
        return Ok(Subject::at(ip));
    }
    if is_address(&text) {
        let message = format!("`{text}` is a name: only nodes and IP addresses can be banned");
        return Err(Problem::new(Code::Usage, message, "run: cairn peers --all, for its node id"));
    }
    node(context, text).await.map(Subject::Node)
}

fn named(schema: &str, subject: &Subject) -> Value {
    let (node, address) = match subject {
        Subject::Node(node) => (Some(node.to_string()), None),
        Subject::Host(ip) => (None, Some(ip.to_string())),
    };
    json!({"schema": schema, "node_id": node, "address": address})
}

#[derive(Deserialize)]
pub(super) struct NewBan {
    for_ms: Option<u64>,
    #[serde(default)]
    reason: String,
}

pub(super) async fn ban(
    State(context): State<Context>,
    Named(peer): Named,
    Posted(new): Posted<NewBan>,
) -> Result<Json<Value>, Problem> {
    let length = new.for_ms.unwrap_or(BAN_MS);
    if !(1..=BAN_MS_MAX).contains(&length) {
        return Err(Problem::usage("a ban lasts between 1ms and 3650d".to_owned()));
    }
    let subject = subject(&context, peer).await?;
    let mut document = named("cairn.peer-ban/1", &subject);
    document["until"] = clock::wall().after(length).0.into();
    let reason = new.reason;
    context.node().command(Command::Ban { subject, length, reason }).await?;
    Ok(Json(document))
}

pub(super) async fn unban(
    State(context): State<Context>,
    Named(peer): Named,
) -> Result<Json<Value>, Problem> {
    let subject = subject(&context, peer).await?;
    let document = named("cairn.peer-unban/1", &subject);
    context.node().command(Command::Unban(subject)).await?;
    Ok(Json(document))
}

pub(super) async fn remove(
    State(context): State<Context>,
    Named(address): Named,
) -> Result<Json<Value>, Problem> {
    require_address(&address)?;
    let document = json!({"schema": "cairn.peer-remove/1", "address": address});
    context.node().command(Command::RemovePeer(PeerAddr(address))).await?;
    Ok(Json(document))
}

pub(super) async fn ping(
    State(context): State<Context>,
    Named(peer): Named,
) -> Result<Json<Value>, Problem> {
    let node = node(&context, peer).await?;
    let answer = context.node().command(Command::PingPeer(node)).await?;
    let Receipt::Pong(rtt) = answer else { return Err(stopping()) };
    let name = context.read(move |view| Ok(dto::name_of(view, &node)?)).await?;
    let document = json!({
        "schema": "cairn.peer-ping/1", "node_id": node.to_string(), "name": name, "rtt_ms": rtt,
    });
    Ok(Json(document))
}

pub(super) async fn sync(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    context.node().command(Command::Sync).await?;
    Ok(Json(json!({"schema": "cairn.sync/1", "asked": true})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ip_addresses_are_hosts_to_ban() {
        for text in ["2001:db8:0:0::1", "[2001:db8::1]", "[2001:db8::1]:7071"] {
            assert_eq!(ip(text), Some("2001:db8::1".parse().unwrap()), "{text}");
        }
        assert_eq!(ip("192.0.2.1:7071"), Some([192, 0, 2, 1].into()));
        assert_eq!((ip("raspi:7071"), ip("cairn1qqq"), ip("")), (None, None, None));
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["a.example:1", "192.0.2.1:7071", "[2001:db8::1]:65535", "raspi_1:7071"] {
            assert!(is_address(good), "{good}");
        }
        let bad = ["", "a", "a:", ":1", "a:0", "a:65536", "2001:db8::1:7071", "[x]:1", "a b:1"];
        for bad in bad {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
