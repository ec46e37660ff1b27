//! How long to wait after a dial that failed: twice as long each time, and a part of it by chance,
//! so that nodes that lost each other do not dial in step.

use crate::time::Millis;

/// Waits and the chance in them.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Millis,
    longest: Millis,
    state: u64,
}

impl Backoff {
    /// Waits from `first` to `longest`. `seed` makes runs repeatable.
    pub(super) const fn new((first, longest): (Millis, Millis), seed: u64) -> Self {
        Self { first, longest, state: seed | 1 }
    }

    /// The next random number (xorshift64*, Vigna 2016).
    pub(super) const fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The lowest bits are the least random.
    const fn below(&mut self, bound: u64) -> u64 {
        (self.random() >> 16) % bound
    }

    /// The wait after this many failures before this one, at most `longest` of its own.
    pub(super) fn wait(&mut self, failures: u32, longest: Millis) -> Millis {
        let longest = longest.min(self.longest);
        let most = self.first.saturating_mul(2 << failures.min(20)).min(longest);
        most / 2 + self.below(most / 2 + 1)
    }

    /// Half of a span up to one and a half.
    pub(super) const fn about(&mut self, span: Millis) -> Millis {
        span / 2 + self.below(span + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn waits_double_from_a_second_to_ten_minutes_and_differ() {
        let mut backoff = Backoff::new((1_000, 600_000), 7);
        for failures in 0..30 {
            let most = (2_000u64 << failures).min(600_000);
            let waits: Vec<_> = (0..50).map(|_| backoff.wait(failures, Millis::MAX)).collect();
            assert!(waits.iter().all(|wait| (most / 2..=most).contains(wait)), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
        }
        assert!((15_000..=30_000).contains(&backoff.wait(30, 30_000)));
    }
}
