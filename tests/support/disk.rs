//! A simulated disk: what was written is visible at once and survives a crash only once it was
//! reported durable.

use std::collections::VecDeque;

use cairn_core::engine::BatchId;
use cairn_core::fact::EncodedFact;
use cairn_core::ledger::arrival::Arrival;
use cairn_core::params::Params;
use cairn_core::store::Batch;
use cairn_core::testing::MemStore;
use cairn_core::verified::Verified;

/// One node's disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    visible: MemStore,
    durable: MemStore,
    unsynced: VecDeque<(BatchId, Batch)>,
}

impl Disk {
    /// A disk that durably holds this batch.
    pub fn with(batch: &Batch) -> Self {
        let mut disk = Self::default();
        disk.visible.apply(batch);
        disk.durable.apply(batch);
        disk
    }

    /// What the node sees.
    pub const fn view(&self) -> &MemStore {
        &self.visible
    }

    /// Makes a batch visible.
    pub fn commit(&mut self, id: BatchId, batch: Batch) {
        self.visible.apply(&batch);
        self.unsynced.push_back((id, batch));
    }

    /// Everything up to this batch survives a crash from now on.
    pub fn sync(&mut self, id: BatchId) {
        while self.unsynced.front().is_some_and(|(first, _)| *first <= id) {
            if let Some((_, batch)) = self.unsynced.pop_front() {
                self.durable.apply(&batch);
            }
        }
    }

    /// Everything written survives from now on.
    pub fn settle(&mut self) {
        while let Some((_, batch)) = self.unsynced.pop_front() {
            self.durable.apply(&batch);
        }
    }

    /// The power fails.
    pub fn crash(&mut self) {
        self.unsynced.clear();
        self.visible = self.durable.clone();
    }
}

impl Disk {
    /// Puts the facts that admit a node into a store that holds nothing else, as `join` does.
    pub fn seed(&mut self, params: &Params, facts: &[Verified<EncodedFact>]) {
        let mut arrival = Arrival::new(params, &self.visible).expect("a map does not fail");
        for fact in facts {
            arrival.add(fact).expect("a map does not fail");
        }
        let batch = arrival.finish().batch;
        self.visible.apply(&batch);
        self.durable.apply(&batch);
    }
}
