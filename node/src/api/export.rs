//! Every fact in order of arrival, one document a line. A page is in memory at a time; a failure in
//! the middle breaks the stream off, so that a part never passes for the whole.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use cairn_core::ledger::rows::Seq;
use cairn_core::store::View;
use futures_util::stream::unfold;

use super::dto::FactDoc;
use super::query::Filter;
use super::{Context, stopping};
use crate::problem::Problem;

/// Facts read at one time.
const PAGE: usize = 256;

/// A page of lines, and where the next one begins.
type Page = (Bytes, Option<Seq>);

async fn page(context: &Context, cursor: Seq) -> Result<Page, Problem> {
    let mesh = context.node().mesh();
    let read = move |view: &dyn View| {
        let filter = Filter { ascending: true, ..Filter::default() };
        let (found, next) = filter.page(view, &mesh, Some(cursor), PAGE)?;
        let mut lines = Vec::new();
        for (row, fact) in &found {
            let document = FactDoc::new(view, row, fact)?;
            serde_json::to_writer(&mut lines, &document).map_err(|_| stopping())?;
            lines.push(b'\n');
        }
        Ok((lines.into(), next))
    };
    context.read(read).await
}

pub(super) async fn export(State(context): State<Context>) -> Response {
    let lines = unfold((context, Some(Seq(0))), async |(context, cursor)| {
        let page = tokio::select! {
            page = page(&context, cursor?) => page,
            () = context.stopped() => Err(stopping()),
        };
        match page {
            Ok((lines, next)) => Some((Ok(lines), (context, next))),
            Err(problem) => Some((Err(io::Error::other(problem)), (context, None))),
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}
