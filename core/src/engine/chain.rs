//! The engine's chain: the header tree over what the store holds, and the tip that is applied.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::presync::Branch;
use crate::block::{Block, BodyReject, ChainEnd, Header, RecentTimes, facts_root, genesis};
use crate::chain::{HeaderTree, InsertError, NewHeader, Root, Status};
use crate::conn::ConnId;
use crate::id::{BlockId, FactId, MeshId, NodeId};
use crate::ledger::delta;
use crate::ledger::read::Read;
use crate::ledger::rows::{HeaderRow, TipRow};
use crate::limits::{HEADERS_PER_ANSWER, Limits};
use crate::params::{MEDIAN_TIME_SPAN, Params, SealRule};
use crate::store::{StoreFault, Table, View};
use crate::time::{Millis, Now, UnixTime};
use crate::verified::Unverified;
use crate::wire::{HeadersAnswer, Tip};
use crate::work::Height;

/// A peer's headers break a rule: the peer is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadHeaders;

/// What became of a peer's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// Headers that are new in memory.
    pub(super) new: usize,
    /// The last of them that is valid: from there the peer may be asked on.
    pub(super) last: Option<(Height, BlockId)>,
}

/// After the window was extended down it stays so for this many blocks, for the branch to come.
const DEEP_BLOCKS: u64 = 256;

/// The chain.
pub(super) struct Chain {
    pub(super) tree: HeaderTree,
    /// The tip and its counters, as in the store.
    pub(super) row: TipRow,
    /// Branches from below the window, of whoever shows them.
    branches: BTreeMap<ConnId, Branch>,
    /// The window does not move up before the tip is this high.
    deep_until: Height,
    params: Params,
    mesh: MeshId,
    tip_time: UnixTime,
    kept: u64,
    in_memory: usize,
    ahead_max: Millis,
}

const fn fault(what: &'static str) -> StoreFault {
    StoreFault { table: Table::Chain, what }
}

/// A header of the best chain.
pub(super) fn stored(view: &dyn View, height: Height) -> Result<(BlockId, HeaderRow), StoreFault> {
    let id = view.block_at(height)?.ok_or(fault("a height of the best chain is missing"))?;
    let row = view.header(&id)?.ok_or(fault("a header of the best chain is missing"))?;
    Ok((id, row))
}

fn sealers_after(view: &dyn View, header: &Header) -> Result<Arc<[NodeId]>, StoreFault> {
    let list = view.sealers(&header.sealers_root)?;
    list.map(Arc::from).ok_or(fault("a list of sealers is missing"))
}

/// The chain up to a height of the best chain, as a root for the tree.
fn root_at(view: &dyn View, height: Height) -> Result<Root, StoreFault> {
    let (id, row) = stored(view, height)?;
    let mut times = VecDeque::new();
    let lowest = height.0.saturating_sub(MEDIAN_TIME_SPAN as u64 - 1);
    for below in lowest..=height.0 {
        times.push_back(stored(view, Height(below))?.1.header.time);
    }
    let end = ChainEnd {
        id,
        work: row.work,
        effective_time: row.effective_time,
        times: times.into_iter().collect::<RecentTimes>(),
        history: delta::history(view, height.0 + 1)?,
        header: row.header,
    };
    let sealers = sealers_after(view, &end.header)?;
    Ok(Root { end, sealers })
}

/// Headers of the best chain from disk, above `below` up to `to`, with the lists they change.
fn headers_between(
    view: &dyn View,
    below: Height,
    to: Height,
) -> Result<Vec<NewHeader>, StoreFault> {
    let mut headers = Vec::new();
    let mut root = stored(view, below)?.1.header.sealers_root;
    for height in below.0 + 1..=to.0 {
        let (id, row) = stored(view, Height(height))?;
        if row.header.id() != id {
            return Err(fault("a stored header is damaged"));
        }
        let changed = row.header.sealers_root != root;
        root = row.header.sealers_root;
        let sealers = if changed { Some(sealers_after(view, &row.header)?) } else { None };
        headers.push(NewHeader { header: Unverified(row.header), sealers });
    }
    Ok(headers)
}

