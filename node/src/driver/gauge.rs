//! When to look how much room the disk has: often enough that the reserve is never used up between
//! two looks, and never without a reason, so that an idle node stays idle.

use cairn_core::time::{Instant, Millis};

use crate::store::{Room, Space, Store, StoreError};

/// Shortest time between two looks, unless much was written.
const INTERVAL: Millis = 250;
/// Bytes written after which to look at once; a small part of any reserve.
const BYTES: u64 = 4 * 1024 * 1024;
/// Between two looks while there is too little room: nothing else may happen that tells.
const WAIT: Millis = 1_000;

/// What was seen last.
pub(super) struct Gauge {
    room: Room,
    short: bool,
    looked: Option<Instant>,
    written: u64,
}

impl Gauge {
    pub(super) const fn new(room: Room) -> Self {
        Self { room, short: false, looked: None, written: 0 }
    }

    /// When to look although nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.looked.filter(|_| self.short).map(|at| at.after(WAIT))
    }

    /// Whether the room went (true) or came back; none if all is as it was.
    pub(super) fn look(&mut self, now: Instant, store: &Store) -> Result<Option<bool>, StoreError> {
        let written = store.bytes_committed();
        let recent = self.looked.is_some_and(|at| now.since(at) < INTERVAL);
        if recent && written.saturating_sub(self.written) < BYTES {
            return Ok(None);
        }
        self.looked = Some(now);
        self.written = written;
        let space = match self.room.limit {
            Some(_) => store.space()?,
            // Nobody asks how much is taken, and finding out is more work.
            None => Space { free: store.bytes_free(), used: 0 },
        };
        let short = self.room.is_short(self.short, space);
        let changed = short != self.short;
        self.short = short;
        Ok(changed.then_some(short))
    }
}
