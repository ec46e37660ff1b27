//! Facts: lists, single ones, their relations, and writing one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cairn_core::engine::{Command, Published, Receipt};
use cairn_core::fact::{EncodedFact, verify};
use cairn_core::id::FactId;
use cairn_core::ledger::read::Read as _;
use cairn_core::ledger::rows::{FactState, Seq};
use cairn_core::store::View;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dto::FactDoc;
use super::lines::RecordDto;
use super::query::{self, Filter, Found, Side};
use super::reply::{Asked, Named, Posted, limit};
use super::{Context, stopping};
use crate::handle::{Draft, DraftBody};
use crate::problem::{Code, Problem};

/// Most facts on a page.
pub(super) const PAGE_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct ListParameters {
    topic: Option<String>,
    author: Option<String>,
    since: Option<u64>,
    limit: Option<usize>,
    after: Option<u64>,
    order: Option<String>,
}

/// The documents of some facts.
pub(super) fn documents(view: &dyn View, found: &[Found]) -> Result<Vec<FactDoc>, Problem> {
    let document = |(row, fact): &Found| FactDoc::new(view, row, fact).map_err(Problem::from);
    found.iter().map(document).collect()
}

pub(super) async fn list(
    State(context): State<Context>,
    Asked(asked): Asked<ListParameters>,
) -> Result<Json<Value>, Problem> {
    let mesh = context.node().mesh();
    let ascending = match asked.order.as_deref() {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(_) => return Err(Problem::usage("order is `asc` or `desc`")),
    };
    let max = limit(asked.limit, 50, PAGE_MAX);
    let read = move |view: &dyn View| {
        let author = asked.author.map(|name| query::node_id(view, &name)).transpose()?;
        let filter = Filter { topic: asked.topic, author, since: asked.since, ascending };
        let (found, next) = filter.page(view, &mesh, asked.after.map(Seq), max)?;
        Ok(json!({
            "schema": "cairn.facts/1",
            "facts": documents(view, &found)?,
            "next": next.map(|seq| seq.0.to_string()),
        }))
    };
    context.read(read).await.map(Json)
}

