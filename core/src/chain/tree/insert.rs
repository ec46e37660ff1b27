//! Headers come in: judged by the chain they extend, their signatures checked together.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::block::{ChainEnd, Header, HeaderReject, is_early};
use crate::id::{BlockId, NodeId};
use crate::params::{Params, SealRule};
use crate::seal::authority;
use crate::signature::check_batch;
use crate::time::{Millis, Now};
use crate::verified::Unverified;
use crate::work::{Height, Work};

use super::{EVIDENCE_MAX, Entry, Evidence, HeaderTree, Status, candidate, leaf_key, skip_height};

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

/// The end of a chain and who may seal the next block.
type Chain = (Box<ChainEnd>, Arc<[NodeId]>);

/// A header that passed every check but that of its signature.
struct Passed {
    at: usize,
    id: BlockId,
    entry: Entry,
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
        let (passed, end) = self.judge(headers, now, ahead_max, &mut inserted);
        let claims: Vec<_> =
            passed.iter().filter_map(|passed| authority::claim(&passed.entry.header)).collect();
        // Proof of work has no signatures, so no verdicts: nothing to wait for.
        let signed = check_batch(&claims, seed);
        // What comes together is worth as much as its end: the beginning of a heavy chain finds
        // room among light branches.
        let worth = passed.last().map(|last| last.entry.work).unwrap_or_default();
        for (n, Passed { at, id, entry }) in passed.into_iter().enumerate() {
            let taken = match signed.get(n) {
                Some(false) => Err(InsertError::Invalid(HeaderReject::Signature)),
                _ => self.add(id, entry, worth),
            };
            if let Err(error) = taken {
                inserted.stopped = Some(Stopped { at, id, error });
                return inserted;
            }
            inserted.new.push(id);
        }
        self.last = end.or(self.last.take());
        inserted
    }

    /// Takes a header of the best chain from our own disk, whose body is held. Its signature was
    /// checked when it first came; every other rule is checked again.
    ///
    /// # Errors
    /// Why the disk does not hold a chain.
    pub fn restore(&mut self, header: NewHeader) -> Result<BlockId, InsertError> {
        let Unverified(next) = header.header;
        let (id, parent) = (next.id(), next.parent);
        let (mut end, sealers) = self.start(&parent)?;
        let after = step(&mut end, &self.params, &sealers, next, id, header.sealers)?;
        let entry = Entry::new(&end, after, Status::HeaderOnly);
        let worth = entry.work;
        self.add(id, entry, worth)?;
        self.set_body_held(&id);
        self.last = Some(end);
        Ok(id)
    }

    /// Judges headers by every rule but the signature; what is known already is skipped. Returns
    /// those that passed and where they end.
    fn judge(
        &self,
        headers: &[NewHeader],
        now: &Now,
        ahead_max: Millis,
        inserted: &mut Inserted,
    ) -> (Vec<Passed>, Option<Box<ChainEnd>>) {
        let tip = self.entries.get(&self.tip);
        let tip_time = tip.map(|tip| tip.header.time).unwrap_or_default();
        let mut passed = Vec::new();
        let mut chain = None;
        for (at, NewHeader { header: Unverified(header), sealers }) in headers.iter().enumerate() {
            let id = header.id();
            let judged = match self.entries.get(&id) {
                Some(entry) if entry.status == Status::Invalid => {
                    Err(InsertError::InvalidAncestor(id))
                }
                Some(_) => {
                    inserted.known += 1;
                    continue;
                }
                None if is_early(header.time, now, ahead_max, tip_time) => Err(InsertError::Early),
                None => self.judge_one(chain.take(), header, id, sealers.clone()),
            };
            match judged {
                Ok((end, after)) => {
                    let entry = Entry::new(&end, after.clone(), Status::HeaderOnly);
                    passed.push(Passed { at, id, entry });
                    chain = Some((end, after));
                }
                Err(error) => {
                    inserted.stopped = Some(Stopped { at, id, error });
                    break;
                }
            }
        }
        (passed, chain.map(|(end, _)| end))
    }

    fn judge_one(
        &self,
        chain: Option<Chain>,
        header: &Header,
        id: BlockId,
        next: Option<Arc<[NodeId]>>,
    ) -> Result<Chain, InsertError> {
        let (mut end, sealers) = match chain {
            Some(chain) => chain,
            None => self.start(&header.parent)?,
        };
        let after = step(&mut end, &self.params, &sealers, header.clone(), id, next)?;
        Ok((end, after))
    }

    /// The chain that a header with this parent extends.
    fn start(&self, parent: &BlockId) -> Result<Chain, InsertError> {
        let unknown = InsertError::UnknownParent(*parent);
        let entry = self.entries.get(parent).ok_or(unknown)?;
        if entry.status == Status::Invalid {
            return Err(InsertError::InvalidAncestor(*parent));
        }
        let end = self.end(parent).ok_or(unknown)?;
        Ok((Box::new(end), entry.sealers.clone()))
    }

    /// Adds a verified entry whose parent is in the tree; `worth` is the work of the chain that it
    /// came with.
    fn add(&mut self, id: BlockId, mut entry: Entry, worth: Work) -> Result<(), InsertError> {
        let parent = entry.header.parent;
        if self.entries.len() >= self.limit && !self.give_up_lighter(worth, &parent) {
            return Err(InsertError::Full);
        }
        self.note_equivocation(id, &entry);
        entry.skip = self.ancestor_at(&parent, Height(skip_height(entry.header.height.0)));
        if let Some(above) = self.entries.get_mut(&parent) {
            if above.children.is_empty() {
                self.leaves.remove(&leaf_key(parent, above));
            }
            above.children.push(id);
        }
        self.leaves.insert(leaf_key(id, &entry));
        self.headers.insert(candidate(id, &entry));
        self.entries.insert(id, entry);
        Ok(())
    }

    fn note_equivocation(&mut self, second: BlockId, entry: &Entry) {
        if self.params.seal != SealRule::Authority || self.evidence.len() >= EVIDENCE_MAX {
            return;
        }
        let (parent, sealer) = (entry.header.parent, entry.header.sealer);
        let siblings = self.entries.get(&parent).map(Entry::children);
        let by_same = siblings.unwrap_or_default().iter().find(|sibling| {
            self.entries.get(*sibling).is_some_and(|entry| entry.header.sealer == sealer)
        });
        if let Some(first) = by_same.copied() {
            self.evidence.push(Evidence { sealer, parent, first, second });
        }
    }
}

/// Checks the next header (not its signature) and moves the end to it; returns who may seal after.
pub(super) fn step(
    end: &mut ChainEnd,
    params: &Params,
    sealers: &Arc<[NodeId]>,
    header: Header,
    id: BlockId,
    next: Option<Arc<[NodeId]>>,
) -> Result<Arc<[NodeId]>, InsertError> {
    end.check_next(params, sealers, &header, next.as_deref()).map_err(InsertError::Invalid)?;
    let changed = header.sealers_root != end.header.sealers_root;
    end.advance(params, sealers, header, id);
    Ok(next.filter(|_| changed).unwrap_or_else(|| sealers.clone()))
}
