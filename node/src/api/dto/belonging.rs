//! Members and invites as documents.

use cairn_core::id::NodeId;
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::Member;
use cairn_core::store::{StoreFault, View};
use cairn_core::time::UnixTime;
use serde_json::{Value, json};

use super::{name_of, role_name};
use crate::api::query;

/// Until when a node's membership is lent, and for how many more blocks it counts; none if it is not.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn lease(view: &dyn View, node: &NodeId) -> Result<Option<Value>, StoreFault> {
    let next = view.tip_row()?.map_or(0, |row| row.tip.height.next().0);
    let until = line::lease(view, node)?;
    Ok(until.map(|until| json!({"until": until.0, "left": until.0.saturating_sub(next)})))
}

/// A member. One that was revoked is `revoked` at once, its height comes with the block.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn member(view: &dyn View, node: &NodeId, row: &Member) -> Result<Value, StoreFault> {
    let by = line::cut_off(view, node)?;
    let standing = line::standing(view, node)?;
    let gone = by.is_some() || standing == Standing::Revoked;
    let next = line::current(view, node)?;
    Ok(json!({
        "node_id": node.to_string(),
        "name": row.name,
        "role": role_name(row.role),
        "state": match () {
            () if gone => "revoked",
            () if row.until.is_some() => "rotated",
            () if matches!(standing, Standing::Lapsed(_)) => "lapsed",
            () => "member",
        },
        "next": (next != *node).then(|| next.to_string()),
        "until": row.until.map(|height| height.0),
        "since": row.since.0,
        "lease": lease(view, node)?,
        "fact_id": row.admit.map(|id| id.to_string()),
        "revoked": gone.then(|| json!({
            "height": row.revoked.map(|revocation| revocation.since.0),
            "fact_id": by.map(|id| id.to_string()),
        })),
    }))
}

/// An invite, without its secret, which only its line has.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn invite(view: &dyn View, invite: &query::Invite, now: UnixTime) -> Result<Value, StoreFault> {
    let left = invite.row.as_ref().map_or(invite.uses, |row| row.uses_left);
    let void = view.revoked(&invite.key)?.is_some() || line::cut_off(view, &invite.by)?.is_some();
    let state = match () {
        () if void => "revoked",
        () if left == 0 => "used",
        () if invite.expires < now => "expired",
        () => "open",
    };
    Ok(json!({
        "key": invite.key.to_string(),
        "role": role_name(invite.role),
        "uses": invite.uses,
        "uses_left": left,
        "expires": invite.expires.0,
        "lease": invite.lease,
        "by": invite.by.to_string(),
        "by_name": name_of(view, &invite.by)?,
        "state": state,
        "sealed": invite.row.is_some(),
        "fact_id": invite.fact.to_string(),
    }))
}
