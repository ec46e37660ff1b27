//! The news as server-sent events: numbered, resumable (`Last-Event-ID` or `?since=`), and with an
//! explicit `gap` where some are not kept any more. A slow reader costs a page of memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use cairn_core::event::Event;
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::reply::Asked;
use super::{Context, dto};
use crate::events::Numbered;
use crate::problem::Problem;

/// Events read at one time.
const PAGE: usize = 256;

#[derive(Deserialize)]
pub(super) struct Parameters {
    since: Option<u64>,
}

/// The name and the fields of an event.
fn fields(event: &Event) -> (&'static str, Value) {
    match event {
        Event::FactAdded(id) => ("fact", json!({"fact_id": id.to_string()})),
        Event::BlockConnected { tip, facts, sealer } => {
            ("block", json!({"tip": dto::tip(tip), "facts": facts, "sealer": sealer.to_string()}))
        }
        Event::Reorged(reorg) => ("reorg", json!({"reorg": dto::reorg(reorg)})),
        Event::Conflicted { fact, reason } => {
            ("conflict", json!({"fact_id": fact.to_string(), "reason": reason}))
        }
        Event::BlockRefused { block, reason } => {
            ("block-refused", json!({"block": block.to_string(), "reason": reason}))
        }
        Event::Revoked { node } => ("revoked", json!({"node_id": node.to_string()})),
        Event::PeerConnected { node, outbound } => {
            let direction = if *outbound { "outbound" } else { "inbound" };
            ("peer-connected", json!({"node_id": node.to_string(), "direction": direction}))
        }
        Event::PeersHeard { node, count } => {
            ("peers-heard", json!({"node_id": node.to_string(), "count": count}))
        }
        Event::PeerClosed { node, code, by_peer, reason } => (
            "peer-closed",
            json!({
                "node_id": node.to_string(),
                "code": code.map(|code| format!("{:#04x}", code as u8)),
                "reason": reason,
                "by_peer": by_peer,
            }),
        ),
        Event::Twin(on) => ("twin", json!({"on": on})),
        Event::PeerBanned { node, until, reason } => (
            "peer-banned",
            json!({"node_id": node.to_string(), "until": until.0, "reason": reason}),
        ),
        Event::ReadOnly(on) => ("read-only", json!({"on": on})),
        Event::Synced(tip) => ("synced", json!({"tip": dto::tip(tip)})),
    }
}

fn document(number: u64, time: u64, name: &str, mut fields: Value) -> Sent {
    fields["schema"] = "cairn.event/1".into();
    fields["seq"] = number.into();
    fields["time"] = time.into();
    fields["event"] = name.into();
    Sent::default().id(number.to_string()).event(name).data(fields.to_string())
}

fn sent(numbered: &Numbered) -> Sent {
    let (name, fields) = fields(&numbered.event);
    document(numbered.number, numbered.time.0, name, fields)
}

struct Follower {
    context: Context,
    last: watch::Receiver<u64>,
    cursor: u64,
    queue: VecDeque<Arc<Numbered>>,
}

impl Follower {
    /// The next event, or none when the node stops.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some(numbered) = self.queue.pop_front() {
                self.cursor = numbered.number;
                return Some(sent(&numbered));
            }
            // Seen before the page is read: what comes in between wakes us again.
            self.last.borrow_and_update();
            let page = self.context.node().events().since(self.cursor, PAGE);
            self.queue = page.events.into();
            if page.gap {
                let first = self.queue.front();
                let resumed = first.map_or(*self.last.borrow(), |event| event.number - 1);
                let lost = json!({"after": self.cursor, "until": resumed});
                let time = first.map_or(0, |event| event.time.0);
                self.cursor = resumed;
                return Some(document(resumed, time, "gap", lost));
            }
            if self.queue.is_empty() {
                tokio::select! {
                    changed = self.last.changed() => changed.ok()?,
                    () = self.context.stopped() => return None,
                }
            }
        }
    }
}

pub(super) async fn follow(
    State(context): State<Context>,
    headers: HeaderMap,
    Asked(asked): Asked<Parameters>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let resumed = headers.get("last-event-id").map(|value| {
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Problem::usage("Last-Event-ID is not a number of an event"))
    });
    let last = context.node().events().last();
    let newest = *last.borrow();
    let cursor = resumed.transpose()?.or(asked.since).unwrap_or(newest);
    let follower = Follower { context, last, cursor, queue: VecDeque::new() };
    let stream = unfold(follower, async |mut follower: Follower| {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
