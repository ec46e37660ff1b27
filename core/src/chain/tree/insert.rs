//! Headers come in: judged by the chain they extend, their signatures checked together.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::block::{ChainEnd, Header, HeaderReject};
use crate::id::{BlockId, NodeId};
use crate::seal::authority;
use crate::signature::check_batch;
use crate::time::{Millis, Now};
use crate::verified::{Unverified, Verified};

use super::{EVIDENCE_MAX, Entry, Evidence, HeaderTree, PEAKS_EVERY, Status, candidate, leaf_key};

/// A header from outside, with the sealers for the block after it where those change.
#[derive(Debug, Clone)]
pub struct NewHeader {
    /// The header.
    pub header: Unverified<Header>,
    /// The list it commits to, ascending; needed where it differs from its parent's.
    pub sealers: Option<Arc<[NodeId]>>,
}

/// Why a header was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertError {
    /// It breaks a rule: its sender is to blame.
    Invalid(HeaderReject),
    /// It builds on a block that could not be applied.
    InvalidAncestor(BlockId),
    /// Its parent is not in memory.
    UnknownParent(BlockId),
    /// Its time is too far ahead of our clock: to be tried again later, nobody is to blame.
    Early,
    /// There is no room for it, and nothing lighter to give up.
    Full,
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reject) => reject.fmt(f),
            Self::InvalidAncestor(id) => write!(f, "builds on the invalid block {id}"),
            Self::UnknownParent(id) => write!(f, "the parent {id} is not known"),
            Self::Early => f.write_str("its time is still ahead"),
            Self::Full => f.write_str("no room for a branch as light as this"),
        }
    }
}

impl core::error::Error for InsertError {}

/// Where taking headers stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Index of the header in the answer.
    pub at: usize,
    /// Its id.
    pub id: BlockId,
    /// Why.
    pub error: InsertError,
}

/// What became of headers that came together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inserted {
    /// Ids of the new ones, in order.
    pub new: Vec<BlockId>,
    /// How many were known already (and none invalid).
    pub known: usize,
    /// The first that was not taken; nothing after it was looked at.
    pub stopped: Option<Stopped>,
}

/// A header that passed every check but that of its signature.
struct Passed {
    at: usize,
    end: Box<ChainEnd>,
    sealers: Arc<[NodeId]>,
}

impl HeaderTree {
    /// Takes one header; `Ok(false)` if it is known already. See `insert_many`.
    ///
    /// # Errors
    /// Why it was not taken; the tree is then unchanged.
    pub fn insert(
        &mut self,
        header: NewHeader,
        now: &Now,
        ahead_max: Millis,
    ) -> Result<bool, InsertError> {
        // One signature is checked by itself, without the seed.
        let inserted = self.insert_many(core::slice::from_ref(&header), now, ahead_max, &[0; 32]);
        match inserted.stopped {
            Some(stopped) => Err(stopped.error),
            None => Ok(inserted.known == 0),
        }
    }

    /// Takes headers in ascending order, each the parent of the next (an answer of a peer); stops at
    /// the first that is not valid, early or not connected. `seed` must be unpredictable to whoever
    /// made the signatures.
    pub fn insert_many(
        &mut self,
        headers: &[NewHeader],
        now: &Now,
        ahead_max: Millis,
        seed: &[u8; 32],
    ) -> Inserted {
        let mut inserted = Inserted::default();
        let passed = self.judge(headers, now, ahead_max, &mut inserted);
        let claims: Vec<_> = passed
            .iter()
            .filter_map(|p| authority::claim(&p.end.header))
            .collect();
        // Proof of work has no signatures, so no verdicts: nothing to wait for.
        let signed = check_batch(&claims, seed);
        for (n, passed) in passed.into_iter().enumerate() {
            let Passed { at, end, sealers } = passed;
            let id = end.id;
            let taken = match signed.get(n) {
                Some(false) => Err(InsertError::Invalid(HeaderReject::Signature)),
                _ => self.add(end, sealers, Status::HeaderOnly),
            };
            if let Err(error) = taken {
                inserted.stopped = Some(Stopped { at, id, error });
                return inserted;
            }
            inserted.new.push(id);
        }
        inserted
    }

    /// Takes a header of the best chain from our own disk, whose body is held. Its signature was
    /// checked when it first came; every other rule is checked again.
    ///
    /// # Errors
    /// Why the disk does not hold a chain.
    pub fn restore(&mut self, header: NewHeader) -> Result<BlockId, InsertError> {
        let Unverified(next) = header.header;
        let parent = next.parent;
        let mut end = self
            .end(&parent)
            .ok_or(InsertError::UnknownParent(parent))?;
        let sealers = self.sealers_after(&parent);
        let id = next.id();
        let after = step(&mut end, self, &sealers, next, id, header.sealers)?;
        self.add(Box::new(end), after, Status::BodyHeld)?;
        self.set_body_held(&id);
        Ok(id)
    }

