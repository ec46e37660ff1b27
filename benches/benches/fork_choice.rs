//! The choice of the best tip over 100,000 blocks: one chain, and chains with a short fork at every
//! two-thousandth and every hundredth block (a block costs a small step for each fork below it).

use std::hint::black_box;
use std::sync::Arc;

use cairn_core::chain::{Candidate, ForkChoice};
use cairn_core::hash::sha256;
use cairn_core::id::{BlockId, NodeId};
use cairn_core::params::SealRule;
use cairn_core::work::{Height, Work};
use criterion::{Criterion, criterion_group, criterion_main};

const BLOCKS: u64 = 100_000;
const SEALERS: u8 = 16;

fn child(parent: &Candidate, branch: u8) -> Candidate {
    let height = parent.height.next();
    Candidate {
        id: BlockId(sha256(&[parent.id.as_bytes(), &[branch]]).0),
        parent: parent.id,
        height,
        sealer: NodeId([(height.0 % u64::from(SEALERS)) as u8; 32]),
        work: parent.work + Work::from_u64(2),
        sealers: parent.sealers.clone(),
    }
}

/// Blocks in the order they arrive, the root first.
fn blocks(fork_every: u64) -> Vec<Candidate> {
    let sealers: Arc<[NodeId]> = (0..SEALERS).map(|n| NodeId([n; 32])).collect();
    let mut tip = Candidate {
        id: BlockId::ZERO,
        parent: BlockId::ZERO,
        height: Height::GENESIS,
        sealer: NodeId::ZERO,
        work: Work::ZERO,
        sealers,
    };
    let mut arriving = vec![tip.clone()];
    while (arriving.len() as u64) < BLOCKS {
        if tip.height.0 % fork_every == 1 {
            arriving.push(child(&tip, 1));
        }
        tip = child(&tip, 0);
        arriving.push(tip.clone());
    }
    arriving
}

fn fork_choice(c: &mut Criterion) {
    let pow = SealRule::Pow { initial: cairn_core::work::Target::MAX, half_life: 0 };
    let mut group = c.benchmark_group("fork choice, 100,000 blocks");
    group.sample_size(10);
    let shapes =
        [("one chain", u64::MAX), ("a fork every 2,000", 2_000), ("a fork every 100", 100)];
    for (seal, seal_name) in [(SealRule::Authority, "authority"), (pow, "pow")] {
        for (shape, fork_every) in shapes {
            let arriving = blocks(fork_every);
            group.bench_function(format!("{seal_name}, {shape}"), |b| {
                b.iter(|| {
                    let mut choice = ForkChoice::new(seal, arriving[0].clone());
                    for block in &arriving[1..] {
                        choice.insert(block.clone());
                        black_box(choice.best());
                    }
                    choice.best()
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = cairn_benches::quick();
    targets = fork_choice
}
criterion_main!(benches);
