//! Items: who holds what, and changing that.

use axum::Json;
use axum::extract::State;
use cairn_core::engine::{Command, CustodyAction};
use cairn_core::fact::{BodyError, is_item};
use cairn_core::ledger::read::Read as _;
use cairn_core::ledger::rows::{Custody, Seq};
use cairn_core::store::{Table, View};
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::{Answer, PAGE_MAX, carry_out, documents};
use super::reply::{Asked, Named, Posted, limit};
use super::{Context, dto, query};
use crate::problem::{Code, Problem};

/// Items looked at for one page of a filtered list.
const SCAN_ROWS_MAX: usize = 4_096;

fn check(item: &str) -> Result<(), Problem> {
    let hint = "list them with: cairn item list";
    let bad = || Problem::new(Code::Malformed, BodyError::Item.to_string(), hint);
    is_item(item).then_some(()).ok_or_else(bad)
}

pub(super) async fn get(
    State(context): State<Context>,
    Named(item): Named,
) -> Result<Json<Value>, Problem> {
    check(&item)?;
    let read = move |view: &dyn View| {
        let custody = view.custody(&item)?;
        Ok(dto::item(view, &item, custody.as_ref())?)
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct ListParameters {
    held: Option<bool>,
    limit: Option<usize>,
    after: Option<String>,
}

/// A page of items by name, and the name after which the next page begins.
fn page(
    view: &dyn View,
    held: Option<bool>,
    after: Option<&str>,
    max: usize,
) -> Result<(Vec<Value>, Option<String>), Problem> {
    let mut from = after.map_or_else(Vec::new, |name| [name.as_bytes(), &[0]].concat());
    let (mut items, mut looked) = (Vec::new(), 0);
    loop {
        let rows = view.scan(Table::Item, &from, &[0xff], 256)?;
        let Some((last, _)) = rows.last() else {
            return Ok((items, None));
        };
        from = [last.as_slice(), &[0]].concat();
        looked += rows.len();
        for (key, _) in &rows {
            let name = String::from_utf8_lossy(key).into_owned();
            let custody: Option<Custody> = view.custody(&name)?;
            let is_held = custody.as_ref().is_some_and(|custody| custody.holder.is_some());
            if held.is_none_or(|held| held == is_held) {
                items.push(dto::item(view, &name, custody.as_ref())?);
            }
            if items.len() == max || (looked >= SCAN_ROWS_MAX && key == last) {
                return Ok((items, Some(name)));
            }
        }
    }
}

pub(super) async fn list(
    State(context): State<Context>,
    Asked(asked): Asked<ListParameters>,
) -> Result<Json<Value>, Problem> {
    let max = limit(asked.limit, 100, PAGE_MAX);
    asked.after.as_deref().map_or(Ok(()), check)?;
    let read = move |view: &dyn View| {
        let (items, next) = page(view, asked.held, asked.after.as_deref(), max)?;
        Ok(json!({"schema": "cairn.items/1", "items": items, "next": next}))
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct HistoryParameters {
    limit: Option<usize>,
    after: Option<u64>,
}

pub(super) async fn history(
    State(context): State<Context>,
    Named(item): Named,
    Asked(asked): Asked<HistoryParameters>,
) -> Result<Json<Value>, Problem> {
    check(&item)?;
    let mesh = context.node().mesh();
    let max = limit(asked.limit, 100, PAGE_MAX);
    let after = Seq(asked.after.unwrap_or(0));
    let read = move |view: &dyn View| {
        let seqs = view.item_facts(&item, after, max)?;
        let next = seqs.last().filter(|_| seqs.len() == max).map(|seq| seq.0.to_string());
        let found = seqs.into_iter().map(|seq| query::fact_at(view, &mesh, seq));
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        Ok(json!({
            "schema": "cairn.item-history/1", "item": item,
            "facts": documents(view, &found)?, "next": next,
        }))
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct Change {
    #[serde(default)]
    note: String,
    to: Option<String>,
}

async fn change(
    context: &Context,
    item: String,
    action: CustodyAction,
    note: String,
) -> Result<Answer, Problem> {
    check(&item)?;
    let command = Command::Custody { item, action, note };
    carry_out(context, command).await
}

pub(super) async fn request(
    State(context): State<Context>,
    Named(item): Named,
    Posted(asked): Posted<Change>,
) -> Result<Answer, Problem> {
    change(&context, item, CustodyAction::Request, asked.note).await
}

pub(super) async fn release(
    State(context): State<Context>,
    Named(item): Named,
    Posted(asked): Posted<Change>,
) -> Result<Answer, Problem> {
    change(&context, item, CustodyAction::Release, asked.note).await
}

pub(super) async fn transfer(
    State(context): State<Context>,
    Named(item): Named,
    Posted(asked): Posted<Change>,
) -> Result<Answer, Problem> {
    let to = asked.to.ok_or_else(|| Problem::usage("`to` must say who gets the item"))?;
    let to = context.read(move |view| query::node_id(view, &to)).await?;
    change(&context, item, CustodyAction::Transfer(to), asked.note).await
}
