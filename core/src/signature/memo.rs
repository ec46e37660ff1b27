//! Verdicts on signatures and keys, remembered. In a simulated mesh every node checks the same
//! signatures; what is tested there is what a node does with a verdict, not the curve.
//!
//! A verdict depends on nothing but what is asked, so remembering it changes no run.

use std::cell::RefCell;
use std::collections::HashMap;
use std::thread_local;

use super::Claim;
use crate::id::NodeId;

/// Verdicts kept; then all are forgotten, which costs only time.
const KEPT: usize = 1 << 16;

type Asked = (NodeId, u8, [u8; 32], [u8; 64]);

thread_local! {
    static SIGNATURES: RefCell<HashMap<Asked, bool>> = RefCell::default();
    static KEYS: RefCell<HashMap<NodeId, bool>> = RefCell::default();
}

fn asked(claim: &Claim) -> Asked {
    (claim.node, claim.tag as u8, claim.digest, claim.signature.0)
}

/// Verdicts on the claims, asking `check` only for those that are new.
pub(super) fn signatures(
    claims: &[Claim],
    check: impl FnOnce(&[Claim]) -> alloc::vec::Vec<bool>,
) -> alloc::vec::Vec<bool> {
    let known = |claim: &Claim| SIGNATURES.with_borrow(|all| all.get(&asked(claim)).copied());
    let mut verdicts: alloc::vec::Vec<Option<bool>> = claims.iter().map(known).collect();
    let missing = || claims.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_none());
    let new: alloc::vec::Vec<Claim> = missing().map(|(claim, _)| *claim).collect();
    if !new.is_empty() {
        let found = check(&new);
        SIGNATURES.with_borrow_mut(|all| {
            if all.len() > KEPT {
                all.clear();
            }
            all.extend(new.iter().map(asked).zip(found.iter().copied()));
        });
        let mut found = found.into_iter();
        verdicts.iter_mut().filter(|verdict| verdict.is_none()).for_each(|v| *v = found.next());
    }
    verdicts.into_iter().flatten().collect()
}

/// The verdict on a key, asking `check` if it is new.
pub(super) fn key(node: &NodeId, check: impl FnOnce() -> bool) -> bool {
    let known = KEYS.with_borrow(|all| all.get(node).copied());
    known.unwrap_or_else(|| {
        let verdict = check();
        KEYS.with_borrow_mut(|all| {
            if all.len() > KEPT {
                all.clear();
            }
            all.insert(*node, verdict);
        });
        verdict
    })
}
