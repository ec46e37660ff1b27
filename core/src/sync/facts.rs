//! Facts that are wanted: known by id, not held yet.
//!
//! A fact is asked of one peer at a time. Who told us of it is asked first; when nobody is left, a
//! fact that a block needs is asked of everybody in turn, and one that was only announced is
//! forgotten (reconciliation will find it again).
//!
//! Announced facts are counted for whoever made us want them first. When the list is full, room is
//! made by whoever failed to serve most of what it announced, and of equals by whoever has most in
//! the list: so no number of liars keeps an honest peer's facts out for long.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Bound;

use super::Turn;
use crate::conn::{ConnId, RequestTag};
use crate::id::FactId;
use crate::limits::FACTS_PER_REQUEST;

/// Peers remembered as holding one fact.
const HOLDERS_MAX: usize = 4;

#[derive(Debug, Default)]
struct Want {
    holders: heapless::Vec<ConnId, HOLDERS_MAX>,
    /// In a request, or received and being verified.
    busy: bool,
    /// A block on the way to the best chain needs it.
    needed: bool,
    /// Who announced it first.
    sponsor: Option<ConnId>,
}

/// A peer that can be asked.
#[derive(Debug, Default)]
struct Source {
    /// Ids it is thought to hold; stale entries are skipped when they come up.
    queue: VecDeque<FactId>,
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
    sources: BTreeMap<ConnId, Source>,
    flights: BTreeMap<RequestTag, (ConnId, Vec<FactId>)>,
    /// Wanted facts that nobody is known to hold and nobody is asked for.
    stuck: BTreeSet<FactId>,
    /// Who was tried last for those.
    tried: ConnId,
    max: usize,
}

