//! The shapes of the HTTP edge: the only place where the ledger's things look different from their
//! encoding. Within a schema's version, fields are only added.

mod belonging;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cairn_core::block::Seal;
use cairn_core::engine::{PeerStatus, State, Status};
use cairn_core::event::Reorg;
use cairn_core::fact::{Body, EncodedFact, Keys, Role};
use cairn_core::id::{Hex, MeshId, NodeId};
use cairn_core::ledger::line;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::{BanRow, Close, Custody, FactRow, FactState, HeaderRow};
use cairn_core::peer::{BANS_MAX, Subject};
use cairn_core::store::{StoreFault, View};
use cairn_core::time::UnixTime;
use cairn_core::wire::{CloseCode, Tip};
use serde::Serialize;
use serde_json::{Value, json};

pub use belonging::{invite, lease, member};

use super::query;
use crate::explain;

/// A block as a place on the best chain.
#[derive(Debug, Serialize)]
pub struct Place {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub id: String,
}

/// A fact: the document of `fact get`, one line of an export.
#[derive(Debug, Serialize)]
pub struct FactDoc {
    schema: &'static str,
    /// Its id.
    pub fact_id: String,
    content_hash: String,
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    author_name: Option<String>,
    time: u64,
    kind: &'static str,
    #[serde(flatten)]
    said: Said,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    block: Option<Place>,
    corroboration: usize,
    signature: String,
    seq: u64,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said {
    Text {
        topic: String,
        media_type: String,
        text: String,
    },
    Bytes {
        topic: String,
        media_type: String,
        base64: String,
    },
    Relation {
        subject: String,
        predicate: String,
        object: String,
    },
    Custody {
        item: String,
        follows: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        note: String,
    },
    Invite {
        key: String,
        role: &'static str,
        uses: u32,
        expires: u64,
        lease: Option<u32>,
    },
    Admit {
        node: String,
        role: &'static str,
        name: String,
    },
    Revoke {
        node: String,
    },
    Name {
        node: String,
        name: String,
    },
    Lease {
        node: String,
        until: Option<u64>,
    },
    Recover {
        on: Option<String>,
        ended: Vec<String>,
        kept: Vec<String>,
        seats: Vec<String>,
    },
    Rotate {
        next: String,
        role: &'static str,
    },
}

impl From<Body<'_>> for Said {
    fn from(body: Body<'_>) -> Self {
        let custody =
            |item: &str, follows: Option<String>, to: Option<NodeId>, note: &str| Self::Custody {
                item: item.into(),
                follows,
                to: to.map(|node| node.to_string()),
                note: note.into(),
            };
        match body {
            Body::Record { topic, media_type, bytes } => {
                let (topic, media_type) = (topic.into(), media_type.into());
                match std::str::from_utf8(bytes) {
                    Ok(text) => Self::Text { topic, media_type, text: text.into() },
                    Err(_) => Self::Bytes { topic, media_type, base64: BASE64.encode(bytes) },
                }
            }
            Body::Relation { subject, predicate, object } => Self::Relation {
                subject: subject.to_string(),
                predicate: predicate.into(),
                object: object.to_string(),
            },
            Body::Request { item, follows, note } => {
                custody(item, follows.map(|id| id.to_string()), None, note)
            }
            Body::Release { item, follows, note } => {
                custody(item, Some(follows.to_string()), None, note)
            }
            Body::Transfer { item, follows, to, note } => {
                custody(item, Some(follows.to_string()), Some(to), note)
            }
            Body::Invite { key, role, uses, expires, lease } => Self::Invite {
                key: key.to_string(),
                role: role_name(role),
                uses,
                expires: expires.0,
                lease,
            },
            Body::Admit { node, role, name } => {
                Self::Admit { node: node.to_string(), role: role_name(role), name: name.into() }
            }
            Body::Revoke { node } => Self::Revoke { node: node.to_string() },
            Body::Lease { node, until } => {
                Self::Lease { node: node.to_string(), until: until.map(|height| height.0) }
            }
            Body::Name { node, name } => Self::Name { node: node.to_string(), name: name.into() },
            Body::Recover(said) => {
                let texts = |keys: Keys<'_>| keys.iter().map(|key| key.to_string()).collect();
                Self::Recover {
                    on: said.on.map(|on| on.to_string()),
                    ended: texts(said.ended),
                    kept: texts(said.kept),
                    seats: texts(said.seats),
                }
            }
            Body::Rotate { key, role, .. } => {
                Self::Rotate { next: key.to_string(), role: role_name(role) }
            }
        }
    }
}

