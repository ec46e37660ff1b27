//! How fast the simulation plays: inputs handled, and hours of node time lived through, a second.
//! What limits it is the engine itself, and signatures where no memo is kept of them.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::torture::{Scenario, draw, play};

/// Scenarios that are played one after the other; together they hold most kinds of trouble.
const SEEDS: std::ops::Range<u64> = 0..8;
const HOUR: u64 = 3_600_000;

fn simulation(c: &mut Criterion) {
    let scenarios: Vec<Scenario> = SEEDS.map(|seed| draw(seed, None)).collect();
    let (mut events, mut node_ms) = (0, 0);
    for scenario in &scenarios {
        let tally = play(scenario, false).tally;
        events += tally.events;
        node_ms += tally.node_ms;
    }
    let mut group = c.benchmark_group("simulation");
    group.sample_size(10);
    let all = || scenarios.iter().map(|scenario| play(scenario, false).tally.events).sum::<u64>();
    group.throughput(Throughput::Elements(events)).bench_function("events", |b| b.iter(all));
    let hours = (node_ms / HOUR).max(1);
    group.throughput(Throughput::Elements(hours)).bench_function("node-hours", |b| b.iter(all));
    group.finish();
}

criterion_group!(benches, simulation);
criterion_main!(benches);
