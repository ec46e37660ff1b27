//! The rule of authority: at each fork from the root down, more distinct sealers in the subtree,
//! then more work on its heaviest chain, then the lower id.
//!
//! Blocks are grouped into *runs*: maximal chains without a fork inside. Each run counts the blocks
//! of each sealer in its whole subtree and remembers the best of its child runs, so a new block
//! costs one step for each fork above it and none for each block. A fork inside a run splits it and
//! relabels the shorter part; the end of a fork joins two runs the same way.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::id::{BlockId, NodeId};
use crate::work::{Height, Work};

use super::Candidate;

type RunId = u64;
/// Blocks of each sealer.
type Tally = BTreeMap<NodeId, u32>;

#[derive(Debug, Clone)]
struct Block {
    parent: BlockId,
    height: Height,
    sealer: NodeId,
    work: Work,
    sealers: Arc<[NodeId]>,
    run: RunId,
    /// Its child in the same run.
    next: Option<BlockId>,
}

/// A chain of blocks of which only the last may have several children. Child runs: none, or two
/// and more.
#[derive(Debug, Clone)]
struct Run {
    first: BlockId,
    last: BlockId,
    parent: Option<RunId>,
    children: Vec<RunId>,
    /// The child run to go on into.
    best: Option<RunId>,
    /// Every block of the subtree, by sealer.
    tally: Tally,
    /// Sealers in `tally` that were allowed at the fork above.
    distinct: usize,
    /// Cumulative work of the heaviest block in the subtree.
    heaviest: Work,
}

#[derive(Debug, Clone)]
pub(super) struct Distinct {
    blocks: BTreeMap<BlockId, Block>,
    runs: BTreeMap<RunId, Run>,
    root: RunId,
    next_run: RunId,
}

/// Everything named by a run or block is there; a miss is a bug of this file.
const BROKEN: &str = "fork choice: runs and blocks name each other";

impl Distinct {
    pub(super) fn new(root: Candidate) -> Self {
        let run = Run {
            first: root.id,
            last: root.id,
            parent: None,
            children: Vec::new(),
            best: None,
            tally: Tally::from([(root.sealer, 1)]),
            distinct: 0,
            heaviest: root.work,
        };
        Self {
            blocks: BTreeMap::from([(root.id, block_of(root, 0))]),
            runs: BTreeMap::from([(0, run)]),
            root: 0,
            next_run: 1,
        }
    }

    pub(super) fn best(&self) -> BlockId {
        let mut run = self.run(self.root);
        while let Some(next) = run.best {
            run = self.run(next);
        }
        run.last
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.blocks.contains_key(id)
    }

    pub(super) fn insert(&mut self, block: Candidate) {
        let above = self.block(&block.parent).run;
        let (id, sealer, work) = (block.id, block.sealer, block.work);
        let run = if self.run(above).last != block.parent {
            self.split(&block.parent);
            let fork = self.block(&block.parent).run;
            self.branch(fork, id)
        } else if self.run(above).children.is_empty() {
            self.run_mut(above).last = id;
            self.block_mut(&block.parent).next = Some(id);
            above
        } else {
            self.branch(above, id)
        };
        self.blocks.insert(id, block_of(block, run));
        self.count(run, sealer, work);
    }

    pub(super) fn remove(&mut self, id: &BlockId) {
        let Some(block) = self.blocks.get(id) else {
            return;
        };
        let (run, parent) = (block.run, block.parent);
        if self.run(run).first != *id {
            // Everything below `id` in its run goes, and the run ends at the parent.
            let removed = self.drop_below(run, *id);
            self.run_mut(run).last = parent;
            self.block_mut(&parent).next = None;
            self.discount(run, &removed);
        } else if let Some(above) = self.run(run).parent {
            let removed = self.drop_below(run, *id);
            self.runs.remove(&run);
            self.run_mut(above).children.retain(|child| *child != run);
            self.discount(above, &removed);
            if self.run(above).children.len() == 1 {
                self.join(above);
            }
        }
    }

