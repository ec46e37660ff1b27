//! Heights, proof-of-work targets and work: integers only.
//!
//! Targets use Bitcoin's compact form ("nBits") so that the published ASERT and work vectors apply.
//! Work is 256 bits wide and prints in decimal.

use core::fmt;
use core::iter::Sum;
use core::ops::Add;

use ruint::aliases::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of a block on its chain; genesis is 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Height(pub u64);

impl Height {
    /// Genesis.
    pub const GENESIS: Self = Self(0);

    /// The height of a child. Saturates: 2^64 blocks do not happen.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The height of the parent, none for genesis.
    pub const fn previous(self) -> Option<Self> {
        match self.0 {
            0 => None,
            h => Some(Self(h - 1)),
        }
    }

    /// How many blocks `self` is above `lower`; 0 if it is not.
    pub const fn above(self, lower: Self) -> u64 {
        self.0.saturating_sub(lower.0)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Work: the expected number of hashes behind a block or chain (pow), or its score (authority).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(pub U256);

impl Work {
    /// No work.
    pub const ZERO: Self = Self(U256::ZERO);

    /// A small amount.
    pub fn from_u64(n: u64) -> Self {
        Self(U256::from(n))
    }
}

impl Add for Work {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.to_be_bytes::<32>().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Work {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(d).map(|bytes| Self(U256::from_be_bytes(bytes)))
    }
}

/// A proof-of-work target in compact form: a block id read as a big-endian number must not exceed
/// it. Zero under the authority seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Target(pub u32);

impl Target {
    /// The easiest target: the bits of 2^255 − 1, rounded down to compact precision.
    pub const MAX: Self = Self(0x207f_ffff);

    /// The number that the compact form stands for; none if it is negative, zero or too large.
    pub fn expand(self) -> Option<U256> {
        let (size, word) = (self.0 >> 24, self.0 & 0x007f_ffff);
        if self.0 & 0x0080_0000 != 0 || word == 0 {
            return None;
        }
        let word = U256::from(word);
        if size <= 3 {
            let value = word >> (8 * (3 - size) as usize);
            return (value != U256::ZERO).then_some(value);
        }
        let shift = 8 * (size - 3) as usize;
        let value = word.checked_shl(shift)?;
        Some(value)
    }

    /// The compact form of a number, rounded down to its precision.
    pub fn compress(value: U256) -> Self {
        let mut size = value.bit_len().div_ceil(8) as u32;
        let mut word: u32 = if size <= 3 {
            value.saturating_to::<u32>() << (8 * (3 - size))
        } else {
            (value >> (8 * (size as usize - 3))).saturating_to()
        };
        // The top bit of the word is a sign in Bitcoin's encoding.
        if word & 0x0080_0000 != 0 {
            word >>= 8;
            size += 1;
        }
        Self(word | size << 24)
    }

    /// Work of one block at this target: 2^256 / (target + 1), computed without overflow as
    /// `!target / (target + 1) + 1` (Bitcoin Core, `GetBlockProof`). Zero for an invalid target.
    pub fn work(self) -> Work {
        match self.expand() {
            Some(t) => Work((!t) / (t + U256::from(1)) + U256::from(1)),
            None => Work::ZERO,
        }
    }

    /// Whether a hash, read big-endian, is at or below the target.
    pub fn is_met_by(self, hash: &[u8; 32]) -> bool {
        self.expand().is_some_and(|t| U256::from_be_bytes(*hash) <= t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn work_of_known_targets() {
        // Bitcoin's genesis difficulty: 2^32 + a little.
        assert_eq!(Target(0x1d00_ffff).work(), Work::from_u64(4_295_032_833));
        assert_eq!(Target::MAX.work(), Work::from_u64(2));
    }

    #[test]
    fn negative_zero_and_overlong_targets_are_no_targets() {
        for bits in [0, 0x0180_0000, 0x2080_0001, 0x2300_0001, 0xff7f_ffff, 0x0000_0001] {
            assert_eq!(Target(bits).expand(), None, "{bits:08x}");
            assert_eq!(Target(bits).work(), Work::ZERO);
        }
    }

    fn work() -> impl Strategy<Value = Work> {
        // The middle, and both ends, where sums saturate.
        prop_oneof![
            any::<[u64; 4]>().prop_map(|limbs| Work(U256::from_limbs(limbs))),
            any::<u64>().prop_map(Work::from_u64),
            any::<u64>().prop_map(|n| Work(U256::MAX - U256::from(n))),
        ]
    }

    proptest! {
        #[test]
        fn adding_work_saturates_and_never_loses_any(a in work(), b in work(), c in work()) {
            let exact = a.0.checked_add(b.0).map(Work);
            prop_assert_eq!(a + b, exact.unwrap_or(Work(U256::MAX)));
            prop_assert_eq!(a + b, b + a);
            prop_assert_eq!((a + b) + c, a + (b + c));
            prop_assert!(a + b >= a);
            prop_assert!(a > b || a + c <= b + c);
            prop_assert_eq!([a, b, c].into_iter().sum::<Work>(), a + b + c);
        }

        #[test]
        fn work_is_ordered_as_it_is_encoded_and_printed(a in work(), b in work()) {
            let bytes = |work: Work| work.0.to_be_bytes::<32>();
            prop_assert_eq!(a.cmp(&b), bytes(a).cmp(&bytes(b)));
            prop_assert_eq!(alloc::string::ToString::to_string(&a).parse(), Ok(a.0));
        }

        #[test]
        fn a_lower_target_is_more_work(a: u32, b: u32) {
            let (Some(low), Some(high)) = (Target(a).expand(), Target(b).expand()) else {
                return Ok(());
            };
            prop_assert!(low > high || Target(a).work() >= Target(b).work());
        }

        #[test]
        fn compress_rounds_down_and_is_stable(limbs: [u64; 4]) {
            let value = U256::from_limbs(limbs) >> 1;
            prop_assume!(value != U256::ZERO);
            let compact = Target::compress(value);
            let back = compact.expand().unwrap();
            prop_assert!(back <= value);
            prop_assert_eq!(Target::compress(back), compact);
        }
    }
}
