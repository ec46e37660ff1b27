//! Verified headers in memory, as a tree: a bounded window of the chain and its branches.
//!
//! The root is a block of the applied chain; what is before it is on disk only. Every entry passed
//! every header rule. Two choices of the best tip are kept: among all valid headers (what to
//! fetch), and among blocks whose bodies are held without a gap from the root (what to connect).
//!
//! Invariants: every entry but the root has its parent; the applied tip is an entry; descendants of
//! an invalid entry are invalid; there are never more than `limit` entries (a window that was
//! extended down on purpose aside).
//!
//! Not here: reading or writing disk, and whose fault a bad header is.

mod insert;
#[cfg(test)]
mod tests;
mod window;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::block::{ChainEnd, Header, RecentTimes};
use crate::id::{BlockId, Hash, NodeId};
use crate::merkle::Frontier;
use crate::params::{MEDIAN_TIME_SPAN, Params};
use crate::seal::pow::EffectiveTime;
use crate::verified::Verified;
use crate::work::{Height, Work};

use super::fork_choice::{Candidate, ForkChoice};

pub use insert::{InsertError, Inserted, NewHeader, Stopped};
pub use window::ExtendError;

/// Every so many blocks an entry keeps the peaks of the history tree, so that a branch can start
/// anywhere for at most this many leaf hashes.
const PEAKS_EVERY: u64 = 32;
/// Most equivocations that are remembered.
pub const EVIDENCE_MAX: usize = 64;

/// What is known of a block beyond its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its header is valid.
    HeaderOnly,
    /// Its body and all facts are held.
    BodyHeld,
    /// It, or one before it, cannot be applied.
    Invalid,
}

/// A header in the tree.
#[derive(Debug, Clone)]
pub struct Entry {
    header: Verified<Header>,
    work: Work,
    effective_time: EffectiveTime,
    sealers: Arc<[NodeId]>,
    status: Status,
    children: Vec<BlockId>,
    /// Peaks of the history up to this block, at some heights.
    peaks: Option<Box<[Hash]>>,
    /// An ancestor further down (see `skip_height`), to find any ancestor in few steps. It may have
    /// left the window since.
    skip: Option<BlockId>,
}

impl Entry {
    /// An entry without children for the last block of a chain.
    fn new(end: &ChainEnd, sealers: Arc<[NodeId]>, status: Status) -> Self {
        let keep_peaks = end.header.height.0.is_multiple_of(PEAKS_EVERY);
        Self {
            header: Verified::proven(end.header.clone()),
            work: end.work,
            effective_time: end.effective_time,
            sealers,
            status,
            children: Vec::new(),
            peaks: keep_peaks.then(|| end.history.peaks().into()),
            skip: None,
        }
    }

    /// The header.
    pub const fn header(&self) -> &Verified<Header> {
        &self.header
    }

    /// Work from genesis to here.
    pub const fn work(&self) -> Work {
        self.work
    }

    /// Effective time, for ASERT.
    pub const fn effective_time(&self) -> EffectiveTime {
        self.effective_time
    }

    /// Who may seal the next block.
    pub const fn sealers(&self) -> &Arc<[NodeId]> {
        &self.sealers
    }

    /// What is known of the block.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The blocks on top of it that are in memory, in order of arrival.
    pub fn children(&self) -> &[BlockId] {
        &self.children
    }
}

/// Where a tree begins: the end of a chain that is on disk, and who may seal the next block.
#[derive(Debug, Clone)]
pub struct Root {
    /// The last block of that chain.
    pub end: ChainEnd,
    /// The list that `end.header.sealers_root` commits to.
    pub sealers: Arc<[NodeId]>,
}

impl Root {
    /// The beginning of every chain of a mesh.
    pub fn genesis(params: &Params) -> Self {
        Self { end: ChainEnd::genesis(params), sealers: Arc::from(&params.roots[..]) }
    }
}

/// Two blocks by one sealer on one parent: shown to people, nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Who.
    pub sealer: NodeId,
    /// On what.
    pub parent: BlockId,
    /// The block that was known first.
    pub first: BlockId,
    /// The other one.
    pub second: BlockId,
}

/// The tree of headers.
#[derive(Debug, Clone)]
pub struct HeaderTree {
    params: Params,
    limit: usize,
    entries: BTreeMap<BlockId, Entry>,
    root: BlockId,
    /// Times of the newest headers up to the root.
    root_times: RecentTimes,
    tip: BlockId,
    headers: ForkChoice,
    bodies: ForkChoice,
    /// Entries without children: the invalid first, then by work, to find what to give up.
    leaves: BTreeSet<(bool, Work, BlockId)>,
    evidence: Vec<Evidence>,
    /// The end that was extended last: nearly always the one that is extended next.
    last: Option<Box<ChainEnd>>,
}

