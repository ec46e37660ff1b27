//! The rules of headers: what a header must be, given the chain it extends.
//!
//! `ChainEnd` is the end of a verified header chain with everything the next header is judged by;
//! it needs no body and no allocator. The checks are split in two, so that the signatures of many
//! headers can be checked at once: `check_next` is everything but the signature.
//!
//! Not here: the upper bound on time. A header from our future is not invalid, only early (see
//! `is_early`). Nor whether `sealers_root` names the right sealers: that follows from the facts, so
//! it is judged where blocks are applied.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{BlockId, Hash, NodeId};
use crate::merkle::Frontier;
use crate::params::{MEDIAN_TIME_SPAN, Params, RULES_VERSION, SEALERS_MAX, SealRule};
use crate::seal::pow::EffectiveTime;
use crate::seal::{authority, pow};
use crate::time::{Millis, Now, UnixTime};
use crate::verified::{Unverified, Verified};
use crate::work::{Height, Target, Work};

use super::{Header, Seal, genesis, sealers_root};

/// The rule that a header breaks. All of them are provable: whoever sent it as a valid header is
/// broken or lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderReject {
    /// Another version of the rules than 1.
    Version(u8),
    /// Not the parent's height plus one: expected, got.
    Height(Height, Height),
    /// Names another parent.
    Parent(BlockId),
    /// Does not commit to the blocks before it.
    HistoryRoot,
    /// The reserved field is not zero.
    StateRoot,
    /// The sealers for the next block changed, and the list given (or missing) is not theirs.
    SealersRoot,
    /// The list of sealers is unordered, repeats, is too long, or leaves nobody to seal.
    SealersList,
    /// Later than year 9999.
    TimeTooLarge(UnixTime),
    /// Not after the median of the last headers' times: that median, got.
    NotAfterMedian(UnixTime, UnixTime),
    /// Sealed before the sealer's turn had come: earliest, got.
    BeforeTurn(UnixTime, UnixTime),
    /// Another target than the chain requires: expected, got.
    Target(Target, Target),
    /// Sealed in another way than the mesh's.
    SealKind,
    /// The sealer may not seal this block.
    NotASealer(NodeId),
    /// The recovery keys do not let its sealer go on from its parent.
    NotGranted,
    /// The sealer did not sign this header.
    Signature,
    /// The id does not meet the target.
    Work,
}

impl fmt::Display for HeaderReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(got) => write!(f, "header version {got}, expected {RULES_VERSION}"),
            Self::Height(expected, got) => write!(f, "height {got}, expected {expected}"),
            Self::Parent(got) => write!(f, "names {got} as parent"),
            Self::HistoryRoot => f.write_str("does not commit to the blocks before it"),
            Self::StateRoot => f.write_str("the reserved state root is not zero"),
            Self::SealersRoot => f.write_str("came without the sealers it commits to"),
            Self::SealersList => {
                write!(f, "the next sealers are not 1 to {SEALERS_MAX} ascending ids")
            }
            Self::TimeTooLarge(got) => write!(f, "time {} is later than year 9999", got.0),
            Self::NotAfterMedian(median, got) => {
                write!(f, "time {} is not after the median {}", got.0, median.0)
            }
            Self::BeforeTurn(earliest, got) => {
                write!(f, "time {} is before the sealer's turn at {}", got.0, earliest.0)
            }
            Self::Target(expected, got) => {
                write!(f, "target {:08x}, expected {:08x}", got.0, expected.0)
            }
            Self::SealKind => f.write_str("not the mesh's kind of seal"),
            Self::NotASealer(got) => write!(f, "{got} may not seal this block"),
            Self::NotGranted => f.write_str("the recovery keys did not let it be sealed"),
            Self::Signature => f.write_str("the sealer did not sign this header"),
            Self::Work => f.write_str("the id does not meet the target"),
        }
    }
}

impl core::error::Error for HeaderReject {}

/// Times of the newest headers of a chain, oldest first.
pub type RecentTimes = heapless::Vec<UnixTime, MEDIAN_TIME_SPAN>;

