//! What the pool keeps when there is not room for everything, and how the rest comes in later.

use super::{Mempool, Turn};
use crate::fact::EncodedFact;
use crate::id::FactId;
use crate::ledger::read::Read;
use crate::ledger::rows::{FactRow, FactState, Seq};
use crate::store::{StoreFault, Table, View};
use crate::verified::Verified;

/// Where a pending fact waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Here.
    InMemory,
    /// On disk only, until `refill` reaches it.
    OnDisk,
}

impl Mempool {
    /// A fact has just entered the set under this number.
    pub fn admit(&mut self, seq: Seq, fact: Verified<EncodedFact>) -> Kept {
        if self.facts.contains_key(&seq) {
            return Kept::InMemory;
        }
        let in_order = self.cursor.0.checked_add(1) == Some(seq.0);
        let first = fact.fact().body.is_membership();
        let room = if first {
            self.make_room(&fact)
        } else {
            // Older facts that still wait on disk come first.
            in_order && self.has_room(&fact)
        };
        if !room {
            return Kept::OnDisk;
        }
        // Making room may have moved the cursor down.
        if self.cursor.0.checked_add(1) == Some(seq.0) {
            self.cursor = seq;
        }
        self.insert(seq, fact);
        Kept::InMemory
    }

    /// Facts are pending again after a reorg. Those that `view` does not show as pending are
    /// passed over.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn readmit(
        &mut self,
        view: &dyn View,
        ids: impl IntoIterator<Item = FactId>,
    ) -> Result<(), StoreFault> {
        for id in ids {
            let Some(FactRow { seq, state: FactState::Pending }) = view.fact_row(&id)? else {
                continue;
            };
            if self.facts.contains_key(&seq) {
                continue;
            }
            let fact = EncodedFact::from_store(id, &view.fact_bytes(seq)?);
            // Without room, those that arrived last make way, which may be this one.
            let older = self.facts.last_key_value().is_some_and(|(last, _)| seq < *last);
            if self.has_room(&fact) || (older && self.make_room(&fact)) {
                self.insert(seq, fact);
            } else {
                self.cursor = self.cursor.min(Seq(seq.0.saturating_sub(1)));
            }
        }
        Ok(())
    }

    /// Loads up to `max` facts that wait on disk, oldest first, while there is room. Returns
    /// whether more may be there.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn refill(&mut self, view: &dyn View, max: usize) -> Result<bool, StoreFault> {
        let arrived = Seq(view.set_row()?.summary.count);
        let max = max.min(self.facts_max.saturating_sub(self.facts.len()));
        if self.cursor >= arrived || max == 0 {
            return Ok(false);
        }
        let from = Seq(self.cursor.0.saturating_add(1)).key();
        let rows = view.scan(Table::Pending, &from, &[0xff; 9], max)?;
        for (key, value) in &rows {
            let row = Seq::from_key(key).zip(FactId::from_slice(value));
            let (seq, id) =
                row.ok_or(StoreFault { table: Table::Pending, what: "a row does not decode" })?;
            if !self.facts.contains_key(&seq) {
                let fact = EncodedFact::from_store(id, &view.fact_bytes(seq)?);
                if !self.has_room(&fact) {
                    return Ok(false);
                }
                self.insert(seq, fact);
            }
            self.cursor = seq;
        }
        if rows.len() < max {
            self.cursor = self.cursor.max(arrived);
        }
        Ok(rows.len() == max)
    }

    fn has_room(&self, fact: &EncodedFact) -> bool {
        self.facts.len() < self.facts_max && self.bytes + fact.bytes().len() <= self.bytes_max
    }

    /// Sends facts that arrived last back to disk (membership facts never) until there is room.
    /// Returns whether there is.
    fn make_room(&mut self, fact: &EncodedFact) -> bool {
        while !self.has_room(fact) {
            if self.memberships == self.facts.len() {
                return false;
            }
            let is_other =
                |(_, waiting): &(_, &super::Waiting)| matches!(waiting.turn, Turn::Other(_));
            let Some((&last, _)) = self.facts.iter().rev().find(is_other) else {
                return false;
            };
            self.remove(last);
            self.cursor = self.cursor.min(Seq(last.0.saturating_sub(1)));
        }
        true
    }
}
