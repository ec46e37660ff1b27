//! Many records at once: lines in, counts out. The body is read only as fast as batches become
//! durable, a few of them in flight, so memory is bounded whatever is sent.
//!
//! Records are signed anew with a new time, so the same line would get a new id each time. A line is
//! therefore a duplicate if this node wrote the same content before, or is writing it just now.

use std::sync::PoisonError;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use cairn_core::engine::Published;
use cairn_core::fact::Fact;
use cairn_core::id::ContentHash;
use cairn_core::time::UnixTime;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::lines::{Line, NewRecord, Splitter};
use super::{Context, query, stopping};
use crate::handle::{Draft, DraftBody};
use crate::problem::{Code, Problem};

/// Lines of a batch, and bytes after which it is full with fewer.
const BATCH_LINES: usize = 1_000;
const BATCH_BYTES: usize = 1024 * 1024;
/// Batches being parsed, signed or written at one time, by one request.
const BATCHES_MAX: usize = 4;
/// Refused lines that are named.
const ERRORS_MAX: usize = 10;

/// What became of the lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: u64,
    duplicate: u64,
    refused: u64,
    skipped: u64,
    errors: Vec<(u64, String)>,
}

impl Counts {
    fn refuse(&mut self, line: u64, why: String) {
        self.refused += 1;
        self.errors.push((line, why));
        self.errors.sort_unstable();
        self.errors.truncate(ERRORS_MAX);
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.refused += other.refused;
        self.skipped += other.skipped;
        self.errors.extend(other.errors);
        self.errors.sort_unstable();
        self.errors.truncate(ERRORS_MAX);
    }

    fn document(&self) -> Value {
        let errors = self.errors.iter();
        let errors = errors.map(|(line, message)| json!({"line": line, "message": message}));
        json!({
            "schema": "cairn.import/1",
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "refused": self.refused,
            "skipped": self.skipped,
            "durable": true,
            "errors": errors.collect::<Vec<_>>(),
        })
    }
}

/// Contents that this request is writing just now; freed when they are written or given up.
struct Claims {
    context: Context,
    contents: Vec<ContentHash>,
}

impl Claims {
    fn claim(&mut self, content: ContentHash) -> bool {
        let mut all = self.context.0.importing.lock().unwrap_or_else(PoisonError::into_inner);
        let free = all.insert(content);
        if free {
            self.contents.push(content);
        }
        free
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut all = self.context.0.importing.lock().unwrap_or_else(PoisonError::into_inner);
        for content in &self.contents {
            all.remove(content);
        }
    }
}

fn content_of(record: &NewRecord, context: &Context) -> ContentHash {
    let fact = Fact { author: context.node().node_id(), time: UnixTime(0), body: record.body() };
    fact.content_hash()
}

/// Lines that ask for a record, with their numbers and contents.
type Wanted = Vec<(u64, ContentHash, NewRecord)>;

/// Parses lines; those that somebody is writing just now are duplicates already.
fn parse(claims: &mut Claims, lines: &[Line], counts: &mut Counts) -> Wanted {
    let mut wanted = Vec::with_capacity(lines.len());
    for line in lines {
        match line.parse() {
            Ok(Some(record)) => {
                let content = content_of(&record, &claims.context);
                if claims.claim(content) {
                    wanted.push((line.number, content, record));
                } else {
                    counts.duplicate += 1;
                }
            }
            Ok(None) => counts.skipped += 1,
            Err(why) => counts.refuse(line.number, why),
        }
    }
    wanted
}

fn draft(record: NewRecord) -> Draft {
    let body = DraftBody::Record {
        topic: record.topic,
        media_type: record.media_type,
        bytes: record.bytes,
    };
    Draft { time: None, body }
}

