//! The sweep: two sets whose sums agree are compared by digest, a span of ids at a time.
//!
//! Sums of ids can be made to collide: with k ids to choose from, the generalized birthday search
//! (Wagner, "A Generalized Birthday Problem", CRYPTO 2002) finds a subset with a given sum modulo
//! 2^256 in about k · 2^(256 / (1 + log2 k)) steps, 2^33 for a thousand ids. A member who does that,
//! and shows each half to another node, hides their difference from the sums for ever. The digest
//! of a span is a plain SHA-256 over its ids, which nobody makes collide, and needs no upkeep: each
//! side computes it when it is asked, over at most `SPAN_IDS` ids.

use alloc::vec::Vec;

use super::fingerprints::ids_after;
use crate::hash::Tag;
use crate::id::{FactId, Hash};
use crate::store::{StoreFault, View};

/// Ids in one span at most.
const SPAN_IDS: usize = 1_024;

/// What a set holds from after one id up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The last id of the span; none where the set ends.
    pub last: Option<FactId>,
    /// SHA-256 over the ids, ascending.
    pub digest: Hash,
}

fn digest(ids: &[FactId]) -> Hash {
    let mut hasher = Tag::Span.hasher();
    ids.iter().for_each(|id| hasher.update(id.as_bytes()));
    Hash(hasher.finish())
}

/// The span that begins after an id, or at the least.
///
/// # Errors
/// `StoreFault` if the view fails.
pub(super) fn span(view: &dyn View, after: Option<FactId>) -> Result<Span, StoreFault> {
    let mut ids: Vec<FactId> = ids_after(view, after, None, SPAN_IDS + 1)?;
    let more = ids.len() > SPAN_IDS;
    ids.truncate(SPAN_IDS);
    Ok(Span { last: ids.last().copied().filter(|_| more), digest: digest(&ids) })
}

/// Whether our set holds the same between the same two ids.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn holds(view: &dyn View, after: Option<FactId>, theirs: &Span) -> Result<bool, StoreFault> {
    let ids = ids_after(view, after, theirs.last, SPAN_IDS + 1)?;
    Ok(ids.len() <= SPAN_IDS && digest(&ids) == theirs.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::rows::{FactRow, FactState, Seq};
    use crate::store::{Batch, Table};
    use crate::testing::MemStore;

    fn set(ids: impl Iterator<Item = u64>) -> MemStore {
        let mut batch = Batch::default();
        for n in ids {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(n << 40).to_be_bytes());
            let row = FactRow { seq: Seq(n), state: FactState::Pending };
            batch.put(Table::FactIndex, &id, &crate::codec::encode(&row));
        }
        let mut store = MemStore::new();
        store.apply(&batch);
        store
    }

    /// Sweeps once through a set. Returns the spans, and how many of them differ from ours.
    fn sweep(ours: &MemStore, theirs: &MemStore) -> (usize, usize) {
        let (mut after, mut spans, mut differ) = (None, 0, 0);
        loop {
            let next = span(theirs, after).unwrap();
            spans += 1;
            differ += usize::from(!holds(ours, after, &next).unwrap());
            if next.last.is_none() {
                return (spans, differ);
            }
            after = next.last;
        }
    }

    #[test]
    fn a_sweep_finds_one_difference_anywhere_and_none_in_equal_sets() {
        let all = || 1..3_000_u64;
        assert_eq!(sweep(&set(all()), &set(all())), (3, 0));
        for lacking in [1, 1_024, 1_025, 2_999] {
            let ours = set(all().filter(|n| *n != lacking));
            assert_eq!(sweep(&ours, &set(all())), (3, 1), "we lack {lacking}");
            assert_eq!(sweep(&set(all()), &ours), (3, 1), "they lack {lacking}");
        }
        assert_eq!(sweep(&set(0..0), &set(0..0)), (1, 0));
        assert_eq!(sweep(&set(all()), &set(0..0)), (1, 1));
    }
}
