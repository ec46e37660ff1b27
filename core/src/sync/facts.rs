//! Facts that are wanted: known by id, not held yet.
//!
//! A fact is asked of one peer at a time. Who told us of it is asked first; when nobody is left, a
//! fact that a block needs is asked of everybody in turn, and one that was only announced is
//! forgotten (reconciliation will find it again).
//!
//! A wanted fact is at one place: asked for, in the queue of each of its holders, or with those that
//! nobody is known to hold. Only `change` moves it, so that none is lost between the places.
//!
//! Announced facts are counted for whoever made us want them first. When the list is full, room is
//! made by whoever failed to serve most of what it announced, and of equals by whoever has most in
//! the list: so no number of liars keeps an honest peer's facts out for long. What blocks need does
//! not count there: a block whose facts are withheld must not keep announcements out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;

use crate::conn::{ConnId, RequestTag};
use crate::id::FactId;
use crate::limits::FACTS_PER_REQUEST;

/// Peers remembered as holding one fact.
const HOLDERS_MAX: usize = 4;

/// Where a fact stands in the queues of its holders: what no block needs comes last, and of equals
/// what was wanted later.
type Place = (bool, u64);

/// The first place of what no block needs.
const ANNOUNCED: Place = (true, 0);

#[derive(Debug, Default)]
struct Want {
    holders: heapless::Vec<ConnId, HOLDERS_MAX>,
    /// In a request, or received and being verified.
    busy: bool,
    /// A block on the way to the best chain needs it.
    needed: bool,
    /// Who announced it first.
    sponsor: Option<ConnId>,
    /// How many were wanted before.
    number: u64,
}

impl Want {
    const fn place(&self) -> Place {
        (!self.needed, self.number)
    }
}

/// A peer that can be asked.
#[derive(Debug, Default)]
struct Source {
    /// What it is thought to hold and nobody is asked for at the moment.
    queue: BTreeMap<Place, FactId>,
    /// Facts that are wanted because it announced them.
    sponsored: usize,
    /// Facts it was asked for and did not give, less those it gave.
    failures: usize,
}

impl Source {
    /// Who has the greatest makes room first.
    const fn rank(&self) -> (usize, usize) {
        (self.failures, self.sponsored)
    }
}

/// The wanted facts.
#[derive(Debug)]
pub struct FactSync {
    wants: BTreeMap<FactId, Want>,
    /// How many of them blocks need.
    needed: usize,
    /// The number of the next one.
    next: u64,
    sources: BTreeMap<ConnId, Source>,
    flights: BTreeMap<RequestTag, (ConnId, Vec<FactId>)>,
    /// Needed facts that nobody is known to hold and nobody is asked for.
    stuck: BTreeSet<FactId>,
    /// Who was tried last for those.
    tried: ConnId,
    max: usize,
}

impl FactSync {
    /// Wants at most `max` facts at a time, and those that blocks need.
    pub const fn new(max: usize) -> Self {
        Self {
            wants: BTreeMap::new(),
            needed: 0,
            next: 0,
            sources: BTreeMap::new(),
            flights: BTreeMap::new(),
            stuck: BTreeSet::new(),
            tried: ConnId(0),
            max,
        }
    }

    /// A peer that can be asked. It is at once asked for needed facts that nobody else has.
    pub fn add_conn(&mut self, conn: ConnId) {
        self.sources.entry(conn).or_default();
        self.retry_needed();
    }

    /// A peer that is gone: what it was asked for is asked of others.
    pub fn remove_conn(&mut self, conn: ConnId) {
        let lost: Vec<_> =
            self.flights.iter().filter(|(_, (to, _))| *to == conn).map(|(tag, _)| *tag).collect();
        lost.into_iter().for_each(|tag| self.failed(tag));
        self.sources.remove(&conn);
        let held = self.wants.iter().filter(|(_, want)| want.holders.contains(&conn));
        let held: Vec<FactId> = held.map(|(id, _)| *id).collect();
        held.iter().for_each(|id| self.not_held_by(id, conn));
    }

    /// A peer let us wait: what only it was known to hold and a block needs is asked of everybody.
    pub fn shun(&mut self, conn: ConnId) {
        let Some(source) = self.sources.get(&conn) else {
            return;
        };
        let needed: Vec<FactId> = source.queue.range(..ANNOUNCED).map(|(_, id)| *id).collect();
        needed.iter().for_each(|id| self.not_held_by(id, conn));
    }

    fn not_held_by(&mut self, id: &FactId, conn: ConnId) {
        self.change(id, |want| want.holders.retain(|holder| *holder != conn));
    }

    /// Changes a want and puts it where it belongs then.
    fn change(&mut self, id: &FactId, change: impl FnOnce(&mut Want)) {
        let Some(want) = self.wants.get_mut(id) else {
            return;
        };
        unqueue(&mut self.sources, want);
        self.needed -= usize::from(want.needed);
        change(want);
        self.needed += usize::from(want.needed);
        if want.busy {
            // What comes of it is a change again.
        } else if !want.holders.is_empty() {
            self.stuck.remove(id);
            for holder in &want.holders {
                if let Some(source) = self.sources.get_mut(holder) {
                    source.queue.insert(want.place(), *id);
                }
            }
        } else if want.needed {
            self.stuck.insert(*id);
        } else {
            self.forget(id);
        }
    }

