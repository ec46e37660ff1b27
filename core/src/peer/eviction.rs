//! Who makes room when all places for inbound links are taken and one more asks.
//!
//! The idea is Bitcoin Core's (`SelectNodeToEvict`): protect a few links by each of several
//! properties that are costly to fake all at once, then let the largest group of neighbors give the
//! link that it got last. A hostile crowd competes with itself: by what it can buy (speed,
//! usefulness, addresses) it holds a fixed part of the places, never those of the oldest links, and
//! a crowd from one network never those of others.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Group;
use crate::conn::ConnId;
use crate::hash::sha256;
use crate::time::{Instant, Millis};

/// Of the links, this part is protected by each property (one in eight).
const PART: usize = 8;

/// An inbound link that could be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The link.
    pub conn: ConnId,
    /// Where it comes from.
    pub group: Group,
    /// Since when it is up.
    pub since: Instant,
    /// Round trip of the last ping.
    pub rtt: Option<Millis>,
    /// Facts and headers that it brought first.
    pub useful: u32,
}

/// Takes the `count` first by `key` out of the candidates.
fn protect<K: Ord>(
    candidates: &mut Vec<Candidate>,
    count: usize,
    key: impl Fn(&Candidate) -> Option<K>,
) {
    // Those without the property come last, and are not protected by it.
    candidates.sort_by_cached_key(|candidate| {
        let key = key(candidate);
        (key.is_none(), key, candidate.since, candidate.conn)
    });
    let worthy = candidates.iter().take_while(|candidate| key(candidate).is_some()).count();
    candidates.drain(..count.min(worthy));
}

/// The link to end for a newcomer; none if every one is worth more. `key` is this node's secret:
/// which groups are protected must not be known to whoever chooses his addresses.
pub fn evict(mut candidates: Vec<Candidate>, key: &[u8; 32]) -> Option<ConnId> {
    let part = candidates.len().div_ceil(PART);
    protect_groups(&mut candidates, part, key);
    protect(&mut candidates, part, |candidate| candidate.rtt);
    protect(&mut candidates, part, |c| (c.useful > 0).then_some(Reverse(c.useful)));
    let half = candidates.len().div_ceil(2);
    protect(&mut candidates, half, |candidate| Some(candidate.since));
    let mut sizes: BTreeMap<&Group, usize> = BTreeMap::new();
    for candidate in &candidates {
        *sizes.entry(&candidate.group).or_default() += 1;
    }
    let youngest = |c: &&Candidate| (sizes.get(&c.group).copied(), c.since, c.conn);
    candidates.iter().max_by_key(youngest).map(|candidate| candidate.conn)
}

/// Protects the oldest link of each of `count` groups that are chosen by the key.
fn protect_groups(candidates: &mut Vec<Candidate>, count: usize, key: &[u8; 32]) {
    let mut oldest: BTreeMap<&Group, (Instant, ConnId)> = BTreeMap::new();
    for candidate in candidates.iter() {
        let this = (candidate.since, candidate.conn);
        oldest.entry(&candidate.group).and_modify(|old| *old = this.min(*old)).or_insert(this);
    }
    let mut ranked: Vec<_> = oldest
        .into_iter()
        .map(|(group, (_, conn))| (sha256(&[key, group.as_bytes()]), conn))
        .collect();
    ranked.sort_unstable();
    ranked.truncate(count);
    candidates.retain(|candidate| ranked.iter().all(|(_, conn)| *conn != candidate.conn));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::PeerAddr;
    use alloc::format;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];

    fn link(conn: u64, host: &str, since: u64) -> Candidate {
        Candidate {
            conn: ConnId(conn),
            group: Group::of(&PeerAddr(format!("{host}:7071"))),
            since: Instant(since),
            rtt: None,
            useful: 0,
        }
    }

    #[test]
    fn the_youngest_of_the_largest_group_goes() {
        let mut links: Vec<_> = (0..20).map(|n| link(n, &format!("11.{n}.0.1"), n)).collect();
        links.extend((20..40).map(|n| link(n, "13.0.2.1", n)));
        assert_eq!(evict(links, &KEY), Some(ConnId(39)));
    }

    #[test]
    fn the_quickest_and_the_most_useful_stay() {
        let mut links: Vec<_> = (0..16).map(|n| link(n, "13.0.2.1", n)).collect();
        (links[15].rtt, links[14].useful) = (Some(1), 9);
        assert_eq!(evict(links, &KEY), Some(ConnId(13)));
    }

    #[test]
    fn a_few_links_are_all_worth_keeping() {
        assert_eq!(evict(Vec::new(), &KEY), None);
        assert_eq!(evict([link(1, "13.0.2.1", 0)].into(), &KEY), None);
    }

    /// A crowd comes one by one and takes whatever places are given up; the honest links left.
    fn siege(honest: &[Candidate], places: usize, crowd: impl Iterator<Item = Candidate>) -> usize {
        let mut links = honest.to_vec();
        for newcomer in crowd {
            if links.len() >= places {
                let Some(gone) = evict(links.clone(), &KEY) else { continue };
                links.retain(|link| link.conn != gone);
            }
            links.push(newcomer);
        }
        assert!(links.len() <= places);
        links.iter().filter(|link| link.conn.0 < honest.len() as u64).count()
    }

    proptest! {
        #![proptest_config(crate::testing::cases(48))]

        /// Whatever the crowd is and however it comes: of the links that were there first, as many
        /// stay as age protects.
        #[test]
        fn no_crowd_pushes_out_those_who_were_there_first(
            groups in proptest::collection::vec(0..4_u8, 1..20),
            places in 16..80_usize,
            crowd in proptest::collection::vec((any::<u8>(), 0..3_u64, 0..9_u32), 150),
        ) {
            let by_age = (places - 3 * places.div_ceil(PART)) / 2;
            let first = groups.len().min(by_age);
            let honest: Vec<_> = groups[..first].iter().enumerate()
                .map(|(n, group)| link(n as u64, &format!("11.{group}.0.1"), n as u64)).collect();
            let crowd = crowd.iter().enumerate().map(|(n, (group, rtt, useful))| {
                let conn = 1_000 + n as u64;
                let rtt = Some(*rtt);
                Candidate { rtt, useful: *useful, ..link(conn, &format!("12.{group}.0.1"), conn) }
            });
            prop_assert_eq!(siege(&honest, places, crowd), first);
        }

        /// A crowd from one network gets nobody out who is alone in his, young or slow as he is,
        /// while such nodes hold three eighths of the places.
        #[test]
        fn a_crowd_from_one_network_pushes_out_only_itself(
            first in 1..=24_usize, useful in 0..9_u32, rtt in 0..9_u64,
        ) {
            let honest: Vec<_> = (0..first as u64)
                .map(|n| Candidate { rtt: Some(9_000), ..link(n, &format!("11.{n}.0.1"), 1 << 40) })
                .collect();
            let crowd = (0..200).map(|n| {
                let conn = 1_000 + n;
                Candidate { rtt: Some(rtt), useful, ..link(conn, "13.0.2.1", n) }
            });
            prop_assert_eq!(siege(&honest, 64, crowd), first);
        }
    }
}
