//! What waits for the disk: replies and our own blocks come out only when the batch they are in is
//! durable.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::input::{BatchId, CommandId};
use super::output::{Receipt, Refusal};
use super::{Engine, Output};
use crate::id::BlockId;
use crate::store::Batch;
use crate::wire::Tip;

/// Something that may be told once a batch is durable.
#[derive(Debug)]
pub(super) enum Promise {
    /// The answer to a command.
    Reply(CommandId, Result<Receipt, Refusal>),
    /// A block we sealed became the tip.
    OwnBlock(Tip),
}

impl Promise {
    /// Whether it is to tell of this block of ours.
    pub(super) fn is_own_block(&self, id: &BlockId) -> bool {
        matches!(self, Self::OwnBlock(tip) if tip.id == *id)
    }
}

/// Promises in the order of their batches.
#[derive(Debug, Default)]
pub(super) struct Promises {
    waiting: VecDeque<(BatchId, Promise)>,
    issued: u64,
    durable: u64,
}

impl Promises {
    /// A new batch.
    pub(super) fn issue(&mut self) -> BatchId {
        self.issued += 1;
        BatchId(self.issued)
    }

    /// Keeps a promise until everything issued so far is durable. Gives it back if it is already.
    pub(super) fn keep(&mut self, promise: Promise) -> Option<Promise> {
        if self.durable >= self.issued {
            return Some(promise);
        }
        self.waiting.push_back((BatchId(self.issued), promise));
        None
    }

    /// This batch and all before it are durable: the promises that may be told now.
    pub(super) fn durable(&mut self, batch: BatchId) -> Vec<Promise> {
        self.durable = self.durable.max(batch.0.min(self.issued));
        let ready = self.waiting.iter().take_while(|(id, _)| id.0 <= self.durable).count();
        self.waiting.drain(..ready).map(|(_, promise)| promise).collect()
    }

    /// Everything that waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Promise> {
        self.waiting.iter().map(|(_, promise)| promise)
    }
}

impl Engine {
    /// Hands the changes of this input to the store, and its promises to what waits for the disk.
    pub(super) fn commit(&mut self, batch: Batch) {
        if !batch.is_empty() {
            let id = self.promises.issue();
            self.outbox.push_front(Output::Commit(id, batch));
        }
        for promise in core::mem::take(&mut self.fresh) {
            if let Some(ready) = self.promises.keep(promise) {
                self.fulfil(ready);
            }
        }
    }

    /// Whether the tip is a block we sealed that is not durable yet, so that nobody may hear of
    /// it. (One that is not the tip any more was never told and is of no interest to anybody.)
    pub(super) fn own_block_waits(&self) -> bool {
        let tip = self.chain.tip().id;
        self.promises.waiting().chain(&self.fresh).any(|promise| promise.is_own_block(&tip))
    }

    pub(super) fn fulfil(&mut self, promise: Promise) {
        match promise {
            Promise::Reply(id, result) => self.outbox.push_back(Output::Reply(id, result)),
            Promise::OwnBlock(tip) if tip.id == self.chain.tip().id => {
                self.announce_block(tip);
                self.ping_soon();
                self.sealing.retry();
            }
            // Another branch won before anybody heard of the block.
            Promise::OwnBlock(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(n: u64) -> Promise {
        Promise::Reply(CommandId(n), Ok(Receipt::Done))
    }

    #[test]
    fn a_promise_waits_for_every_batch_issued_before_it() {
        let mut promises = Promises::default();
        assert!(promises.keep(reply(0)).is_some(), "nothing to wait for");
        let first = promises.issue();
        assert!(promises.keep(reply(1)).is_none());
        let second = promises.issue();
        assert!(promises.keep(reply(2)).is_none());
        assert_eq!(promises.durable(first).len(), 1);
        assert_eq!(promises.waiting.len(), 1);
        assert_eq!(promises.durable(first).len(), 0, "told once");
        assert_eq!(promises.durable(BatchId(99)).len(), 1);
        assert_eq!(promises.durable, second.0, "a report of what was never issued is harmless");
    }
}