/// The end of a verified header chain, with all that the next header is judged by.
///
/// The sealers who may seal the next block are kept apart by the owner (a list of up to
/// `SEALERS_MAX` ids that rarely changes) and passed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEnd {
    /// Id of `header`.
    pub id: BlockId,
    /// The last header.
    pub header: Header,
    /// Cumulative work; zero at genesis.
    pub work: Work,
    /// Effective time of the last header.
    pub effective_time: EffectiveTime,
    /// Times of the last headers, this one included.
    pub times: RecentTimes,
    /// Tree of the ids of all blocks, this one included: its root is the next `history_root`.
    pub history: Frontier,
}

impl ChainEnd {
    /// The chain of genesis alone. The next block's sealers are `params.roots`.
    pub fn genesis(params: &Params) -> Self {
        let header = genesis(params);
        let id = header.id();
        let mut history = Frontier::new();
        history.push(id.as_bytes());
        let mut times = RecentTimes::new();
        // Fits: the span is not zero.
        let _ = times.push(header.time);
        Self { id, header, work: Work::ZERO, effective_time: EffectiveTime(0), times, history }
    }

    /// Median of the last `MEDIAN_TIME_SPAN` times, or of all while there are fewer; the next time
    /// must be greater.
    pub fn median_time(&self) -> UnixTime {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The target that the next header must have; zero under authority.
    pub fn next_target(&self, params: &Params) -> Target {
        pow::next_target(params, self.header.height, self.effective_time)
    }

    /// Earliest valid time of a next header by this sealer; none if it may not seal it.
    pub fn earliest_time(
        &self,
        params: &Params,
        sealers: &[NodeId],
        sealer: &NodeId,
    ) -> Option<UnixTime> {
        let after_median = self.median_time().after(1);
        match params.seal {
            SealRule::Pow { .. } => Some(after_median),
            SealRule::Authority => {
                let distance = authority::distance(sealers, sealer, self.header.height.next())?;
                let turn = authority::earliest_time(self.header.time, params.spacing, distance);
                Some(turn.max(after_median))
            }
        }
    }

    /// Earliest valid time of a next header that the recovery keys let somebody seal.
    pub fn earliest_granted(&self, params: &Params, sealers: &[NodeId]) -> UnixTime {
        let turn = authority::earliest_time(self.header.time, params.spacing, last(sealers));
        turn.max(self.median_time().after(1))
    }

    /// Work of a next header, given that it obeys the rules.
    fn work_of(&self, params: &Params, sealers: &[NodeId], header: &Header) -> Work {
        match params.seal {
            SealRule::Pow { .. } => header.target.work(),
            SealRule::Authority => distance(sealers, header).map_or(Work::ZERO, authority::work),
        }
    }

    /// Every rule for the next header but its signature, cheap ones first. `sealers` may seal it;
    /// `next_sealers` is the list it commits to, needed where that changes and ignored elsewhere.
    ///
    /// # Errors
    /// The first rule that is broken; never `Signature`.
    pub fn check_next(
        &self,
        params: &Params,
        sealers: &[NodeId],
        header: &Header,
        next_sealers: Option<&[NodeId]>,
    ) -> Result<(), HeaderReject> {
        let height = self.header.height.next();
        if header.version != RULES_VERSION {
            return Err(HeaderReject::Version(header.version));
        }
        if header.height != height {
            return Err(HeaderReject::Height(height, header.height));
        }
        if header.parent != self.id {
            return Err(HeaderReject::Parent(header.parent));
        }
        if header.state_root != Hash::ZERO {
            return Err(HeaderReject::StateRoot);
        }
        if header.time > UnixTime::MAX_VALID {
            return Err(HeaderReject::TimeTooLarge(header.time));
        }
        let median = self.median_time();
        if header.time <= median {
            return Err(HeaderReject::NotAfterMedian(median, header.time));
        }
        self.check_seal(params, sealers, header)?;
        if header.history_root != self.history.root() {
            return Err(HeaderReject::HistoryRoot);
        }
        if header.sealers_root == self.header.sealers_root {
            return check_granted(header, sealers);
        }
        let next = next_sealers.ok_or(HeaderReject::SealersRoot)?;
        // An open mesh needs no sealers; under authority an empty list would end the chain.
        let nobody_needed = next.is_empty() && params.seal != SealRule::Authority;
        if !nobody_needed && !authority::check_list(next) {
            return Err(HeaderReject::SealersList);
        }
        if sealers_root(next) != header.sealers_root {
            return Err(HeaderReject::SealersRoot);
        }
        check_granted(header, next)
    }

    fn check_seal(
        &self,
        params: &Params,
        sealers: &[NodeId],
        header: &Header,
    ) -> Result<(), HeaderReject> {
        let target = self.next_target(params);
        if header.target != target {
            return Err(HeaderReject::Target(target, header.target));
        }
        match (params.seal, &header.seal) {
            (SealRule::Authority, Seal::Authority(_) | Seal::Recovery(_)) => {
                let distance =
                    distance(sealers, header).ok_or(HeaderReject::NotASealer(header.sealer))?;
                let earliest = authority::earliest_time(self.header.time, params.spacing, distance);
                if header.time < earliest {
                    return Err(HeaderReject::BeforeTurn(earliest, header.time));
                }
                match &header.seal {
                    Seal::Recovery(grant) if !grant.holds(params, header) => {
                        Err(HeaderReject::NotGranted)
                    }
                    _ => Ok(()),
                }
            }
            (SealRule::Pow { .. }, Seal::Pow(_)) if pow::check(header) => Ok(()),
            (SealRule::Pow { .. }, Seal::Pow(_)) => Err(HeaderReject::Work),
            _ => Err(HeaderReject::SealKind),
        }
    }

    /// Every rule for the next header, its signature included.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify_next(
        &self,
        params: &Params,
        sealers: &[NodeId],
        header: Unverified<Header>,
        next_sealers: Option<&[NodeId]>,
    ) -> Result<Verified<Header>, HeaderReject> {
        let header = header.0;
        self.check_next(params, sealers, &header, next_sealers)?;
        match authority::signature_of(&header) {
            Some(signature) if !authority::check(&header, signature) => {
                Err(HeaderReject::Signature)
            }
            _ => Ok(Verified::proven(header)),
        }
    }