    /// Judges headers by every rule but the signature. What is known already is skipped.
    fn judge(
        &self,
        headers: &[NewHeader],
        now: &Now,
        ahead_max: Millis,
        inserted: &mut Inserted,
    ) -> Vec<Passed> {
        let tip_time = self.entries.get(&self.tip).map(|tip| tip.header.time);
        let mut passed: Vec<Passed> = Vec::new();
        for (at, NewHeader { header, sealers }) in headers.iter().enumerate() {
            let header = &header.0;
            let id = header.id();
            let known = self.entries.get(&id);
            if passed.is_empty() && known.is_some_and(|entry| entry.status != Status::Invalid) {
                inserted.known += 1;
                continue;
            }
            let error = if known.is_some() {
                InsertError::InvalidAncestor(id)
            } else if crate::block::is_early(
                header.time,
                now,
                ahead_max,
                tip_time.unwrap_or_default(),
            ) {
                InsertError::Early
            } else {
                match self.judge_one(passed.last(), header, id, sealers.clone()) {
                    Ok((end, sealers)) => {
                        passed.push(Passed { at, end, sealers });
                        continue;
                    }
                    Err(error) => error,
                }
            };
            inserted.stopped = Some(Stopped { at, id, error });
            break;
        }
        passed
    }

    fn judge_one(
        &self,
        before: Option<&Passed>,
        header: &Header,
        id: BlockId,
        next: Option<Arc<[NodeId]>>,
    ) -> Result<(Box<ChainEnd>, Arc<[NodeId]>), InsertError> {
        let (mut end, sealers) = match before {
            Some(before) => (before.end.clone(), before.sealers.clone()),
            None => {
                let parent = header.parent;
                let entry = self.entries.get(&parent);
                if entry.is_some_and(|entry| entry.status == Status::Invalid) {
                    return Err(InsertError::InvalidAncestor(parent));
                }
                let end = self
                    .end(&parent)
                    .ok_or(InsertError::UnknownParent(parent))?;
                (Box::new(end), self.sealers_after(&parent))
            }
        };
        let after = step(&mut end, self, &sealers, header.clone(), id, next)?;
        Ok((end, after))
    }

    fn sealers_after(&self, id: &BlockId) -> Arc<[NodeId]> {
        self.entries
            .get(id)
            .map_or_else(|| Arc::from([]), |entry| entry.sealers.clone())
    }

    /// Adds the last header of a verified chain; its parent is in the tree.
    fn add(
        &mut self,
        end: Box<ChainEnd>,
        sealers: Arc<[NodeId]>,
        status: Status,
    ) -> Result<(), InsertError> {
        let (id, parent) = (end.id, end.header.parent);
        if self.entries.len() >= self.limit && !self.give_up_lighter(end.work, &parent) {
            return Err(InsertError::Full);
        }
        self.note_equivocation(&end);
        let entry = Entry {
            header: Verified::proven(end.header.clone()),
            work: end.work,
            effective_time: end.effective_time,
            sealers,
            status,
            children: Vec::new(),
            peaks: (end.header.height.0 % PEAKS_EVERY == 0).then(|| end.history.peaks().into()),
        };
        if let Some(above) = self.entries.get_mut(&parent) {
            if above.children.is_empty() {
                self.leaves.remove(&leaf_key(parent, above));
            }
            above.children.push(id);
        }
        self.leaves.insert(leaf_key(id, &entry));
        self.headers.insert(candidate(id, &entry));
        self.entries.insert(id, entry);
        self.last = Some(end);
        Ok(())
    }

    fn note_equivocation(&mut self, end: &ChainEnd) {
        if self.params.seal != crate::params::SealRule::Authority {
            return;
        }
        let (parent, sealer) = (end.header.parent, end.header.sealer);
        let siblings = self.entries.get(&parent).map(Entry::children);
        let by_same = siblings.unwrap_or_default().iter().find(|sibling| {
            self.entries
                .get(*sibling)
                .is_some_and(|entry| entry.header.sealer == sealer)
        });
        if let Some(first) = by_same.copied()
            && self.evidence.len() < EVIDENCE_MAX
        {
            self.evidence.push(Evidence {
                sealer,
                parent,
                first,
                second: end.id,
            });
        }
    }
}

/// Checks the next header (not its signature) and moves the end to it; returns who may seal after.
pub(super) fn step(
    end: &mut ChainEnd,
    tree: &HeaderTree,
    sealers: &Arc<[NodeId]>,
    header: Header,
    id: BlockId,
    next: Option<Arc<[NodeId]>>,
) -> Result<Arc<[NodeId]>, InsertError> {
    let params = &tree.params;
    end.check_next(params, sealers, &header, next.as_deref())
        .map_err(InsertError::Invalid)?;
    let changed = header.sealers_root != end.header.sealers_root;
    end.advance(params, sealers, header, id);
    Ok(next.filter(|_| changed).unwrap_or_else(|| sealers.clone()))
}