impl Chain {
    /// Loads the newest headers, checking that they make a chain up to the tip that the store
    /// names.
    pub(super) fn load(
        params: &Params,
        limits: &Limits,
        view: &dyn View,
    ) -> Result<Self, StoreFault> {
        let row = view.tip_row()?.ok_or(fault("the store has no tip"))?;
        let genesis = genesis(params).id();
        if view.block_at(Height::GENESIS)? != Some(genesis) {
            return Err(fault("the store belongs to another mesh"));
        }
        let low = Height(row.tip.height.0.saturating_sub(limits.headers_kept));
        let root = root_at(view, low)?;
        let mut tree = HeaderTree::new(params.clone(), limits.headers_in_memory, root);
        for header in headers_between(view, low, row.tip.height)? {
            tree.restore(header).map_err(|_| fault("the stored headers make no valid chain"))?;
        }
        if !tree.set_tip(row.tip.id) {
            return Err(fault("the stored headers do not lead to the tip"));
        }
        Ok(Self {
            tip_time: stored(view, row.tip.height)?.1.header.time,
            tree,
            row,
            branches: BTreeMap::new(),
            deep_until: Height::GENESIS,
            params: params.clone(),
            mesh: genesis.into(),
            kept: limits.headers_kept,
            in_memory: limits.headers_in_memory,
            ahead_max: limits.clock_ahead_max,
        })
    }

    pub(super) const fn mesh(&self) -> MeshId {
        self.mesh
    }

    pub(super) const fn tip(&self) -> Tip {
        self.row.tip
    }

    pub(super) const fn tip_time(&self) -> UnixTime {
        self.tip_time
    }

    /// The store has this tip now.
    pub(super) fn set_tip(&mut self, row: TipRow) {
        self.row = row;
        assert!(self.tree.set_tip(self.row.tip.id), "a connected block is in the tree");
        let entry = self.tree.entry(&self.row.tip.id);
        self.tip_time = entry.map_or(self.tip_time, |entry| entry.header().time);
        if self.row.tip.height >= self.deep_until {
            self.tree.prune(self.kept);
        }
    }

    /// Whether a header is in memory.
    pub(super) fn knows(&self, id: &BlockId) -> bool {
        self.tree.contains(id)
    }

    /// Whether a peer with this tip has nothing to tell us about headers. Under authority branches
    /// beside the chain count too: whoever knows the tip, but prefers another, may lack some.
    pub(super) fn agrees_with(&self, tip: &BlockId) -> bool {
        // What nearly all peers tell nearly always, and this is asked of each at every input.
        if *tip == self.tree.best_header() {
            return true;
        }
        self.knows(tip) && (self.heaviest_wins() || self.tree.on_best_headers(tip))
    }

    /// Whether work alone decides, so that a block weighs the same whatever else is known.
    const fn heaviest_wins(&self) -> bool {
        !matches!(self.params.seal, SealRule::Authority)
    }

    /// The block to connect up to: of what is held, the best. Under authority that depends on blocks
    /// beside the chain too, so there the choice among all headers decides as soon as the bodies on
    /// the way are here; until then, and if they never come (`given_up`), the choice among what is
    /// held.
    pub(super) fn target(&self, given_up: bool) -> BlockId {
        let (tip, held, body) = (self.row.tip.id, self.tree.held_to_best(), self.tree.best_body());
        if self.heaviest_wins() {
            return body;
        }
        let extends = |id: &BlockId| self.tree.common_ancestor(id, &tip) == Some(tip);
        let on_the_way = extends(&held);
        if held == self.tree.best_header() || (on_the_way && held != tip) {
            held
        } else if on_the_way && !given_up && !extends(&body) {
            // What is held may favor a branch only because of what is not.
            tip
        } else {
            body
        }
    }

    /// The headers of a branch beside the applied chain; `n` counts through all of them.
    pub(super) fn side_branch(
        &self,
        n: usize,
        max: usize,
        hidden: impl Fn(&BlockId) -> bool,
    ) -> Option<HeadersAnswer> {
        let leaves: Vec<BlockId> = self.tree.side_leaves().filter(|id| !hidden(id)).collect();
        let leaf = leaves.get(n.checked_rem(leaves.len())?)?;
        let from = self.tree.common_ancestor(leaf, &self.row.tip.id)?;
        let mut answer = HeadersAnswer { from, headers: Vec::new(), sealers: Vec::new() };
        let mut root = self.tree.entry(&from)?.header().sealers_root;
        for id in self.tree.path(&from, leaf, max)? {
            let entry = self.tree.entry(&id)?;
            if entry.header().sealers_root != root {
                root = entry.header().sealers_root;
                answer.sealers.push(entry.sealers().to_vec());
            }
            answer.headers.push(entry.header().get().clone());
        }
        Some(answer)
    }

    /// Whether the best header chain ends where the applied one does.
    pub(super) fn is_caught_up(&self) -> bool {
        self.tree.best_header() == self.row.tip.id
    }

