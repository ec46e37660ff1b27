//! What the store is to remember. Memory cards wear: the engine asks for it rarely, and only what
//! changed is written.

use alloc::vec::Vec;

use super::entry::EntryId;
use super::{Book, Entry};
use crate::conn::PeerAddr;
use crate::id::NodeId;
use crate::time::UnixTime;

impl Book {
    /// Notes that what the store remembers of an entry is not true any more.
    pub(super) fn note_unsaved(&mut self, id: EntryId) {
        if let Some(entry) = self.entries.get(&id)
            && (entry.is_kept() || entry.stored)
        {
            self.unsaved.insert(entry.address.clone());
        }
    }

    /// Notes that those there is a link to are seen now.
    pub fn touch(&mut self) {
        let live: Vec<EntryId> = self.index.by_conn.values().copied().collect();
        live.into_iter().for_each(|id| self.note_unsaved(id));
    }

    /// Whether the store should remember an address of this node, and remembers none.
    pub fn is_first_of(&self, node: NodeId) -> bool {
        self.of(node).any(Entry::is_kept) && !self.of(node).any(|entry| entry.stored)
    }

    /// Whether the store should remember anything else than it does.
    pub fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// What the store should remember of which addresses, where that has changed since the last call;
    /// none: nothing. Those there is a link to were seen at `wall`, so that at the next start they
    /// are dialled before all others.
    pub fn take_unsaved(&mut self, wall: UnixTime) -> Vec<(PeerAddr, Option<Entry>)> {
        let live: Vec<EntryId> = self.index.by_conn.values().copied().collect();
        for id in live {
            let seen = self.edit(id, |entry| {
                let accepted = entry.accepted.is_some();
                if accepted {
                    entry.last_seen = entry.last_seen.max(Some(wall));
                }
                accepted
            });
            if seen == Some(true) {
                self.note_unsaved(id);
            }
        }
        let changed = core::mem::take(&mut self.unsaved);
        let row = |address: PeerAddr| {
            let id = self.index.by_address.get(&address).copied();
            let entry = id.and_then(|id| self.entries.get_mut(&id));
            let kept = entry.and_then(|entry| {
                entry.stored = entry.is_kept();
                entry.stored.then(|| entry.clone())
            });
            (address, kept)
        };
        changed.into_iter().map(row).collect()
    }
}
