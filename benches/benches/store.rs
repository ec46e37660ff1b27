//! Facts into fjall on this machine's disk, in batches, visible and durable. Give the disk to be
//! measured in `TMPDIR`: a sync into a RAM disk measures nothing.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic and is not a library")]

use cairn_benches::{arrival_batch, mesh, records};
use cairn_core::ledger::rows::Seq;
use cairn_core::store::{Table, View as _};
use cairn_node::store::{Profile, Store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn commits(c: &mut Criterion) {
    let (mut ledger, founder) = mesh();
    let mut group = c.benchmark_group("commit to disk");
    group.sample_size(10);
    for size in [1, 100, 1_000] {
        group.throughput(Throughput::Elements(size));
        for (durable, name) in [(false, "visible"), (true, "durable")] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("db"), Profile::Small).unwrap();
            let mut first = 0;
            group.bench_function(format!("{size} facts a batch, {name}"), |b| {
                b.iter_custom(|times| {
                    // New facts each time, made and judged before the clock starts.
                    let facts = records(founder.mesh, 1, first..first + times * size);
                    let batches: Vec<_> = facts
                        .chunks(size as usize)
                        .map(|facts| {
                            let batch = arrival_batch(&ledger, facts).unwrap();
                            ledger.store.apply(&batch);
                            batch
                        })
                        .collect();
                    first += times * size;
                    let began = std::time::Instant::now();
                    for batch in &batches {
                        store.commit(batch).unwrap();
                        if durable {
                            store.persist().unwrap();
                        }
                    }
                    began.elapsed()
                });
            });
            (ledger, _) = mesh();
        }
    }
    group.finish();
}

fn reads(c: &mut Criterion) {
    const FACTS: u64 = 100_000;
    let (ledger, founder) = mesh();
    let facts = records(founder.mesh, 1, 0..FACTS);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("db"), Profile::Small).unwrap();
    store.commit(&arrival_batch(&ledger, &facts).unwrap()).unwrap();
    let view = store.view();
    let mut group = c.benchmark_group(format!("read one of {FACTS} facts from disk"));
    let mut at = 0u64;
    // A step that visits all of them in no order.
    let mut next = || {
        at = (at + 61_803) % FACTS;
        at
    };
    group.bench_function("index row by id", |b| {
        b.iter(|| view.get(Table::FactIndex, facts[next() as usize].id().as_bytes()).unwrap());
    });
    group.bench_function("bytes by number", |b| {
        b.iter(|| view.get(Table::Fact, &Seq(1 + next()).key()).unwrap());
    });
    group.bench_function("index row of an unknown id", |b| {
        b.iter(|| {
            let mut id = facts[next() as usize].id().0;
            id[31] ^= 1;
            view.get(Table::FactIndex, &id).unwrap()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = cairn_benches::quick();
    targets = commits, reads
}
criterion_main!(benches);