impl HeaderTree {
    /// A tree of its root alone, which is the applied tip. `limit` counts entries.
    pub fn new(params: Params, limit: usize, root: Root) -> Self {
        let id = root.end.id;
        let mut entry = Entry::new(&root.end, root.sealers, Status::BodyHeld);
        entry.peaks = Some(root.end.history.peaks().into());
        let choice = ForkChoice::new(params.seal, candidate(id, &entry));
        Self {
            params,
            limit,
            root: id,
            root_times: root.end.times,
            tip: id,
            headers: choice.clone(),
            bodies: choice,
            leaves: BTreeSet::from([leaf_key(id, &entry)]),
            entries: BTreeMap::from([(id, entry)]),
            evidence: Vec::new(),
            last: None,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Never: there is always a root.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the block's header is here.
    pub fn contains(&self, id: &BlockId) -> bool {
        self.entries.contains_key(id)
    }

    /// A block's entry.
    pub fn entry(&self, id: &BlockId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The lowest block in memory; on the applied chain.
    pub const fn root(&self) -> BlockId {
        self.root
    }

    /// Height of the root.
    pub fn root_height(&self) -> Height {
        self.entries.get(&self.root).map_or(Height::GENESIS, |root| root.header.height)
    }

    /// The applied tip, as last told.
    pub const fn tip(&self) -> BlockId {
        self.tip
    }

    /// Tells which block is applied now; so its body is held. False, and nothing changes, unless
    /// that is so for all blocks from the root to it.
    pub fn set_tip(&mut self, id: BlockId) -> bool {
        self.set_body_held(&id);
        let applied = self.bodies.contains(&id);
        if applied {
            self.tip = id;
        }
        applied
    }

    /// Tip of the best chain of valid headers: what to fetch.
    pub fn best_header(&self) -> BlockId {
        self.headers.best()
    }

    /// Tip of the best chain of held bodies: what to connect.
    pub fn best_body(&self) -> BlockId {
        self.bodies.best()
    }

    /// The last block on the way to the best header whose body, and every one before it, is held.
    pub fn held_to_best(&self) -> BlockId {
        self.held_to(&self.best_header())
    }

    /// The same on the way to any block; the root for one that is not in memory.
    pub fn held_to(&self, end: &BlockId) -> BlockId {
        if self.bodies.contains(end) {
            return *end;
        }
        let at = |height| self.ancestor_at(end, Height(height)).unwrap_or(self.root);
        // The root is held, the end is not, and there is one change between.
        let mut held = self.root_height().0;
        let mut lacking = self.entries.get(end).map_or(held, |entry| entry.header.height.0);
        while lacking.saturating_sub(held) > 1 {
            let middle = held + (lacking - held) / 2;
            if self.bodies.contains(&at(middle)) {
                held = middle;
            } else {
                lacking = middle;
            }
        }
        at(held)
    }

    /// Whether a block is in memory and on the chain to the best header.
    pub fn on_best_headers(&self, id: &BlockId) -> bool {
        let height = self.entries.get(id).map(|entry| entry.header.height);
        height.is_some_and(|height| self.ancestor_at(&self.best_header(), height) == Some(*id))
    }

    /// Ends of valid branches that the applied tip is not on, heaviest first.
    pub fn side_leaves(&self) -> impl Iterator<Item = BlockId> {
        let valid = self.leaves.iter().rev().take_while(|(valid, ..)| *valid);
        valid.map(|(.., id)| *id).filter(|id| {
            self.entries
                .get(&self.tip)
                .is_some_and(|tip| self.ancestor_at(id, tip.header.height) != Some(self.tip))
        })
    }

    /// Equivocations seen, oldest first.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// The ancestor of a block (or itself) at a height, as far as it is in memory.
    pub fn ancestor_at(&self, id: &BlockId, height: Height) -> Option<BlockId> {
        let mut id = *id;
        loop {
            let entry = self.entries.get(&id)?;
            let here = entry.header.height;
            if here <= height {
                return (here == height).then_some(id);
            }
            // Taking the parent first is better where its skip leads closer.
            let (skip, of_parent) = (skip_height(here.0), skip_height(here.0 - 1));
            let closer = of_parent.saturating_add(2) < skip && of_parent >= height.0;
            let usable = skip == height.0 || (skip > height.0 && !closer);
            let far = entry.skip.filter(|far| usable && self.contains(far));
            id = far.unwrap_or(entry.header.parent);
        }
    }

    /// The last block that two chains share.
    pub fn common_ancestor(&self, a: &BlockId, b: &BlockId) -> Option<BlockId> {
        let height = |id: &BlockId| Some(self.entries.get(id)?.header.height.0);
        // They share the root; they do not share `above`.
        let mut shared = self.root_height().0;
        let mut above = height(a)?.min(height(b)?) + 1;
        while above - shared > 1 {
            let middle = Height(shared + (above - shared) / 2);
            if self.ancestor_at(a, middle) == self.ancestor_at(b, middle) {
                shared = middle.0;
            } else {
                above = middle.0;
            }
        }
        self.ancestor_at(a, Height(shared))
    }

    /// The first `max` blocks after `from` on the way up to `to`, ascending; none if `from` is not
    /// `to` or an ancestor of it.
    pub fn path(&self, from: &BlockId, to: &BlockId, max: usize) -> Option<Vec<BlockId>> {
        let bottom = self.entries.get(from)?.header.height;
        let top = self.entries.get(to)?.header.height;
        if self.ancestor_at(to, bottom) != Some(*from) {
            return None;
        }
        let mut id = self.ancestor_at(to, top.min(Height(bottom.0.saturating_add(max as u64))))?;
        let mut path = Vec::new();
        while id != *from {
            path.push(id);
            id = self.entries.get(&id)?.header.parent;
        }
        path.reverse();
        Some(path)
    }

    /// The chain that ends with this block, with all that the next header is judged by.
    pub fn end(&self, id: &BlockId) -> Option<ChainEnd> {
        if let Some(last) = self.last.as_ref().filter(|last| last.id == *id) {
            return Some((**last).clone());
        }
        let entry = self.entries.get(id)?;
        Some(ChainEnd {
            id: *id,
            header: entry.header.get().clone(),
            work: entry.work,
            effective_time: entry.effective_time,
            times: self.times(entry),
            history: self.history(*id)?,
        })
    }

    /// A block is held: body and all facts. Returns whether it is known and valid.
    pub fn set_body_held(&mut self, id: &BlockId) -> bool {
        match self.entries.get_mut(id) {
            Some(entry) if entry.status != Status::Invalid => entry.status = Status::BodyHeld,
            _ => return false,
        }
        // Its descendants may have waited for it.
        let mut waiting = Vec::from([*id]);
        while let Some(id) = waiting.pop() {
            if let Some(entry) = self.entries.get(&id)
                && entry.status == Status::BodyHeld
                && self.bodies.insert(candidate(id, entry))
            {
                waiting.extend(&entry.children);
            }
        }
        true
    }

    /// A block cannot be applied: it and all its descendants compete no more. Returns how many
    /// entries this changed; none for what is unknown or on the applied chain.
    pub fn mark_invalid(&mut self, id: &BlockId) -> usize {
        let Some(entry) = self.entries.get(id) else {
            return 0;
        };
        if self.ancestor_at(&self.tip, entry.header.height) == Some(*id) {
            return 0;
        }
        self.headers.remove(id);
        self.bodies.remove(id);
        let mut changed = 0;
        let mut below = Vec::from([*id]);
        while let Some(id) = below.pop() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            if entry.children.is_empty() {
                self.leaves.remove(&leaf_key(id, entry));
            }
            changed += usize::from(entry.status != Status::Invalid);
            entry.status = Status::Invalid;
            if entry.children.is_empty() {
                self.leaves.insert(leaf_key(id, entry));
            }
            below.extend(&entry.children);
        }
        changed
    }

    /// Times of the newest headers up to an entry, oldest first.
    fn times(&self, entry: &Entry) -> RecentTimes {
        let mut newest_first = RecentTimes::new();
        let mut at = entry;
        while !newest_first.is_full() {
            let Some(parent) = self.entries.get(&at.header.parent) else {
                // The root, whose time is the last of these.
                let earlier = self.root_times.iter().rev();
                newest_first.extend(earlier.take(MEDIAN_TIME_SPAN - newest_first.len()).copied());
                break;
            };
            let _ = newest_first.push(at.header.time);
            at = parent;
        }
        newest_first.reverse();
        newest_first
    }

    /// History up to a block: the nearest peaks at or below it, and the ids since.
    fn history(&self, id: BlockId) -> Option<Frontier> {
        let mut since = Vec::new();
        let mut at = id;
        let mut history = loop {
            let entry = self.entries.get(&at)?;
            if let Some(peaks) = &entry.peaks {
                let peaks = heapless::Vec::from_slice(peaks).ok()?;
                break Frontier::try_from((entry.header.height.0 + 1, peaks)).ok()?;
            }
            since.push(at);
            at = entry.header.parent;
        };
        since.iter().rev().for_each(|id| history.push(id.as_bytes()));
        Some(history)
    }
}

/// Height of the ancestor that an entry points to besides its parent, so that any ancestor is
/// found in logarithmically many steps (Bitcoin Core, `GetSkipHeight`).
const fn skip_height(height: u64) -> u64 {
    const fn clear_lowest(n: u64) -> u64 {
        n & n.wrapping_sub(1)
    }
    match height {
        0 | 1 => 0,
        _ if height & 1 == 1 => clear_lowest(clear_lowest(height - 1)) + 1,
        _ => clear_lowest(height),
    }
}

fn candidate(id: BlockId, entry: &Entry) -> Candidate {
    Candidate {
        id,
        parent: entry.header.parent,
        height: entry.header.height,
        sealer: entry.header.voter(),
        work: entry.work,
        sealers: entry.sealers.clone(),
    }
}

fn leaf_key(id: BlockId, entry: &Entry) -> (bool, Work, BlockId) {
    (entry.status != Status::Invalid, entry.work, id)
}
