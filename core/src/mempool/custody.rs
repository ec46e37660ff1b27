//! What a new custody fact of ours must follow, given the tip and everything that waits, and
//! whether it has a chance: what is forbidden already is refused before a fact is made of it.

use alloc::collections::{BTreeMap, BTreeSet};

use super::Mempool;
use crate::fact::{Body, Fact};
use crate::id::{FactId, NodeId};
use crate::ledger::custody::CustodyAction;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::Seq;
use crate::ledger::state::State;
use crate::store::{StoreFault, View};
use crate::time::UnixTime;

/// A custody fact to be made: who, when (by the author's clock), what.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The author to be.
    pub author: NodeId,
    /// Its clock.
    pub time: UnixTime,
    /// The item.
    pub item: &'a str,
    /// What to do with it.
    pub action: CustodyAction,
    /// For people.
    pub note: &'a str,
}

impl Mempool {
    /// The fact to sign, or the rule that already forbids it. `state` as for `judge`.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn custody<'a>(
        &self,
        mut state: State<'_>,
        view: &dyn View,
        wish: &Wish<'a>,
    ) -> Result<Result<Fact<'a>, FactReject>, StoreFault> {
        let fact = |body| Fact { author: wish.author, time: wish.time, body };
        // Loads the item, and whatever decides about the author and the receiver.
        let (follows, note) = (Some(FactId::ZERO), wish.note);
        if let Some(body) = wish.action.body(wish.item, follows, note) {
            state.load(view, &fact(body))?;
        }
        self.take_waiting(&mut state, view, wish.item)?;
        let latest = state.custody(wish.item).map(|custody| custody.latest);
        let Some(body) = wish.action.body(wish.item, latest, note) else {
            // Never held; but who may not write at all is told that first.
            let request = Body::Request { item: wish.item, follows: None, note };
            let refused = state.judge(FactId::ZERO, &fact(request)).err();
            let item = wish.item.into();
            return Ok(Err(refused.unwrap_or(FactReject::Free { item })));
        };
        let judged = state.judge(FactId::ZERO, &fact(body));
        Ok(judged.map(|_| fact(body)))
    }

    /// Makes the waiting custody facts of an item come true in the order in which the next blocks
    /// should seal them: each time the oldest that follows the latest and is permitted.
    fn take_waiting(
        &self,
        state: &mut State<'_>,
        view: &dyn View,
        item: &str,
    ) -> Result<(), StoreFault> {
        let mut by_followed: BTreeMap<Option<FactId>, BTreeSet<Seq>> = BTreeMap::new();
        for seq in self.items.get(item).into_iter().flatten() {
            let body = self.facts.get(seq).map(|waiting| waiting.fact.fact().body);
            if let Some((_, follows)) = body.and_then(|body| body.custody()) {
                by_followed.entry(follows).or_default().insert(*seq);
            }
        }
        loop {
            let latest = state.custody(item).map(|custody| custody.latest);
            let candidates = by_followed.remove(&latest).unwrap_or_default();
            let mut taken = false;
            for waiting in candidates.iter().filter_map(|seq| self.facts.get(seq)) {
                let (id, fact) = (waiting.fact.id(), waiting.fact.fact());
                state.load(view, &fact)?;
                if let Ok(change) = state.judge(id, &fact) {
                    state.take(id, change);
                    taken = true;
                    break;
                }
            }
            if !taken {
                return Ok(());
            }
        }
    }
}
