//! Custody facts that follow a fact nobody has shown.
//!
//! They wait for it in the mempool, for a while and in bounded number; then they are in conflict,
//! which costs nothing and is reported, like every fact that lost. Should the fact they follow come
//! after all they are judged again. Which ones those are is remembered for so many, and looked up
//! in the store at a start; whatever is forgotten is judged again after a reorg at the latest.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::Engine;
use crate::fact::Fact;
use crate::id::FactId;
use crate::ledger::delta;
use crate::ledger::overlay::Overlay;
use crate::ledger::read::Read;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::{FOR_GOOD, height_key};
use crate::store::{Batch, StoreFault, Table, View};
use crate::time::{Instant, Millis};

/// How long an orphan waits before it is in conflict: longer than a fact takes to come from a peer
/// that can be reached.
const PATIENCE: Millis = 600_000;
/// Orphans that wait at a time; of more the oldest are given up at once.
pub(super) const WAITING_MAX: usize = 1_024;
/// Orphans given up that are remembered, and conflicts looked at when starting.
pub(super) const GIVEN_UP_MAX: usize = 1_024;

/// The orphans.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Oldest first; some may have been sealed since.
    waiting: VecDeque<(Instant, FactId)>,
    /// By the fact they follow.
    given_up: BTreeMap<FactId, Vec<FactId>>,
    order: VecDeque<FactId>,
    /// To be judged again.
    reopened: Vec<FactId>,
}

impl Orphans {
    /// Those that the store knows.
    pub(super) fn load(view: &dyn View) -> Result<Self, StoreFault> {
        let mut orphans = Self::default();
        let mut followers: BTreeMap<FactId, Vec<FactId>> = BTreeMap::new();
        let last = height_key(FOR_GOOD);
        let conflicts = view.scan_back(Table::Conflict, &[], &last, GIVEN_UP_MAX)?;
        for id in conflicts.iter().filter_map(|(_, id)| FactId::from_slice(id)) {
            if let Some((_, fact)) = view.fact(&id)?
                && let Some(follows) = followed(&fact.fact())
            {
                followers.entry(follows).or_default().push(id);
            }
        }
        let mut unknown = Vec::new();
        for follows in followers.keys() {
            if view.fact_row(follows)?.is_none() {
                unknown.push(*follows);
            }
        }
        while let Some(follows) = unknown.pop() {
            for id in followers.remove(&follows).unwrap_or_default() {
                orphans.give_up(follows, id);
                unknown.push(id);
            }
        }
        Ok(orphans)
    }

    /// When the next one is given up.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let due = self.waiting.front().map(|(due, _)| *due);
        let at_once = !self.reopened.is_empty() || self.waiting.len() > WAITING_MAX;
        if at_once { Some(Instant(0)) } else { due }
    }

    /// How many wait, were given up (the longer of two lists), and are to be judged again.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let given_up: usize = self.given_up.values().map(Vec::len).sum();
        (self.waiting.len(), given_up.max(self.order.len()), self.reopened.len())
    }

    fn next_due(&mut self, now: Instant) -> Option<FactId> {
        let full = self.waiting.len() > WAITING_MAX;
        self.waiting.pop_front_if(|(due, _)| full || *due <= now).map(|(_, id)| id)
    }

    fn give_up(&mut self, follows: FactId, orphan: FactId) {
        self.given_up.entry(follows).or_default().push(orphan);
        self.order.push_back(follows);
        if self.order.len() > GIVEN_UP_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.given_up.remove(&oldest);
        }
    }

    /// A fact came: what followed it in vain, and what followed that, is judged again.
    pub(super) fn arrived(&mut self, id: &FactId) {
        let mut came = Vec::from([*id]);
        while let Some(id) = came.pop() {
            for orphan in self.given_up.remove(&id).unwrap_or_default() {
                self.reopened.push(orphan);
                came.push(orphan);
            }
        }
    }
}

fn followed(fact: &Fact<'_>) -> Option<FactId> {
    fact.body.custody().and_then(|(_, follows)| follows)
}

impl Engine {
    /// Notes what was just judged and waits for another fact.
    pub(super) fn note_orphans(&mut self) {
        let due = self.now.instant.after(PATIENCE);
        let blocked = self.mempool.take_blocked().into_iter();
        self.orphans.waiting.extend(blocked.map(|id| (due, id)));
    }

    /// Facts that are in conflict because what they follow is are judged again with it.
    pub(super) fn note_lost_followers(
        &mut self,
        conflicts: &[FactId],
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        if conflicts.is_empty() || self.orphans.given_up.is_empty() {
            return Ok(());
        }
        let mut lost: BTreeSet<FactId> =
            self.orphans.given_up.values().flatten().copied().collect();
        for id in conflicts {
            let follows = view.fact(id)?.and_then(|(_, fact)| followed(&fact.fact()));
            if let Some(follows) = follows.filter(|follows| lost.contains(follows)) {
                lost.insert(*id);
                self.orphans.give_up(follows, *id);
            }
        }
        Ok(())
    }

    /// Gives up orphans that are due, or takes back those that are none any more. Returns whether
    /// anything was written.
    pub(super) fn review_orphans(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        if !self.orphans.reopened.is_empty() {
            let reopened = core::mem::take(&mut self.orphans.reopened);
            return self.reopen(reopened, view, batch);
        }
        let mut conflicts = Vec::new();
        while let Some(id) = self.orphans.next_due(self.now.instant) {
            let Some(follows) = self.mempool.waits_for(&id) else { continue };
            if view.fact_row(&follows)?.is_none() {
                self.mempool.conflicted(&id);
                self.orphans.give_up(follows, id);
                conflicts.push((id, FactReject::FollowsUnknown));
            }
        }
        self.wake |= !conflicts.is_empty();
        self.mark_conflicts(conflicts, view, batch)
    }

    fn reopen(
        &mut self,
        facts: Vec<FactId>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        let mut overlay = Overlay::new(view);
        let mut pending = Vec::new();
        for id in facts {
            if delta::take_back_conflict(&mut overlay, &id)? {
                pending.push(id);
            }
        }
        if pending.is_empty() {
            return Ok(false);
        }
        self.mempool.readmit(&overlay, pending)?;
        if let Some(row) = overlay.tip_row()? {
            self.chain.row = row;
        }
        batch.append(overlay.into_batch());
        self.wake = true;
        Ok(true)
    }
}
