//! What to put into the next block. Facts are judged by the rules that will judge the block, each
//! in the state that those before it leave.
//!
//! Fairness: while others wait, at most a quarter of a block is by one author. This is a habit of
//! whoever seals, not a rule about blocks.
//!
//! Not here: when to seal, and the seal.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::block::{Block, ChainEnd, Header, Seal};
use crate::fact::EncodedFact;
use crate::id::{FactId, Hash, NodeId};
use crate::ledger::reject::FactReject;
use crate::ledger::state::State;
use crate::merkle;
use crate::params::{Params, RULES_VERSION, SealRule};
use crate::signature::Signature;
use crate::store::{StoreFault, View};
use crate::time::UnixTime;
use crate::work::Target;

/// One author's part of a block while others wait.
const SHARE: u32 = 4;

/// Most facts that a draft judges in vain. Whatever is left is judged again after the block, when
/// most of it turns out to be in conflict.
const VAIN_MAX: usize = 4_096;

/// A fact that may go into a block, and its author.
pub type Candidate<'a> = (NodeId, &'a EncodedFact);

/// What the header of a draft says beside its facts.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// Header of the tip.
    pub parent: &'a Header,
    /// Merkle Tree Hash of all block ids up to the tip's.
    pub history_root: Hash,
    /// The block's time.
    pub time: UnixTime,
    /// The target that its id will have to meet; zero under authority.
    pub target: Target,
    /// Who seals it.
    pub sealer: NodeId,
}

impl<'a> Slot<'a> {
    /// That of the block after `end`.
    pub fn after(end: &'a ChainEnd, params: &Params, time: UnixTime, sealer: NodeId) -> Self {
        let (history_root, target) = (end.history.root(), end.next_target(params));
        Self { parent: &end.header, history_root, time, target, sealer }
    }
}

/// A block without a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The block; its seal is zero. None if no fact is permitted.
    pub block: Option<Block>,
    /// The next sealers, ascending, if the block changes them.
    pub sealers: Option<Vec<NodeId>>,
    /// Candidates that are against the rules at the tip itself.
    pub conflicts: Vec<(FactId, FactReject)>,
}

/// Facts chosen so far.
struct Selection<'a> {
    state: State<'a>,
    /// The tip, unchanged: tells a conflict from a fact that merely lost against this draft.
    tip: State<'a>,
    view: &'a dyn View,
    facts: Vec<FactId>,
    bytes: u64,
    by_author: BTreeMap<NodeId, (u32, u64)>,
    vain: usize,
    conflicts: Vec<(FactId, FactReject)>,
}

impl<'a> Selection<'a> {
    fn facts_max(&self) -> u32 {
        self.state.params().block_facts_max
    }

    fn bytes_max(&self) -> u64 {
        u64::from(self.state.params().block_bytes_max)
    }

    fn fits(&self, fact: &EncodedFact) -> bool {
        let bytes = self.bytes + fact.bytes().len() as u64;
        self.facts.len() < self.facts_max() as usize && bytes <= self.bytes_max()
    }

    fn is_full(&self) -> bool {
        let facts = self.facts.len() >= self.facts_max() as usize;
        facts || self.bytes >= self.bytes_max() || self.vain >= VAIN_MAX
    }

    /// Whether an author has had its part. The first fact is always within it.
    fn had_share(&self, author: &NodeId, fact: &EncodedFact) -> bool {
        self.by_author.get(author).is_some_and(|(facts, bytes)| {
            *facts >= (self.facts_max() / SHARE).max(1)
                || bytes + fact.bytes().len() as u64 > self.bytes_max() / u64::from(SHARE)
        })
    }

    /// Takes a fact if it is permitted. Returns whether it is.
    fn take(&mut self, (author, encoded): Candidate<'_>) -> Result<bool, StoreFault> {
        let (id, fact, length) = (encoded.id(), encoded.fact(), encoded.bytes().len() as u64);
        self.state.load(self.view, &fact)?;
        match self.state.judge(id, &fact) {
            Ok(change) => {
                self.state.take(id, change);
                self.facts.push(id);
                self.bytes += length;
                let share = self.by_author.entry(author).or_default();
                *share = (share.0 + 1, share.1 + length);
                Ok(true)
            }
            Err(_) => {
                self.vain += 1;
                self.tip.load(self.view, &fact)?;
                if let Err(reject) = self.tip.judge(id, &fact)
                    && !reject.may_pass()
                {
                    self.conflicts.push((id, reject));
                }
                Ok(false)
            }
        }
    }
}

/// Drafts a block on the tip that `view` shows. `ready` are the candidates in the order they should
/// be sealed, `followers` those that only wait for one fact to be sealed.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn draft<'c, F: Iterator<Item = Candidate<'c>>>(
    params: &Params,
    slot: &Slot<'_>,
    view: &dyn View,
    ready: impl Iterator<Item = Candidate<'c>>,
    followers: impl Fn(&FactId) -> F,
) -> Result<Draft, StoreFault> {
    let state = State::ahead(params, slot.parent, slot.time);
    let mut chosen = Selection {
        tip: state.clone(),
        state,
        view,
        facts: Vec::new(),
        bytes: 0,
        by_author: BTreeMap::new(),
        vain: 0,
        conflicts: Vec::new(),
    };
    let mut over_share = Vec::new();
    let mut next = VecDeque::new();
    for candidate in ready {
        next.push_back(candidate);
        while let Some((author, fact)) = next.pop_front() {
            if chosen.had_share(&author, fact) {
                if over_share.len() < params.block_facts_max as usize {
                    over_share.push((author, fact));
                }
            } else if chosen.fits(fact) && chosen.take((author, fact))? {
                next.extend(followers(&fact.id()));
            }
        }
        if chosen.is_full() {
            break;
        }
    }
    // Room is left, so nobody else waits.
    for candidate in over_share {
        if chosen.is_full() {
            break;
        }
        if chosen.fits(candidate.1) {
            chosen.take(candidate)?;
        }
    }
    chosen.state.load_seats(view)?;
    chosen.state.end_seats();
    Ok(finish(chosen, slot))
}

fn finish(chosen: Selection<'_>, slot: &Slot<'_>) -> Draft {
    let seal = match chosen.state.params().seal {
        SealRule::Authority => Seal::Authority(Signature([0; 64])),
        SealRule::Pow { .. } => Seal::Pow(0),
    };
    let header = Header {
        version: RULES_VERSION,
        height: slot.parent.height.next(),
        parent: slot.parent.id(),
        facts_root: merkle::root(&chosen.facts),
        history_root: slot.history_root,
        sealers_root: chosen.state.sealers_root(),
        state_root: Hash::ZERO,
        time: slot.time,
        target: slot.target,
        sealer: slot.sealer,
        seal,
    };
    let facts = chosen.facts;
    Draft {
        block: (!facts.is_empty()).then_some(Block { header, facts }),
        sealers: chosen.state.into_changes().sealers,
        conflicts: chosen.conflicts,
    }
}