    /// Whether the best header chain may get further ahead of the tip. Branches do not count: they
    /// give way, and nobody may stop us from following the best chain by making many.
    pub(super) fn has_room_for_headers(&self) -> bool {
        let ahead = self.best_header_height().above(self.row.tip.height);
        let held = ahead.saturating_add(self.kept + self.kept / 8);
        held.saturating_add(HEADERS_PER_ANSWER as u64) <= self.in_memory as u64
    }

    /// Height of the best header chain.
    pub(super) fn best_header_height(&self) -> Height {
        let best = self.tree.entry(&self.tree.best_header());
        best.map_or(self.row.tip.height, |entry| entry.header().height)
    }

    /// A block of the best header chain.
    pub(super) fn best_header_at(
        &self,
        height: Height,
        view: &dyn View,
    ) -> Result<Option<BlockId>, StoreFault> {
        if height < self.tree.root_height() {
            return view.block_at(height);
        }
        Ok(self.tree.ancestor_at(&self.tree.best_header(), height))
    }

    /// The next bodies to fetch on the way to the best header, in order; at most `max`.
    pub(super) fn bodies_wanted(&self, max: usize) -> Vec<BlockId> {
        self.missing_bodies(&self.tree.best_header(), max)
    }

    /// The same on the way to a tip beside the best header chain, which a peer has applied; empty if
    /// that is not known.
    pub(super) fn bodies_beside(&self, tip: &BlockId, max: usize) -> Vec<BlockId> {
        let valid = self.tree.entry(tip).is_some_and(|entry| entry.status() != Status::Invalid);
        if !valid || self.tree.on_best_headers(tip) {
            return Vec::new();
        }
        self.missing_bodies(tip, max)
    }

    fn missing_bodies(&self, to: &BlockId, max: usize) -> Vec<BlockId> {
        let lacks = |id: &BlockId| {
            self.tree.entry(id).is_some_and(|entry| entry.status() == Status::HeaderOnly)
        };
        let path = self.tree.path(&self.tree.held_to(to), to, max).unwrap_or_default();
        path.into_iter().filter(lacks).collect()
    }

    /// Whether a block is the first on the way to the best header that is not held: what comes for
    /// those after it brings us no further.
    pub(super) fn is_awaited(&self, id: &BlockId) -> bool {
        let parent = self.tree.entry(id).map(|entry| entry.header().parent);
        parent == Some(self.tree.held_to_best()) && self.tree.on_best_headers(id)
    }

    /// Judges a list that came as a block's body; none if the block is not in memory (any more),
    /// when nobody can tell. Every reject but `FactsRoot` means that the block itself is invalid.
    pub(super) fn judge_body(
        &self,
        id: &BlockId,
        facts: &[FactId],
    ) -> Option<Result<(), BodyReject>> {
        let header = self.tree.entry(id)?.header().get();
        if header.facts_root != facts_root(facts) {
            return Some(Err(BodyReject::FactsRoot));
        }
        let block = Block { header: header.clone(), facts: facts.to_vec() };
        Some(block.check_body(&self.params))
    }

    /// A block's body and facts are all here.
    pub(super) fn mark_held(&mut self, id: &BlockId) {
        self.tree.set_body_held(id);
    }

