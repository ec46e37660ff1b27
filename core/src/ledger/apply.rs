//! Judges a block in the state at its parent. Pure: everything it needs was read before.
//!
//! Not here: the header. Its seal, time and roots of the past were verified before its body was
//! asked for.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::prefetch::Prefetched;
use super::reject::BlockReject;
use super::rows::{FactState, Seq};
use super::state::Changes;
use crate::block::Block;
use crate::id::FactId;
use crate::merkle;
use crate::params::Params;

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

/// Whether the ids are those that the header commits to. If not, whoever sent the body is to
/// blame, and nothing is known about the block.
pub fn body_matches(block: &Block) -> bool {
    merkle::root(&block.facts) == block.header.facts_root
}

/// What a list of ids must obey whatever they name.
///
/// # Errors
/// `BlockReject::Body`.
pub fn check_body(params: &Params, block: &Block) -> Result<(), BlockReject> {
    let count_ok = (1..=params.block_facts_max as usize).contains(&block.facts.len());
    // Counted before anything is collected or hashed.
    if !count_ok || !body_matches(block) {
        return Err(BlockReject::Body);
    }
    let distinct: BTreeSet<&FactId> = block.facts.iter().collect();
    if distinct.len() == block.facts.len() {
        Ok(())
    } else {
        Err(BlockReject::Body)
    }
}

/// Judges the facts in list order, each seeing the effects of those before it.
///
/// # Errors
/// The first rule that the block breaks.
pub fn apply(block: &Block, read: Prefetched<'_>) -> Result<Effects, BlockReject> {
    let Prefetched { mut state, facts } = read;
    check_body(state.params(), block)?;
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
        sealed.push(Sealing {
            id,
            seq: found.row.seq,
            before: found.row.state,
        });
    }
    if state.sealers_root() != block.header.sealers_root {
        return Err(BlockReject::SealersRoot);
    }
    Ok(Effects {
        facts: sealed,
        changes: state.into_changes(),
    })
}
