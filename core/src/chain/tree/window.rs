//! The window moves: up as the applied tip does, down when a branch starts below it, and light
//! branches are given up when there is no room.

use alloc::vec::Vec;
use core::fmt;

use crate::id::BlockId;
use crate::verified::Unverified;
use crate::work::{Height, Work};

use super::insert::step;
use super::{
    Entry, ForkChoice, HeaderTree, InsertError, NewHeader, Root, Status, candidate, leaf_key,
};

/// Why the window cannot be extended down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendError {
    /// The headers from disk break a rule.
    Broken(InsertError),
    /// They do not lead to the present root: expected, got.
    Elsewhere(BlockId, BlockId),
}

impl fmt::Display for ExtendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "headers on disk do not make a chain: {error}"),
            Self::Elsewhere(expected, got) => {
                write!(f, "headers on disk lead to {got}, expected {expected}")
            }
        }
    }
}

impl core::error::Error for ExtendError {}

impl HeaderTree {
    /// Moves the root up to `keep` blocks below the applied tip, once it is an eighth further down
    /// than that, and drops the branches that start below it. Never drops the best header chain.
    pub fn prune(&mut self, keep: u64) {
        let tip_height = self.entries.get(&self.tip).map(|tip| tip.header.height);
        let below = tip_height.unwrap_or_default().above(self.root_height());
        if below <= keep.saturating_add(keep / 8) {
            return;
        }
        let Some(fork) = self.common_ancestor(&self.tip, &self.best_header()) else {
            return;
        };
        let fork_height = self.entries.get(&fork).map(|fork| fork.header.height);
        let (Some(tip), Some(fork_height)) = (tip_height, fork_height) else {
            return;
        };
        let lowest = Height(tip.0.saturating_sub(keep)).min(fork_height);
        if lowest <= self.root_height() {
            return;
        }
        let Some(root) = self.ancestor_at(&fork, lowest) else {
            return;
        };
        self.move_root(root);
    }

    fn move_root(&mut self, root: BlockId) {
        let (Some(entry), Some(history)) = (self.entries.get(&root), self.history(root)) else {
            return;
        };
        let (times, parent, old) = (self.times(entry), entry.header.parent, self.root);
        self.headers.set_root(&root);
        self.bodies.set_root(&root);
        if let Some(above) = self.entries.get_mut(&parent) {
            above.children.retain(|child| *child != root);
        }
        if let Some(entry) = self.entries.get_mut(&root) {
            entry.peaks = Some(history.peaks().into());
        }
        (self.root, self.root_times) = (root, times);
        self.drop_subtree(old);
    }

    /// Takes entries out of everything but their parent's children and the choices.
    fn drop_subtree(&mut self, top: BlockId) {
        let mut below = Vec::from([top]);
        while let Some(id) = below.pop() {
            if let Some(entry) = self.entries.remove(&id) {
                self.leaves.remove(&leaf_key(id, &entry));
                below.extend(entry.children);
            }
            if self.last.as_ref().is_some_and(|last| last.id == id) {
                self.last = None;
            }
        }
    }

    /// Gives up the lightest leaf, invalid ones first, to make room for a header of this work on
    /// this parent; false if nothing may go: neither the parent, nor the tips of the chosen chains.
    pub(super) fn give_up_lighter(&mut self, work: Work, parent: &BlockId) -> bool {
        let kept = [*parent, self.tip, self.best_header(), self.best_body(), self.root];
        let lightest = self.leaves.iter().find(|(_, _, id)| !kept.contains(id));
        let Some((valid, lightest, id)) = lightest.copied() else {
            return false;
        };
        if valid && lightest >= work {
            return false;
        }
        self.headers.remove(&id);
        self.bodies.remove(&id);
        let parent = self.entries.get(&id).map(|entry| entry.header.parent);
        if let Some(parent) = parent
            && let Some(above) = self.entries.get_mut(&parent)
        {
            above.children.retain(|child| *child != id);
            if above.children.is_empty() {
                self.leaves.insert(leaf_key(parent, above));
            }
        }
        self.drop_subtree(id);
        true
    }

    /// Moves the root down to an older block of the applied chain, because a branch starts below
    /// the present one. `between` are the headers from disk after the new root up to and including
    /// the present root; their signatures are not checked again. May exceed the limit; `prune`
    /// undoes it.
    ///
    /// # Errors
    /// `ExtendError`, if the headers do not make a chain that ends at the present root; the tree is
    /// then unchanged.
    pub fn extend_down(&mut self, root: Root, between: Vec<NewHeader>) -> Result<(), ExtendError> {
        let mut end = root.end.clone();
        let mut sealers = root.sealers.clone();
        let mut first = Entry::new(&end, sealers.clone(), Status::BodyHeld);
        first.peaks = Some(end.history.peaks().into());
        let mut added = Vec::from([(end.id, first)]);
        for NewHeader { header, sealers: next } in between {
            let Unverified(header) = header;
            let id = header.id();
            sealers = step(&mut end, &self.params, &sealers, header, id, next)
                .map_err(ExtendError::Broken)?;
            added.push((id, Entry::new(&end, sealers.clone(), Status::BodyHeld)));
        }
        if end.id != self.root {
            return Err(ExtendError::Elsewhere(self.root, end.id));
        }
        // The present root is there already.
        added.pop();
        let mut child = self.root;
        for (id, mut entry) in added.into_iter().rev() {
            entry.children.push(child);
            self.entries.insert(id, entry);
            child = id;
        }
        (self.root, self.root_times) = (root.end.id, root.end.times);
        self.choose_again();
        Ok(())
    }

    /// Builds both choices anew.
    fn choose_again(&mut self) {
        let Some(root) = self.entries.get(&self.root) else {
            return;
        };
        let choice = ForkChoice::new(self.params.seal, candidate(self.root, root));
        (self.headers, self.bodies) = (choice.clone(), choice);
        let mut below = root.children.clone();
        while let Some(id) = below.pop() {
            let Some(entry) = self.entries.get(&id) else {
                continue;
            };
            if entry.status == Status::Invalid {
                continue;
            }
            self.headers.insert(candidate(id, entry));
            if entry.status == Status::BodyHeld {
                // Refused where an ancestor's body is missing.
                self.bodies.insert(candidate(id, entry));
            }
            below.extend(&entry.children);
        }
    }
}
