//! The tip moves: blocks are connected, or a better branch replaces ours in one atomic change.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::promises::Promise;
use super::{Engine, Frame, Output};
use crate::block::Block;
use crate::codec;
use crate::conn::ConnId;
use crate::event::{Event, Reorg};
use crate::id::{BlockId, FactId, NodeId};
use crate::ledger::apply::{Effects, apply};
use crate::ledger::delta::{self, Disconnected};
use crate::ledger::overlay::Overlay;
use crate::ledger::prefetch::{Prefetch, prefetch};
use crate::ledger::read::Read;
use crate::ledger::reject::{BlockReject, FactReject};
use crate::ledger::rows::{FactState, HeaderRow, Meta};
use crate::ledger::state::State;
use crate::peer::Misbehavior;
use crate::store::{Batch, StoreFault, Table, View};
use crate::wire::{Announce, Tip};

/// Facts that blocks connected by one input may have together; at least one block always is.
const FACTS_PER_STEP: usize = 8_192;
/// Pending facts judged by one input.
const JUDGED_PER_STEP: usize = 4_096;

const fn fault(what: &'static str) -> StoreFault {
    StoreFault { table: Table::Body, what }
}

impl Engine {
    /// Moves the tip towards the best chain whose facts we hold. Returns whether anything was
    /// written.
    pub(super) fn advance_chain(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        let (tip, best) = (self.chain.tip(), self.chain.target(self.has_given_up()));
        if tip.id == best {
            return Ok(false);
        }
        let tree = &self.chain.tree;
        let fork = tree.common_ancestor(&tip.id, &best).unwrap_or_else(|| tree.root());
        let mut overlay = Overlay::new(view);
        let mut disconnected = Vec::new();
        while overlay.tip_row()?.is_some_and(|row| row.tip.id != fork) {
            disconnected.push(delta::disconnect(&mut overlay)?);
        }
        // A reorg is one change; an extension may take several.
        let blocks_max = if disconnected.is_empty() { FACTS_PER_STEP } else { usize::MAX };
        let path = tree.path(&fork, &best, blocks_max).unwrap_or_default();
        let (connected, refused) = self.connect(&mut overlay, &path, disconnected.is_empty())?;
        if let Some((block, reject)) = refused {
            self.wake = true;
            let from = self.bodies.sender(&block);
            self.refuse_block(&block, reject.to_string());
            // Only blocks that the sender has connected itself are served, so it is to blame.
            if let Some(conn) = from {
                self.accuse(conn, Misbehavior::Block);
            }
            if !disconnected.is_empty() {
                // The branch may not be the better one any more; nothing of it was made visible.
                return Ok(false);
            }
        }
        if connected.is_empty() {
            return Ok(false);
        }
        self.moved(tip, overlay, &disconnected, &connected, batch)?;
        self.wake = true;
        Ok(true)
    }