impl FactSync {
    /// Wants at most `max` facts at a time.
    pub const fn new(max: usize) -> Self {
        Self {
            wants: BTreeMap::new(),
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
        self.sources.remove(&conn);
        lost.into_iter().for_each(|tag| self.failed(tag));
        let (stuck, sources) = (&mut self.stuck, &mut self.sources);
        self.wants.retain(|id, want| {
            want.holders.retain(|holder| *holder != conn);
            let lost = !want.busy && want.holders.is_empty();
            if lost && want.needed {
                stuck.insert(*id);
            }
            let stays = !lost || want.needed;
            if !stays {
                uncount(sources, want);
            }
            stays
        });
    }

    /// A peer let us wait: what only it was known to hold and a block needs is asked of everybody.
    pub fn shun(&mut self, conn: ConnId) {
        let Some(source) = self.sources.get_mut(&conn) else {
            return;
        };
        let (wants, stuck) = (&mut self.wants, &mut self.stuck);
        source.queue.retain(|id| {
            let Some(want) = wants.get_mut(id).filter(|want| want.holders.contains(&conn)) else {
                return false;
            };
            let elsewhere = want.needed && !want.busy;
            if elsewhere {
                want.holders.retain(|holder| *holder != conn);
                if want.holders.is_empty() {
                    stuck.insert(*id);
                }
            }
            !elsewhere
        });
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

    /// Whether there is room for many more of a peer; a reconciliation with it pauses while there
    /// is not.
    pub fn has_room(&self, conn: ConnId) -> bool {
        let Some(source) = self.sources.get(&conn) else {
            return false;
        };
        let crowded = self.wants.len() >= self.max / 2;
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
        self.add(id, Some(holder), false);
    }

    /// A block needs a fact; `holder`, if anybody, has the block. Always remembered: the number of
    /// blocks fetched at a time bounds these.
    pub fn need(&mut self, id: FactId, holder: Option<ConnId>) {
        self.add(id, holder, true);
    }

    fn add(&mut self, id: FactId, holder: Option<ConnId>, needed: bool) {
        let announced = !needed && !self.wants.contains_key(&id);
        if announced {
            let source = holder.and_then(|holder| self.sources.get(&holder));
            let had_share = source
                .is_some_and(|source| source.queue.len().max(source.sponsored) >= self.share());
            let full = self.wants.len() >= self.max;
            if had_share || (full && !holder.is_some_and(|holder| self.make_room(holder))) {
                return;
            }
        }
        let want = self.wants.entry(id).or_default();
        want.needed |= needed;
        // A holder that is gone cannot be asked.
        let source = holder.and_then(|holder| Some((holder, self.sources.get_mut(&holder)?)));
        if let Some((holder, source)) = source {
            if announced {
                want.sponsor = Some(holder);
                source.sponsored += 1;
            }
            if !want.holders.contains(&holder) && want.holders.push(holder).is_ok() {
                source.queue.push_back(id);
            }
        }
        if want.holders.is_empty() && !want.busy {
            self.stuck.insert(id);
        } else {
            self.stuck.remove(&id);
        }
    }

    /// Gives up one announced fact of whoever failed or fills most, if that is not the one whom it
    /// is for.
    fn make_room(&mut self, newcomer: ConnId) -> bool {
        let Some(limit) = self.sources.get(&newcomer).map(Source::rank) else {
            return false;
        };
        let worst = self.sources.iter().max_by_key(|(_, source)| source.rank());
        let Some((worst, _)) = worst.filter(|(_, source)| source.rank() > limit) else {
            return false;
        };
        let worst = *worst;
        while let Some(id) = self.sources.get_mut(&worst).and_then(|s| s.queue.pop_back()) {
            let Some(want) = self.wants.get_mut(&id).filter(|want| !want.busy && !want.needed)
            else {
                continue;
            };
            want.holders.retain(|holder| *holder != worst);
            if want.holders.is_empty() {
                self.forget(&id);
                return true;
            }
        }
        false
    }

    /// The fact is no longer wanted.
    fn forget(&mut self, id: &FactId) {
        if let Some(want) = self.wants.remove(id) {
            uncount(&mut self.sources, &want);
        }
        self.stuck.remove(id);
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
    /// nothing to ask. They count as asked from now on.
    pub fn next_request(
        &mut self,
        conn: ConnId,
        tag: RequestTag,
        max: usize,
        turn: Turn,
    ) -> Vec<FactId> {
        let mut ids = Vec::new();
        let Some(source) = self.sources.get_mut(&conn) else {
            return ids;
        };
        let mut looked_at = source.queue.len().min(FACTS_PER_REQUEST);
        while ids.len() < max.min(FACTS_PER_REQUEST) {
            let Some(id) = source.queue.pop_front() else { break };
            let Some(want) = self.wants.get_mut(&id) else { continue };
            if want.busy || !want.holders.contains(&conn) {
                continue;
            }
            if turn == Turn::Last && want.holders.len() > 1 {
                source.queue.push_back(id);
                looked_at -= 1;
                if looked_at == 0 {
                    break;
                }
                continue;
            }
            want.busy = true;
            ids.push(id);
        }
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
        let Some(want) = self.wants.get_mut(&id) else {
            return;
        };
        want.busy = false;
        if !again {
            want.holders.retain(|holder| *holder != conn);
            if let Some(source) = self.sources.get_mut(&conn) {
                source.failures = source.failures.saturating_add(1);
            }
        }
        if want.holders.is_empty() {
            if want.needed {
                self.stuck.insert(id);
            } else {
                self.forget(&id);
            }
            return;
        }
        for holder in &want.holders {
            if let Some(source) = self.sources.get_mut(holder) {
                source.queue.push_back(id);
            }
        }
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
            if let Some(want) = self.wants.get_mut(&id) {
                want.holders = turn.clone();
                let sources = self.sources.iter_mut().filter(|(conn, _)| turn.contains(conn));
                sources.for_each(|(_, source)| source.queue.push_back(id));
            }
        }
    }

    /// Facts that no block needs any more (by `needs`) count as announced only, so that a branch
    /// that is no longer of interest leaves nothing behind.
    pub fn review_needed(&mut self, needs: impl Fn(&FactId) -> bool) {
        let sources = &mut self.sources;
        self.wants.retain(|id, want| {
            want.needed = want.needed && needs(id);
            let stays = want.needed || want.busy || !want.holders.is_empty();
            if !stays {
                uncount(sources, want);
            }
            stays
        });
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

/// A want leaves the list.
fn uncount(sources: &mut BTreeMap<ConnId, Source>, want: &Want) {
    if let Some(source) = want.sponsor.and_then(|sponsor| sources.get_mut(&sponsor)) {
        source.sponsored = source.sponsored.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
