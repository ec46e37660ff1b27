//! The choice against the rule as it is written, on trees grown, cut and pruned at random; all small
//! trees in all orders are in `orders.rs`.

mod orders;

use super::*;
use crate::block::RECOVERY;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use proptest::prelude::*;

const POW: SealRule = SealRule::Pow { initial: crate::work::Target(0x207f_ffff), half_life: 0 };

/// The rule, read aloud.
#[derive(Clone, Default)]
struct Naive(BTreeMap<BlockId, Candidate>);

impl Naive {
    fn children(&self, id: &BlockId) -> Vec<&Candidate> {
        let is_child = |block: &&Candidate| block.parent == *id && block.id != *id;
        self.0.values().filter(is_child).collect()
    }

    fn subtree(&self, id: BlockId) -> Vec<&Candidate> {
        let mut found = Vec::from([&self.0[&id]]);
        let mut at = 0;
        while at < found.len() {
            let children = self.children(&found[at].id);
            found.extend(children);
            at += 1;
        }
        found
    }

    fn best(&self, seal: SealRule, root: BlockId) -> BlockId {
        if seal != SealRule::Authority {
            let tips = self.subtree(root).into_iter();
            return tips.max_by_key(|b| (b.work, core::cmp::Reverse(b.id))).unwrap().id;
        }
        let mut at = root;
        loop {
            let allowed = &self.0[&at].sealers;
            let best = self.children(&at).into_iter().max_by_key(|child| {
                let subtree = self.subtree(child.id);
                let sealers: BTreeSet<_> = subtree.iter().map(|block| block.sealer).collect();
                let recovered = sealers.contains(&RECOVERY);
                let known = sealers.iter().filter(|sealer| allowed.contains(sealer)).count();
                let known = (recovered, known);
                let heaviest = subtree.iter().map(|block| block.work).max();
                (known, heaviest, core::cmp::Reverse(child.id))
            });
            match best {
                Some(child) => at = child.id,
                None => return at,
            }
        }
    }

    fn remove(&mut self, id: BlockId) {
        let gone: Vec<_> = self.subtree(id).iter().map(|block| block.id).collect();
        gone.iter().for_each(|id| drop(self.0.remove(id)));
    }

    fn set_root(&mut self, id: BlockId) {
        let kept = self.subtree(id).into_iter().cloned();
        self.0 = kept.map(|block| (block.id, block)).collect();
    }
}

fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

/// A block whose id is spread by a hash, so that ids and order of arrival have nothing in common.
fn block(n: u32, parent: Option<&Candidate>, sealer: u8, extra: u64, allowed: u8) -> Candidate {
    let id = BlockId(crate::hash::sha256(&[&n.to_be_bytes()]).0);
    Candidate {
        id,
        parent: parent.map_or(BlockId::ZERO, |parent| parent.id),
        height: parent.map_or(Height(7), |parent| parent.height.next()),
        sealer: if sealer == 5 { RECOVERY } else { node(sealer) },
        work: parent.map_or(Work::ZERO, |parent| parent.work) + Work::from_u64(1 + extra),
        sealers: (0..8).filter(|bit| allowed >> bit & 1 == 1).map(node).collect(),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Grow { at: prop::sample::Index, sealer: u8, extra: u64, allowed: u8 },
    Cut(prop::sample::Index),
    Prune(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let grow = (any::<prop::sample::Index>(), 0u8..6, 0u64..2, any::<u8>());
    prop_oneof![
        16 => grow.prop_map(|(at, sealer, extra, allowed)| Step::Grow { at, sealer, extra, allowed }),
        2 => any::<prop::sample::Index>().prop_map(Step::Cut),
        1 => any::<prop::sample::Index>().prop_map(Step::Prune),
    ]
}

fn follow(seal: SealRule, steps: &[Step], near: bool) -> Result<(), TestCaseError> {
    let first = block(0, None, 0, 0, 0xff);
    let mut root = first.id;
    let mut naive = Naive(BTreeMap::from([(root, first.clone())]));
    let mut choice = ForkChoice::new(seal, first);
    let mut order = Vec::from([root]);
    for (n, step) in (1u32..).zip(steps) {
        order.retain(|id| naive.0.contains_key(id));
        match step {
            Step::Grow { at, sealer, extra, allowed } => {
                // Long chains with short branches, or bushes.
                let from = if near { order.len().saturating_sub(3) } else { 0 };
                let parent = naive.0[&order[from + at.index(order.len() - from)]].clone();
                let new = block(n, Some(&parent), *sealer, *extra, *allowed);
                order.push(new.id);
                naive.0.insert(new.id, new.clone());
                prop_assert!(choice.insert(new.clone()));
                prop_assert!(!choice.insert(new));
            }
            Step::Cut(at) => {
                let id = order[at.index(order.len())];
                choice.remove(&id);
                if id != root {
                    naive.remove(id);
                }
            }
            Step::Prune(at) => {
                // Towards a block near the root, as a window moves.
                root = order[at.index(order.len().min(3))];
                naive.set_root(root);
                choice.set_root(&root);
            }
        }
        prop_assert_eq!(choice.best(), naive.best(seal, root), "after step {}", n);
        for id in &order {
            prop_assert_eq!(choice.contains(id), naive.0.contains_key(id));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::testing::cases(400))]

    #[test]
    fn distinct_sealers_choose_as_the_rule_says(
        steps in prop::collection::vec(step(), 1..60), near: bool
    ) {
        follow(SealRule::Authority, &steps, near)?;
    }

    #[test]
    fn work_chooses_as_the_rule_says(
        steps in prop::collection::vec(step(), 1..60), near: bool
    ) {
        follow(POW, &steps, near)?;
    }
}

#[test]
fn one_busy_sealer_cannot_outweigh_two() {
    let root = block(0, None, 0, 0, 0b11);
    let mut choice = ForkChoice::new(SealRule::Authority, root.clone());
    let first = block(1, Some(&root), 0, 1, 0b11);
    let second = block(2, Some(&first), 1, 0, 0b11);
    let mut busy = root;
    for n in 10..60 {
        busy = block(n, Some(&busy), 0, 1, 0b11);
        choice.insert(busy.clone());
    }
    choice.insert(first);
    assert_eq!(choice.best(), busy.id);
    choice.insert(second.clone());
    assert_eq!(choice.best(), second.id);
    choice.remove(&second.id);
    assert_eq!(choice.best(), busy.id);
}

#[test]
fn a_long_chain_with_a_fork_at_every_height_is_followed() {
    let mut tip = block(0, None, 0, 0, 0xff);
    let mut choice = ForkChoice::new(SealRule::Authority, tip.clone());
    let mut chain = Vec::new();
    for n in 1..500u32 {
        tip = block(n, Some(&tip), (n % 5) as u8, 0, 0xff);
        choice.insert(tip.clone());
        chain.push(tip.clone());
    }
    for (n, at) in (10_000u32..).zip(&chain[..chain.len() - 10]) {
        choice.insert(block(n, Some(at), 7, 0, 0xff));
    }
    assert_eq!(choice.best(), tip.id);
    for at in chain.iter().take(400) {
        choice.set_root(&at.id);
    }
    assert_eq!(choice.best(), tip.id);
}
