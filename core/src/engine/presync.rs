//! Branches that begin below the headers in memory.
//!
//! To compare such a branch with our chain, our headers from the fork up have to be loaded: work
//! and memory that grow with the depth of the fork, for one old header. So the branch is first followed
//! without being kept, until what was seen of it would win against all that we have on the fork.
//! Only then the window is extended down, and the branch asked for once more. The idea is the headers
//! presync of Bitcoin Core (24.0); what has to be proven here is what decides between branches.
//!
//! Bounds: one branch for each connection, of constant size but for the sealers it counts. A fork
//! deeper than half of the headers that memory may hold is not followed.
//!
//! Not here: asking the peer on, and the choice itself.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::chain::{BadHeaders, stored};
use crate::block::{ChainEnd, Header, RECOVERY, is_early};
use crate::chain::{NewHeader, Root};
use crate::id::{BlockId, NodeId};
use crate::params::{Params, SealRule};
use crate::seal::authority;
use crate::signature::check_batch;
use crate::store::{StoreFault, View};
use crate::time::{Millis, Now, UnixTime};
use crate::verified::Unverified;
use crate::wire::Tip;
use crate::work::Height;

/// Whoever judges whether a header is too early: clocks, how far ahead is too far, our tip's time.
pub(super) type Earliness<'a> = (&'a Now, Millis, UnixTime);

/// A branch that a peer shows.
#[derive(Debug)]
pub(super) struct Branch {
    /// The last block it shares with our chain.
    pub(super) fork: (Height, BlockId),
    /// The last header that was followed.
    pub(super) end: ChainEnd,
    /// Who may seal the next.
    sealers: Arc<[NodeId]>,
    /// Who might seal at the fork: they count.
    voters: Arc<[NodeId]>,
    /// Those of them who sealed the branch, and our chain up to `scanned`.
    theirs: Votes,
    ours: Votes,
    scanned: Height,
}

/// Whom the blocks of a chain since a fork count for.
#[derive(Debug, Default)]
struct Votes {
    recovered: bool,
    sealers: BTreeSet<NodeId>,
}

impl Votes {
    fn count(&mut self, header: &Header, voters: &[NodeId]) {
        let voter = header.voter();
        self.recovered |= voter == RECOVERY;
        if voters.binary_search(&voter).is_ok() {
            self.sealers.insert(voter);
        }
    }

    fn weight(&self) -> (bool, usize) {
        (self.recovered, self.sealers.len())
    }
}

impl Branch {
    /// Nothing followed yet.
    pub(super) fn new(fork: Root) -> Self {
        let height = fork.end.header.height;
        Self {
            fork: (height, fork.end.id),
            end: fork.end,
            sealers: fork.sealers.clone(),
            voters: fork.sealers,
            theirs: Votes::default(),
            ours: Votes::default(),
            scanned: height,
        }
    }

    /// Follows headers on top of what was followed, each the parent of the next, up to the first
    /// that is too early.
    ///
    /// # Errors
    /// `BadHeaders` if one is wrong; what was followed is then of no use.
    pub(super) fn follow(
        &mut self,
        params: &Params,
        headers: &[NewHeader],
        (now, ahead_max, tip_time): Earliness<'_>,
        seed: &[u8; 32],
    ) -> Result<(), BadHeaders> {
        let mut claims = Vec::new();
        for NewHeader { header: Unverified(header), sealers } in headers {
            if is_early(header.time, now, ahead_max, tip_time) {
                break;
            }
            let checked = self.end.check_next(params, &self.sealers, header, sealers.as_deref());
            checked.map_err(|_| BadHeaders)?;
            claims.extend(authority::claim(header));
            self.theirs.count(header, &self.voters);
            let changed = header.sealers_root != self.end.header.sealers_root;
            self.end.advance(params, &self.sealers, header.clone(), header.id());
            if let Some(next) = sealers.as_ref().filter(|_| changed) {
                self.sealers = next.clone();
            }
        }
        let signed = check_batch(&claims, seed).into_iter().all(|signed| signed);
        if signed { Ok(()) } else { Err(BadHeaders) }
    }

    /// Whether what was followed would win against our chain up to `tip`, as far as chains alone
    /// tell. Reads each header of ours once, and no further than decides.
    pub(super) fn wins(
        &mut self,
        params: &Params,
        tip: &Tip,
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        if params.seal != SealRule::Authority {
            return Ok(self.end.work >= tip.work);
        }
        while self.scanned < tip.height && self.ours.weight() <= self.theirs.weight() {
            self.scanned = self.scanned.next();
            self.ours.count(&stored(view, self.scanned)?.1.header, &self.voters);
        }
        Ok((self.theirs.weight(), self.end.work) >= (self.ours.weight(), tip.work))
    }
}
