//! What `cairn doctor` asks. Looking is free; asking others uses the node's key and needs the token.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::peers::require_address;
use super::reply::{Asked, Posted};
use crate::doctor::{self, Area, Check, ladder, running};
use crate::problem::{Code, Problem};

#[derive(Deserialize)]
pub(super) struct Wanted {
    area: Option<String>,
}

impl Wanted {
    fn areas(self) -> Result<Vec<Area>, Problem> {
        let Some(name) = self.area else {
            return Ok(Area::ALL.to_vec());
        };
        let area = Area::from_name(&name);
        area.map(|area| vec![area]).ok_or_else(|| {
            let names = Area::ALL.map(Area::name).join(", ");
            Problem::usage(format!("`{name}` is no area; there are {names}"))
        })
    }
}

/// One at a time: a check of others is seconds of sockets and packets.
async fn in_turn<F: Future<Output = Vec<Check>>>(
    context: &Context,
    checks: F,
) -> Result<Json<Value>, Problem> {
    let turn = context.0.doctor.try_acquire();
    let _turn = turn.map_err(|_| {
        Problem::new(Code::Failed, "the node is being examined already", "try again in a moment")
    })?;
    Ok(Json(doctor::document(&checks.await)))
}

pub(super) async fn look(
    State(context): State<Context>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Value>, Problem> {
    let checks = running::check(context.node(), &wanted.areas()?, false).await;
    Ok(Json(doctor::document(&checks)))
}

pub(super) async fn examine(
    State(context): State<Context>,
    Posted(wanted): Posted<Wanted>,
) -> Result<Json<Value>, Problem> {
    let areas = wanted.areas()?;
    in_turn(&context, running::check(context.node(), &areas, true)).await
}

#[derive(Deserialize)]
pub(super) struct Peer {
    address: String,
}

pub(super) async fn peer(
    State(context): State<Context>,
    Posted(peer): Posted<Peer>,
) -> Result<Json<Value>, Problem> {
    require_address(&peer.address)?;
    let subject = running::subject(context.node());
    let mut document = in_turn(&context, ladder::climb(&subject, &peer.address)).await?;
    document["peer"] = json!({"address": peer.address});
    Ok(document)
}
