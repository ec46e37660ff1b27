//! The largest block: judged and made the tip.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic and is not a library")]

use std::hint::black_box;

use cairn_benches::{mesh, records};
use cairn_core::id::FactId;
use cairn_core::ledger::apply::apply;
use cairn_core::ledger::delta;
use cairn_core::ledger::overlay::Overlay;
use cairn_core::ledger::prefetch::{Prefetch, prefetch};
use cairn_core::ledger::rows::HeaderRow;
use cairn_core::merkle;
use cairn_core::params::BLOCK_FACTS_MAX;
use cairn_core::work::Work;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

fn blocks(c: &mut Criterion) {
    let (mut ledger, founder) = mesh();
    let facts = records(founder.mesh, 1, 0..BLOCK_FACTS_MAX.into());
    ledger.arrive(&facts);
    let ids: Vec<FactId> = facts.iter().map(|fact| fact.id()).collect();
    let block = ledger.block(&ids, None);
    let mut group = c.benchmark_group(format!("block of {} facts", ids.len()));
    group.sample_size(10).throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function("root of the list", |b| b.iter(|| merkle::root(black_box(&ids))));
    let read = || {
        let overlay = Overlay::new(&ledger.store);
        match prefetch(&ledger.params, &block, &overlay, &|_| None).unwrap() {
            Prefetch::Ready(read) => read,
            Prefetch::Missing(_) => unreachable!("all facts arrived"),
        }
    };
    group.bench_function("read what it needs", |b| b.iter(read));
    group.bench_function("judge", |b| {
        b.iter_batched(read, |read| apply(&block, read).unwrap(), BatchSize::LargeInput);
    });
    let effects = apply(&block, read()).unwrap();
    let row = HeaderRow {
        header: block.header.clone(),
        work: ledger.tip().work + Work::from_u64(1),
        effective_time: ledger.tip().effective_time,
    };
    group.bench_function("make it the tip", |b| {
        b.iter(|| {
            let mut overlay = Overlay::new(&ledger.store);
            delta::connect(&mut overlay, &row, &effects).unwrap();
            overlay.into_batch()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = cairn_benches::quick();
    targets = blocks
}
criterion_main!(benches);
