//! The chain: single blocks, lists of headers, the tip, what was reorganized, and checking it all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use cairn_core::id::BlockId;
use cairn_core::ledger::read::Read as _;
use cairn_core::store::{StoreFault, Table, View};
use cairn_core::wire::Tip;
use cairn_core::work::Height;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Asked, Named, limit};
use super::verify::{Verdict, Walk};
use super::{Context, dto, query, stopping};
use crate::keys;
use crate::problem::{Code, Problem};

/// Most headers on a page.
const HEADERS_MAX: usize = 500;
/// Reorgs looked at for forks, and blocks walked down from the tip of each.
const FORKS_MAX: usize = 32;
const FORK_DEPTH_MAX: usize = 1_024;

/// A block with the ids of its facts.
pub(super) fn block(view: &dyn View, id: &BlockId) -> Result<Value, Problem> {
    let row = view.header(id)?.ok_or_else(|| {
        Problem::from(StoreFault { table: Table::Header, what: "an indexed header is missing" })
    })?;
    let facts = view.body(id)?.unwrap_or_default();
    let best = view.on_best_chain(id, row.header.height)?;
    let mut document = dto::header(&row, facts.len(), best);
    document["facts"] = facts.iter().map(ToString::to_string).collect();
    Ok(document)
}

pub(super) async fn get(
    State(context): State<Context>,
    Named(name): Named,
) -> Result<Json<Value>, Problem> {
    let read = move |view: &dyn View| block(view, &query::block_id(view, &name)?);
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct ListParameters {
    limit: Option<usize>,
    before: Option<u64>,
}

fn header_at(view: &dyn View, height: Height) -> Result<Option<Value>, Problem> {
    let Some(id) = view.block_at(height)? else {
        return Ok(None);
    };
    let Some(row) = view.header(&id)? else {
        return Ok(None);
    };
    // A list of ids is its length and 32 bytes each; no need to decode it to count them.
    let facts = view.get(Table::Body, id.as_bytes())?.map_or(0, |bytes| bytes.len() / 32);
    Ok(Some(dto::header(&row, facts, true)))
}

fn tip_of(view: &dyn View) -> Result<Tip, Problem> {
    view.tip_row()?.map(|row| row.tip).ok_or_else(stopping)
}

pub(super) async fn headers(
    State(context): State<Context>,
    Asked(asked): Asked<ListParameters>,
) -> Result<Json<Value>, Problem> {
    let max = limit(asked.limit, 50, HEADERS_MAX);
    let read = move |view: &dyn View| {
        let end = tip_of(view)?.height.0.saturating_add(1);
        let end = asked.before.unwrap_or(end).min(end);
        let start = end.saturating_sub(max as u64);
        let mut list = Vec::new();
        for height in (start..end).rev() {
            list.extend(header_at(view, Height(height))?);
        }
        let next = (start > 0).then_some(start);
        Ok(json!({"schema": "cairn.headers/1", "headers": list, "next": next}))
    };
    context.read(read).await.map(Json)
}

pub(super) async fn tip(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let read = |view: &dyn View| {
        let tip = tip_of(view)?;
        let time = view.header(&tip.id)?.map(|row| row.header.time.0);
        let mut document = dto::tip(&tip);
        document["schema"] = "cairn.tip/1".into();
        document["time"] = time.into();
        Ok(document)
    };
    context.read(read).await.map(Json)
}

/// Walks down from a block to the best chain: the height where they meet, if it is not too deep.
fn fork_height(view: &dyn View, tip: &BlockId) -> Result<Option<u64>, Problem> {
    let mut id = *tip;
    for _ in 0..FORK_DEPTH_MAX {
        let Some(row) = view.header(&id)? else {
            return Ok(None);
        };
        if view.on_best_chain(&id, row.header.height)? {
            return Ok(Some(row.header.height.0));
        }
        id = row.header.parent;
    }
    Ok(None)
}

pub(super) async fn forks(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let read = |view: &dyn View| {
        let mut seen: Vec<BlockId> = Vec::new();
        let mut forks = Vec::new();
        for reorg in view.reorgs(u64::MAX, FORKS_MAX)? {
            let tip = reorg.from;
            let again = seen.contains(&tip.id) || view.on_best_chain(&tip.id, tip.height)?;
            if !again {
                seen.push(tip.id);
                let at = fork_height(view, &tip.id)?;
                forks.push(json!({"tip": dto::tip(&tip), "fork_height": at}));
            }
        }
        Ok(json!({"schema": "cairn.forks/1", "forks": forks}))
    };
    context.read(read).await.map(Json)
}

pub(super) async fn reorgs(
    State(context): State<Context>,
    Asked(asked): Asked<ListParameters>,
) -> Result<Json<Value>, Problem> {
    let max = limit(asked.limit, 100, HEADERS_MAX);
    let read = move |view: &dyn View| {
        let reorgs = view.reorgs(asked.before.unwrap_or(u64::MAX), max)?;
        let list: Vec<Value> = reorgs.iter().map(dto::reorg).collect();
        Ok(json!({"schema": "cairn.reorgs/1", "reorgs": list}))
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct VerifyParameters {
    #[serde(default)]
    deep: bool,
}

/// Ends a check when nobody waits for it any more.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn verify(
    State(context): State<Context>,
    Asked(asked): Asked<VerifyParameters>,
) -> Result<Json<Verdict>, Problem> {
    let busy = || {
        let message = "the chain is being checked already";
        Problem::new(Code::TimedOut, message, "wait for that check, then: cairn chain verify")
    };
    let _permit = context.0.checks.try_acquire().map_err(|_| busy())?;
    let seed = keys::random()
        .map_err(|error| Problem::new(Code::Failed, error.to_string(), error.hint()))?;
    let cancel = Cancel(Arc::new(AtomicBool::new(false)));
    let (canceled, node) = (cancel.0.clone(), context.node().clone());
    let walk = tokio::task::spawn_blocking(move || {
        let walk = Walk {
            params: node.params(),
            mesh: node.mesh(),
            deep: asked.deep,
            seed,
            canceled: &canceled,
        };
        walk.run(&node.view())
    });
    let verdict = tokio::select! {
        done = walk => done.map_err(|_| stopping())?,
        () = context.stopped() => return Err(stopping()),
    };
    Ok(Json(verdict?))
}
