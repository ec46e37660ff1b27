//! Time, as core is told it. Core never reads a clock: every input carries a `Now`.
//!
//! Two kinds that must not mix: `Instant` only ever goes forward and is for intervals; `UnixTime`
//! is a claim about the calendar and may be wrong by decades (a board without a clock boots in
//! 1970).

use core::fmt;

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

/// As RFC 3339 writes it, in UTC and whole seconds. Days to dates as in Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms".
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months are counted from March.
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let year = year_of_era + 400 * era + u64::from(month >= 10);
        let month = if month < 10 { month + 3 } else { month - 9 };
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn dates_are_written_as_in_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
            (1_795_284_300_000, "2026-11-21T18:05:00Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (UnixTime::MAX_VALID.0, "9999-12-31T23:59:59Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(UnixTime(millis).to_string(), text);
        }
        assert!(UnixTime(u64::MAX).to_string().ends_with('Z'));
    }
}
