//! Bodies on the way to the best header chain: fetched in parallel, kept until their facts are here
//! and the block is connected. Bounded by how far ahead of the tip the engine asks.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Turn;
use crate::conn::{ConnId, RequestTag};
use crate::id::{BlockId, FactId};

/// Bodies asked for in one request: few, so that several peers share the work.
const PER_REQUEST: usize = 8;

#[derive(Debug)]
enum Body {
    /// Nobody is asked at the moment; these were asked in vain.
    Wanted(Vec<ConnId>),
    Asked(RequestTag, Vec<ConnId>),
    /// Here; so many of its facts are missing, at least one.
    Got {
        ids: Arc<[FactId]>,
        missing: usize,
        from: Option<ConnId>,
    },
}

/// A body that lacks nothing and waits for its turn to be connected, or for its branch to win.
#[derive(Debug)]
struct Complete {
    /// None while it waits on disk.
    ids: Option<Arc<[FactId]>>,
    from: Option<ConnId>,
}

/// The bodies ahead of the tip.
#[derive(Debug, Default)]
pub struct BodySync {
    bodies: BTreeMap<BlockId, Body>,
    complete: BTreeMap<BlockId, Complete>,
    /// Ids in the complete bodies that are in memory.
    complete_ids: usize,
    flights: BTreeMap<RequestTag, (ConnId, Vec<BlockId>)>,
    /// What `focus` was last told.
    focused: Vec<BlockId>,
    /// Which bodies wait for a fact.
    waiting: BTreeMap<FactId, Vec<BlockId>>,
}

impl BodySync {
    /// These bodies, and only these, are of interest from now on (the next ones on the way to the
    /// best header chain, and those of branches that were complete before).
    pub fn focus(&mut self, blocks: &[BlockId]) {
        if self.focused == blocks {
            return;
        }
        self.focused = blocks.to_vec();
        for id in blocks.iter().filter(|id| !self.complete.contains_key(*id)) {
            self.bodies.entry(*id).or_insert_with(|| Body::Wanted(Vec::new()));
        }
        // Called after every input: the cost must be that of the bodies, not of their facts.
        let keep: BTreeSet<&BlockId> = blocks.iter().collect();
        let waiting = &mut self.waiting;
        self.bodies.retain(|id, body| {
            let stays = keep.contains(id);
            if !stays {
                forget(waiting, id, body);
            }
            stays
        });
    }

    /// The ids to ask this connection for; they count as asked from now on.
    pub fn next_request(
        &mut self,
        conn: ConnId,
        tag: RequestTag,
        order: &[BlockId],
        turn: Turn,
    ) -> Vec<BlockId> {
        let mut ids = Vec::new();
        for id in order {
            if ids.len() == PER_REQUEST {
                break;
            }
            if let Some(body) = self.bodies.get_mut(id)
                && let Body::Wanted(tried) = body
                && !tried.contains(&conn)
                && !(turn == Turn::Last && tried.is_empty())
            {
                *body = Body::Asked(tag, core::mem::take(tried));
                ids.push(*id);
            }
        }
        if !ids.is_empty() {
            self.flights.insert(tag, (conn, ids.clone()));
        }
        ids
    }

    /// An answer came, with these bodies: what was asked and not answered is asked of others, or
    /// of the same peer again if the answer brought something at all (it may just have been full).
    /// Returns the blocks that were asked for, came, and are still of interest.
    pub fn answered(&mut self, tag: RequestTag, got: &[BlockId]) -> Vec<BlockId> {
        let Some((conn, asked)) = self.flights.remove(&tag) else {
            return Vec::new();
        };
        let (came, missing): (Vec<_>, Vec<_>) = asked.into_iter().partition(|id| got.contains(id));
        for id in missing {
            self.release(id, tag, came.is_empty().then_some(conn));
        }
        let asked =
            |id: &BlockId| matches!(self.bodies.get(id), Some(Body::Asked(of, _)) if *of == tag);
        let came: Vec<_> = came.into_iter().filter(asked).collect();
        // One that turns out bad ends the reading of the answer: the rest is wanted all the same.
        came.iter().for_each(|id| self.release(*id, tag, None));
        came
    }

    /// No answer came.
    pub fn failed(&mut self, tag: RequestTag) {
        if let Some((conn, ids)) = self.flights.remove(&tag) {
            ids.into_iter().for_each(|id| self.release(id, tag, Some(conn)));
        }
    }

    fn release(&mut self, id: BlockId, tag: RequestTag, in_vain: Option<ConnId>) {
        if let Some(body) = self.bodies.get_mut(&id)
            && let Body::Asked(asked, tried) = body
            && *asked == tag
        {
            tried.extend(in_vain);
            *body = Body::Wanted(core::mem::take(tried));
        }
    }

    /// A peer is gone; what it was asked for is free again.
    pub fn remove_conn(&mut self, conn: ConnId) {
        let lost: Vec<_> =
            self.flights.iter().filter(|(_, (to, _))| *to == conn).map(|(tag, _)| *tag).collect();
        lost.into_iter().for_each(|tag| self.failed(tag));
        self.retry();
    }

