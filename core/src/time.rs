//! Time, as core is told it. Core never reads a clock: every input carries a `Now`.
//!
//! Two kinds that must not mix: `Instant` only ever goes forward and is for intervals; `UnixTime`
//! is a claim about the calendar and may be wrong by decades (a board without a clock boots in
//! 1970).

use serde::{Deserialize, Serialize};

/// A span in milliseconds.
pub type Millis = u64;

/// A point on this node's monotonic clock, in milliseconds from an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// The instant `span` milliseconds later; saturates at the end of time.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Milliseconds since `earlier`; 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Millis {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds since the Unix epoch, UTC. A claim, for people and for block rules.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The last millisecond of year 9999: header times beyond it are invalid.
    pub const MAX_VALID: Self = Self(253_402_300_799_999);

    /// `span` milliseconds later; saturates.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Milliseconds since `earlier`; 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Millis {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks at the moment of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic; never less than in the input before.
    pub instant: Instant,
    /// The wall clock, whatever it says.
    pub wall: UnixTime,
    /// Whether somebody vouched for the wall clock (operator, NTP, a battery-backed clock).
    pub wall_confirmed: bool,
}
