//! A fact on its way: decoded, hashed, verified, framed, taken into the set.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic and is not a library")]

use std::hint::black_box;

use cairn_benches::{arrival_batch, mesh, records, unverified};
use cairn_core::codec;
use cairn_core::fact::{EncodedFact, SignedFact, verify, verify_batch};
use cairn_core::wire::{Class, FactsAnswer};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_bytes::Bytes;

const FACTS: u64 = 1_024;
/// As many as the node's pool puts into one equation.
const BATCH: u64 = 256;

fn codecs(c: &mut Criterion) {
    let (_, founder) = mesh();
    let facts = records(founder.mesh, 1, 0..FACTS);
    let bytes = facts[0].bytes();
    let mut group = c.benchmark_group(format!("fact of {} bytes", bytes.len()));
    group.bench_function("decode, canonical or not at all", |b| {
        b.iter(|| SignedFact::decode(black_box(bytes)).unwrap());
    });
    group.bench_function("read again", |b| b.iter(|| black_box(&facts[0]).fact()));
    let signed = facts[0].signed();
    group.bench_function("encode", |b| b.iter(|| codec::encode(black_box(&signed))));
    group.bench_function("id", |b| {
        b.iter(|| EncodedFact::id_of(&founder.mesh, black_box(bytes)).unwrap());
    });
    group.bench_function("content hash", |b| b.iter(|| black_box(&signed.fact).content_hash()));
    group.bench_function("sign", |b| {
        b.iter(|| EncodedFact::sign(black_box(signed.fact), &founder.mesh, &founder.key).unwrap());
    });
    group.finish();

    let slices: Vec<&Bytes> = facts.iter().map(|fact| Bytes::new(fact.bytes())).collect();
    let answer = FactsAnswer { facts: slices, more: false };
    let frame = codec::encode(&answer);
    let mut group = c.benchmark_group(format!("answer of {FACTS} facts"));
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("encode", |b| b.iter(|| codec::encode(black_box(&answer))));
    group.bench_function("decode", |b| {
        let max = Class::Facts.answer_bytes_max();
        b.iter(|| codec::decode::<FactsAnswer<'_>>(black_box(&frame), max).unwrap());
    });
    group.finish();
}

fn verification(c: &mut Criterion) {
    let (_, founder) = mesh();
    let mut group = c.benchmark_group("verify, one core");
    let one = unverified(&founder.mesh, &records(founder.mesh, 1, 0..1));
    group.throughput(Throughput::Elements(1));
    group
        .bench_function("one by one", |b| b.iter(|| verify(&founder.mesh, one[0].clone()).is_ok()));
    group.throughput(Throughput::Elements(BATCH));
    for authors in [1, 4, 256] {
        let facts = unverified(&founder.mesh, &records(founder.mesh, authors, 0..BATCH));
        group.bench_function(format!("batch of {BATCH}, {authors} authors"), |b| {
            b.iter_batched(
                || facts.clone(),
                |facts| verify_batch(&founder.mesh, facts, &[7; 32]),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn arrival(c: &mut Criterion) {
    let (ledger, founder) = mesh();
    let facts = records(founder.mesh, 1, 0..FACTS);
    let mut group = c.benchmark_group("arrival in memory");
    group.throughput(Throughput::Elements(FACTS));
    group.bench_function(format!("{FACTS} facts judged"), |b| {
        b.iter(|| arrival_batch(&ledger, black_box(&facts)).unwrap());
    });
    let batch = arrival_batch(&ledger, &facts).unwrap();
    group.bench_function(format!("{FACTS} facts written to a map"), |b| {
        b.iter_batched(
            || ledger.store.clone(),
            |mut store| store.apply(&batch),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = cairn_benches::quick();
    targets = codecs, verification, arrival
}
criterion_main!(benches);
