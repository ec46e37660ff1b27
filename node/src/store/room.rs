//! Whether the disk has room for more of the ledger.
//!
//! A write that does not fit poisons fjall for good, and then only a restart helps. So the node stops
//! writing while there is still a reserve: what was accepted can be flushed, compacted and closed,
//! and when space returns it goes on by itself.

use std::path::Path;

use super::{Profile, Store, StoreError};

const MIB: u64 = 1024 * 1024;

/// A part of the reserve that must be free in addition before writing resumes: a node at the edge
/// must not go back and forth.
const MARGIN: u64 = 4;

/// The room that is kept, and the most that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that stay free.
    pub reserve: u64,
    /// Most bytes that the store may take on disk, if the operator set a limit.
    pub limit: Option<u64>,
}

/// How things stand, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for this user on the filesystem of the store.
    pub free: u64,
    /// Taken by the store.
    pub used: u64,
}

impl Room {
    /// The reserve of a profile: what its memtables, journals and compactions may still have to
    /// write when nothing more is accepted.
    pub const fn new(profile: Profile, limit: Option<u64>) -> Self {
        let reserve = match profile {
            Profile::Tiny => 32 * MIB,
            Profile::Small => 96 * MIB,
            Profile::Server => 256 * MIB,
        };
        Self { reserve, limit }
    }

    /// Bytes that may still be taken, the reserve included.
    pub fn left(&self, space: Space) -> u64 {
        let below_limit = self.limit.map(|limit| limit.saturating_sub(space.used));
        space.free.min(below_limit.unwrap_or(u64::MAX))
    }

    /// Whether to stop writing, or to go on with having stopped.
    pub fn is_short(&self, was_short: bool, space: Space) -> bool {
        self.left(space) < self.reserve + if was_short { self.reserve / MARGIN } else { 0 }
    }
}

/// Bytes free for this user where a path is; what cannot be told counts as enough.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    match rustix::fs::statvfs(path) {
        // Filesystems without a size of their own say zero of everything.
        Ok(fs) if fs.f_blocks > 0 => fs.f_bavail.saturating_mul(fs.f_frsize),
        _ => u64::MAX,
    }
}

impl Store {
    /// Bytes free on its filesystem.
    pub fn bytes_free(&self) -> u64 {
        free_bytes(self.path())
    }

    /// How much room there is, and how much is taken.
    ///
    /// # Errors
    /// `StoreError` if the store's directory cannot be read.
    pub fn space(&self) -> Result<Space, StoreError> {
        Ok(Space { free: self.bytes_free(), used: self.bytes_on_disk()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_stops_before_the_reserve_and_resumes_above_it() {
        let room = Room { reserve: 100, limit: None };
        let short = |was, free| room.is_short(was, Space { free, used: 5_000 });
        assert!(!short(false, 100));
        assert!(short(false, 99));
        assert!(short(true, 124), "not back and forth at the edge");
        assert!(!short(true, 125));
    }

    #[test]
    fn a_limit_counts_what_the_store_takes() {
        let room = Room { reserve: 100, limit: Some(1_000) };
        let short = |used| room.is_short(false, Space { free: u64::MAX, used });
        assert!(!short(900));
        assert!(short(901));
        assert!(short(2_000), "a limit that was lowered");
    }
}
