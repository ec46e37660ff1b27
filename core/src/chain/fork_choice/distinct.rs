//! The rule of authority: at each fork from the root down, more distinct sealers in the subtree,
//! then more work on its heaviest chain, then the lower id.
//!
//! Blocks are grouped into *runs*: maximal chains without a fork inside. Each run knows the sealers
//! in its whole subtree and the best of its child runs, so a new block costs at most one small step
//! for each fork above it and none for each block, and the walk up ends where nothing changes. A
//! fork inside a run splits it and relabels the shorter part; the end of a fork joins two runs the
//! same way.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::block::RECOVERY;
use crate::id::{BlockId, NodeId};
use crate::work::{Height, Work};

use super::Candidate;

type RunId = usize;
/// For each sealer, how many reasons there are to count it.
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
    /// Whom the subtree counts for: a reason is a block of this run, or a child run that has the
    /// sealer. So only a sealer that is new to a run, or gone from it, concerns the runs above.
    tally: Tally,
    /// What the sealers in `tally` count for at the fork above.
    distinct: usize,
    /// Cumulative work of the heaviest block in the subtree.
    heaviest: Work,
}

#[derive(Debug, Clone)]
pub(super) struct Distinct {
    blocks: BTreeMap<BlockId, Block>,
    /// By number, with gaps to be filled again.
    runs: Vec<Option<Run>>,
    gaps: Vec<RunId>,
    root: RunId,
    /// The best tip.
    best: BlockId,
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
            best: root.id,
            blocks: BTreeMap::from([(root.id, block_of(root, 0))]),
            runs: Vec::from([Some(run)]),
            gaps: Vec::new(),
            root: 0,
        }
    }

    pub(super) const fn best(&self) -> BlockId {
        self.best
    }

    /// Goes from the root down into the winner of each fork.
    fn find_best(&mut self) {
        let mut run = self.run(self.root);
        while let Some(next) = run.best {
            run = self.run(next);
        }
        self.best = run.last;
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.blocks.contains_key(id)
    }

    pub(super) fn insert(&mut self, block: Candidate) {
        let above = self.block(&block.parent).run;
        let (id, sealer, work) = (block.id, block.sealer, block.work);
        let extends_best = block.parent == self.best;
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
        if self.count(run, sealer, work) {
            self.find_best();
        } else if extends_best {
            self.best = id;
        }
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
            self.discount(run, removed);
        } else if let Some(above) = self.run(run).parent {
            self.drop_below(run, *id);
            let removed = self.take_run(run).map(|run| presence(&run.tally)).unwrap_or_default();
            self.run_mut(above).children.retain(|child| *child != run);
            self.discount(above, removed);
            if self.run(above).children.len() == 1 {
                self.join(above);
            }
        }
        self.find_best();
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
                self.take_run(sibling);
            }
            let first = self.run(top).first;
            self.drop_chain(first, None, &mut Tally::new());
            self.take_run(top);
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
        self.find_best();
    }

    fn block(&self, id: &BlockId) -> &Block {
        self.blocks.get(id).expect(BROKEN)
    }

    fn block_mut(&mut self, id: &BlockId) -> &mut Block {
        self.blocks.get_mut(id).expect(BROKEN)
    }

    fn run(&self, run: RunId) -> &Run {
        self.runs.get(run).and_then(Option::as_ref).expect(BROKEN)
    }

    fn run_mut(&mut self, run: RunId) -> &mut Run {
        self.runs.get_mut(run).and_then(Option::as_mut).expect(BROKEN)
    }

    fn take_run(&mut self, run: RunId) -> Option<Run> {
        self.gaps.push(run);
        self.runs.get_mut(run).and_then(Option::take)
    }

    /// A number for a new run, whose place is empty.
    fn new_run(&mut self) -> RunId {
        self.gaps.pop().unwrap_or_else(|| {
            self.runs.push(None);
            self.runs.len() - 1
        })
    }

    /// Who was allowed to seal at the fork above a run; nobody above the root.
    fn allowed(&self, run: RunId) -> &[NodeId] {
        match self.run(run).parent {
            Some(above) => &self.block(&self.run(above).last).sealers,
            None => &[],
        }
    }

    /// Starts a run with the block that is about to be inserted.
    fn branch(&mut self, above: RunId, first: BlockId) -> RunId {
        let id = self.new_run();
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
        self.runs[id] = Some(run);
        self.run_mut(above).children.push(id);
        id
    }

    /// Counts a block in its run and in the runs above that it makes a difference to, and lets
    /// each challenge its siblings. Counts only grow here, so no other sibling can become the best.
    /// Returns whether a fork has another winner now.
    fn count(&mut self, mut run: RunId, sealer: NodeId, work: Work) -> bool {
        let (mut new_sealer, mut turned) = (true, false);
        loop {
            let mut heavier = false;
            if new_sealer {
                let reasons = self.run_mut(run).tally.entry(sealer).or_insert(0);
                *reasons += 1;
                new_sealer = *reasons == 1;
                let counts = if new_sealer { weight_of(&sealer, self.allowed(run)) } else { 0 };
                heavier = counts > 0;
                self.run_mut(run).distinct += counts;
            }
            let entry = self.run_mut(run);
            heavier |= work > entry.heaviest;
            entry.heaviest = entry.heaviest.max(work);
            let Some(above) = entry.parent.filter(|_| heavier || new_sealer) else {
                return turned;
            };
            let best = self.run(above).best;
            let wins = |best: RunId| best != run && self.weight(run) > self.weight(best);
            if best.is_none_or(wins) {
                self.run_mut(above).best = Some(run);
                turned = true;
            }
            run = above;
        }
    }

    /// Takes removed reasons out of a run's counts, and what follows from it out of those above.
    fn discount(&mut self, run: RunId, mut removed: Tally) {
        let mut next = Some(run);
        while let Some(run) = next {
            let before = self.weight(run);
            removed = subtract(&mut self.run_mut(run).tally, &removed);
            let distinct = distinct(&self.run(run).tally, self.allowed(run));
            self.run_mut(run).distinct = distinct;
            self.settle(run);
            let same = removed.is_empty() && self.weight(run) == before;
            next = self.run(run).parent.filter(|_| !same);
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
    /// part moves to the new run.
    fn split(&mut self, at: &BlockId) {
        let old = self.block(at).run;
        let whole = self.run(old).clone();
        let fork = self.block_mut(at);
        let (middle, allowed) = (fork.height, fork.sealers.clone());
        let first = fork.next.take().expect(BROKEN);
        let above = middle.above(self.block(&whole.first).height);
        let below = self.block(&whole.last).height.above(middle);
        let new = self.new_run();
        // Whatever the upper part has no block for, it has because the lower part has.
        let (upper, lower, mut own, tally) = if above < below {
            let own = self.relabel(whole.first, new);
            let mut tally = whole.tally.clone();
            subtract(&mut tally, &own);
            (new, old, own, tally)
        } else {
            let mut tally = self.relabel(first, new);
            for child in &whole.children {
                add(&mut tally, &presence(&self.run(*child).tally));
            }
            let mut own = whole.tally.clone();
            subtract(&mut own, &tally);
            (old, new, own, tally)
        };
        add(&mut own, &presence(&tally));
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
        let (children, best) = (Vec::from([lower]), Some(lower));
        let upper_run = Run { last: *at, children, best, tally: own, ..whole };
        self.runs[lower] = Some(lower_run);
        self.runs[upper] = Some(upper_run);
    }

    /// Joins a run with its only child.
    fn join(&mut self, upper: RunId) {
        let mut top = self.run(upper).clone();
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
        self.take_run(gone);
        subtract(&mut top.tally, &presence(&low.tally));
        add(&mut top.tally, &low.tally);
        let joined = Run { last: low.last, children: low.children, best: low.best, ..top };
        self.runs[kept] = Some(joined);
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

    /// Takes a block and everything below it out. Its run stays, without children and with a wrong
    /// end; the runs below go. Returns what its run has no reason for any more.
    fn drop_below(&mut self, run: RunId, first: BlockId) -> Tally {
        let mut tally = Tally::new();
        self.drop_chain(first, None, &mut tally);
        let mut runs = core::mem::take(&mut self.run_mut(run).children);
        for child in &runs {
            add(&mut tally, &presence(&self.run(*child).tally));
        }
        while let Some(run) = runs.pop().and_then(|run| self.take_run(run)) {
            self.drop_chain(run.first, None, &mut Tally::new());
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
    tally.keys().map(|sealer| weight_of(sealer, allowed)).sum()
}

/// What a sealer counts for at a fork: one if it was allowed there, but the recovery keys for more
/// than all of those together.
fn weight_of(sealer: &NodeId, allowed: &[NodeId]) -> usize {
    if *sealer == RECOVERY {
        return allowed.len() + 1;
    }
    usize::from(allowed.binary_search(sealer).is_ok())
}

fn add(tally: &mut Tally, more: &Tally) {
    for (sealer, reasons) in more {
        *tally.entry(*sealer).or_insert(0) += reasons;
    }
}

/// Everyone who is in a tally, for one reason.
fn presence(tally: &Tally) -> Tally {
    tally.keys().map(|sealer| (*sealer, 1)).collect()
}

/// Returns who is not in the tally any more, for one reason.
fn subtract(tally: &mut Tally, fewer: &Tally) -> Tally {
    let mut gone = Tally::new();
    for (sealer, reasons) in fewer {
        if let Some(count) = tally.get_mut(sealer) {
            *count -= reasons;
            if *count == 0 {
                tally.remove(sealer);
                gone.insert(*sealer, 1);
            }
        }
    }
    gone
}
