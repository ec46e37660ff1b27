//! Locators: a chain in a few ids, dense at its end and exponentially sparser towards genesis, so
//! that another node finds where two chains part without knowing how far back that is.

use alloc::vec::Vec;

use crate::id::BlockId;
use crate::limits::LOCATOR_IDS;
use crate::work::Height;

/// Ids at the end of the chain that are listed one by one.
const DENSE: usize = 8;

/// At most `LOCATOR_IDS` ids of a chain, newest first, the last of them genesis. `id_at` names the
/// chain's block at a height up to `tip`; heights it cannot name are left out.
///
/// # Errors
/// Whatever `id_at` fails with.
pub fn locator<E>(
    tip: Height,
    mut id_at: impl FnMut(Height) -> Result<Option<BlockId>, E>,
) -> Result<Vec<BlockId>, E> {
    let mut ids = Vec::new();
    let (mut height, mut step) = (tip, 1u64);
    while height > Height::GENESIS && ids.len() < LOCATOR_IDS - 1 {
        ids.extend(id_at(height)?);
        if ids.len() >= DENSE {
            step = step.saturating_mul(2);
        }
        height = Height(height.0.saturating_sub(step));
    }
    ids.extend(id_at(Height::GENESIS)?);
    Ok(ids)
}

/// The first id of another node's locator that is on our chain, with its height: where headers for
/// it begin. `height_of` tells the height of a block on our best chain. Looks at no more than
/// `LOCATOR_IDS` ids, whatever was sent.
///
/// # Errors
/// Whatever `height_of` fails with.
pub fn find_fork<E>(
    locator: &[BlockId],
    mut height_of: impl FnMut(&BlockId) -> Result<Option<Height>, E>,
) -> Result<Option<(BlockId, Height)>, E> {
    for id in locator.iter().take(LOCATOR_IDS) {
        if let Some(height) = height_of(id)? {
            return Ok(Some((*id, height)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::convert::Infallible;
    use proptest::prelude::*;

    fn id(height: u64, branch: u8) -> BlockId {
        let mut id = [branch; 32];
        id[..8].copy_from_slice(&height.to_be_bytes());
        BlockId(id)
    }

    fn locate(tip: u64) -> Vec<BlockId> {
        locator(Height(tip), |h| Ok::<_, Infallible>(Some(id(h.0, 0)))).unwrap()
    }

    #[test]
    fn short_chains_are_listed_whole_and_genesis_once() {
        assert_eq!(locate(0), [id(0, 0)]);
        assert_eq!(locate(3), [id(3, 0), id(2, 0), id(1, 0), id(0, 0)]);
    }

    #[test]
    fn a_failing_store_is_reported() {
        assert_eq!(locator(Height(9), |_| Err::<Option<BlockId>, _>("fault")), Err("fault"));
        assert_eq!(find_fork(&[id(1, 1)], |_| Err("fault")), Err("fault"));
    }

    proptest! {
        #[test]
        fn a_fork_is_found_at_most_twice_as_deep_as_it_is(tip in 0u64..1 << 22, back: u64) {
            let fork = tip.saturating_sub(back % 5_000);
            let theirs = locate(tip);
            prop_assert!(theirs.len() <= LOCATOR_IDS);
            prop_assert_eq!(theirs.last(), Some(&id(0, 0)));
            let shared = |wanted: &BlockId| {
                Ok::<_, Infallible>((0..=fork).rev().map(Height).find(|h| id(h.0, 0) == *wanted))
            };
            let height_of = |wanted: &BlockId| {
                let height = u64::from_be_bytes(wanted.0[..8].try_into().unwrap());
                if height <= fork { Ok::<_, Infallible>(Some(Height(height))) } else { Ok(None) }
            };
            let (_, found) = find_fork(&theirs, height_of).unwrap().unwrap();
            prop_assert!(found.0 <= fork);
            prop_assert!(tip - found.0 <= 2 * (tip - fork) + DENSE as u64, "{} {} {}", tip, fork, found.0);
            if fork < 50 {
                prop_assert_eq!(find_fork(&theirs, shared).unwrap().map(|f| f.1), Some(found));
            }
        }
    }
}