/// A role in one word.
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Member => "member",
        Role::Sealer => "sealer",
        Role::Admin => "admin",
    }
}

/// The role that a word means; admins are not made by invites.
pub fn invited_role(name: &str) -> Option<Role> {
    [Role::Reader, Role::Member, Role::Sealer].into_iter().find(|role| role_name(*role) == name)
}

impl FactDoc {
    /// The document of a fact as it stands now.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn new(view: &dyn View, row: &FactRow, fact: &EncodedFact) -> Result<Self, StoreFault> {
        let signed = fact.signed();
        let said = &signed.fact;
        let content = said.content_hash();
        let (state, reason, block) = match &row.state {
            FactState::Pending => ("pending", None, None),
            FactState::Conflict(_, reject) => ("conflict", Some(reject.to_string()), None),
            FactState::Sealed(height, _) => {
                let block = view
                    .block_at(*height)?
                    .map(|id| Place { height: height.0, id: id.to_string() });
                ("sealed", None, block)
            }
        };
        Ok(Self {
            schema: "cairn.fact/1",
            fact_id: fact.id().to_string(),
            content_hash: content.to_string(),
            author: said.author.to_string(),
            author_name: name_of(view, &said.author)?,
            time: said.time.0,
            kind: said.body.kind(),
            said: said.body.into(),
            state,
            reason,
            block,
            corroboration: query::corroboration(view, &content, &said.author)?,
            signature: Hex(&signed.signature.0).to_string(),
            seq: row.seq.0,
        })
    }
}

/// What people call a member, if it has a name.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn name_of(view: &dyn View, node: &NodeId) -> Result<Option<String>, StoreFault> {
    let member = view.member(node)?;
    Ok(member.map(|m| m.name).filter(|name| !name.is_empty()))
}

/// A mesh.
pub fn mesh(id: &MeshId, name: &str) -> Value {
    json!({"id": id.to_string(), "name": name})
}

/// The end of a chain.
pub fn tip(tip: &Tip) -> Value {
    json!({
        "height": tip.height.0,
        "id": tip.id.to_string(),
        "work": tip.work.to_string(),
    })
}

/// The state in one word.
pub const fn state_name(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Isolated => "isolated",
        State::Connecting => "connecting",
        State::Syncing => "syncing",
        State::Synced => "synced",
        State::Degraded => "degraded",
        State::ReadOnly => "read-only",
        State::Revoked => "revoked",
        State::Stopping => "stopping",
    }
}

/// Peers that are connected, and addresses that are known. (Some listed peers are neither: of them is
/// only known how a connection ended.)
pub fn connected_known(peers: &[PeerStatus]) -> (usize, usize) {
    // After a restart there are two links to a peer for a while.
    let linked: BTreeSet<_> =
        peers.iter().filter(|peer| peer.connected).map(|peer| peer.node).collect();
    (linked.len(), peers.iter().filter(|peer| peer.listed).count())
}

