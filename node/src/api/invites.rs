//! Letting others in: invites made, listed and taken back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cairn_core::engine::{Command, Receipt};
use cairn_core::fact::Role;
use cairn_core::invite::{INVITE_ADDRESSES_MAX, Invite};
use cairn_core::store::View;
use cairn_core::time::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

use super::addresses::reachable;
use super::facts::{Answer, carry_out};
use super::peers::require_address;
use super::reply::{Asked, Named, PageByKey, Posted};
use super::{Context, dto, query, stopping};
use crate::problem::{Code, Problem};
use crate::{clock, keys};

const DAY: Millis = 24 * 3_600_000;

#[derive(Deserialize)]
pub(super) struct NewInvite {
    uses: Option<u32>,
    expires_in: Option<Millis>,
    role: Option<String>,
    lease: Option<u32>,
    #[serde(default)]
    addresses: Vec<String>,
}

fn addresses(context: &Context, given: Vec<String>) -> Result<Vec<String>, Problem> {
    if given.is_empty() {
        return Ok(reachable(context.0.listen));
    }
    given.iter().try_for_each(|address| require_address(address))?;
    if given.len() > INVITE_ADDRESSES_MAX {
        let message = format!("an invite has at most {INVITE_ADDRESSES_MAX} addresses");
        return Err(Problem::usage(message));
    }
    Ok(given)
}

pub(super) async fn create(
    State(context): State<Context>,
    Posted(new): Posted<NewInvite>,
) -> Result<Answer, Problem> {
    let node = context.node();
    let role = match new.role.as_deref() {
        None => Role::Sealer,
        Some(name) => dto::invited_role(name)
            .ok_or_else(|| Problem::usage("the role is reader, member or sealer"))?,
    };
    let expires = clock::wall().after(new.expires_in.unwrap_or(DAY));
    let uses = new.uses.unwrap_or(1);
    let secret = keys::random()
        .map_err(|error| Problem::new(Code::Failed, error.to_string(), error.hint()))?;
    let places = addresses(&context, new.addresses)?;
    let params = node.params().clone();
    let invite = Invite::new(params, node.node_id(), places, secret, role, expires);
    let text = invite.to_text().map_err(|error| Problem::usage(error.to_string()))?;
    let key = invite.key().node_id();
    let lease = new.lease;
    let command = Command::Invite { key, role, uses, expires, lease };
    let Receipt::Made(fact) = node.command(command).await? else {
        return Err(stopping());
    };
    let document = json!({
        "schema": "cairn.invite/1",
        "invite": text,
        "expires": expires.0,
        "uses": uses,
        "role": dto::role_name(role),
        "lease": lease,
        "node_id": node.node_id().to_string(),
        "mesh": dto::mesh(&node.mesh(), &node.params().name),
        "fact_id": fact.to_string(),
        "durable": true,
    });
    Ok((StatusCode::CREATED, Json(document)))
}

pub(super) async fn list(
    State(context): State<Context>,
    Asked(asked): Asked<PageByKey>,
) -> Result<Json<Value>, Problem> {
    let (after, max) = asked.read()?;
    let read = move |view: &dyn View| {
        let (page, next) = query::invites(view, after.as_ref(), max)?;
        let time = clock::wall();
        let list = page.iter().map(|invite| dto::invite(view, invite, time));
        let list = list.collect::<Result<Vec<_>, _>>()?;
        let next = next.map(|key| key.to_string());
        Ok(json!({"schema": "cairn.invites/1", "invites": list, "next": next}))
    };
    context.read(read).await.map(Json)
}

/// Takes an invite back. It is named by its key or a unique beginning of it.
pub(super) async fn revoke(
    State(context): State<Context>,
    Named(name): Named,
) -> Result<Answer, Problem> {
    let key = context.read(move |view| query::invite_key(view, &name)).await?;
    carry_out(&context, Command::Revoke { key }).await
}