    pub(super) fn set_root(&mut self, id: &BlockId) {
        let Some(target) = self.blocks.get(id).map(|block| block.run) else {
            return;
        };
        // Drops the runs above the target's, and what forks off from them.
        let mut line = Vec::from([target]);
        while let Some(above) = line.last().and_then(|run| self.run(*run).parent) {
            line.push(above);
        }
        while let (Some(top), Some(next)) = (line.pop(), line.last().copied()) {
            let siblings = self.run(top).children.clone();
            for sibling in siblings.into_iter().filter(|run| *run != next) {
                let first = self.run(sibling).first;
                self.drop_below(sibling, first);
                self.runs.remove(&sibling);
            }
            let first = self.run(top).first;
            self.drop_chain(first, None, &mut Tally::new());
            self.runs.remove(&top);
            let run = self.run_mut(next);
            (run.parent, run.distinct) = (None, 0);
            self.root = next;
        }
        let (above, first) = (self.block(id).parent, self.run(target).first);
        if first != *id {
            let mut removed = Tally::new();
            self.drop_chain(first, Some(above), &mut removed);
            let run = self.run_mut(target);
            run.first = *id;
            subtract(&mut run.tally, &removed);
        }
    }

    fn block(&self, id: &BlockId) -> &Block {
        self.blocks.get(id).expect(BROKEN)
    }

    fn block_mut(&mut self, id: &BlockId) -> &mut Block {
        self.blocks.get_mut(id).expect(BROKEN)
    }

    fn run(&self, run: RunId) -> &Run {
        self.runs.get(&run).expect(BROKEN)
    }

    fn run_mut(&mut self, run: RunId) -> &mut Run {
        self.runs.get_mut(&run).expect(BROKEN)
    }

    /// Who was allowed to seal at the fork above a run; nobody above the root.
    fn allowed(&self, run: RunId) -> Arc<[NodeId]> {
        match self.run(run).parent {
            Some(above) => self.block(&self.run(above).last).sealers.clone(),
            None => Arc::from([]),
        }
    }

    /// Starts a run with the block that is about to be inserted.
    fn branch(&mut self, above: RunId, first: BlockId) -> RunId {
        let id = self.next_run;
        self.next_run += 1;
        let run = Run {
            first,
            last: first,
            parent: Some(above),
            children: Vec::new(),
            best: None,
            tally: Tally::new(),
            distinct: 0,
            heaviest: Work::ZERO,
        };
        self.runs.insert(id, run);
        self.run_mut(above).children.push(id);
        id
    }

    /// Counts a block in its run and all runs above, and lets each challenge its siblings. Counts
    /// only grow here, so no other sibling can become the best.
    fn count(&mut self, mut run: RunId, sealer: NodeId, work: Work) {
        loop {
            let allowed = self.allowed(run);
            let entry = self.run_mut(run);
            let blocks = entry.tally.entry(sealer).or_insert(0);
            *blocks += 1;
            if *blocks == 1 && allowed.binary_search(&sealer).is_ok() {
                entry.distinct += 1;
            }
            entry.heaviest = entry.heaviest.max(work);
            let Some(above) = entry.parent else { return };
            let best = self.run(above).best;
            if best.is_none_or(|best| self.weight(run) > self.weight(best)) {
                self.run_mut(above).best = Some(run);
            }
            run = above;
        }
    }

    /// Takes removed blocks out of a run's counts and of all runs above.
    fn discount(&mut self, run: RunId, removed: &Tally) {
        let mut next = Some(run);
        while let Some(run) = next {
            let allowed = self.allowed(run);
            let entry = self.run_mut(run);
            subtract(&mut entry.tally, removed);
            entry.distinct = distinct(&entry.tally, &allowed);
            self.settle(run);
            next = self.run(run).parent;
        }
    }

    /// Finds a run's best child and heaviest block again.
    fn settle(&mut self, run: RunId) {
        let entry = self.run(run);
        let children = entry.children.iter();
        let best = children.clone().max_by_key(|child| self.weight(**child));
        let last = self.block(&entry.last).work;
        let heaviest = children.map(|child| self.run(*child).heaviest).max();
        let (best, heaviest) = (best.copied(), heaviest.unwrap_or(last));
        let entry = self.run_mut(run);
        (entry.best, entry.heaviest) = (best, heaviest);
    }

    /// What siblings are compared by; ids differ, so no two are equal.
    fn weight(&self, run: RunId) -> (usize, Work, Reverse<BlockId>) {
        let run = self.run(run);
        (run.distinct, run.heaviest, Reverse(run.first))
    }

