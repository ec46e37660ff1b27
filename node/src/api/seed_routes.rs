//! Routes that earlier systems promised, with their shapes: thin wrappers around the same queries.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cairn_core::engine::PeerStatus;
use cairn_core::id::FactId;
use cairn_core::ledger::read::Read as _;
use cairn_core::ledger::rows::Seq;
use cairn_core::store::{Table, View};
use cairn_core::work::Height;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::{PAGE_MAX, documents};
use super::query::{Filter, fact_at};
use super::reply::{Asked, Posted, limit};
use super::{Context, blocks, dto, health};
use crate::problem::Problem;

/// Blocks read at one time.
const CHAIN_PAGE: u64 = 16;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/status", get(health::status))
        .route("/chain", get(chain))
        .route("/peers", get(peers))
        .route("/p2p/peers", get(live_peers))
        .route("/get_peers", get(known_peers))
        .route("/transactions", get(transactions))
        .route("/get_fact_ids", get(fact_ids))
        .route("/get_facts_by_id", get(facts_in_query).post(facts_in_body))
}

fn addresses(context: &Context, wanted: impl Fn(&PeerStatus) -> bool) -> Vec<String> {
    let peers = context.node().peers();
    let wanted = peers.iter().filter(|peer| wanted(peer));
    wanted.map(|peer| peer.address.0.clone()).collect()
}

async fn peers(State(context): State<Context>) -> Json<Value> {
    let known = addresses(&context, |peer| peer.listed);
    let active = addresses(&context, |peer| peer.connected);
    let count = known.len();
    Json(json!({"peers": known, "active_peers": active, "peer_count": count}))
}

async fn live_peers(State(context): State<Context>) -> Json<Value> {
    let live = addresses(&context, |peer| peer.connected);
    let count = live.len();
    Json(json!({"peers": live, "count": count}))
}

async fn known_peers(State(context): State<Context>) -> Json<Value> {
    Json(json!({"peers": addresses(&context, |peer| peer.listed)}))
}

#[derive(Deserialize)]
struct Part {
    from: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
}

/// Blocks from `from` up to but not `until`, each with a comma before it unless it is the first.
async fn chain_page(
    context: &Context,
    first: u64,
    from: u64,
    until: u64,
) -> Result<Bytes, Problem> {
    let read = move |view: &dyn View| {
        let mut text = String::new();
        for height in from..until {
            let Some(id) = view.block_at(Height(height))? else {
                break;
            };
            if height > first {
                text.push(',');
            }
            text.push_str(&blocks::block(view, &id)?.to_string());
        }
        Ok(text.into())
    };
    context.read(read).await
}

async fn chain(
    State(context): State<Context>,
    Asked(asked): Asked<Part>,
) -> Result<Response, Problem> {
    let tip = context.read(|view| Ok(view.tip_row()?.map(|row| row.tip.height.0))).await?;
    let end = tip.map_or(0, |height| height.saturating_add(1));
    let first = asked.from.unwrap_or(0).min(end);
    let until = asked.limit.map_or(end, |max| first.saturating_add(max as u64).min(end));
    let open = Bytes::from_static(b"{\"chain\":[");
    // Pieces: the beginning, the blocks by pages, the end.
    let pieces = unfold((context, Some(first), Some(open)), move |state| async move {
        let (context, at, open) = state;
        if let Some(open) = open {
            return Some((Ok(open), (context, at, None)));
        }
        let at = at?;
        if at >= until {
            let close = format!("],\"length\":{end}}}");
            return Some((Ok(close.into()), (context, None, None)));
        }
        let next = until.min(at + CHAIN_PAGE);
        match chain_page(&context, first, at, next).await {
            Ok(page) => Some((Ok(page), (context, Some(next), None))),
            Err(problem) => Some((Err(io::Error::other(problem)), (context, None, None))),
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

async fn transactions(
    State(context): State<Context>,
    Asked(asked): Asked<Part>,
) -> Result<Json<Value>, Problem> {
    let mesh = context.node().mesh();
    let max = limit(asked.limit, PAGE_MAX, PAGE_MAX);
    let after = Seq(asked.after.unwrap_or(0));
    let read = move |view: &dyn View| {
        let seqs = view.seqs(Table::Pending, &[], after, max)?;
        let next = seqs.last().filter(|_| seqs.len() == max).map(|seq| seq.0);
        let found = seqs.into_iter().map(|seq| fact_at(view, &mesh, seq));
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        Ok(json!({"transactions": documents(view, &found)?, "next": next}))
    };
    context.read(read).await.map(Json)
}

async fn fact_ids(
    State(context): State<Context>,
    Asked(asked): Asked<Part>,
) -> Result<Json<Value>, Problem> {
    let mesh = context.node().mesh();
    let max = limit(asked.limit, PAGE_MAX, PAGE_MAX);
    let read = move |view: &dyn View| {
        let filter = Filter { ascending: true, ..Filter::default() };
        let (found, next) = filter.page(view, &mesh, asked.after.map(Seq), max)?;
        let ids: Vec<String> = found.iter().map(|(_, fact)| fact.id().to_string()).collect();
        Ok(json!({"fact_ids": ids, "next": next.map(|seq| seq.0)}))
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
struct ByQuery {
    ids: String,
}

#[derive(Deserialize)]
struct ByBody {
    fact_ids: Vec<String>,
}

async fn facts_in_query(
    State(context): State<Context>,
    Asked(asked): Asked<ByQuery>,
) -> Result<Json<Value>, Problem> {
    let ids = asked.ids.split(',').filter(|id| !id.is_empty()).map(Into::into);
    facts_by_id(&context, ids.collect()).await
}

async fn facts_in_body(
    State(context): State<Context>,
    Posted(asked): Posted<ByBody>,
) -> Result<Json<Value>, Problem> {
    facts_by_id(&context, asked.fact_ids).await
}

async fn facts_by_id(context: &Context, ids: Vec<String>) -> Result<Json<Value>, Problem> {
    if ids.len() > PAGE_MAX {
        let message = format!("{} ids; ask for at most {PAGE_MAX} at a time", ids.len());
        return Err(Problem::usage(message));
    }
    let read = move |view: &dyn View| {
        let (mut facts, mut missing) = (Vec::new(), Vec::new());
        for text in ids {
            let id = text.parse::<FactId>();
            match id.ok().map(|id| view.fact(&id)).transpose()?.flatten() {
                Some((row, fact)) => facts.push(dto::FactDoc::new(view, &row, &fact)?),
                None => missing.push(text),
            }
        }
        Ok(json!({"facts": facts, "missing": missing}))
    };
    context.read(read).await.map(Json)
}
