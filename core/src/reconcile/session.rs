//! One reconciliation with one peer, from our side, and the stateless answers of the other side.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::fingerprints::{BUCKETS, BUCKETS_PER_GROUP, Fingerprints, GROUPS, bucket_of, ids_in};
use super::sweep::{Span, span};
use crate::id::FactId;
use crate::store::{StoreFault, View};
use crate::wire::{ReconcileAnswer, ReconcileRequest};

/// Ids in one answer at most.
const IDS_PER_ANSWER: usize = 4_096;
/// Buckets in one request for ids at most.
const BUCKETS_PER_REQUEST: usize = 256;

/// What to do next in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask this.
    Ask(ReconcileRequest),
    /// The peer has these ids; want those that are not held, then call `Session::ask`.
    Compare(Vec<FactId>),
    /// The peer holds this between `after` and its last id: see whether we do, then call
    /// `Session::swept`.
    Look {
        /// Where the span begins.
        after: Option<FactId>,
        /// What the peer holds there.
        theirs: Span,
    },
    /// Nothing differs any more.
    Done,
    /// The peer answered what was not asked: provable misbehavior.
    Nonsense,
}

#[derive(Debug)]
enum Stage {
    Sweep(Option<FactId>),
    Groups,
    Buckets(Vec<u8>),
    Ids { asked: Vec<u16>, after: Option<FactId> },
}

/// A session: what was asked, and which buckets still differ.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    differing: VecDeque<u16>,
}

impl Default for Session {
    fn default() -> Self {
        Self { stage: Stage::Groups, differing: VecDeque::new() }
    }
}

impl Session {
    /// A session that compares one span of two sets with the same summary.
    pub const fn sweep(after: Option<FactId>) -> Self {
        Self { stage: Stage::Sweep(after), differing: VecDeque::new() }
    }

    /// The span that was looked at differs: its ids are compared.
    pub fn swept(&mut self, after: Option<FactId>, theirs: &Span) {
        let first = after.map_or(0, |id| bucket_of(&id));
        let last = theirs.last.map_or(BUCKETS as u16 - 1, |id| bucket_of(&id));
        self.differing = (first..=last).collect();
        self.stage = Stage::Ids { asked: Vec::new(), after };
    }

    /// What to ask now.
    pub fn ask(&mut self) -> Step {
        match &mut self.stage {
            Stage::Sweep(after) => Step::Ask(ReconcileRequest::Span { after: *after }),
            Stage::Groups => Step::Ask(ReconcileRequest::Groups),
            Stage::Buckets(groups) => Step::Ask(ReconcileRequest::Buckets(groups.clone())),
            Stage::Ids { asked, after } => {
                if asked.is_empty() {
                    let count = self.differing.len().min(BUCKETS_PER_REQUEST);
                    *asked = self.differing.drain(..count).collect();
                }
                if asked.is_empty() {
                    return Step::Done;
                }
                Step::Ask(ReconcileRequest::Ids { buckets: asked.clone(), after: *after })
            }
        }
    }

    /// The peer answered.
    pub fn answered(&mut self, ours: &Fingerprints, answer: ReconcileAnswer) -> Step {
        match (&mut self.stage, answer) {
            (Stage::Sweep(after), ReconcileAnswer::Span(last, digest)) => {
                let after = *after;
                // A span that ends where it began would go round for ever.
                if last.is_some() && last <= after {
                    return Step::Nonsense;
                }
                Step::Look { after, theirs: Span { last, digest } }
            }
            (Stage::Groups, ReconcileAnswer::Groups(theirs)) if theirs.len() == GROUPS => {
                let differing: Vec<u8> = (0..)
                    .zip(ours.groups().iter().zip(&theirs))
                    .filter(|(_, (ours, theirs))| ours != theirs)
                    .map(|(group, _)| group)
                    .collect();
                if differing.is_empty() {
                    return Step::Done;
                }
                self.stage = Stage::Buckets(differing);
                self.ask()
            }
            (Stage::Buckets(groups), ReconcileAnswer::Buckets(theirs))
                if theirs.len() == groups.len() * BUCKETS_PER_GROUP =>
            {
                for (group, theirs) in groups.iter().zip(theirs.chunks(BUCKETS_PER_GROUP)) {
                    let first = u16::from(*group) * BUCKETS_PER_GROUP as u16;
                    let ours = ours.group(*group);
                    let pairs = (first..).zip(ours.iter().zip(theirs));
                    self.differing
                        .extend(pairs.filter(|(_, (a, b))| a != b && b.count > 0).map(|(n, _)| n));
                }
                self.stage = Stage::Ids { asked: Vec::new(), after: None };
                self.ask()
            }
            (Stage::Ids { asked, after }, ReconcileAnswer::Ids(ids, more))
                if ids.len() <= IDS_PER_ANSWER =>
            {
                let ordered = ids.windows(2).all(|pair| pair[0] < pair[1]);
                let asked_for = ids.iter().all(|id| asked.binary_search(&bucket_of(id)).is_ok());
                // Without a later id than last time it would go round for ever.
                let advances = ids.first().map_or(!more, |first| Some(first) > after.as_ref());
                if !ordered || !asked_for || !advances {
                    return Step::Nonsense;
                }
                *after = if more { ids.last().copied() } else { None };
                if !more {
                    asked.clear();
                }
                Step::Compare(ids)
            }
            _ => Step::Nonsense,
        }
    }
}

/// Answers a peer's step; none if it asks for what does not exist.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn answer(
    ours: &Fingerprints,
    view: &dyn View,
    request: &ReconcileRequest,
) -> Result<Option<ReconcileAnswer>, StoreFault> {
    Ok(match request {
        ReconcileRequest::Span { after } => {
            let ours = span(view, *after)?;
            Some(ReconcileAnswer::Span(ours.last, ours.digest))
        }
        ReconcileRequest::Groups => Some(ReconcileAnswer::Groups(ours.groups())),
        ReconcileRequest::Buckets(groups) => {
            let valid = groups.len() <= GROUPS && groups.iter().all(|g| usize::from(*g) < GROUPS);
            let all = || groups.iter().flat_map(|group| ours.group(*group)).collect();
            valid.then(|| ReconcileAnswer::Buckets(all()))
        }
        ReconcileRequest::Ids { buckets, after } => {
            let valid = buckets.len() <= BUCKETS_PER_REQUEST
                && buckets.windows(2).all(|pair| pair[0] < pair[1])
                && buckets.iter().all(|bucket| usize::from(*bucket) < BUCKETS);
            if !valid {
                return Ok(None);
            }
            let (ids, more) = ids_in(view, buckets, *after, IDS_PER_ANSWER)?;
            Some(ReconcileAnswer::Ids(ids, more))
        }
    })
}
