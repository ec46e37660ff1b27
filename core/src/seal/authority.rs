//! The authority seal: a fixed list of sealers take turns, one signature a block.
//!
//! The turn at a height is `height mod n` in ascending order of node ids. Any other sealer may seal
//! too, but later by one spacing for each place it is away from its turn, and its block weighs less;
//! so the mesh goes on when some are away, and one sealer alone keeps it alive.

use crate::block::{Grant, Header, Seal};
use crate::hash::Tag;
use crate::id::NodeId;
use crate::params::SEALERS_MAX;
use crate::signature::{self, Signature, SigningKey};
use crate::time::{Millis, UnixTime};
use crate::work::{Height, Work};

/// Whether the list has one to `SEALERS_MAX` sealers, ascending, without repeats.
pub fn check_list(sealers: &[NodeId]) -> bool {
    (1..=SEALERS_MAX).contains(&sealers.len()) && sealers.windows(2).all(|pair| pair[0] < pair[1])
}

/// How many places the sealer is away from its turn at this height: 0 in turn, at most n − 1; none
/// if it is not in the (ascending) list.
pub fn distance(sealers: &[NodeId], sealer: &NodeId, height: Height) -> Option<u64> {
    let place = sealers.binary_search(sealer).ok()? as u64;
    let count = sealers.len() as u64;
    Some((place + count - height.0 % count) % count)
}

/// The earliest time a sealer at this distance from its turn may give its block.
pub fn earliest_time(parent: UnixTime, spacing: Millis, distance: u64) -> UnixTime {
    parent.after(spacing.saturating_mul(distance.saturating_add(1)))
}

/// What a block weighs: 2 in turn, else 1.
pub fn work(distance: u64) -> Work {
    Work::from_u64(if distance == 0 { 2 } else { 1 })
}

/// Names the key as sealer and signs. All other fields must be final.
#[must_use]
pub fn seal(mut header: Header, key: &SigningKey) -> Header {
    header.sealer = key.node_id();
    header.seal = Seal::Authority(key.sign(Tag::BlockSeal, &header.seal_digest()));
    header
}

/// The same by leave of the recovery keys; the grant's signature is made here.
#[must_use]
#[cfg_attr(
    not(feature = "alloc"),
    expect(clippy::useless_conversion, reason = "with an allocator the grant is kept apart")
)]
pub fn seal_granted(mut header: Header, mut grant: Grant, key: &SigningKey) -> Header {
    header.sealer = key.node_id();
    grant.signature = key.sign(Tag::BlockSeal, &header.seal_digest());
    header.seal = Seal::Recovery(grant.into());
    header
}

/// Whether the signature is the sealer's over this header.
pub fn check(header: &Header, signature: &Signature) -> bool {
    let digest = header.seal_digest();
    signature::check(&header.sealer, Tag::BlockSeal, &digest, signature)
}

/// The claim of an authority seal, for checking many at once; none for other seals.
#[cfg(feature = "alloc")]
pub fn claim(header: &Header) -> Option<signature::Claim> {
    signature_of(header).map(|signature| signature::Claim {
        node: header.sealer,
        tag: Tag::BlockSeal,
        digest: header.seal_digest(),
        signature: *signature,
    })
}

/// The sealer's signature; none for other seals.
pub const fn signature_of(header: &Header) -> Option<&Signature> {
    match &header.seal {
        Seal::Authority(signature) => Some(signature),
        Seal::Recovery(grant) => Some(&grant.signature),
        Seal::Genesis(_) | Seal::Pow(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALERS: [NodeId; 3] = [NodeId([1; 32]), NodeId([2; 32]), NodeId([3; 32])];

    #[test]
    fn the_turn_goes_round_in_order_of_ids() {
        let distances = |height| SEALERS.map(|s| distance(&SEALERS, &s, Height(height)).unwrap());
        assert_eq!(distances(0), [0, 1, 2]);
        assert_eq!(distances(1), [2, 0, 1]);
        assert_eq!(distances(2), [1, 2, 0]);
        assert_eq!(distances(u64::MAX), [0, 1, 2]);
        assert_eq!(distance(&SEALERS, &NodeId::ZERO, Height(0)), None);
        assert_eq!(distance(&[], &NodeId::ZERO, Height(0)), None);
    }

    #[test]
    fn sealers_out_of_turn_wait_longer_and_weigh_less() {
        assert_eq!(earliest_time(UnixTime(100), 10, 0), UnixTime(110));
        assert_eq!(earliest_time(UnixTime(100), 10, 2), UnixTime(130));
        assert_eq!(earliest_time(UnixTime(1), u64::MAX, 7), UnixTime(u64::MAX));
        assert_eq!((work(0), work(1)), (Work::from_u64(2), Work::from_u64(1)));
    }

    #[test]
    fn a_list_is_ascending_and_bounded() {
        assert!(check_list(&SEALERS));
        assert!(!check_list(&[]));
        assert!(!check_list(&[SEALERS[1], SEALERS[0]]));
        assert!(!check_list(&[SEALERS[0], SEALERS[0]]));
        let many: alloc::vec::Vec<NodeId> = (0..=SEALERS_MAX as u32)
            .map(|i| {
                let mut id = [0; 32];
                id[..4].copy_from_slice(&i.to_be_bytes());
                NodeId(id)
            })
            .collect();
        assert!(check_list(&many[1..]) && !check_list(&many));
    }
}
