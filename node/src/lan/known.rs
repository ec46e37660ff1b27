//! Which of the addresses that are heard are worth telling the engine: few, and seldom, whoever
//! shouts. What the engine makes of them is bounded by its book.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Addresses remembered.
const KNOWN_MAX: usize = 64;
/// Of one machine.
const KNOWN_OF_ONE_MAX: usize = 4;
/// The same address is told again after this long.
const AGAIN: Duration = Duration::from_secs(600);
/// In the long run, one address is told per this time.
const INTERVAL: Duration = Duration::from_secs(4);
/// Addresses told at once.
const BURST: u32 = 16;

/// What was told lately.
#[derive(Debug)]
pub(super) struct Known {
    told: HashMap<SocketAddr, Instant>,
    /// When what was told so far would be due at the long-run rate (ITU-T I.371).
    due: Instant,
}

impl Known {
    pub(super) fn new(now: Instant) -> Self {
        Self { told: HashMap::new(), due: now }
    }

    /// Whether an address that was just heard is to be told.
    pub(super) fn hear(&mut self, address: SocketAddr, now: Instant) -> bool {
        self.told.retain(|_, told| now.duration_since(*told) < AGAIN);
        let same = self.told.keys().filter(|known| known.ip() == address.ip()).count();
        if self.told.contains_key(&address)
            || same >= KNOWN_OF_ONE_MAX
            || self.due.saturating_duration_since(now) > INTERVAL * BURST
        {
            return false;
        }
        if self.told.len() >= KNOWN_MAX {
            let oldest = self.told.iter().min_by_key(|(_, told)| **told).map(|(known, _)| *known);
            oldest.and_then(|oldest| self.told.remove(&oldest));
        }
        self.due = self.due.max(now) + INTERVAL;
        self.told.insert(address, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: u32, port: u16) -> SocketAddr {
        SocketAddr::from(((0x0a00_0000 + ip).to_be_bytes(), port))
    }

    #[test]
    fn an_address_is_told_once_and_again_after_a_while() {
        let now = Instant::now();
        let mut known = Known::new(now);
        assert!(known.hear(at(1, 1), now));
        assert!(!known.hear(at(1, 1), now + AGAIN - INTERVAL));
        assert!(known.hear(at(1, 1), now + AGAIN));
    }

    #[test]
    fn ten_thousand_answers_cost_no_memory_and_few_dials() {
        let now = Instant::now();
        let mut known = Known::new(now);
        let told = (0..10_000).filter(|n| known.hear(at(*n, 7_071), now)).count();
        assert_eq!(told as u32, BURST + 1);
        let ports = (0..10_000).filter(|n| known.hear(at(0, *n), now + AGAIN)).count();
        assert_eq!(ports, KNOWN_OF_ONE_MAX);
        let minute = (0..10_000u32)
            .filter(|n| known.hear(at(*n, 9), now + 2 * AGAIN + INTERVAL * (n / 100)))
            .count();
        assert_eq!(minute as u32, BURST + 100);
        assert!(known.told.len() <= KNOWN_MAX, "{}", known.told.len());
    }

    #[test]
    fn one_machine_that_shouts_does_not_keep_others_from_being_heard_for_long() {
        let now = Instant::now();
        let mut known = Known::new(now);
        for port in 0..10_000 {
            known.hear(at(1, port), now);
        }
        assert!(known.hear(at(2, 7_071), now));
    }
}
