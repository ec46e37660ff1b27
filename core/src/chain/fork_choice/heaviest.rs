//! The rule of proof of work: more cumulative work, then the lower id.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::id::BlockId;
use crate::work::Work;

use super::Candidate;

#[derive(Debug, Clone)]
struct Block {
    parent: BlockId,
    work: Work,
    children: Vec<BlockId>,
}

#[derive(Debug, Clone)]
pub(super) struct Heaviest {
    root: BlockId,
    blocks: BTreeMap<BlockId, Block>,
    /// Every block by weight. The last is a tip, since a child weighs more than its parent.
    order: BTreeSet<(Work, Reverse<BlockId>)>,
}

impl Heaviest {
    pub(super) fn new(root: Candidate) -> Self {
        let mut rule = Self { root: root.id, blocks: BTreeMap::new(), order: BTreeSet::new() };
        rule.insert(root);
        rule
    }

    pub(super) fn best(&self) -> BlockId {
        self.order.last().map_or(self.root, |(_, id)| id.0)
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.blocks.contains_key(id)
    }

    pub(super) fn insert(&mut self, block: Candidate) {
        if let Some(parent) = self.blocks.get_mut(&block.parent) {
            parent.children.push(block.id);
        }
        self.order.insert((block.work, Reverse(block.id)));
        let kept = Block { parent: block.parent, work: block.work, children: Vec::new() };
        self.blocks.insert(block.id, kept);
    }

    pub(super) fn remove(&mut self, id: &BlockId) {
        let Some(block) = self.blocks.get(id).filter(|_| *id != self.root) else {
            return;
        };
        let parent = block.parent;
        if let Some(parent) = self.blocks.get_mut(&parent) {
            parent.children.retain(|child| child != id);
        }
        self.drop_subtree(*id);
    }

    pub(super) fn set_root(&mut self, id: &BlockId) {
        if !self.contains(id) || *id == self.root {
            return;
        }
        let old = self.root;
        if let Some(parent) = self.blocks.get(id).map(|block| block.parent)
            && let Some(parent) = self.blocks.get_mut(&parent)
        {
            parent.children.retain(|child| child != id);
        }
        self.root = *id;
        self.drop_subtree(old);
    }

    fn drop_subtree(&mut self, top: BlockId) {
        let mut stack = Vec::from([top]);
        while let Some(id) = stack.pop() {
            if let Some(block) = self.blocks.remove(&id) {
                self.order.remove(&(block.work, Reverse(id)));
                stack.extend(block.children);
            }
        }
    }
}