/// What `status` says of the engine; who and where the node is comes on top.
pub fn status(status: &Status, peers: &[PeerStatus]) -> Value {
    let (connected, known) = connected_known(peers);
    json!({
        "schema": "cairn.status/1",
        "state": state_name(status.state),
        "tip": tip(&status.tip),
        "target": status.target,
        "facts": {
            "total": status.facts.count,
            "pending": status.pending,
            "conflict": status.conflict,
            "wanted": status.wanted,
        },
        "peers": {"connected": connected, "known": known},
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// How a connection ended, and what that means.
fn close(close: &Close) -> Value {
    let mut document = ended(close.code, close.by_peer, &close.reason);
    document["direction"] = direction(close.outbound).into();
    document["address"] = close.address.as_str().into();
    document["time"] = close.at.0.into();
    document
}

/// The end of a connection of which only the number and these words are remembered.
fn ended(code: CloseCode, by_peer: bool, reason: &str) -> Value {
    let why = explain::close(code, by_peer, reason);
    json!({
        "code": format!("{:#04x}", code as u8),
        "reason": reason,
        "by_peer": by_peer,
        "meaning": why.meaning,
        "cause": why.cause,
        "next": why.next,
    })
}

const fn direction(outbound: bool) -> &'static str {
    if outbound { "outbound" } else { "inbound" }
}

/// One who is kept out.
fn ban(view: &dyn View, subject: &Subject, row: &BanRow) -> Result<Value, StoreFault> {
    let (node, address) = match subject {
        Subject::Node(node) => (Some(node), None),
        Subject::Host(ip) => (None, Some(ip.to_string())),
    };
    let name = node.map_or(Ok(None), |node| name_of(view, node))?;
    Ok(json!({
        "node_id": node.map(NodeId::to_string),
        "name": name,
        "address": address,
        "until": row.until.0,
        "reason": row.reason,
        "by": if row.by_person { "person" } else { "node" },
        "strikes": row.strikes,
    }))
}

/// The peers, live ones first, and who is kept out at this time.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn peers(view: &dyn View, peers: &[PeerStatus], now: UnixTime) -> Result<Value, StoreFault> {
    let rows = view.ban_rows(BANS_MAX)?.into_iter().filter(|(_, row)| row.until > now);
    let bans: Vec<_> =
        rows.filter_map(|(key, row)| Some((Subject::from_key(&key)?, row))).collect();
    let banned_until = |node: &NodeId| {
        let ban = bans.iter().find(|(subject, _)| *subject == Subject::Node(*node));
        ban.map(|(_, row)| row.until.0)
    };
    let mut list = Vec::with_capacity(peers.len());
    for peer in peers {
        let name = match &peer.node {
            Some(node) => name_of(view, node)?,
            None => None,
        };
        let closes: Vec<_> = peer.closes.iter().map(close).collect();
        let last = || peer.last_close.map(|(code, by)| ended(code, by, &code.to_string()));
        list.push(json!({
            "node_id": peer.node.map(|node| node.to_string()),
            "name": name,
            "address": peer.address.0,
            "direction": direction(peer.outbound),
            "connected": peer.connected,
            "rtt_ms": peer.rtt,
            "score": peer.score,
            "key_exchange": peer.key_exchange,
            "last_seen": peer.last_seen.map(|time| time.0),
            "banned_until": peer.node.as_ref().and_then(banned_until),
            "last_close": closes.first().cloned().or_else(last),
            "closes": closes,
            "tip": peer.tip.as_ref().map(tip),
        }));
    }
    let kept_out = bans.iter().map(|(subject, row)| ban(view, subject, row));
    let bans = kept_out.collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"schema": "cairn.peers/1", "peers": list, "bans": bans}))
}

/// A block without its list of facts.
pub fn header(row: &HeaderRow, facts: usize, best: bool) -> Value {
    let header = &row.header;
    let seal = match &header.seal {
        Seal::Genesis(rules) => json!({"kind": "genesis", "rules": rules.to_string()}),
        Seal::Authority(signature) => {
            json!({"kind": "authority", "signature": Hex(&signature.0).to_string()})
        }
        Seal::Recovery(grant) => {
            json!({"kind": "recovery", "signature": Hex(&grant.signature.0).to_string()})
        }
        Seal::Pow(nonce) => json!({"kind": "pow", "nonce": nonce.to_string()}),
    };
    let sealer = (header.height.0 > 0).then(|| header.sealer.to_string());
    json!({
        "schema": "cairn.block/1",
        "height": header.height.0,
        "id": header.id().to_string(),
        "parent": header.parent.to_string(),
        "time": header.time.0,
        "sealer": sealer,
        "work": row.work.to_string(),
        "target": format!("{:08x}", header.target.0),
        "facts_root": header.facts_root.to_string(),
        "history_root": header.history_root.to_string(),
        "sealers_root": header.sealers_root.to_string(),
        "seal": seal,
        "fact_count": facts,
        "best": best,
    })
}

/// Custody of an item; `row` is none if it was never held.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn item(view: &dyn View, name: &str, row: Option<&Custody>) -> Result<Value, StoreFault> {
    let holder = row.and_then(|custody| custody.holder);
    let holder = holder.map(|node| line::current(view, &node)).transpose()?;
    let holder_name = match &holder {
        Some(node) => name_of(view, node)?,
        None => None,
    };
    Ok(json!({
        "schema": "cairn.item/1",
        "item": name,
        "holder": holder.map(|node| node.to_string()),
        "holder_name": holder_name,
        "since": row.map(|custody| json!({
            "height": custody.since.0,
            "fact_id": custody.latest.to_string(),
        })),
        "pending": query::item_pending(view, name)?,
    }))
}

/// A reorg.
pub fn reorg(reorg: &Reorg) -> Value {
    json!({
        "time": reorg.time.0,
        "depth": reorg.depth,
        "from": tip(&reorg.from),
        "to": tip(&reorg.to),
        "moved": reorg.moved,
        "requeued": reorg.requeued,
        "lost": reorg.lost,
    })
}

#[cfg(test)]
mod tests;