    /// The fact is no longer wanted.
    fn forget(&mut self, id: &FactId) {
        let Some(want) = self.wants.remove(id) else {
            return;
        };
        unqueue(&mut self.sources, &want);
        self.needed -= usize::from(want.needed);
        self.stuck.remove(id);
        if let Some(source) = want.sponsor.and_then(|sponsor| self.sources.get_mut(&sponsor)) {
            source.sponsored = source.sponsored.saturating_sub(1);
        }
    }

    /// Facts wanted now.
    pub fn len(&self) -> usize {
        self.wants.len()
    }

    /// Facts wanted in any way, and ids that the longest list of one peer has.
    #[cfg(any(test, feature = "testing"))]
    pub fn sizes(&self) -> (usize, usize) {
        let wanted = self.wants.len().max(self.stuck.len());
        let longest = self.sources.values().map(|source| source.queue.len()).max();
        (wanted, longest.unwrap_or_default())
    }

    /// Peers that can be asked.
    #[cfg(any(test, feature = "testing"))]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Wanted facts that no block needs.
    fn announced(&self) -> usize {
        self.wants.len() - self.needed
    }

    /// Whether there is room for many more of a peer; a reconciliation with it pauses while there
    /// is not.
    pub fn has_room(&self, conn: ConnId) -> bool {
        let Some(source) = self.sources.get(&conn) else {
            return false;
        };
        let crowded = self.announced() >= self.max / 2;
        let worst = self.sources.values().map(Source::rank).max();
        let others_yield = worst.is_some_and(|worst| source.rank() < worst);
        source.queue.len() <= self.share() / 2 && (!crowded || others_yield)
    }

    /// Facts that one peer may make us want: an eighth, so that who announces what it never serves
    /// leaves room for the others.
    fn share(&self) -> usize {
        (self.max / 8).max(FACTS_PER_REQUEST)
    }

    /// A peer holds a fact that we do not. Ignored when the peer had its share, or when the list is
    /// full and nobody has to make room for this peer.
    pub fn want(&mut self, id: FactId, holder: ConnId) {
        if !self.wants.contains_key(&id) && !self.sponsor(id, holder) {
            return;
        }
        self.held_by(&id, Some(holder), false);
    }

    /// A block needs a fact; `holder`, if anybody, has the block. Always remembered: the number of
    /// blocks fetched at a time bounds these.
    pub fn need(&mut self, id: FactId, holder: Option<ConnId>) {
        if !self.wants.contains_key(&id) {
            self.insert(id, None);
        }
        self.held_by(&id, holder, true);
    }

    fn held_by(&mut self, id: &FactId, holder: Option<ConnId>, needed: bool) {
        // A holder that is gone cannot be asked.
        let holder = holder.filter(|holder| self.sources.contains_key(holder));
        self.change(id, |want| {
            want.needed |= needed;
            if let Some(holder) = holder.filter(|holder| !want.holders.contains(holder)) {
                // Those that are remembered are enough.
                let _full = want.holders.push(holder);
            }
        });
    }

    fn insert(&mut self, id: FactId, sponsor: Option<ConnId>) {
        let number = self.next;
        self.next += 1;
        self.wants.insert(id, Want { sponsor, number, ..Want::default() });
    }

    /// Wants a new fact for whoever announced it, if there is room for that.
    fn sponsor(&mut self, id: FactId, conn: ConnId) -> bool {
        let share = self.share();
        if self.sources.get(&conn).is_none_or(|source| source.sponsored >= share) {
            return false;
        }
        if self.announced() >= self.max && !self.make_room(conn) {
            return false;
        }
        if let Some(source) = self.sources.get_mut(&conn) {
            source.sponsored += 1;
        }
        self.insert(id, Some(conn));
        true
    }

    /// Gives up one announced fact of whoever failed or fills most, if that is not the one whom it
    /// is for.
    fn make_room(&mut self, newcomer: ConnId) -> bool {
        let Some(limit) = self.sources.get(&newcomer).map(Source::rank) else {
            return false;
        };
        let worst = self.sources.iter().max_by_key(|(_, source)| source.rank());
        let Some(worst) = worst.filter(|(_, source)| source.rank() > limit).map(|(conn, _)| *conn)
        else {
            return false;
        };
        while let Some(id) = self.last_announced(worst) {
            self.not_held_by(&id, worst);
            if !self.wants.contains_key(&id) {
                return true;
            }
        }
        false
    }

    /// The last fact in a peer's queue that no block needs.
    fn last_announced(&self, conn: ConnId) -> Option<FactId> {
        let (_, id) = self.sources.get(&conn)?.queue.range(ANNOUNCED..).next_back()?;
        Some(*id)
    }

    /// Facts that are wanted because this peer announced them.
    #[cfg(test)]
    fn sponsored(&self, conn: ConnId) -> usize {
        self.sources.get(&conn).map_or(0, |source| source.sponsored)
    }

