//! All trees of up to seven blocks, in all orders in which their blocks can arrive: one head, under
//! both seals. And between branches of one fork, better is a total order.

use super::*;

/// Miri is a thousand times slower; smaller trees have the same cases, only fewer of them.
const BLOCKS_MAX: usize = if cfg!(miri) { 4 } else { 7 };
/// (2n − 1)!!, the number of pairs of a plane tree of n blocks below its root and an order of them
/// that has parents first: n = 0 … 7.
const ORDERS: [usize; 8] = [1, 1, 3, 15, 105, 945, 10_395, 135_135];

/// All shapes of trees of blocks 1 … n below a root, as the parent of each: level by level, so that
/// no parent is lower than the one before (Catalan number n).
fn shapes(n: usize) -> Vec<Vec<usize>> {
    (1..=n).fold(Vec::from([Vec::new()]), |shapes, block| {
        let grow = |shape: Vec<usize>| {
            let least = shape.last().copied().unwrap_or(0);
            (least..block).map(move |parent| [shape.clone(), Vec::from([parent])].concat())
        };
        shapes.into_iter().flat_map(grow).collect()
    })
}

/// Inserts the rest in every order that has parents first; all must end at the same tip. Returns how
/// many orders there are.
fn every_order(choice: &ForkChoice, blocks: &[Candidate], left: u8, best: BlockId) -> usize {
    if left == 0 {
        assert_eq!(choice.best(), best);
        return 1;
    }
    let ready = |i: &usize| left >> i & 1 == 1 && choice.contains(&blocks[*i].parent);
    let try_next = |i: usize| {
        let mut choice = choice.clone();
        assert!(choice.insert(blocks[i].clone()));
        every_order(&choice, blocks, left & !(1 << i), best)
    };
    (0..blocks.len()).filter(ready).map(try_next).sum()
}

/// All shapes with some sealers and works on their blocks, different ones for each shape.
fn all_orders(seal: SealRule, labels: u32) {
    for (n, expected) in ORDERS.into_iter().enumerate().take(BLOCKS_MAX + 1) {
        let mut orders = 0;
        for (seed, shape) in (labels..).step_by(7_919).zip(shapes(n)) {
            let root = block(seed, None, 0, 0, 0b111);
            let mut blocks = Vec::from([root.clone()]);
            for (n, parent) in (1u32..).zip(&shape) {
                // Sealer 3 is none of those who are counted.
                let sealer = (seed.wrapping_mul(0x9e37_79b9) >> (4 * n)) % 4;
                let extra = u64::from(seed >> n & 1);
                let id = seed ^ n << 24;
                blocks.push(block(id, Some(&blocks[*parent]), sealer as u8, extra, 0b111));
            }
            let all = blocks.iter().map(|block| (block.id, block.clone())).collect();
            let best = Naive(all).best(seal, root.id);
            let choice = ForkChoice::new(seal, root);
            orders += every_order(&choice, &blocks[1..], (1 << n) - 1, best);
        }
        assert_eq!(orders, expected);
    }
}

#[test]
fn the_order_of_arrival_does_not_matter_to_distinct_sealers() {
    all_orders(SealRule::Authority, 1);
    all_orders(SealRule::Authority, 2);
}

#[test]
fn the_order_of_arrival_does_not_matter_to_work() {
    all_orders(POW, 1);
    all_orders(POW, 2);
}

/// A branch: sealer and extra work of each block.
type Branch = Vec<(u8, u64)>;

fn branch() -> impl Strategy<Value = Branch> {
    prop::collection::vec((0u8..4, 0u64..2), 1..5)
}

/// The better of two branches from one root, as its number.
fn better(seal: SealRule, branches: &[Branch; 3], of: [usize; 2]) -> usize {
    let root = block(0, None, 0, 0, 0b111);
    let mut choice = ForkChoice::new(seal, root.clone());
    let mut tips = Vec::new();
    for which in of {
        let mut tip = root.clone();
        for (n, (sealer, extra)) in (1u32..).zip(&branches[which]) {
            tip = block(n + 100 * which as u32, Some(&tip), *sealer, *extra, 0b111);
            choice.insert(tip.clone());
        }
        tips.push(tip.id);
    }
    if choice.best() == tips[0] { of[0] } else { of[1] }
}

proptest! {
    #[test]
    fn between_branches_of_one_fork_better_is_a_total_order(
        branches in [branch(), branch(), branch()], pow: bool
    ) {
        let seal = if pow { POW } else { SealRule::Authority };
        let better = |a, b| better(seal, &branches, [a, b]);
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            prop_assert_eq!(better(a, b), better(b, a));
        }
        // Of three, one beats both others and one loses to both: no circle.
        let mut wins = [0; 3];
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            wins[better(a, b)] += 1;
        }
        wins.sort_unstable();
        prop_assert_eq!(wins, [0, 1, 2]);
    }
}
