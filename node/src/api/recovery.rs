//! Recoveries: what the recovery keys are to sign, and what they signed.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use cairn_core::engine::Command;
use cairn_core::fact::{ENDED_MAX, KEPT_MAX, SEATS_MAX};
use cairn_core::id::{BlockId, NodeId};
use cairn_core::ledger::line;
use cairn_core::ledger::read::Read as _;
use cairn_core::params::SealRule;
use cairn_core::store::View;
use cairn_core::work::Height;
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::{Answer, carry_out};
use super::reply::Posted;
use super::{Context, query};
use crate::problem::{Code, Problem};
use crate::recovery::Statement;

/// Members read at one time.
const PAGE: usize = 512;

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Whose keys were stolen or lost: names, ids or beginnings of ids.
    members: Vec<String>,
    /// What they revoked in blocks below this height stays revoked; nothing, if none.
    #[serde(default)]
    since: u64,
    /// Nobody honest has a seat: go on from this block of our chain, whatever was sealed on it.
    #[serde(default)]
    from: Option<u64>,
}

/// Whom a recovery concerns.
struct Plan {
    ended: BTreeSet<NodeId>,
    kept: BTreeSet<NodeId>,
    seats: BTreeSet<NodeId>,
    back: usize,
    /// The block to go on from, if that is asked for or nobody else is left who seals.
    on: Option<(Height, BlockId)>,
}

/// Who is left to seal what the recovery keys say, once some keys end, decides whether a block has to
/// be named.
fn goes_on_from(
    view: &dyn View,
    seal: SealRule,
    wanted: &Wanted,
    ended: &BTreeSet<NodeId>,
) -> Result<Option<(Height, BlockId)>, Problem> {
    let Some(tip) = view.tip_row()?.map(|row| row.tip) else {
        return Ok(None);
    };
    if let Some(height) = wanted.from {
        let id = view.block_at(Height(height))?.ok_or_else(|| {
            Problem::usage(format!("the chain has no block {height}; its tip is {}", tip.height))
        })?;
        return Ok(Some((Height(height), id)));
    }
    if seal != SealRule::Authority {
        return Ok(None);
    }
    let header = view.header(&tip.id)?.map(|row| row.header);
    let sealers = header.map(|header| view.sealers(&header.sealers_root)).transpose()?.flatten();
    let left = sealers.iter().flatten().any(|sealer| !ended.contains(sealer));
    Ok((sealers.is_some() && !left).then_some((tip.height, tip.id)))
}

fn plan(view: &dyn View, seal: SealRule, wanted: &Wanted) -> Result<Plan, Problem> {
    let mut plan = Plan {
        ended: BTreeSet::new(),
        kept: BTreeSet::new(),
        seats: BTreeSet::new(),
        back: 0,
        on: None,
    };
    for name in &wanted.members {
        let key = query::node_id(view, name)?;
        let newest = line::current(view, &key)?;
        plan.ended.extend([key, newest]);
        for key in [key, newest] {
            let line = view.member(&key)?.and_then(|row| row.line);
            plan.ended.extend(line.into_iter().flat_map(|line| [line.first, line.before]));
        }
    }
    plan.on = goes_on_from(view, seal, wanted, &plan.ended)?;
    let mut after = None;
    loop {
        let page = query::members(view, after.as_ref(), PAGE)?;
        for (node, row) in &page {
            let Some(revocation) = row.revoked else {
                continue;
            };
            if !revocation.by.is_some_and(|by| plan.ended.contains(&by)) {
                continue;
            }
            if revocation.since < Height(wanted.since) {
                plan.kept.insert(revocation.key);
                continue;
            }
            plan.back += 1;
            let newest = line::current(view, node)?;
            if view.member(&newest)?.is_some_and(|row| row.role.seals()) {
                plan.seats.insert(newest);
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => after = Some(*last),
            _ => return Ok(plan),
        }
    }
}

/// What is to be signed, for this node to take over.
pub(super) async fn prepare(
    State(context): State<Context>,
    Posted(wanted): Posted<Wanted>,
) -> Result<Json<Value>, Problem> {
    let (params, author) = (context.node().params().clone(), context.node().node_id());
    if params.recovery.threshold == 0 {
        return Err(Problem::new(
            Code::Rule,
            "this mesh was founded without recovery phrases",
            "found a new mesh: cairn init NAME --recovery 2of3",
        ));
    }
    let seal = params.seal;
    let plan = context.read(move |view| plan(view, seal, &wanted)).await?;
    if plan.ended.contains(&author) {
        return Err(Problem::new(
            Code::Rule,
            "this node's own key is among those that would end",
            "run it on the node that shall be the new admin",
        ));
    }
    for (what, count, most) in
        [("keys", plan.ended.len(), ENDED_MAX), ("revocations", plan.kept.len(), KEPT_MAX)]
    {
        if count == 0 && what == "keys" || count > most {
            return Err(Problem::usage(format!("{count} {what}; a recovery names 1 to {most}")));
        }
    }
    let on = plan.on;
    let [ended, kept, seats] =
        [plan.ended, plan.kept, plan.seats].map(|keys| keys.into_iter().collect::<Vec<_>>());
    // Who gets no seat now gets it by a further recovery; it is a member all the same.
    let seats = &seats[..seats.len().min(SEATS_MAX)];
    let statement = Statement::new(&params, author, on.map(|(_, id)| id), &ended, &kept, seats);
    let texts = |keys: &[NodeId]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(Json(json!({
        "schema": "cairn.recovery/1",
        "statement": statement.to_string(),
        "admin": author.to_string(),
        "ended": texts(&ended),
        "from": on.map(|(height, id)| json!({"height": height.0, "id": id.to_string()})),
        "kept": texts(&kept),
        "seats": texts(seats),
        "back": plan.back,
        "missing": statement.missing(),
    })))
}

#[derive(Deserialize)]
pub(super) struct Signed {
    statement: String,
}

/// Publishes what enough recovery keys signed.
pub(super) async fn publish(
    State(context): State<Context>,
    Posted(signed): Posted<Signed>,
) -> Result<Answer, Problem> {
    let statement: Statement = signed
        .statement
        .parse()
        .map_err(|error| Problem::new(Code::Malformed, format!("{error}"), "copy it in whole"))?;
    if statement.mesh().0 != context.node().mesh() {
        let name = statement.mesh().1;
        return Err(Problem::new(
            Code::WrongMesh,
            format!("the statement is about the mesh \"{name}\""),
            "run it on a node of that mesh",
        ));
    }
    if statement.author() != context.node().node_id() {
        return Err(Problem::new(
            Code::Rule,
            format!("the statement makes {} an admin, not this node", statement.author()),
            "run it on that node",
        ));
    }
    carry_out(&context, Command::Recover(statement.command())).await
}