    /// Who told us that they hold this fact.
    pub fn holders(&self, id: &FactId) -> &[ConnId] {
        self.wants.get(id).map_or(&[], |want| &want.holders)
    }

    /// The ids to ask this connection for in the next request, at most `max`; empty if there is
    /// nothing to ask. They count as asked from now on. What one of `before` holds (sorted) is left
    /// to those: they answer in time, and this peer does not.
    pub fn next_request(
        &mut self,
        conn: ConnId,
        tag: RequestTag,
        max: usize,
        before: &[ConnId],
    ) -> Vec<FactId> {
        let Some(source) = self.sources.get(&conn) else {
            return Vec::new();
        };
        let left = |id: &&FactId| {
            self.holders(id).iter().any(|holder| before.binary_search(holder).is_ok())
        };
        // Looks at so many only: what it passes over others soon take out of this queue.
        let first = source.queue.values().take(FACTS_PER_REQUEST);
        let ids: Vec<FactId> = first.filter(|id| !left(id)).take(max).copied().collect();
        ids.iter().for_each(|id| self.change(id, |want| want.busy = true));
        if !ids.is_empty() {
            self.flights.insert(tag, (conn, ids.clone()));
        }
        ids
    }

    /// An answer came with these facts, each of which the caller now verifies. Returns those of
    /// them that were asked for. `more`: the peer has further ones that did not fit.
    pub fn answered(&mut self, tag: RequestTag, got: &[FactId], more: bool) -> Vec<FactId> {
        let Some((conn, asked)) = self.flights.remove(&tag) else {
            return Vec::new();
        };
        let mut received: Vec<FactId> = got.to_vec();
        received.sort_unstable();
        let (kept, missing): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|id| received.binary_search(id).is_ok());
        // An answer without anything asked for is not a promise of more.
        let more = more && !kept.is_empty();
        if let Some(source) = self.sources.get_mut(&conn) {
            source.failures = source.failures.saturating_sub(kept.len());
        }
        for id in missing {
            self.release(id, conn, more);
        }
        kept
    }

    /// No answer came.
    pub fn failed(&mut self, tag: RequestTag) {
        if let Some((conn, ids)) = self.flights.remove(&tag) {
            // The peer may still have them, but others get the chance first.
            ids.into_iter().for_each(|id| self.release(id, conn, false));
        }
    }

    /// A fact is free to be asked for again: of the same peer if `again`, else of the others.
    fn release(&mut self, id: FactId, conn: ConnId, again: bool) {
        if !again
            && self.wants.contains_key(&id)
            && let Some(source) = self.sources.get_mut(&conn)
        {
            source.failures = source.failures.saturating_add(1);
        }
        self.change(&id, |want| {
            want.busy = false;
            want.holders.retain(|holder| again || *holder != conn);
        });
    }

    /// What this peer sent under the id was bad; others may do better.
    pub fn retry_elsewhere(&mut self, id: &FactId, conn: ConnId) {
        self.release(*id, conn, false);
    }

    /// This peer sent the fact and there was no room for it: it is asked for again.
    pub fn ask_again(&mut self, id: &FactId, conn: ConnId) {
        self.release(*id, conn, true);
    }

    /// Needed facts that nobody is known to hold are asked of everybody in turn. The engine calls
    /// this now and then.
    pub fn retry_needed(&mut self) {
        // From the one after who was tried last, so that all have their turn.
        let after = self.sources.range((Bound::Excluded(self.tried), Bound::Unbounded));
        let round = after.chain(self.sources.range(..=self.tried)).map(|(conn, _)| *conn);
        let turn: heapless::Vec<ConnId, HOLDERS_MAX> = round.take(HOLDERS_MAX).collect();
        let Some(last) = turn.last().copied().filter(|_| !self.stuck.is_empty()) else {
            return;
        };
        self.tried = last;
        for id in core::mem::take(&mut self.stuck) {
            self.change(&id, |want| want.holders = turn.clone());
        }
    }

    /// Facts that no block needs any more (by `needs`) count as announced only, as far as there is
    /// room, so that a branch that is no longer of interest leaves nothing behind.
    pub fn review_needed(&mut self, needs: impl Fn(&FactId) -> bool) {
        let over = self.wants.iter().filter(|(id, want)| want.needed && !needs(id));
        let over: Vec<FactId> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.change(&id, |want| want.needed = false);
            if self.announced() > self.max {
                self.forget(&id);
            }
        }
    }

    /// Whether `retry_needed` has something to do.
    pub fn is_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    /// The fact is held now, or proved to be bad: no longer wanted.
    pub fn done(&mut self, id: &FactId) {
        self.forget(id);
    }
}

/// Takes a want out of the queues of its holders.
fn unqueue(sources: &mut BTreeMap<ConnId, Source>, want: &Want) {
    for holder in &want.holders {
        if let Some(source) = sources.get_mut(holder) {
            source.queue.remove(&want.place());
        }
    }
}

#[cfg(test)]
mod tests;