    /// Connects blocks of a path until one cannot be, or (`bounded`) until it is enough for now.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn connect(
        &self,
        overlay: &mut Overlay<'_>,
        path: &[BlockId],
        bounded: bool,
    ) -> Result<(Vec<(BlockId, Effects)>, Option<(BlockId, BlockReject)>), StoreFault> {
        let mut connected: Vec<(BlockId, Effects)> = Vec::new();
        let mut facts = 0;
        for id in path {
            let Some(entry) = self.chain.tree.entry(id) else {
                break;
            };
            let list = match self.bodies.body(id) {
                Some(list) => list.to_vec(),
                // A block that was on the best chain before, or waited long.
                None => overlay.body(id)?.ok_or(fault("the body of a held block is gone"))?,
            };
            facts += list.len();
            if bounded && !connected.is_empty() && facts > FACTS_PER_STEP {
                break;
            }
            let block = Block { header: entry.header().get().clone(), facts: list };
            let cached = |id: &FactId| self.mempool.get(id);
            let read = match prefetch(&self.config.params, &block, overlay, &cached)? {
                Prefetch::Ready(read) => read,
                // They were here when the block was held, and no fact is ever deleted.
                Prefetch::Missing(_) => return Err(fault("facts of a held block are gone")),
            };
            let effects = match apply(&block, read) {
                Ok(effects) => effects,
                Err(reject) => return Ok((connected, Some((*id, reject)))),
            };
            let row = HeaderRow {
                header: block.header,
                work: entry.work(),
                effective_time: entry.effective_time(),
            };
            delta::connect(overlay, &row, &effects)?;
            connected.push((*id, effects));
        }
        Ok((connected, None))
    }

    /// Bodies of branches that do not win wait on disk when they are many.
    pub(super) fn spill_bodies(&mut self, batch: &mut Batch) {
        for (id, list) in self.bodies.spill(self.config.limits.body_ids_in_memory) {
            batch.put(Table::Body, id.as_bytes(), &codec::encode(&list[..]));
        }
    }

    /// A block breaks a rule: it and what builds on it competes no more.
    pub(super) fn refuse_block(&mut self, id: &BlockId, reason: String) {
        self.chain.tree.mark_invalid(id);
        self.bodies.remove(id);
        self.outbox.push_back(Output::Event(Event::BlockRefused { block: *id, reason }));
    }

    /// The tip is another one: everything that depends on it follows.
    fn moved(
        &mut self,
        before: Tip,
        mut overlay: Overlay<'_>,
        disconnected: &[Disconnected],
        connected: &[(BlockId, Effects)],
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        disconnected.iter().for_each(|block| self.mempool.disconnected(block));
        for (id, effects) in connected {
            self.mempool.connected(effects);
            self.bodies.remove(id);
            let outside = effects.facts.iter().filter(|fact| fact.before.is_outside());
            outside.for_each(|fact| self.fingerprints.rejoin(&fact.id));
        }
        let fault = StoreFault { table: Table::Meta, what: "no tip after a change of it" };
        let mut row = overlay.tip_row()?.ok_or(fault)?;
        if !disconnected.is_empty() {
            self.chain.forget_branches();
            let back = disconnected.iter().flat_map(|block| block.facts.iter());
            let reopened = disconnected.iter().flat_map(|block| block.reopened.iter());
            let ids: Vec<FactId> = back.clone().chain(reopened).map(|(_, id)| *id).collect();
            self.mempool.readmit(&overlay, ids)?;
            let reorg = self.count_reorg(before, row.tip, disconnected, &overlay)?;
            overlay.put_row(Table::Reorg, &row.reorgs.to_be_bytes(), &reorg);
            row.reorgs += 1;
            overlay.put_row(Table::Meta, &Meta::Tip.key(), &row);
            self.outbox.push_back(Output::Event(Event::Reorged(reorg)));
        }
        self.mempool.reached(row.tip.height.next());
        self.on_renewed(&row.tip, connected, &mut overlay)?;
        let recovers = |(_, effects): &(BlockId, Effects)| effects.changes.recovers();
        if connected.iter().any(recovers) {
            // What the revocations that count no more kept from the chain is judged again.
            self.reopen_from(&[], &mut overlay)?;
        }
        self.chain.set_tip(row);
        if self.chain.tree.on_best_headers(&self.chain.tip().id) {
            self.progress = self.now.instant;
        }
        batch.append(overlay.into_batch());
        for id in self.bodies.retain(|id| self.chain.knows(id)) {
            batch.delete(Table::Body, id.as_bytes());
        }
        self.told_tip(disconnected.is_empty(), connected);
        self.tip_since = self.now.instant;
        self.sealing.retry();
        self.ping_soon();
        self.touch_members();
        Ok(())
    }

    fn count_reorg(
        &self,
        from: Tip,
        to: Tip,
        disconnected: &[Disconnected],
        overlay: &Overlay<'_>,
    ) -> Result<Reorg, StoreFault> {
        let depth = disconnected.len() as u64;
        let time = self.now.wall;
        let mut reorg = Reorg { time, depth, from, to, moved: 0, requeued: 0, lost: 0 };
        for (_, id) in disconnected.iter().flat_map(|block| block.facts.iter()) {
            match overlay.fact_row(id)?.map(|row| row.state) {
                Some(FactState::Sealed(..)) => reorg.moved += 1,
                Some(FactState::Pending | FactState::Conflict(..)) => reorg.requeued += 1,
                None => reorg.lost += 1,
            }
        }
        Ok(reorg)
    }

    /// Tells people and peers of the new tip.
    fn told_tip(&mut self, extended: bool, connected: &[(BlockId, Effects)]) {
        let tip = self.chain.tip();
        for (id, effects) in connected.iter().filter(|_| extended) {
            let Some(entry) = self.chain.tree.entry(id) else {
                continue;
            };
            let connected = Event::BlockConnected {
                tip: Tip { height: entry.header().height, id: *id, work: entry.work() },
                facts: effects.facts.len() as u32,
                sealer: entry.header().sealer,
            };
            self.outbox.push_back(Output::Event(connected));
        }
        let sealer: Option<NodeId> =
            self.chain.tree.entry(&tip.id).map(|entry| entry.header().sealer);
        if sealer == Some(self.me) {
            // A power cut must not make us seal this height twice with others having seen it.
            self.fresh.push(Promise::OwnBlock(tip));
        } else {
            self.announce_block(tip);
        }
    }

    /// Announces a tip to every peer that is not known to have it.
    pub(super) fn announce_block(&mut self, tip: Tip) {
        let frame = codec::encode(&Announce::Block(tip));
        let to: Vec<ConnId> = self
            .conns
            .accepted()
            .filter(|(_, conn)| conn.tip.is_none_or(|theirs| theirs.id != tip.id))
            .map(|(id, _)| id)
            .collect();
        for conn in to {
            self.outbox.push_back(Output::Send(conn, Frame::Announce(frame.clone())));
        }
    }

    /// Judges pending facts that arrived, or that the new tip concerns. Returns whether anything
    /// was written.
    pub(super) fn judge_pending(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        if !self.mempool.has_fresh() {
            return Ok(false);
        }
        let Some(entry) = self.chain.tree.entry(&self.chain.tip().id) else {
            return Ok(false);
        };
        let state = State::ahead(&self.config.params, entry.header(), self.chain_time());
        let conflicts = self.mempool.judge(state, view, JUDGED_PER_STEP)?;
        self.wake |= self.mempool.has_fresh();
        self.sealing.retry();
        self.note_orphans();
        let lost: Vec<FactId> = conflicts.iter().map(|found| found.id).collect();
        self.note_lost_followers(&lost, view)?;
        let conflicts = conflicts.into_iter().map(|found| (found.id, found.reject)).collect();
        self.mark_conflicts(conflicts, view, batch)
    }

    /// Notes facts that lost. Returns whether there are any.
    pub(super) fn mark_conflicts(
        &mut self,
        conflicts: Vec<(FactId, FactReject)>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        if conflicts.is_empty() {
            return Ok(false);
        }
        let mut overlay = Overlay::new(view);
        for (fact, reject) in conflicts {
            let (reason, leaves) = (reject.to_string(), reject == FactReject::Revoked);
            if delta::mark_conflict(&mut overlay, &fact, reject)? {
                if leaves {
                    self.fingerprints.leave(&fact);
                }
                self.outbox.push_back(Output::Event(Event::Conflicted { fact, reason }));
            }
        }
        if let Some(row) = overlay.tip_row()? {
            self.chain.row = row;
        }
        batch.append(overlay.into_batch());
        Ok(true)
    }
}
