//! Judges a block in the state at its parent. Pure: everything it needs was read before.
//!
//! Not here: the header. Its seal, time and roots of the past were verified before its body was
//! asked for.

use alloc::vec::Vec;

use super::prefetch::Prefetched;
use super::reject::BlockReject;
use super::rows::{FactState, Seq};
use super::state::Changes;
use crate::block::Block;
use crate::id::FactId;

/// A fact that a block seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The fact.
    pub id: FactId,
    /// Its number.
    pub seq: Seq,
    /// How it stood before: pending or in conflict.
    pub before: FactState,
}

/// Everything that a valid block changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// Its facts, in the order of its list.
    pub facts: Vec<Sealing>,
    /// The rows they change.
    pub changes: Changes,
}

/// Judges the facts in list order, each seeing the effects of those before it.
///
/// # Errors
/// The first rule that the block breaks.
pub fn apply(block: &Block, read: Prefetched<'_>) -> Result<Effects, BlockReject> {
    let Prefetched { mut state, facts } = read;
    block.check_body(state.params()).map_err(|_| BlockReject::Body)?;
    let bytes: u64 = facts.iter().map(|f| f.fact.bytes().len() as u64).sum();
    let limit = u64::from(state.params().block_bytes_max);
    if bytes > limit {
        return Err(BlockReject::TooLarge(limit, bytes));
    }
    let mut sealed = Vec::with_capacity(facts.len());
    for found in facts {
        let id = found.fact.id();
        if matches!(found.row.state, FactState::Sealed(..)) {
            return Err(BlockReject::SealedBefore(id));
        }
        let change = state.judge(id, &found.fact.fact());
        let change = change.map_err(|reject| BlockReject::Fact(id, reject))?;
        state.take(id, change);
        sealed.push(Sealing { id, seq: found.row.seq, before: found.row.state });
    }
    state.end_seats();
    if state.sealers_root() != block.header.sealers_root {
        return Err(BlockReject::SealersRoot);
    }
    Ok(Effects { facts: sealed, changes: state.into_changes() })
}
