//! Finding the difference of two sets: summaries are kept up to date as facts arrive, so that a
//! session costs what it finds.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic and is not a library")]

use std::hint::black_box;

use cairn_core::hash::sha256;
use cairn_core::id::FactId;
use cairn_core::ledger::rows::{FactRow, FactState, Seq};
use cairn_core::reconcile::{Fingerprints, Session, Step, answer};
use cairn_core::store::{Batch, Table};
use cairn_core::testing::MemStore;
use cairn_core::{codec, id::MeshId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const COMMON: u64 = 100_000;

fn id(n: u64) -> FactId {
    FactId(sha256(&[&n.to_be_bytes()]).0)
}

fn set(ids: impl Iterator<Item = u64>) -> (MemStore, Fingerprints) {
    let (mut store, mut batch) = (MemStore::new(), Batch::new());
    let mut prints = Fingerprints::load(&store, &MeshId([0; 32]), Seq(0)).unwrap();
    for n in ids {
        let row = codec::encode(&FactRow { seq: Seq(n), state: FactState::Pending });
        batch.put(Table::FactIndex, id(n).as_bytes(), &row);
        prints.insert(&id(n));
    }
    store.apply(&batch);
    (store, prints)
}

/// Runs a session to its end. Returns how many ids were compared and how many bytes were sent.
fn session(ours: &Fingerprints, theirs: &(MemStore, Fingerprints)) -> (usize, usize) {
    let (mut session, mut ids, mut bytes) = (Session::default(), 0, 0);
    let mut step = session.ask();
    loop {
        match step {
            Step::Ask(request) => {
                let reply = answer(&theirs.1, &theirs.0, &request).unwrap().unwrap();
                bytes += codec::encode(&request).len() + codec::encode(&reply).len();
                step = session.answered(ours, reply);
            }
            Step::Compare(found) => {
                ids += found.len();
                step = session.ask();
            }
            Step::Done => return (ids, bytes),
            Step::Look { .. } | Step::Nonsense => unreachable!("an honest peer, and no sweep"),
        }
    }
}

fn reconcile(c: &mut Criterion) {
    let (_, ours) = set(0..COMMON);
    let mut group = c.benchmark_group(format!("reconcile, {COMMON} facts in common"));
    group.sample_size(10);
    let mut prints = set(0..0).1;
    let added = id(1);
    group.bench_function("a fact enters", |b| b.iter(|| prints.insert(black_box(&added))));
    for more in [0, 1, 100, 1_000] {
        let theirs = set(0..COMMON + more);
        let (ids, bytes) = session(&ours, &theirs);
        group.throughput(Throughput::Elements(more.max(1)));
        let name = format!("{more} missing ({ids} ids compared, {bytes} bytes)");
        group.bench_function(name, |b| b.iter(|| session(&ours, black_box(&theirs))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = cairn_benches::quick();
    targets = reconcile
}
criterion_main!(benches);