    /// Branches from below the window that are followed.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn branches(&self) -> usize {
        self.branches.len()
    }

    /// A connection is gone, and what its peer showed.
    pub(super) fn forget_branch(&mut self, conn: ConnId) {
        self.branches.remove(&conn);
    }

    /// Our chain changed below its tip: what was counted on it counts no more.
    pub(super) fn forget_branches(&mut self) {
        self.branches.clear();
    }

    /// Takes a peer's headers.
    pub(super) fn take_headers(
        &mut self,
        conn: ConnId,
        answer: &HeadersAnswer,
        now: &Now,
        view: &dyn View,
        seed: &[u8; 32],
    ) -> Result<Result<Taken, BadHeaders>, StoreFault> {
        let Some(first) = answer.headers.first() else {
            return Ok(Ok(Taken::default()));
        };
        let followed = self.branches.remove(&conn).filter(|branch| branch.end.id == answer.from);
        let from = match &followed {
            Some(branch) => Some(branch.end.header.clone()),
            None => self.base_header(&answer.from, view)?,
        };
        let Some(from) = from else {
            return Ok(Ok(Taken::default()));
        };
        let Some(headers) = with_sealers(&from, answer) else {
            return Ok(Err(BadHeaders));
        };
        if first.parent != answer.from {
            return Ok(Err(BadHeaders));
        }
        if let Some(branch) = followed {
            return self.follow(conn, branch, &headers, now, view, seed);
        }
        let (fork, rest) = self.skip_common((from.height, answer.from), &headers, view)?;
        if rest.is_empty() {
            return Ok(Ok(Taken { new: 0, last: Some(fork) }));
        }
        if !self.tree.contains(&fork.1) {
            let branch = Branch::new(root_at(view, fork.0)?);
            return self.follow(conn, branch, rest, now, view, seed);
        }
        let inserted = self.tree.insert_many(rest, now, self.ahead_max, seed);
        let taken = inserted.known + inserted.new.len();
        let last = taken.checked_sub(1).and_then(|last| rest.get(last));
        let last = last.map(|NewHeader { header, .. }| (header.0.height, header.0.id()));
        Ok(match inserted.stopped.map(|stopped| stopped.error) {
            Some(InsertError::Invalid(_)) => Err(BadHeaders),
            // That a body is invalid is no fault of a header, which may be told without it.
            _ => Ok(Taken { new: inserted.new.len(), last: last.or(Some(fork)) }),
        })
    }

    /// Leaves out the headers below the window that are ours too: a locator names few of those, so
    /// an answer may begin far below the fork. Returns the last one shared, and the rest.
    fn skip_common<'a>(
        &self,
        from: (Height, BlockId),
        mut headers: &'a [NewHeader],
        view: &dyn View,
    ) -> Result<((Height, BlockId), &'a [NewHeader]), StoreFault> {
        let mut shared = from;
        while !self.tree.contains(&shared.1)
            && let Some((next, rest)) = headers.split_first()
        {
            let (height, id) = (shared.0.next(), next.header.0.id());
            if !view.on_best_chain(&id, height)? {
                break;
            }
            (shared, headers) = ((height, id), rest);
        }
        Ok((shared, headers))
    }

    /// Follows a branch from below the window, and extends the window down to where it starts once
    /// it has proven that it would win.
    fn follow(
        &mut self,
        conn: ConnId,
        mut branch: Branch,
        headers: &[NewHeader],
        now: &Now,
        view: &dyn View,
        seed: &[u8; 32],
    ) -> Result<Result<Taken, BadHeaders>, StoreFault> {
        let earliness = (now, self.ahead_max, self.tip_time);
        if let Err(bad) = branch.follow(&self.params, headers, earliness, seed) {
            return Ok(Err(bad));
        }
        let (fork, tip) = (branch.fork, self.row.tip);
        let room = tip.height.above(fork.0) <= self.in_memory as u64 / 2;
        if room && branch.wins(&self.params, &tip, view)? {
            self.reach_down(fork.0, view)?;
            return Ok(Ok(Taken { new: 0, last: Some(fork) }));
        }
        let last = Some((branch.end.header.height, branch.end.id));
        if room {
            self.branches.insert(conn, branch);
        }
        Ok(Ok(Taken { new: 0, last: last.filter(|_| room) }))
    }

    /// The header that an answer builds on: in memory or on the best chain.
    fn base_header(&self, id: &BlockId, view: &dyn View) -> Result<Option<Header>, StoreFault> {
        if let Some(entry) = self.tree.entry(id) {
            return Ok(Some(entry.header().get().clone()));
        }
        let Some(row) = view.header(id)? else {
            return Ok(None);
        };
        let height = row.header.height;
        let usable = height < self.tree.root_height() && view.on_best_chain(id, height)?;
        Ok(usable.then_some(row.header))
    }

    /// Extends the tree down to where a branch starts.
    fn reach_down(&mut self, height: Height, view: &dyn View) -> Result<(), StoreFault> {
        if height >= self.tree.root_height() {
            return Ok(());
        }
        let root = root_at(view, height)?;
        let between = headers_between(view, height, self.tree.root_height())?;
        let extended = self.tree.extend_down(root, between);
        extended.map_err(|_| fault("the stored headers do not lead to those in memory"))?;
        self.deep_until = Height(self.row.tip.height.0.saturating_add(DEEP_BLOCKS));
        Ok(())
    }
}

/// Pairs each header that changes the sealers with its list; none if the lists do not fit.
fn with_sealers(from: &Header, answer: &HeadersAnswer) -> Option<Vec<NewHeader>> {
    let mut root = from.sealers_root;
    let mut lists = answer.sealers.iter();
    let mut headers = Vec::with_capacity(answer.headers.len());
    for header in &answer.headers {
        let changed = header.sealers_root != root;
        root = header.sealers_root;
        let sealers = if changed { Some(Arc::from(&lists.next()?[..])) } else { None };
        headers.push(NewHeader { header: Unverified(header.clone()), sealers });
    }
    lists.next().is_none().then_some(headers)
}
