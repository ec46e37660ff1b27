//! Judging what waits, each fact by itself at the tip.

use alloc::vec::Vec;

use super::{Mempool, On, Stage, Turn};
use crate::fact::Fact;
use crate::id::{FactId, NodeId};
use crate::ledger::reject::FactReject;
use crate::ledger::state::State;
use crate::store::{StoreFault, View};

/// A fact that is against the rules at the tip. It has left the pool; `delta::mark_conflict` it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The fact.
    pub id: FactId,
    /// Who made it.
    pub author: NodeId,
    /// Why.
    pub reject: FactReject,
}

impl Mempool {
    /// Judges up to `max` fresh facts. `state` is `State::ahead` of the tip that `view` shows,
    /// with the time that a block sealed now would have. The conflicts must be marked before `judge` is
    /// called again.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn judge(
        &mut self,
        mut state: State<'_>,
        view: &dyn View,
        max: usize,
    ) -> Result<Vec<Conflict>, StoreFault> {
        let mut conflicts = Vec::new();
        for _ in 0..max {
            let Some(turn) = self.fresh.first().copied() else {
                break;
            };
            let Some(waiting) = self.facts.get(&turn.seq()) else {
                self.fresh.remove(&turn);
                continue;
            };
            let (id, fact) = (waiting.fact.id(), waiting.fact.fact());
            state.load(view, &fact)?;
            let reject = match state.judge(id, &fact) {
                Ok(_) => {
                    let end = state.holds_until(&fact);
                    self.set_end(turn.seq(), end);
                    self.set_stage(turn.seq(), Stage::Ready);
                    continue;
                }
                Err(reject) => reject,
            };
            match blocked_on(&fact, &reject) {
                Some(on) => {
                    self.set_stage(turn.seq(), Stage::Blocked(on));
                    self.blocked_lately.extend(matches!(on, On::Fact(_)).then_some(id));
                }
                None => {
                    let author = waiting.author;
                    conflicts.push(Conflict { id, author, reject });
                    // Facts that follow it learn so in this very call.
                    state.pass(id);
                    self.discard(turn);
                }
            }
        }
        Ok(conflicts)
    }

    /// A fact turned out to be against the rules elsewhere: it leaves, and its followers are
    /// judged again.
    pub fn conflicted(&mut self, id: &FactId) {
        if let Some(waiting) = self.seqs.get(id).and_then(|seq| self.facts.get(seq)) {
            self.discard(waiting.turn);
        }
    }

    fn discard(&mut self, turn: Turn) {
        let id = self.facts.get(&turn.seq()).map(|waiting| waiting.fact.id());
        self.remove(turn.seq());
        if let Some(id) = id {
            self.wake(On::Fact(id));
        }
    }
}

/// What a rejected fact waits for; none if nothing can help it.
fn blocked_on(fact: &Fact<'_>, reject: &FactReject) -> Option<On> {
    match reject {
        FactReject::NotMember | FactReject::InviteUnknown => Some(On::Key(fact.author)),
        FactReject::NoSuchMember(node) => Some(On::Key(*node)),
        FactReject::FollowsUnknown => {
            let (_, follows) = fact.body.custody()?;
            follows.map(On::Fact)
        }
        _ => None,
    }
}
