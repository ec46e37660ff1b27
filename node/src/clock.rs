//! The only place that reads a clock.
//!
//! The wall clock counts as confirmed when it cannot be one that a board without a battery made
//! up at boot: it shows no less than `EARLIEST`, and either the operator vouches for it, or a
//! battery-backed clock is present, or a time daemon has left its mark. Once confirmed it stays so:
//! both only ever get better. An unconfirmed clock costs a node the check that blocks are not from
//! the future, nothing else.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cairn_core::time::{Instant, Millis, Now, UnixTime};

/// 2026-01-01T00:00:00Z: no right clock shows less, because this program is younger.
pub(crate) const EARLIEST: UnixTime = UnixTime(1_767_225_600_000);
/// Between two looks at whether the clock has been confirmed.
const LOOK_INTERVAL: Millis = 10_000;
/// Present if the kernel found a battery-backed clock.
const HARDWARE_CLOCK: &str = "/sys/class/rtc/rtc0";
/// Written by systemd's time daemon after its first answer.
const SYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// This process's clocks.
#[derive(Debug, Clone)]
pub struct Clock {
    start: std::time::Instant,
    wall: fn() -> UnixTime,
    vouched: bool,
    confirmed: bool,
    next_look: Instant,
}

impl Clock {
    /// Starts the monotonic clock beside a wall clock. `vouched`: the operator says that the wall
    /// clock is right.
    pub fn new(wall: fn() -> UnixTime, vouched: bool) -> Self {
        let start = std::time::Instant::now();
        Self { start, wall, vouched, confirmed: false, next_look: Instant(0) }
    }

    /// Both clocks now.
    pub fn now(&mut self) -> Now {
        let elapsed = self.start.elapsed().as_millis();
        let instant = Instant(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let wall = (self.wall)();
        if !self.confirmed && instant >= self.next_look {
            self.next_look = instant.after(LOOK_INTERVAL);
            self.confirmed = confirmed(wall, self.vouched);
        }
        Now { instant, wall, wall_confirmed: self.confirmed }
    }
}

/// The wall clock, whatever it says; 0 if it says less than 1970.
pub fn wall() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

fn confirmed(wall: UnixTime, vouched: bool) -> bool {
    if wall < EARLIEST || wall > UnixTime::MAX_VALID {
        return false;
    }
    // Only Linux boards go without a battery.
    vouched
        || !cfg!(target_os = "linux")
        || Path::new(HARDWARE_CLOCK).exists()
        || Path::new(SYNC_MARK).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let mut clock = Clock::new(wall, false);
        let times: Vec<_> = (0..100).map(|_| clock.now().instant).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn a_board_that_boots_in_1970_is_not_confirmed_whoever_vouches() {
        assert!(!confirmed(UnixTime(5), true));
        assert!(!confirmed(UnixTime(EARLIEST.0 - 1), true));
        assert!(confirmed(EARLIEST, true));
        assert!(!confirmed(UnixTime(u64::MAX), true));
    }
}