    /// Moves the end to a header that passed `check_next` with the same arguments.
    pub fn advance(&mut self, params: &Params, sealers: &[NodeId], header: Header, id: BlockId) {
        self.work = self.work + self.work_of(params, sealers, &header);
        self.effective_time =
            self.effective_time.after(self.header.time, header.time, params.spacing);
        if self.times.is_full() {
            self.times.remove(0);
        }
        // Fits: room was made.
        let _ = self.times.push(header.time);
        self.history.push(id.as_bytes());
        self.header = header;
        self.id = id;
    }
}

/// How far a block that the recovery keys let somebody seal is from any turn.
const fn last(sealers: &[NodeId]) -> u64 {
    sealers.len() as u64
}

/// How many places a header's sealer is away from its turn.
fn distance(sealers: &[NodeId], header: &Header) -> Option<u64> {
    match header.seal {
        Seal::Recovery(_) => Some(last(sealers)),
        _ => authority::distance(sealers, &header.sealer, header.height),
    }
}

/// Who seals by leave of the recovery keys has a seat afterwards: the block has the fact that says
/// so, or an earlier one did.
fn check_granted(header: &Header, next: &[NodeId]) -> Result<(), HeaderReject> {
    match header.seal {
        Seal::Recovery(_) if next.binary_search(&header.sealer).is_err() => {
            Err(HeaderReject::NotASealer(header.sealer))
        }
        _ => Ok(()),
    }
}

/// Whether a header's time is too far ahead of our clock to be looked at now. It is held and tried
/// again, and nobody is to blame. A clock that nobody confirmed, or that is behind our own tip, is
/// no measure, and then nothing is early.
pub fn is_early(time: UnixTime, now: &Now, ahead_max: Millis, tip_time: UnixTime) -> bool {
    now.wall_confirmed && now.wall >= tip_time && time > now.wall.after(ahead_max)
}

#[cfg(test)]
mod tests;