/// Parses, signs and writes one batch; done when it is durable.
async fn write(context: Context, lines: Vec<Line>) -> Result<Counts, Problem> {
    let mut claims = Claims { context: context.clone(), contents: Vec::with_capacity(lines.len()) };
    let parsing = context.read(move |_| {
        let mut counts = Counts::default();
        let wanted = parse(&mut claims, &lines, &mut counts);
        Ok((claims, wanted, counts))
    });
    let (claims, wanted, mut counts) = parsing.await?;
    // A view from after the claims: whoever held one of them before has written by then.
    let author = context.node().node_id();
    let asking = context.read(move |view| {
        let mut new = Vec::with_capacity(wanted.len());
        for (line, content, record) in wanted {
            if !query::said_before(view, &content, &author)? {
                new.push((line, draft(record)));
            }
        }
        Ok(new)
    });
    let asked = claims.contents.len();
    let new = asking.await?;
    counts.duplicate += (asked - new.len()) as u64;
    let (numbers, drafts): (Vec<u64>, Vec<Draft>) = new.into_iter().unzip();
    let outcomes = context.node().sign_and_publish(drafts).await?;
    for (line, outcome) in numbers.into_iter().zip(outcomes) {
        match outcome {
            Ok(Published::Accepted(_)) => counts.accepted += 1,
            Ok(Published::Duplicate(_)) => counts.duplicate += 1,
            Ok(Published::Refused(_, refusal)) => {
                counts.refuse(line, Problem::from(refusal).message);
            }
            Err(error) => counts.refuse(line, error.to_string()),
        }
    }
    Ok(counts)
}

/// Lines gathered until they fill a batch.
#[derive(Default)]
struct Gathered {
    lines: Vec<Line>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, line: Line) {
        self.bytes += line.bytes.as_ref().map_or(0, Vec::len);
        self.lines.push(line);
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES
    }

    fn take(&mut self) -> Vec<Line> {
        self.bytes = 0;
        std::mem::take(&mut self.lines)
    }
}

/// Batches in flight and what became of the finished ones.
struct Flight {
    context: Context,
    running: JoinSet<Result<Counts, Problem>>,
    total: Counts,
}

impl Flight {
    async fn land(&mut self) -> Result<(), Problem> {
        if let Some(done) = self.running.join_next().await {
            self.total.add(done.map_err(|_| stopping())??);
        }
        Ok(())
    }

    async fn start(&mut self, lines: Vec<Line>) -> Result<(), Problem> {
        if self.running.len() >= BATCHES_MAX {
            self.land().await?;
        }
        if !lines.is_empty() {
            self.running.spawn(write(self.context.clone(), lines));
        }
        Ok(())
    }
}

pub(super) async fn import(
    State(context): State<Context>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let mut flight = Flight { context, running: JoinSet::new(), total: Counts::default() };
    let (mut splitter, mut gathered) = (Splitter::default(), Gathered::default());
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            let message = format!("the lines broke off: {error}; what came before may be written");
            Problem::new(Code::Network, message, "import the file again: nothing is written twice")
        })?;
        splitter.push(&piece, |line| gathered.push(line));
        if gathered.is_full() {
            flight.start(gathered.take()).await?;
        }
    }
    splitter.finish(|line| gathered.push(line));
    flight.start(gathered.take()).await?;
    while !flight.running.is_empty() {
        flight.land().await?;
    }
    Ok(Json(flight.total.document()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refused_lines_are_named_whatever_order_batches_end_in() {
        let mut total = Counts::default();
        for batch in [2, 0, 1] {
            let mut counts = Counts::default();
            for line in 0..8 {
                counts.refuse(batch * 8 + line, "x".into());
            }
            total.add(counts);
        }
        assert_eq!(total.refused, 24);
        let lines: Vec<u64> = total.errors.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_is_full_by_lines_or_by_bytes() {
        let line = |bytes| Line { number: 1, bytes: Some(vec![0; bytes]) };
        let mut few = Gathered::default();
        few.push(line(BATCH_BYTES));
        assert!(few.is_full());
        assert_eq!(few.take().len(), 1);
        assert!(!few.is_full());
    }
}