    /// Splits the run of `at` below it, so that a second child can be added there. The shorter
    /// part moves to the new run; the tally of the lower part is counted on whichever is shorter.
    fn split(&mut self, at: &BlockId) {
        let old = self.block(at).run;
        let whole = self.run(old).clone();
        let fork = self.block_mut(at);
        let (middle, allowed) = (fork.height, fork.sealers.clone());
        let first = fork.next.take().expect(BROKEN);
        let above = middle.above(self.block(&whole.first).height);
        let below = self.block(&whole.last).height.above(middle);
        let new = self.next_run;
        self.next_run += 1;
        let (upper, lower, tally) = if above < below {
            let moved = self.relabel(whole.first, new);
            let mut tally = whole.tally.clone();
            subtract(&mut tally, &moved);
            (new, old, tally)
        } else {
            let mut tally = self.relabel(first, new);
            for child in &whole.children {
                add(&mut tally, &self.run(*child).tally);
            }
            (old, new, tally)
        };
        for child in &whole.children {
            self.run_mut(*child).parent = Some(lower);
        }
        self.rename(&whole, old, upper);
        let lower_run = Run {
            first,
            parent: Some(upper),
            distinct: distinct(&tally, &allowed),
            tally,
            ..whole.clone()
        };
        let upper_run = Run { last: *at, children: Vec::from([lower]), best: Some(lower), ..whole };
        self.runs.insert(lower, lower_run);
        self.runs.insert(upper, upper_run);
    }

    /// Joins a run with its only child.
    fn join(&mut self, upper: RunId) {
        let top = self.run(upper).clone();
        let lower = *top.children.first().expect(BROKEN);
        let low = self.run(lower).clone();
        let middle = self.block(&low.first).height;
        let above = middle.above(self.block(&top.first).height);
        let below = self.block(&low.last).height.above(middle);
        let (kept, gone) = if above < below {
            self.relabel(top.first, lower);
            (lower, upper)
        } else {
            self.relabel(low.first, upper);
            (upper, lower)
        };
        self.block_mut(&top.last).next = Some(low.first);
        for child in &low.children {
            self.run_mut(*child).parent = Some(kept);
        }
        self.rename(&top, upper, kept);
        self.runs.remove(&gone);
        let joined = Run { last: low.last, children: low.children, best: low.best, ..top };
        self.runs.insert(kept, joined);
    }

    /// Lets whoever names the run `from` (its parent, or the root) name `to`.
    fn rename(&mut self, run: &Run, from: RunId, to: RunId) {
        match run.parent {
            None => self.root = to,
            Some(above) => {
                let above = self.run_mut(above);
                let names = above.children.iter_mut().chain(&mut above.best);
                names.filter(|run| **run == from).for_each(|run| *run = to);
            }
        }
    }

    /// Moves the blocks from `first` to the end of its chain to a run, and counts them.
    fn relabel(&mut self, first: BlockId, run: RunId) -> Tally {
        let mut tally = Tally::new();
        let mut next = Some(first);
        while let Some(id) = next {
            let block = self.block_mut(&id);
            block.run = run;
            next = block.next;
            *tally.entry(block.sealer).or_insert(0) += 1;
        }
        tally
    }

    /// Takes the blocks from `first` to `last` (or to the end of the chain) out, and counts them.
    fn drop_chain(&mut self, first: BlockId, last: Option<BlockId>, tally: &mut Tally) {
        let mut next = Some(first);
        while let Some(block) = next.and_then(|id| self.blocks.remove(&id)) {
            *tally.entry(block.sealer).or_insert(0) += 1;
            next = block.next.filter(|_| next != last);
        }
    }

    /// Takes a block and everything below it out, and counts them. Its run stays, without children
    /// and with a wrong end; the runs below go.
    fn drop_below(&mut self, run: RunId, first: BlockId) -> Tally {
        let mut tally = Tally::new();
        self.drop_chain(first, None, &mut tally);
        let mut runs = core::mem::take(&mut self.run_mut(run).children);
        while let Some(run) = runs.pop().and_then(|run| self.runs.remove(&run)) {
            self.drop_chain(run.first, None, &mut tally);
            runs.extend(run.children);
        }
        tally
    }
}

fn block_of(block: Candidate, run: RunId) -> Block {
    Block {
        parent: block.parent,
        height: block.height,
        sealer: block.sealer,
        work: block.work,
        sealers: block.sealers,
        run,
        next: None,
    }
}

fn distinct(tally: &Tally, allowed: &[NodeId]) -> usize {
    let known = |sealer: &&NodeId| allowed.binary_search(sealer).is_ok();
    tally.keys().filter(known).count()
}

fn add(tally: &mut Tally, more: &Tally) {
    for (sealer, blocks) in more {
        *tally.entry(*sealer).or_insert(0) += blocks;
    }
}

fn subtract(tally: &mut Tally, fewer: &Tally) {
    for (sealer, blocks) in fewer {
        if let Some(count) = tally.get_mut(sealer) {
            *count -= blocks;
            if *count == 0 {
                tally.remove(sealer);
            }
        }
    }
}
