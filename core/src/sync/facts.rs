//! Facts that are wanted: known by id, not held yet.
//!
//! A fact is asked of one peer at a time. Who told us of it is asked first; when nobody is left, a
//! fact that a block needs is asked of everybody in turn, and one that was only announced is
//! forgotten (reconciliation will find it again).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Bound;

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
}

/// The wanted facts.
#[derive(Debug)]
pub struct FactSync {
    wants: BTreeMap<FactId, Want>,
    /// Per connection, ids it is thought to hold; stale entries are skipped when they come up.
    queues: BTreeMap<ConnId, VecDeque<FactId>>,
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
            queues: BTreeMap::new(),
            flights: BTreeMap::new(),
            stuck: BTreeSet::new(),
            tried: ConnId(0),
            max,
        }
    }

    /// A peer that can be asked. It is at once asked for needed facts that nobody else has.
    pub fn add_conn(&mut self, conn: ConnId) {
        self.queues.entry(conn).or_default();
        self.retry_needed();
    }

    /// A peer that is gone: what it was asked for is asked of others.
    pub fn remove_conn(&mut self, conn: ConnId) {
        let lost: Vec<_> =
            self.flights.iter().filter(|(_, (to, _))| *to == conn).map(|(tag, _)| *tag).collect();
        self.queues.remove(&conn);
        lost.into_iter().for_each(|tag| self.failed(tag));
        let stuck = &mut self.stuck;
        self.wants.retain(|id, want| {
            want.holders.retain(|holder| *holder != conn);
            let lost = !want.busy && want.holders.is_empty();
            if lost && want.needed {
                stuck.insert(*id);
            }
            !lost || want.needed
        });
    }

    /// Facts wanted now.
    pub fn len(&self) -> usize {
        self.wants.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Whether there is room for many more of a peer; a reconciliation with it pauses while there
    /// is not.
    pub fn has_room(&self, conn: ConnId) -> bool {
        let queued = self.queues.get(&conn).map_or(0, VecDeque::len);
        self.wants.len() < self.max / 2 && queued <= self.share() / 2
    }

    /// Facts that one peer may make us want: an eighth, so that who announces what it never serves
    /// leaves room for the others.
    fn share(&self) -> usize {
        (self.max / 8).max(FACTS_PER_REQUEST)
    }

    /// A peer holds a fact that we do not. Ignored when full, or when the peer had its share.
    pub fn want(&mut self, id: FactId, holder: ConnId) {
        self.add(id, Some(holder), false);
    }

    /// A block needs a fact; `holder`, if anybody, has the block. Always remembered: the number of
    /// blocks fetched at a time bounds these.
    pub fn need(&mut self, id: FactId, holder: Option<ConnId>) {
        self.add(id, holder, true);
    }

    fn add(&mut self, id: FactId, holder: Option<ConnId>, needed: bool) {
        if !needed && !self.wants.contains_key(&id) {
            let queue = holder.and_then(|holder| self.queues.get(&holder));
            if self.wants.len() >= self.max || queue.is_some_and(|q| q.len() >= self.share()) {
                return;
            }
        }
        let want = self.wants.entry(id).or_default();
        want.needed |= needed;
        // A holder that is gone cannot be asked.
        let queue = holder.and_then(|holder| Some((holder, self.queues.get_mut(&holder)?)));
        if let Some((holder, queue)) = queue
            && !want.holders.contains(&holder)
            && want.holders.push(holder).is_ok()
        {
            queue.push_back(id);
        }
        if want.holders.is_empty() && !want.busy {
            self.stuck.insert(id);
        } else {
            self.stuck.remove(&id);
        }
    }

    /// Who told us that they hold this fact.
    pub fn holders(&self, id: &FactId) -> &[ConnId] {
        self.wants.get(id).map_or(&[], |want| &want.holders)
    }

    /// The ids to ask this connection for in the next request, at most `max`; empty if there is
    /// nothing to ask. They count as asked from now on.
    pub fn next_request(&mut self, conn: ConnId, tag: RequestTag, max: usize) -> Vec<FactId> {
        let mut ids = Vec::new();
        let Some(queue) = self.queues.get_mut(&conn) else {
            return ids;
        };
        while ids.len() < max.min(FACTS_PER_REQUEST) {
            let Some(id) = queue.pop_front() else { break };
            if let Some(want) = self.wants.get_mut(&id)
                && !want.busy
                && want.holders.contains(&conn)
            {
                want.busy = true;
                ids.push(id);
            }
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
        }
        if want.holders.is_empty() {
            if want.needed {
                self.stuck.insert(id);
            } else {
                self.wants.remove(&id);
            }
            return;
        }
        for holder in &want.holders {
            if let Some(queue) = self.queues.get_mut(holder) {
                queue.push_back(id);
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
        let after = self.queues.range((Bound::Excluded(self.tried), Bound::Unbounded));
        let round = after.chain(self.queues.range(..=self.tried)).map(|(conn, _)| *conn);
        let turn: heapless::Vec<ConnId, HOLDERS_MAX> = round.take(HOLDERS_MAX).collect();
        let Some(last) = turn.last().copied().filter(|_| !self.stuck.is_empty()) else {
            return;
        };
        self.tried = last;
        for id in core::mem::take(&mut self.stuck) {
            if let Some(want) = self.wants.get_mut(&id) {
                want.holders = turn.clone();
                let queues = self.queues.iter_mut().filter(|(conn, _)| turn.contains(conn));
                queues.for_each(|(_, queue)| queue.push_back(id));
            }
        }
    }

    /// Facts that no block needs any more (by `needs`) count as announced only, so that a branch
    /// that is no longer of interest leaves nothing behind.
    pub fn review_needed(&mut self, needs: impl Fn(&FactId) -> bool) {
        self.wants.retain(|id, want| {
            want.needed = want.needed && needs(id);
            want.needed || want.busy || !want.holders.is_empty()
        });
    }

    /// Whether `retry_needed` has something to do.
    pub fn is_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    /// The fact is held now, or proved to be bad: no longer wanted.
    pub fn done(&mut self, id: &FactId) {
        self.wants.remove(id);
        self.stuck.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn id(n: u8) -> FactId {
        FactId([n; 32])
    }

    fn machine() -> FactSync {
        let mut sync = FactSync::new(8);
        sync.add_conn(A);
        sync.add_conn(B);
        sync
    }

    #[test]
    fn a_fact_is_asked_of_one_holder_at_a_time() {
        let mut sync = machine();
        sync.want(id(1), A);
        sync.want(id(1), B);
        assert_eq!(sync.next_request(A, RequestTag(1), 10), [id(1)]);
        assert!(sync.next_request(B, RequestTag(2), 10).is_empty());
        sync.failed(RequestTag(1));
        assert!(sync.next_request(A, RequestTag(3), 10).is_empty());
        assert_eq!(sync.next_request(B, RequestTag(4), 10), [id(1)]);
        assert_eq!(sync.answered(RequestTag(4), &[id(1), id(9)], false), [id(1)]);
        sync.done(&id(1));
        assert!(sync.is_empty());
    }

    #[test]
    fn what_did_not_fit_is_asked_of_the_same_peer_again() {
        let mut sync = machine();
        sync.want(id(1), A);
        sync.want(id(2), A);
        assert_eq!(sync.next_request(A, RequestTag(1), 10).len(), 2);
        assert_eq!(sync.answered(RequestTag(1), &[id(1)], true), [id(1)]);
        assert_eq!(sync.next_request(A, RequestTag(2), 10), [id(2)]);
        assert!(sync.answered(RequestTag(2), &[], true).is_empty());
        assert_eq!(sync.len(), 1, "an empty promise of more is not believed");
    }

    #[test]
    fn an_announced_fact_nobody_serves_is_forgotten_and_a_needed_one_is_not() {
        let mut sync = machine();
        sync.want(id(1), A);
        sync.need(id(2), Some(A));
        assert_eq!(sync.next_request(A, RequestTag(1), 10).len(), 2);
        sync.remove_conn(A);
        assert_eq!(sync.len(), 1);
        assert!(sync.is_stuck());
        sync.retry_needed();
        assert_eq!(sync.next_request(B, RequestTag(2), 10), [id(2)]);
    }

    #[test]
    fn a_needed_fact_is_asked_of_every_peer_in_turn() {
        let mut sync = FactSync::new(8);
        (1..=9).for_each(|n| sync.add_conn(ConnId(n)));
        // Its sender is gone already.
        sync.need(id(1), Some(ConnId(77)));
        let mut asked = Vec::new();
        let mut tag = 0;
        while asked.len() < 9 && tag < 100 {
            assert!(sync.is_stuck());
            sync.retry_needed();
            assert!(!sync.is_stuck());
            for n in 1..=9 {
                tag += 1;
                if !sync.next_request(ConnId(n), RequestTag(tag), 10).is_empty() {
                    asked.push(n);
                    sync.failed(RequestTag(tag));
                }
            }
            asked.sort_unstable();
            asked.dedup();
        }
        assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        sync.done(&id(1));
        assert!(!sync.is_stuck());
    }

    #[test]
    fn announcements_do_not_grow_it_beyond_its_bound() {
        let mut sync = machine();
        (0..20).for_each(|n| sync.want(id(n), A));
        assert_eq!(sync.len(), 8);
        sync.need(id(30), Some(B));
        assert_eq!(sync.len(), 9);
    }
}
