//! Which of several branches is best, kept up to date as blocks come and go.
//!
//! Proof of work: more cumulative work, then the lower id. Authority: from the root down, at each
//! fork the child whose subtree has more distinct sealers (counted among those allowed at the
//! fork), then more work on its heaviest chain, then the lower id; and on into the winner. A block
//! by leave of the recovery keys counts for more than all sealers. So no
//! single sealer can rewrite what others have built on, and whoever knows the same blocks chooses
//! the same tip, in whatever order they came.
//!
//! It knows nothing of headers or status: what may not compete is never inserted, or removed. The
//! blocks inserted always form one tree.

mod distinct;
mod heaviest;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;

use crate::id::{BlockId, NodeId};
use crate::params::SealRule;
use crate::work::{Height, Work};

use distinct::Distinct;
use heaviest::Heaviest;

/// What the choice needs to know of a block.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The block.
    pub id: BlockId,
    /// The block before it.
    pub parent: BlockId,
    /// Its height, one above the parent's.
    pub height: Height,
    /// Whom it counts for (`Header::voter`).
    pub sealer: NodeId,
    /// Its cumulative work, more than the parent's.
    pub work: Work,
    /// Who may seal the blocks after it, ascending.
    pub sealers: Arc<[NodeId]>,
}

/// The best tip of one tree of blocks under the rule of the mesh's seal.
#[derive(Debug, Clone)]
pub struct ForkChoice(Rule);

#[derive(Debug, Clone)]
enum Rule {
    Heaviest(Heaviest),
    Distinct(Distinct),
}

impl ForkChoice {
    /// A tree of its root alone.
    pub fn new(seal: SealRule, root: Candidate) -> Self {
        Self(match seal {
            SealRule::Authority => Rule::Distinct(Distinct::new(root)),
            SealRule::Pow { .. } => Rule::Heaviest(Heaviest::new(root)),
        })
    }

    /// The best tip.
    pub fn best(&self) -> BlockId {
        match &self.0 {
            Rule::Heaviest(rule) => rule.best(),
            Rule::Distinct(rule) => rule.best(),
        }
    }

    /// Whether the block takes part.
    pub fn contains(&self, id: &BlockId) -> bool {
        match &self.0 {
            Rule::Heaviest(rule) => rule.contains(id),
            Rule::Distinct(rule) => rule.contains(id),
        }
    }

    /// Adds a block. Returns whether that was possible: its parent takes part and it does not yet.
    pub fn insert(&mut self, block: Candidate) -> bool {
        if self.contains(&block.id) || !self.contains(&block.parent) {
            return false;
        }
        match &mut self.0 {
            Rule::Heaviest(rule) => rule.insert(block),
            Rule::Distinct(rule) => rule.insert(block),
        }
        true
    }

    /// Takes a block and all its descendants out; not the root.
    pub fn remove(&mut self, id: &BlockId) {
        match &mut self.0 {
            Rule::Heaviest(rule) => rule.remove(id),
            Rule::Distinct(rule) => rule.remove(id),
        }
    }

    /// Makes a block the root: only it and its descendants stay.
    pub fn set_root(&mut self, id: &BlockId) {
        match &mut self.0 {
            Rule::Heaviest(rule) => rule.set_root(id),
            Rule::Distinct(rule) => rule.set_root(id),
        }
    }
}
