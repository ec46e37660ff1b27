//! What the benchmarks measure: ledgers and facts of a usual size, made the same way every time.

use std::ops::Range;
use std::time::Duration;

use cairn_core::fact::{Body, EncodedFact};
use cairn_core::id::MeshId;
use cairn_core::ledger::arrival::Arrival;
use cairn_core::store::{Batch, StoreFault};
use cairn_core::testing::{TestLedger, TestNode, params};
use cairn_core::verified::{Unverified, Verified};
use criterion::Criterion;

/// The founder, whom every ledger here knows.
pub const FOUNDER: u64 = 0;

/// Criterion with little patience, so that all benchmarks take a few minutes together. Ask for more
/// on the command line: `--measurement-time 10 --sample-size 100`.
pub fn quick() -> Criterion {
    let (warm_up, measurement) = (Duration::from_millis(300), Duration::from_secs(1));
    Criterion::default().warm_up_time(warm_up).measurement_time(measurement).sample_size(20)
}

/// A new mesh and its founder.
pub fn mesh() -> (TestLedger, TestNode) {
    let founder = TestNode::new(FOUNDER, MeshId([0; 32]));
    let rules = params(&[&founder]);
    let founder = founder.in_mesh(TestLedger::mesh(&rules));
    (TestLedger::new(rules), founder)
}

/// A record of about 300 bytes; those with the same number and author are the same.
pub fn record(author: &TestNode, number: u64) -> Verified<EncodedFact> {
    let text = format!("reading {number}: {}", "21.5 degrees in the attic; ".repeat(7));
    let topic = format!("sensor/{}", number % 16);
    let body = Body::Record { topic: &topic, media_type: "text/plain", bytes: text.as_bytes() };
    author.fact(1_767_225_600_000 + number, body)
}

/// The records with these numbers, by so many authors in turn, the founder first.
pub fn records(mesh: MeshId, authors: u64, numbers: Range<u64>) -> Vec<Verified<EncodedFact>> {
    let authors: Vec<TestNode> = (0..authors).map(|n| TestNode::new(FOUNDER + n, mesh)).collect();
    numbers.zip(authors.iter().cycle()).map(|(number, author)| record(author, number)).collect()
}

/// The same as they come from a peer.
pub fn unverified(mesh: &MeshId, facts: &[Verified<EncodedFact>]) -> Vec<Unverified<EncodedFact>> {
    let parse = |fact: &Verified<EncodedFact>| EncodedFact::parse(mesh, fact.bytes());
    facts.iter().filter_map(|fact| parse(fact).ok()).collect()
}

/// What the store is told when facts enter the set.
///
/// # Errors
/// `StoreFault` if the ledger cannot be read.
pub fn arrival_batch(
    ledger: &TestLedger,
    facts: &[Verified<EncodedFact>],
) -> Result<Batch, StoreFault> {
    let mut arrival = Arrival::new(&ledger.params, &ledger.store)?;
    let bytes = facts.iter().map(|fact| fact.bytes().len()).sum();
    arrival.reserve(facts.len(), bytes);
    for fact in facts {
        arrival.add(fact)?;
    }
    Ok(arrival.finish().batch)
}