pub(super) async fn get(
    State(context): State<Context>,
    Named(prefix): Named,
) -> Result<Json<FactDoc>, Problem> {
    let read = move |view: &dyn View| {
        let id = query::fact_id(view, &prefix)?;
        let (row, fact) = view.fact(&id)?.ok_or_else(stopping)?;
        Ok(FactDoc::new(view, &row, &fact)?)
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct RelationParameters {
    limit: Option<usize>,
    after: Option<u64>,
}

pub(super) async fn relations(
    State(context): State<Context>,
    Named(prefix): Named,
    Asked(asked): Asked<RelationParameters>,
) -> Result<Json<Value>, Problem> {
    let mesh = context.node().mesh();
    let max = limit(asked.limit, 100, PAGE_MAX);
    let after = Seq(asked.after.unwrap_or(0));
    let read = move |view: &dyn View| {
        let id = query::fact_id(view, &prefix)?;
        let from = query::relations(view, &mesh, &id, Side::From, after, max)?;
        let to = query::relations(view, &mesh, &id, Side::To, after, max)?;
        // The side that stopped first says where both go on; the other may repeat nothing.
        let full = [&from, &to].into_iter().filter(|side| side.len() == max);
        let next = full.filter_map(|side| side.last()).map(|(row, _)| row.seq).min();
        let keep = |found: &Found| next.is_none_or(|next| found.0.seq <= next);
        let side = |all: Vec<Found>| -> Vec<Found> { all.into_iter().filter(keep).collect() };
        Ok(json!({
            "schema": "cairn.relations/1",
            "fact_id": id.to_string(),
            "from": documents(view, &side(from))?,
            "to": documents(view, &side(to))?,
            "next": next.map(|seq| seq.0.to_string()),
        }))
    };
    context.read(read).await.map(Json)
}

/// A fact to write: a record, a relation (`kind` is `relation`), or one signed elsewhere.
#[derive(Deserialize)]
pub(super) struct NewFact {
    subject: Option<String>,
    predicate: Option<String>,
    object: Option<String>,
    signed: Option<String>,
    #[serde(flatten)]
    record: RecordDto,
}

fn malformed(message: impl Into<String>) -> Problem {
    Problem::new(Code::Malformed, message, "correct the field and try again")
}

async fn draft(context: &Context, new: NewFact) -> Result<Draft, Problem> {
    let body = match (new.subject, new.predicate, new.object) {
        (Some(subject), Some(predicate), Some(object)) => {
            let ids = move |view: &dyn View| {
                Ok((query::fact_id(view, &subject)?, query::fact_id(view, &object)?))
            };
            let (subject, object) = context.read(ids).await?;
            DraftBody::Relation { subject, predicate, object }
        }
        _ => {
            let record = new.record.record().map_err(malformed)?;
            let other = || malformed("only records and relations can be written this way");
            let record = record.ok_or_else(other)?;
            DraftBody::Record {
                topic: record.topic,
                media_type: record.media_type,
                bytes: record.bytes,
            }
        }
    };
    Ok(Draft { time: None, body })
}

async fn publish_signed(context: &Context, text: &str) -> Result<Option<Published>, Problem> {
    let bytes = BASE64.decode(text).map_err(|error| malformed(format!("`signed`: {error}")))?;
    let mesh = context.node().mesh();
    let checked = tokio::task::spawn_blocking(move || {
        let fact = EncodedFact::parse(&mesh, &bytes).map_err(|e| malformed(e.to_string()))?;
        verify(&mesh, fact).map_err(|id| {
            let message = format!("the signature of fact {id} does not hold in this mesh");
            Problem::new(Code::BadSignature, message, "sign it for this mesh")
        })
    });
    let fact = checked.await.map_err(|_| stopping())??;
    Ok(context.node().publish(vec![fact]).await?.pop())
}

pub(super) async fn add(
    State(context): State<Context>,
    Posted(new): Posted<NewFact>,
) -> Result<Answer, Problem> {
    let published = match &new.signed {
        Some(text) => publish_signed(&context, text).await?,
        None => {
            let draft = draft(&context, new).await?;
            let outcome = context.node().sign_and_publish(vec![draft]).await?.pop();
            outcome.transpose().map_err(|error| malformed(error.to_string()))?
        }
    };
    match published.ok_or_else(stopping)? {
        Published::Accepted(id) => receipt(&context, id, false).await,
        Published::Duplicate(id) => receipt(&context, id, true).await,
        Published::Refused(_, refusal) => Err(refusal.into()),
    }
}

/// A document, and how it is to be taken.
pub(super) type Answer = (StatusCode, Json<Value>);

/// Has the node make a fact.
pub(super) async fn carry_out(context: &Context, command: Command) -> Result<Answer, Problem> {
    match context.node().command(command).await? {
        Receipt::Made(id) => receipt(context, id, false).await,
        Receipt::Published(_) | Receipt::Pong(_) | Receipt::Done => Err(stopping()),
    }
}

/// What is promised about a fact: it is durable here, and this is how it stands.
pub(super) async fn receipt(
    context: &Context,
    id: FactId,
    duplicate: bool,
) -> Result<Answer, Problem> {
    let row = context.read(move |view| Ok(view.fact_row(&id)?)).await?;
    let state = match row.map(|row| row.state) {
        Some(FactState::Sealed(..)) => "sealed",
        Some(FactState::Conflict(..)) => "conflict",
        Some(FactState::Pending) | None => "pending",
    };
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let document = json!({
        "schema": "cairn.receipt/1",
        "fact_id": id.to_string(),
        "state": state,
        "durable": true,
        "duplicate": duplicate,
    });
    Ok((status, Json(document)))
}
