//! Bodies on the way to the best header chain: fetched in parallel, kept until their facts are here
//! and the block is connected. Bounded by how far ahead of the tip the engine asks.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::conn::{ConnId, RequestTag};
use crate::id::{BlockId, FactId};

/// Bodies asked for in one request: few, so that several peers share the work.
const PER_REQUEST: usize = 8;

#[derive(Debug)]
enum Body {
    /// Nobody is asked at the moment; these were asked in vain.
    Wanted(Vec<ConnId>),
    Asked(RequestTag, Vec<ConnId>),
    /// Here; so many of its facts are missing.
    Got {
        ids: Arc<[FactId]>,
        missing: usize,
        from: Option<ConnId>,
    },
}

/// The bodies ahead of the tip.
#[derive(Debug, Default)]
pub struct BodySync {
    bodies: BTreeMap<BlockId, Body>,
    flights: BTreeMap<RequestTag, (ConnId, Vec<BlockId>)>,
    /// Which bodies wait for a fact.
    waiting: BTreeMap<FactId, Vec<BlockId>>,
}

impl BodySync {
    /// These bodies, and only these, are of interest from now on (the next ones on the way to the
    /// best header chain, and those of branches that were complete before).
    pub fn focus(&mut self, blocks: &[BlockId]) {
        for id in blocks {
            self.bodies.entry(*id).or_insert_with(|| Body::Wanted(Vec::new()));
        }
        // Called after every input: the cost must be that of the bodies, not of their facts.
        let keep: BTreeSet<&BlockId> = blocks.iter().collect();
        let waiting = &mut self.waiting;
        self.bodies.retain(|id, body| {
            let stays = keep.contains(id) || matches!(body, Body::Got { missing: 0, .. });
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
    ) -> Vec<BlockId> {
        let mut ids = Vec::new();
        for id in order {
            if ids.len() == PER_REQUEST {
                break;
            }
            if let Some(body) = self.bodies.get_mut(id)
                && let Body::Wanted(tried) = body
                && !tried.contains(&conn)
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
    /// Returns the blocks that were asked for and came.
    pub fn answered(&mut self, tag: RequestTag, got: &[BlockId]) -> Vec<BlockId> {
        let Some((conn, asked)) = self.flights.remove(&tag) else {
            return Vec::new();
        };
        let (came, missing): (Vec<_>, Vec<_>) = asked.into_iter().partition(|id| got.contains(id));
        for id in missing {
            self.release(id, tag, came.is_empty().then_some(conn));
        }
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
        complete
    }

    /// Whether a block needs this fact.
    pub fn needs(&self, fact: &FactId) -> bool {
        self.waiting.contains_key(fact)
    }

    /// A body that is here, and who sent it.
    pub fn body(&self, id: &BlockId) -> Option<(&Arc<[FactId]>, Option<ConnId>)> {
        match self.bodies.get(id)? {
            Body::Got { ids, from, .. } => Some((ids, *from)),
            _ => None,
        }
    }

    /// Whether the body is here (its facts may not be).
    pub fn has(&self, id: &BlockId) -> bool {
        self.body(id).is_some()
    }

    /// The block is connected or refused; forget its body.
    pub fn remove(&mut self, id: &BlockId) {
        if let Some(body) = self.bodies.remove(id) {
            forget(&mut self.waiting, id, &body);
        }
    }

    /// Bodies remembered.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
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
        assert_eq!(sync.next_request(A, RequestTag(1), &order).len(), PER_REQUEST);
        assert_eq!(sync.next_request(B, RequestTag(2), &order), [block(8), block(9)]);
        sync.failed(RequestTag(1));
        assert!(sync.next_request(A, RequestTag(3), &order).is_empty());
        assert_eq!(sync.next_request(B, RequestTag(4), &order).len(), PER_REQUEST);
        sync.remove_conn(B);
        assert_eq!(sync.next_request(A, RequestTag(5), &order).len(), PER_REQUEST);
    }

    #[test]
    fn a_body_left_out_of_a_full_answer_is_asked_of_the_same_peer() {
        let order = [block(1), block(2)];
        let mut sync = BodySync::default();
        sync.focus(&order);
        sync.next_request(A, RequestTag(1), &order);
        assert_eq!(sync.answered(RequestTag(1), &[block(1), block(7)]), [block(1)]);
        assert_eq!(sync.next_request(A, RequestTag(2), &order), [block(2)]);
        assert!(sync.answered(RequestTag(2), &[]).is_empty());
        assert!(sync.next_request(A, RequestTag(3), &order).is_empty());
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
        assert!(sync.has(&block(1)), "complete bodies stay until they are connected");
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
