//! Summaries of sets of facts, and the messages by which two nodes find where their sets differ.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{FactId, Hash};

/// A set of facts in 40 bytes: two sets with the same summary are the same set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SetSummary {
    /// Number of facts.
    pub count: u64,
    /// Sum of their ids as little-endian numbers modulo 2^256. Unlike XOR, a sum cannot be steered
    /// to a chosen value by linear algebra over ids one can grind.
    pub sum: [u8; 32],
}

impl SetSummary {
    /// The set with one more fact.
    pub fn add(&mut self, id: &FactId) {
        self.merge(&Self { count: 1, sum: id.0 });
    }

    /// The set without this fact, which is in it.
    pub fn remove(&mut self, id: &FactId) {
        self.subtract(&Self { count: 1, sum: id.0 });
    }

    /// The set without those of a set that it contains.
    pub fn subtract(&mut self, other: &Self) {
        // Two's complement: minus a sum is its complement plus one.
        let mut minus = Self { count: other.count.wrapping_neg(), sum: other.sum.map(|b| !b) };
        let mut one = [0; 32];
        one[0] = 1;
        minus.merge(&Self { count: 0, sum: one });
        self.merge(&minus);
    }

    /// The union with a set that has no fact in common.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        let mut carry = false;
        for (a, b) in self.sum.as_chunks_mut::<8>().0.iter_mut().zip(other.sum.as_chunks::<8>().0) {
            let (sum, over) = u64::from_le_bytes(*a).overflowing_add(u64::from_le_bytes(*b));
            let (sum, over_carry) = sum.overflowing_add(carry.into());
            *a = sum.to_le_bytes();
            carry = over || over_carry;
        }
    }
}

/// One step of a reconciliation. Every step stands alone, so the answering side keeps no state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReconcileRequest {
    /// The summaries of all groups.
    Groups,
    /// The summaries of the buckets of these groups.
    Buckets(Vec<u8>),
    /// The ids in these buckets, ascending, from after `after`.
    Ids {
        /// Ascending.
        buckets: Vec<u16>,
        /// Where the last answer ended.
        after: Option<FactId>,
    },
    /// The digest of the ids from after `after`, as many as make a span.
    Span {
        /// Where the last span ended.
        after: Option<FactId>,
    },
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReconcileAnswer {
    /// One summary per group.
    Groups(Vec<SetSummary>),
    /// One summary per bucket of each group asked for, in that order.
    Buckets(Vec<SetSummary>),
    /// Ids, and whether there are more after the last.
    Ids(Vec<FactId>, bool),
    /// The last id of the span, none where the set ends, and the digest of its ids.
    Span(Option<FactId>, Hash),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruint::aliases::U256;

    proptest! {
        #[test]
        fn the_sum_is_addition_modulo_2_to_256(ids: Vec<[u8; 32]>) {
            let mut summary = SetSummary::default();
            ids.iter().for_each(|id| summary.add(&FactId(*id)));
            let expected =
                ids.iter().fold(U256::ZERO, |sum, id| sum.wrapping_add(U256::from_le_bytes(*id)));
            prop_assert_eq!(summary.sum, expected.to_le_bytes::<32>());
            prop_assert_eq!(summary.count, ids.len() as u64);
            ids.iter().for_each(|id| summary.remove(&FactId(*id)));
            prop_assert_eq!(summary, SetSummary::default());
        }
    }
}
