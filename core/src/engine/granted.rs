//! The one block that a node may seal without a seat: the recovery keys of the mesh name it and the
//! block to go on from, because nobody honest is left who could seal what they say.
//!
//! That block need not be our tip: whoever stole the seats may have gone on. The block has the
//! `Recover` fact and nothing else; what was sealed above is undone by the choice between branches.

use super::Engine;
use crate::fact::{Body, EncodedFact};
use crate::ledger::delta;
use crate::ledger::overlay::Overlay;
use crate::ledger::read::Read;
use crate::ledger::rows::{FactState, Meta};
use crate::params::SealRule;
use crate::producer::{self, Slot};
use crate::seal::authority;
use crate::store::{Batch, StoreFault, Table, View};

impl Engine {
    /// Remembers a fact that entered the set if it lets us seal.
    pub(super) fn note_grant(&mut self, fact: &EncodedFact, batch: &mut Batch) {
        let said = fact.fact();
        let named = matches!(said.body, Body::Recover(recover) if recover.on.is_some());
        // Where there are no seats, nobody needs leave.
        let seats = self.config.params.seal == SealRule::Authority;
        if named && seats && said.author == self.me {
            batch.put(Table::Meta, &Meta::Grant.key(), fact.id().as_bytes());
            self.sealing.grant = Some(fact.id());
        }
    }

    /// Seals the block that the recovery keys let us seal, if its time has come and no block of our
    /// chain has the fact yet. None if there is nothing of the kind to do; else whether anything was
    /// written.
    pub(super) fn seal_granted(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Option<bool>, StoreFault> {
        let Some(id) = self.sealing.grant else {
            return Ok(None);
        };
        let pending = view.fact(&id)?.filter(|(row, _)| row.state == FactState::Pending);
        let Some((_, fact)) = pending else {
            self.sealing.grant = None;
            return Ok(None);
        };
        let Body::Recover(recover) = fact.fact().body else {
            return Ok(None);
        };
        let params = &self.config.params;
        let (Some(on), Some(grant)) = (recover.on, recover.grant(&params.recovery)) else {
            return Ok(None);
        };
        let (tip, tree) = (self.chain.tip().id, &self.chain.tree);
        let ours = tree.common_ancestor(&on, &tip) == Some(on);
        let (true, Some(end), Some(entry)) = (ours, tree.end(&on), tree.entry(&on)) else {
            return Ok(None);
        };
        let (time, earliest) = (self.chain_time(), end.earliest_granted(params, entry.sealers()));
        if time < earliest {
            self.sealing.wait_until(self.now.instant.after(earliest.since(time)));
            return Ok(Some(false));
        }
        let mut past = Overlay::new(view);
        while past.tip_row()?.is_some_and(|row| row.tip.id != on) {
            delta::disconnect(&mut past)?;
        }
        let slot = Slot::after(&end, params, time, self.me);
        let only = core::iter::once((self.me, fact.get()));
        let draft = producer::draft(params, &slot, &past, only, |_| core::iter::empty())?;
        let Some(block) = draft.block else {
            self.sealing.grant = None;
            return Ok(None);
        };
        let header = authority::seal_granted(block.header, grant, &self.config.key);
        let written = self.take_own_block(header, block.facts, draft.sealers, view, batch)?;
        if !self.sealing.is_fruitless() {
            self.sealing.grant = None;
        }
        Ok(Some(written))
    }
}