    /// Those that were asked in vain may be asked again.
    pub fn retry(&mut self) {
        for body in self.bodies.values_mut() {
            if let Body::Wanted(tried) = body {
                tried.clear();
            }
        }
    }

    /// A body is here and matches its header; `missing` are its facts that are not.
    pub fn got(
        &mut self,
        id: BlockId,
        ids: Arc<[FactId]>,
        missing: &[FactId],
        from: Option<ConnId>,
    ) {
        for fact in missing {
            self.waiting.entry(*fact).or_default().push(id);
        }
        self.bodies.insert(id, Body::Got { ids, missing: missing.len(), from });
        if missing.is_empty() {
            self.completed(id);
        }
    }

    fn completed(&mut self, id: BlockId) {
        if let Some(Body::Got { ids, from, .. }) = self.bodies.remove(&id) {
            self.complete_ids += ids.len();
            self.complete.insert(id, Complete { ids: Some(ids), from });
        }
    }

    /// The complete bodies, if they have more than so many ids: the caller writes them to disk, and
    /// they are here no more. A branch that does not win yet may be long.
    pub fn spill(&mut self, ids_max: usize) -> Vec<(BlockId, Arc<[FactId]>)> {
        if self.complete_ids <= ids_max {
            return Vec::new();
        }
        self.complete_ids = 0;
        let lists = self.complete.iter_mut();
        lists.filter_map(|(id, body)| Some((*id, body.ids.take()?))).collect()
    }

    /// Bodies on their way, complete ones, and ids in memory of the latter.
    #[cfg(any(test, feature = "testing"))]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.bodies.len(), self.complete.len(), self.complete_ids)
    }

    /// Forgets complete bodies of blocks that are not known any more; returns those on disk.
    pub fn retain(&mut self, known: impl Fn(&BlockId) -> bool) -> Vec<BlockId> {
        let gone: Vec<BlockId> = self.complete.keys().filter(|id| !known(id)).copied().collect();
        gone.into_iter().filter(|id| self.remove_complete(id)).collect()
    }

    /// Returns whether it is on disk.
    fn remove_complete(&mut self, id: &BlockId) -> bool {
        let Some(body) = self.complete.remove(id) else {
            return false;
        };
        self.complete_ids -= body.ids.as_ref().map_or(0, |ids| ids.len());
        body.ids.is_none()
    }

    /// A body that came is bad; it is asked of somebody else.
    pub fn bad(&mut self, id: BlockId, from: ConnId) {
        if let Some(body) = self.bodies.get_mut(&id) {
            *body = Body::Wanted(alloc::vec![from]);
        }
    }

    /// A fact is held now. Returns the blocks that lack nothing any more.
    pub fn fact_arrived(&mut self, fact: &FactId) -> Vec<BlockId> {
        let mut complete = Vec::new();
        for id in self.waiting.remove(fact).unwrap_or_default() {
            if let Some(Body::Got { missing, .. }) = self.bodies.get_mut(&id) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    complete.push(id);
                }
            }
        }
        complete.iter().for_each(|id| self.completed(*id));
        complete
    }

    /// Whether a block needs this fact.
    pub fn needs(&self, fact: &FactId) -> bool {
        self.waiting.contains_key(fact)
    }

    /// The blocks that need this fact.
    pub fn waiting_for(&self, fact: &FactId) -> &[BlockId] {
        self.waiting.get(fact).map_or(&[], |blocks| blocks)
    }

    /// A complete body; none if it is not, or on disk.
    pub fn body(&self, id: &BlockId) -> Option<&Arc<[FactId]>> {
        self.complete.get(id)?.ids.as_ref()
    }

    /// Who sent a complete body.
    pub fn sender(&self, id: &BlockId) -> Option<ConnId> {
        self.complete.get(id)?.from
    }

    /// The block is connected or refused; forget its body.
    pub fn remove(&mut self, id: &BlockId) {
        if let Some(body) = self.bodies.remove(id) {
            forget(&mut self.waiting, id, &body);
        }
        self.remove_complete(id);
    }

    /// Whether every body of interest is complete.
    pub fn is_idle(&self) -> bool {
        self.bodies.is_empty()
    }
}

