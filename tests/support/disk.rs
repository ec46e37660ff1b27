//! A simulated disk. What was written is visible at once and survives a power cut only once it was
//! reported durable; of the rest, a cut keeps any beginning (a batch that is torn is dropped by the
//! store's checksum, and so is what follows). It can be full, and it can return rotten rows, which
//! the store's checksums notice.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use cairn_core::engine::BatchId;
use cairn_core::fact::EncodedFact;
use cairn_core::id::FactId;
use cairn_core::ledger::arrival::Arrival;
use cairn_core::ledger::create::genesis_batch;
use cairn_core::params::Params;
use cairn_core::store::{Batch, Row, StoreFault, Table, View};
use cairn_core::testing::{Before, MemStore};
use cairn_core::verified::Verified;

/// One node's disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    visible: MemStore,
    /// What is not durable yet, oldest first, with how to take it back.
    unsynced: VecDeque<(BatchId, Before)>,
    /// There is no room for another batch, and nobody noticed.
    pub full: bool,
    /// There is little room left, which was noticed in time: the node is told to be read-only.
    pub scarce: bool,
    /// Reads of this table until one fails.
    rotten: Cell<Option<(Table, u32)>>,
    /// Bytes of all batches written.
    pub written: u64,
}

impl Disk {
    /// The disk of a node that holds genesis and the facts that admit it, as after `cairn join`.
    pub fn joined(params: &Params, introduction: &[Verified<EncodedFact>]) -> Self {
        let mut disk = Self::default();
        let genesis = cairn_core::block::genesis(params);
        disk.visible.apply(&genesis_batch(params, &genesis));
        let mut arrival = Arrival::new(params, &disk.visible).expect("a map does not fail");
        for fact in introduction {
            arrival.add(fact).expect("a map does not fail");
        }
        let batch = arrival.finish().batch;
        disk.visible.apply(&batch);
        disk
    }

    /// What is stored, whatever state the disk is in.
    pub const fn view(&self) -> &MemStore {
        &self.visible
    }

    /// Makes a batch visible.
    pub fn commit(&mut self, id: BatchId, batch: &Batch) {
        self.written += batch.bytes() as u64;
        let before = self.visible.apply_for_now(batch);
        self.unsynced.push_back((id, before));
    }

    /// Everything up to this batch survives a power cut from now on.
    pub fn sync(&mut self, id: BatchId) {
        while self.unsynced.front().is_some_and(|(first, _)| *first <= id) {
            self.unsynced.pop_front();
        }
    }

    /// Everything written survives from now on.
    pub fn settle(&mut self) {
        self.unsynced.clear();
    }

    /// Batches that a power cut may lose.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// The power fails; so many of the batches that were not durable happen to be there all the
    /// same. Returns how many are lost.
    pub fn crash(&mut self, kept: usize) -> usize {
        let mut lost = 0;
        while self.unsynced.len() > kept {
            if let Some((_, before)) = self.unsynced.pop_back() {
                self.visible.take_back(before);
                lost += 1;
            }
        }
        self.unsynced.clear();
        lost
    }

    /// The `reads`th read of this table from now on finds a flipped bit, and so do all later ones.
    pub fn rot(&mut self, table: Table, reads: u32) {
        self.rotten.set(Some((table, reads)));
    }

    /// There is room, and nothing rots.
    pub fn mend(&mut self) {
        (self.full, self.scarce) = (false, false);
        self.rotten.set(None);
    }

    /// Whether a fact is stored and survives a power cut.
    pub fn keeps(&self, fact: &FactId) -> bool {
        self.keeps_row(Table::FactIndex, fact.as_bytes())
    }

    /// Whether a row is stored and will be there, with some value, after a power cut.
    pub fn keeps_row(&self, table: Table, key: &[u8]) -> bool {
        let there = self.visible.get(table, key).is_ok_and(|row| row.is_some());
        there && !self.unsynced.iter().any(|(_, before)| before.created(table, key))
    }

    fn check(&self, table: Table) -> Result<(), StoreFault> {
        match self.rotten.get() {
            Some((rotten, reads)) if rotten == table => {
                self.rotten.set(Some((table, reads.saturating_sub(1))));
                let fault = StoreFault { table, what: "a bit flipped" };
                if reads == 0 { Err(fault) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

impl View for Disk {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreFault> {
        self.check(table)?;
        self.visible.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], max: usize) -> Rows {
        self.check(table)?;
        self.visible.scan(table, from, to, max)
    }

    fn scan_back(&self, table: Table, from: &[u8], to: &[u8], max: usize) -> Rows {
        self.check(table)?;
        self.visible.scan_back(table, from, to, max)
    }
}

type Rows = Result<Vec<Row>, StoreFault>;
