//! Blocks that were announced but cannot be placed yet: their parent is unknown, or their time is
//! still ahead. Only ids are remembered, so a flood costs little; the oldest is forgotten first.

use alloc::collections::VecDeque;

use crate::id::BlockId;
use crate::time::Instant;

/// A block to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// The block.
    pub id: BlockId,
    /// Its parent, if its header was seen.
    pub parent: Option<BlockId>,
    /// When to ask for it again.
    pub retry_at: Instant,
}

/// A bounded memory of orphans, oldest first.
#[derive(Debug, Clone)]
pub struct Orphans {
    limit: usize,
    waiting: VecDeque<Orphan>,
}

impl Orphans {
    /// Room for `limit` orphans.
    pub const fn new(limit: usize) -> Self {
        Self { limit, waiting: VecDeque::new() }
    }

    /// Remembers a block, in place of what was known of it; forgets the oldest if there is no room.
    pub fn insert(&mut self, orphan: Orphan) {
        self.remove(&orphan.id);
        if self.waiting.len() >= self.limit {
            self.waiting.pop_front();
        }
        if self.limit > 0 {
            self.waiting.push_back(orphan);
        }
    }

    /// Whether the block waits.
    pub fn contains(&self, id: &BlockId) -> bool {
        self.waiting.iter().any(|orphan| orphan.id == *id)
    }

    /// Forgets a block, because it was placed or refused. Returns whether it waited.
    pub fn remove(&mut self, id: &BlockId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|orphan| orphan.id != *id);
        self.waiting.len() < before
    }

    /// Takes out the blocks that waited for this parent.
    pub fn adopt(&mut self, parent: &BlockId) -> alloc::vec::Vec<Orphan> {
        self.take(|orphan| orphan.parent == Some(*parent))
    }

    /// Takes out the blocks whose time to be asked for again has come.
    pub fn due(&mut self, now: Instant) -> alloc::vec::Vec<Orphan> {
        self.take(|orphan| orphan.retry_at <= now)
    }

    /// When the next block is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|orphan| orphan.retry_at).min()
    }

    fn take(&mut self, wanted: impl Fn(&Orphan) -> bool) -> alloc::vec::Vec<Orphan> {
        let taken = self.waiting.iter().copied().filter(|o| wanted(o)).collect();
        self.waiting.retain(|orphan| !wanted(orphan));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphan(n: u8, retry_at: u64) -> Orphan {
        Orphan {
            id: BlockId([n; 32]),
            parent: Some(BlockId([n - 1; 32])),
            retry_at: Instant(retry_at),
        }
    }

    #[test]
    fn orphan_is_adopted_when_its_parent_arrives() {
        let mut orphans = Orphans::new(4);
        orphans.insert(orphan(2, 10));
        orphans.insert(orphan(9, 10));
        assert_eq!(orphans.adopt(&BlockId([1; 32])), [orphan(2, 10)]);
        assert!(!orphans.contains(&BlockId([2; 32])));
        assert!(orphans.contains(&BlockId([9; 32])));
    }

    #[test]
    fn the_oldest_is_forgotten_and_repeats_take_no_room() {
        let mut orphans = Orphans::new(2);
        for n in [1, 2, 2, 2, 3] {
            orphans.insert(orphan(n, u64::from(n)));
        }
        assert!(!orphans.contains(&BlockId([1; 32])));
        assert_eq!(orphans.next_due(), Some(Instant(2)));
        assert_eq!(orphans.due(Instant(2)), [orphan(2, 2)]);
        assert_eq!(orphans.due(Instant(9)), [orphan(3, 3)]);
        assert_eq!(orphans.next_due(), None);
    }
}
