//! How good a peer is, as one number for people and for choices among peers: what it brought, less
//! what it costs to wait for it, less what it did wrong.
//!
//! The weights are chosen so that no slowness outweighs a single provable misdeed, and no usefulness
//! hides one. A score alone never ends a connection.

use crate::time::Millis;

/// Points lost for each time that the peer was kept out for what it provably did.
const STRIKE: u32 = 200;

/// What is known of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deeds {
    /// Facts and headers that it brought first.
    pub useful: u32,
    /// Round trip of the last ping.
    pub rtt: Option<Millis>,
    /// Requests that it let expire, half of it forgiven with each answer.
    pub stalls: u32,
    /// Times it was kept out for misbehavior, not forgotten since.
    pub strikes: u32,
}

/// From about -1000 to 120; 0 for a peer of which nothing is known. Usefulness counts by its
/// logarithm, so that nobody buys a place with a flood of facts.
pub fn score(deeds: &Deeds) -> i32 {
    let useful = 5 * (u32::BITS - deeds.useful.leading_zeros()).min(20);
    let quick = deeds.rtt.map_or(0, |rtt| 20 - u32::try_from(rtt / 25).unwrap_or(20).min(20));
    let late = 10 * deeds.stalls.min(10);
    let wrong = STRIKE * deeds.strikes.min(5);
    (useful + quick) as i32 - (late + wrong) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_known_is_nothing_lost() {
        assert_eq!(score(&Deeds::default()), 0);
    }

    proptest! {
        #[test]
        fn each_deed_counts_in_its_direction(
            useful: u32, rtt in 0..100_000_u64, stalls in 0..99_u32, strikes in 0..9_u32,
        ) {
            let deeds = Deeds { useful, rtt: Some(rtt), stalls, strikes };
            let here = score(&deeds);
            prop_assert!((-1_100..=120).contains(&here));
            let better = Deeds { useful: useful.saturating_mul(2), ..deeds };
            prop_assert!(score(&better) >= here);
            let slower = Deeds { rtt: Some(rtt + 25), ..deeds };
            let later = Deeds { stalls: stalls + 1, ..deeds };
            prop_assert!(score(&slower) <= here && score(&later) <= here);
            let honest = Deeds { strikes: 0, ..deeds };
            prop_assert!(strikes == 0 || score(&honest) > here);
            // The slowest honest peer stands above the most useful one that was caught.
            let slow = Deeds { stalls: u32::MAX, rtt: Some(u64::MAX), ..Deeds::default() };
            prop_assert!(strikes < 2 || score(&slow) > here);
        }
    }
}