/// A body leaves: it waits for none of its facts any more.
fn forget(waiting: &mut BTreeMap<FactId, Vec<BlockId>>, id: &BlockId, body: &Body) {
    let Body::Got { ids, missing, .. } = body else {
        return;
    };
    for fact in ids.iter().filter(|_| *missing > 0) {
        if let Entry::Occupied(mut blocks) = waiting.entry(*fact) {
            blocks.get_mut().retain(|block| block != id);
            if blocks.get().is_empty() {
                blocks.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn block(n: u8) -> BlockId {
        BlockId([n; 32])
    }

    fn fact(n: u8) -> FactId {
        FactId([n; 32])
    }

    #[test]
    fn bodies_are_shared_among_peers_and_taken_from_one_that_fails() {
        let order: Vec<_> = (0..10).map(block).collect();
        let mut sync = BodySync::default();
        sync.focus(&order);
        assert_eq!(sync.next_request(A, RequestTag(1), &order, Turn::First).len(), PER_REQUEST);
        assert_eq!(sync.next_request(B, RequestTag(2), &order, Turn::First), [block(8), block(9)]);
        sync.failed(RequestTag(1));
        assert!(sync.next_request(A, RequestTag(3), &order, Turn::First).is_empty());
        assert_eq!(sync.next_request(B, RequestTag(4), &order, Turn::First).len(), PER_REQUEST);
        sync.remove_conn(B);
        assert_eq!(sync.next_request(A, RequestTag(5), &order, Turn::First).len(), PER_REQUEST);
    }

    #[test]
    fn the_last_resort_is_asked_only_for_what_others_did_not_give() {
        let order = [block(1), block(2)];
        let mut sync = BodySync::default();
        sync.focus(&order);
        assert!(sync.next_request(B, RequestTag(1), &order, Turn::Last).is_empty());
        sync.next_request(A, RequestTag(2), &order, Turn::First);
        sync.answered(RequestTag(2), &[]);
        assert_eq!(sync.next_request(B, RequestTag(3), &order, Turn::Last), order);
    }

    #[test]
    fn a_body_left_out_of_a_full_answer_is_asked_of_the_same_peer() {
        let order = [block(1), block(2)];
        let mut sync = BodySync::default();
        sync.focus(&order);
        sync.next_request(A, RequestTag(1), &order, Turn::First);
        assert_eq!(sync.answered(RequestTag(1), &[block(1), block(7)]), [block(1)]);
        sync.got(block(1), [fact(1)].into(), &[], Some(A));
        assert_eq!(sync.next_request(A, RequestTag(2), &order, Turn::First), [block(2)]);
        assert!(sync.answered(RequestTag(2), &[]).is_empty());
        assert!(sync.next_request(A, RequestTag(3), &order, Turn::First).is_empty());
    }

    #[test]
    fn what_came_beside_a_bad_body_is_asked_for_again() {
        let order = [block(1), block(2), block(3)];
        let mut sync = BodySync::default();
        sync.focus(&order);
        sync.next_request(A, RequestTag(1), &order, Turn::First);
        assert_eq!(sync.answered(RequestTag(1), &order), order);
        sync.got(block(1), [fact(1)].into(), &[], Some(A));
        // The answer is not read any further.
        sync.bad(block(2), A);
        assert_eq!(sync.next_request(B, RequestTag(2), &order, Turn::First), [block(2), block(3)]);
    }

    #[test]
    fn a_block_is_complete_when_its_last_fact_arrives() {
        let mut sync = BodySync::default();
        sync.focus(&[block(1), block(2)]);
        sync.got(block(1), [fact(1), fact(2)].into(), &[fact(1), fact(2)], Some(A));
        sync.got(block(2), [fact(2)].into(), &[fact(2)], Some(A));
        assert!(sync.fact_arrived(&fact(1)).is_empty());
        assert_eq!(sync.fact_arrived(&fact(2)), [block(1), block(2)]);
        sync.focus(&[]);
        assert!(sync.body(&block(1)).is_some(), "complete bodies stay until they are connected");
    }

    #[test]
    fn what_came_after_it_was_given_up_is_not_kept() {
        let mut sync = BodySync::default();
        sync.focus(&[block(1)]);
        sync.next_request(A, RequestTag(1), &[block(1)], Turn::First);
        sync.focus(&[block(2)]);
        assert!(sync.answered(RequestTag(1), &[block(1)]).is_empty());
    }

    #[test]
    fn complete_bodies_are_spilled_when_they_are_many_and_forgotten_with_their_blocks() {
        let mut sync = BodySync::default();
        for n in 1..=3 {
            sync.got(block(n), [fact(n), fact(n + 100)].into(), &[], Some(A));
        }
        assert!(sync.spill(6).is_empty());
        assert_eq!(sync.spill(5).len(), 3);
        assert!(sync.body(&block(1)).is_none() && sync.sender(&block(1)) == Some(A));
        sync.got(block(4), [fact(1)].into(), &[], Some(B));
        assert!(sync.spill(5).is_empty(), "what is on disk does not count");
        assert_eq!(sync.retain(|id| *id == block(1)), [block(2), block(3)]);
        sync.remove(&block(1));
        assert!(sync.spill(0).is_empty() && sync.is_idle());
    }

    #[test]
    fn a_body_that_leaves_waits_for_nothing_and_others_go_on_waiting() {
        let mut sync = BodySync::default();
        sync.focus(&[block(1), block(2), block(3)]);
        sync.got(block(1), [fact(1), fact(2)].into(), &[fact(1), fact(2)], Some(A));
        sync.got(block(2), [fact(2)].into(), &[fact(2)], Some(A));
        sync.got(block(3), [fact(3)].into(), &[fact(3)], Some(A));
        sync.focus(&[block(2), block(3)]);
        assert!(!sync.needs(&fact(1)));
        assert_eq!(sync.fact_arrived(&fact(2)), [block(2)]);
        sync.remove(&block(3));
        assert!(!sync.needs(&fact(3)));
    }
}
