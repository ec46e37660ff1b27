//! Peers: who they are, and whom to dial.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cairn_core::engine::{Command, PeerAddr};
use cairn_core::invite::ADDRESS_BYTES_MAX;
use cairn_core::store::View;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::Posted;
use super::{Context, dto, query};
use crate::problem::Problem;

pub(super) async fn list(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let peers = context.node().peers();
    context.read(move |view| Ok(dto::peers(view, &peers)?)).await.map(Json)
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

pub(super) async fn add(
    State(context): State<Context>,
    Posted(new): Posted<NewPeer>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !is_address(&new.address) {
        let message = format!("`{}` is no address; write HOST:PORT or [IPV6]:PORT", new.address);
        return Err(Problem::usage(message));
    }
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

pub(super) async fn sync(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    context.node().command(Command::Sync).await?;
    Ok(Json(json!({"schema": "cairn.sync/1", "asked": true})))
}

#[cfg(test)]
mod tests {
    use super::*;

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
