//! What a recovery does at once: who was revoked by a key that it ends belongs again, and what those
//! wrote is let in again.
//!
//! Whoever a stolen key revoked is cut off from everybody, and everybody from it, so a recovery
//! travels in hellos: each node shows those it knows before it says who it is.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde_bytes::ByteBuf;

use super::Engine;
use crate::fact::{Body, EncodedFact};
use crate::id::{FactId, NodeId};
use crate::ledger::arrival::Arrival;
use crate::ledger::delta;
use crate::ledger::line;
use crate::ledger::overlay::Overlay;
use crate::ledger::read::Read;
use crate::ledger::rows::{FOR_GOOD, FactState, Meta, Recovered, key};
use crate::limits::INTRODUCTION_BYTES;
use crate::store::{Batch, StoreFault, Table, View};
use crate::verified::Verified;

/// Keys ended by recoveries that are told in a hello: as many as fit into it at most.
const RECOVERED_TOLD_MAX: usize = 64;
/// Rows of `Table::Conflict` looked at by one input.
const REOPENED_PER_STEP: usize = 1_024;

impl Engine {
    /// A recovery entered the set.
    pub(super) fn on_recovered(&mut self) {
        self.revocations.review();
        self.revocations.reopen = true;
        self.touch_members();
        // Whom a stolen key revoked has dialed nobody for a while, and nobody it.
        self.book.hurry_all();
        self.touch_peers();
        self.wake = true;
    }

    /// Whether a revoked key may come with a recovery.
    pub(super) fn may_be_recovered(&self) -> bool {
        self.config.params.recovery.threshold > 0
    }

    /// What we show of ourselves: the recoveries that we know, which tell who else belongs, and the
    /// facts that admit us.
    pub(super) fn introduction(&self, view: &dyn View) -> Result<Vec<ByteBuf>, StoreFault> {
        let mut facts: Vec<ByteBuf> = Vec::new();
        let mut room = INTRODUCTION_BYTES;
        if self.may_be_recovered() {
            let rows = view.scan(Table::Recovered, &[], &[0xff; 33], RECOVERED_TOLD_MAX)?;
            let rows = rows.iter().filter_map(|(_, row)| postcard::from_bytes(row).ok());
            let ids: BTreeSet<FactId> = rows.map(|row: Recovered| row.by).collect();
            for id in ids {
                if let Some((_, fact)) = view.fact(&id)?
                    && fact.bytes().len() + 4 <= room
                {
                    room -= fact.bytes().len() + 4;
                    facts.push(ByteBuf::from(fact.bytes()));
                }
            }
        }
        facts.extend(self.vouchers(&self.me, room, view)?);
        Ok(facts)
    }

    /// The recovery keys' word counts, whoever passes it on.
    pub(super) fn take_recoveries(
        &mut self,
        mut facts: Vec<Verified<EncodedFact>>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        facts.retain(|fact| matches!(fact.fact().body, Body::Recover(_)));
        if !facts.is_empty() && !self.read_only {
            self.arrive(facts, None, view, batch)?;
        }
        Ok(())
    }

    /// A node that is revoked shows recoveries. They enter the set if it is not revoked with them;
    /// whether so.
    pub(super) fn hear_recovery(
        &mut self,
        node: &NodeId,
        introduction: &[ByteBuf],
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        let shown = self.read_membership_facts(introduction).unwrap_or_default();
        let is_recovery = |body: Body<'_>| matches!(body, Body::Recover(_));
        let facts: Vec<_> =
            shown.into_iter().filter(|fact| is_recovery(fact.fact().body)).collect();
        if facts.is_empty() || self.read_only {
            return Ok(false);
        }
        let mut trial = Arrival::new(&self.config.params, view)?;
        for fact in &facts {
            trial.add(fact)?;
        }
        let mut after = Overlay::new(view);
        after.write(&trial.finish().batch);
        let good = line::cut_off(&after, node)?.is_none() && after.known(node)?.is_some();
        if good {
            self.arrive(facts, None, view, batch)?;
        }
        Ok(good)
    }

    /// Lets facts in again that are in conflict only because of revocations that count no more; the
    /// others will be in conflict again. Returns whether anything was written.
    pub(super) fn reopen_recovered(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        let from = view.get(Table::Meta, &Meta::Reopen.key())?.filter(|_| self.revocations.reopen);
        let Some(from) = from else {
            self.revocations.reopen = false;
            return Ok(false);
        };
        let rows = view.scan(Table::Conflict, &from, &[0xff; 17], REOPENED_PER_STEP)?;
        let mut overlay = Overlay::new(view);
        let mut back = Vec::new();
        for id in rows.iter().filter_map(|(_, id)| FactId::from_slice(id)) {
            let Some((row, fact)) = view.fact(&id)? else {
                continue;
            };
            let FactState::Conflict(since, reject) = row.state else {
                continue;
            };
            let outside = since == FOR_GOOD;
            let still = outside && view.revoked(&fact.fact().author)?.is_some();
            if reject.may_be_lifted() && !still {
                delta::reopen_conflict(&mut overlay, &id)?;
                if outside {
                    self.fingerprints.rejoin(&id);
                }
                back.push(id);
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == REOPENED_PER_STEP => {
                overlay.put(Table::Meta, &Meta::Reopen.key(), &key(&[last, &[0]]));
            }
            _ => {
                overlay.delete(Table::Meta, &Meta::Reopen.key());
                self.revocations.reopen = false;
            }
        }
        self.mempool.readmit(&overlay, back)?;
        if let Some(row) = overlay.tip_row()? {
            self.chain.row = row;
        }
        batch.append(overlay.into_batch());
        self.sealing.retry();
        Ok(true)
    }
}
