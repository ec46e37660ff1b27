//! How the last connection with each node ended, by direction: for people who ask why.
//!
//! Of those who were never let in there may be any number, so they are kept in memory only and make
//! room first; the rest is kept on disk.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::codec;
use crate::id::NodeId;
use crate::ledger::rows::Close;
use crate::store::{Batch, Table};

/// Most ends that are remembered.
pub const CLOSES_MAX: usize = 256;

/// Whether we had dialled, and whom.
type Key = (bool, NodeId);

#[derive(Debug)]
struct Kept {
    close: Close,
    /// It is written to the store.
    lasting: bool,
}

/// The last end of each.
#[derive(Debug, Default)]
pub struct Closes {
    all: BTreeMap<Key, Kept>,
    dirty: BTreeSet<Key>,
}

fn row_key((outbound, node): &Key) -> [u8; 33] {
    let mut key = [u8::from(*outbound); 33];
    key[1..].copy_from_slice(&node.0);
    key
}

impl Closes {
    /// How many are kept.
    #[cfg(any(test, feature = "testing"))]
    pub fn size(&self) -> usize {
        self.all.len()
    }

    /// As the store tells; rows of which the name cannot be read are dropped.
    pub fn load(rows: Vec<(Vec<u8>, Close)>) -> Self {
        let read = |(key, close): (Vec<u8>, Close)| {
            let (direction, node) = key.split_first()?;
            let node = NodeId(node.try_into().ok()?);
            Some(((*direction != 0, node), Kept { close, lasting: true }))
        };
        let all = rows.into_iter().filter_map(read).take(CLOSES_MAX).collect();
        Self { all, dirty: BTreeSet::new() }
    }

    /// A connection with a node ended with a number. `lasting`: it had been let in, or we dialled.
    pub fn note(&mut self, node: NodeId, close: Close, lasting: bool) {
        let key = (close.outbound, node);
        let before = self.all.remove(&key);
        if before.is_none() && self.all.len() >= CLOSES_MAX {
            self.make_room();
        }
        let lasting = lasting || before.is_some_and(|kept| kept.lasting);
        self.all.insert(key, Kept { close, lasting });
        if lasting {
            self.dirty.insert(key);
        }
    }

    fn make_room(&mut self) {
        let oldest = self.all.iter().min_by_key(|(_, kept)| (kept.lasting, kept.close.at));
        let Some(key) = oldest.map(|(key, _)| *key) else { return };
        if self.all.remove(&key).is_some_and(|kept| kept.lasting) {
            self.dirty.insert(key);
        }
    }

    /// How connections with a node ended, the newest first.
    pub fn of(&self, node: &NodeId) -> Vec<Close> {
        let found = [false, true].map(|outbound| self.all.get(&(outbound, *node)));
        let mut closes: Vec<Close> =
            found.into_iter().flatten().map(|kept| kept.close.clone()).collect();
        closes.sort_by_key(|close| core::cmp::Reverse(close.at));
        closes
    }

    /// Nodes of which something is remembered, in order.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.all.keys().map(|(_, node)| *node).collect()
    }

    /// Whether something changed since it was last written.
    pub fn is_unsaved(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes what changed since the last call.
    pub fn save(&mut self, batch: &mut Batch) {
        for key in core::mem::take(&mut self.dirty) {
            match self.all.get(&key).filter(|kept| kept.lasting) {
                Some(kept) => {
                    batch.put(Table::Close, &row_key(&key), &codec::encode(&kept.close));
                }
                None => batch.delete(Table::Close, &row_key(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;
    use crate::wire::CloseCode;

    fn close(at: u64, outbound: bool) -> Close {
        Close {
            code: CloseCode::Full,
            by_peer: true,
            outbound,
            at: UnixTime(at),
            address: "192.0.2.1:7071".into(),
            reason: "full".into(),
        }
    }

    fn node(n: u16) -> NodeId {
        let mut id = [9; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn each_direction_is_remembered_and_the_newest_comes_first() {
        let mut closes = Closes::default();
        closes.note(node(1), close(5, true), true);
        closes.note(node(1), close(7, false), true);
        closes.note(node(1), close(6, true), true);
        let of: Vec<_> = closes.of(&node(1)).iter().map(|c| (c.at.0, c.outbound)).collect();
        assert_eq!(of, [(7, false), (6, true)]);
        assert!(closes.of(&node(2)).is_empty());
    }

    #[test]
    fn strangers_push_out_strangers_and_are_never_written() {
        let mut closes = Closes::default();
        closes.note(node(0), close(1, true), true);
        for n in 1..2_000 {
            closes.note(node(n), close(100 + u64::from(n), false), false);
        }
        assert_eq!(closes.nodes().len(), CLOSES_MAX);
        assert_eq!(closes.of(&node(0)).len(), 1, "a link of ours is not pushed out");
        let mut batch = Batch::new();
        closes.save(&mut batch);
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn the_store_holds_what_memory_does() {
        let mut closes = Closes::default();
        let mut store = crate::testing::MemStore::new();
        let mut written = 0;
        for n in 0..400 {
            closes.note(node(n), close(u64::from(n), n % 3 == 0), true);
            let mut batch = Batch::new();
            closes.save(&mut batch);
            written += batch.len();
            store.apply(&batch);
        }
        let rows = crate::ledger::read::Read::close_rows(&store, usize::MAX).unwrap();
        assert_eq!(rows.len(), CLOSES_MAX);
        assert!(written <= 2 * 400);
        let again = Closes::load(rows);
        for n in 0..400 {
            assert_eq!(again.of(&node(n)), closes.of(&node(n)));
        }
    }
}
