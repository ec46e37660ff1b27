//! Facts whose author is not known yet: they wait outside the set, in bounded memory, until an
//! `Admit` arrives. Nobody is punished for relaying them, and losing one loses nothing: it comes
//! again by reconciliation.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::fact::EncodedFact;
use crate::id::{FactId, NodeId};
use crate::verified::Verified;

/// The waiting facts, oldest first.
#[derive(Debug)]
pub(super) struct Strangers {
    facts: BTreeMap<FactId, (NodeId, Verified<EncodedFact>)>,
    order: VecDeque<FactId>,
    bytes: usize,
    max: (usize, usize),
}

impl Strangers {
    /// Keeps at most so many facts and bytes.
    pub(super) const fn new(max: (usize, usize)) -> Self {
        Self { facts: BTreeMap::new(), order: VecDeque::new(), bytes: 0, max }
    }

    pub(super) fn contains(&self, id: &FactId) -> bool {
        self.facts.contains_key(id)
    }

    /// Facts and bytes that wait.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.facts.len().max(self.order.len()), self.bytes)
    }

    /// Keeps a fact; the oldest make room and are returned.
    pub(super) fn keep(&mut self, author: NodeId, fact: Verified<EncodedFact>) -> Vec<FactId> {
        let (id, len) = (fact.id(), fact.bytes().len());
        let mut lost = Vec::new();
        if self.facts.insert(id, (author, fact)).is_some() {
            return lost;
        }
        self.order.push_back(id);
        self.bytes += len;
        while self.facts.len() > self.max.0 || self.bytes > self.max.1 {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some((_, fact)) = self.facts.remove(&oldest) {
                self.bytes -= fact.bytes().len();
                lost.push(oldest);
            }
        }
        lost
    }

    /// Takes out the facts of authors that are known now, in the order they came.
    pub(super) fn release(&mut self, known: &[NodeId]) -> Vec<Verified<EncodedFact>> {
        let mut released = Vec::new();
        let facts = &mut self.facts;
        self.order.retain(|id| {
            let theirs = facts.get(id).is_some_and(|(author, _)| known.contains(author));
            if theirs && let Some((_, fact)) = facts.remove(id) {
                released.push(fact);
            }
            !theirs
        });
        self.bytes -= released.iter().map(|fact| fact.bytes().len()).sum::<usize>();
        released
    }
}
