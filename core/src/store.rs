//! The store as core sees it: tables of bytes, read through `View`, written as one atomic `Batch`.
//!
//! Core never opens a file. The node keeps these tables in fjall, the simulator in a map. What the
//! rows mean is in `ledger/rows.rs`; this file only knows keys and values.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// Version of all tables and rows together. A store of another version is migrated or refused.
pub const STORE_FORMAT: u8 = 6;

/// A table; its number is the first byte of the physical key and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// One byte → singletons: format, params, tip, counters.
    Meta = 0,
    /// Sequence number → encoded fact. The only table with large values.
    Fact = 1,
    /// Fact id → sequence number and state.
    FactIndex = 2,
    /// Sequence number → fact id, for facts that wait to be sealed.
    Pending = 3,
    /// Height ‖ sequence number → fact id, for facts in conflict since that height.
    Conflict = 4,
    /// First half of the content hash ‖ sequence number → ().
    Content = 5,
    /// Topic ‖ 0 ‖ sequence number → ().
    Topic = 6,
    /// First half of the author ‖ sequence number → ().
    Author = 7,
    /// Subject ‖ sequence number → ().
    RelationFrom = 8,
    /// Object ‖ sequence number → ().
    RelationTo = 9,
    /// Block id → header and cumulative work.
    Header = 10,
    /// Block id → fact ids.
    Body = 11,
    /// Height → block id, on the best chain.
    Chain = 12,
    /// Block id → how to take back its effects.
    Undo = 13,
    /// Level ‖ index → node of the history tree, on the best chain.
    History = 14,
    /// Sealers root → sealers.
    Sealers = 15,
    /// Item name → custody at the tip.
    Item = 16,
    /// Item name ‖ 0 ‖ sequence number → (), every custody fact of the item.
    ItemFacts = 17,
    /// Node → membership at the tip.
    Member = 18,
    /// Invite key → what is left of it at the tip.
    Invite = 19,
    /// Key → why facts by it enter the set (independent of the tip).
    Known = 20,
    /// Number → a reorg that happened.
    Reorg = 21,
    /// Number → part of the set's fingerprints.
    Fingerprint = 22,
    /// Address → what is remembered of it.
    Peer = 23,
    /// Key → the least `Revoke` or `Recover` in the set that names it (independent of the tip).
    Revoked = 24,
    /// Node or address → until when it is kept out.
    Ban = 25,
    /// Direction ‖ node → how the last connection ended.
    Close = 26,
    /// Key ‖ author → the least `Revoke` of the key by that author (independent of the tip).
    Revoker = 27,
    /// Key → what the `Recover` facts in the set that end it say (independent of the tip).
    Recovered = 28,
}

impl Table {
    /// All tables in order of their number.
    pub const ALL: [Self; 29] = [
        Self::Meta,
        Self::Fact,
        Self::FactIndex,
        Self::Pending,
        Self::Conflict,
        Self::Content,
        Self::Topic,
        Self::Author,
        Self::RelationFrom,
        Self::RelationTo,
        Self::Header,
        Self::Body,
        Self::Chain,
        Self::Undo,
        Self::History,
        Self::Sealers,
        Self::Item,
        Self::ItemFacts,
        Self::Member,
        Self::Invite,
        Self::Known,
        Self::Reorg,
        Self::Fingerprint,
        Self::Peer,
        Self::Revoked,
        Self::Ban,
        Self::Close,
        Self::Revoker,
        Self::Recovered,
    ];
}

/// Longest key of any table in bytes.
pub const KEY_BYTES_MAX: usize = 160;

/// The machine failed: the store could not be read. Nothing a peer sends can cause it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFault {
    /// Where.
    pub table: Table,
    /// What happened, for the log.
    pub what: &'static str,
}

impl core::fmt::Display for StoreFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "store fault in table {:?}: {}", self.table, self.what)
    }
}

impl core::error::Error for StoreFault {}

/// A row: key and value.
pub type Row = (Vec<u8>, Arc<[u8]>);

/// Reads of everything that is visible. Cheap to call; may fault, never rejects.
pub trait View {
    /// The value under a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreFault>;

    /// Up to `max` rows with `from <= key < to` in ascending order.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault>;

    /// Up to `max` rows with `from <= key < to` in descending order.
    fn scan_back(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault>;
}

/// One change of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Writes a row.
    Put(Table, &'a [u8], &'a [u8]),
    /// Removes a row, if there.
    Delete(Table, &'a [u8]),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    table: Table,
    key_end: usize,
    /// End of the value; none for a deletion.
    value_end: Option<usize>,
}

/// Changes that become visible together or not at all. Kept in one buffer: a fact costs a handful
/// of rows, and a small allocation for each would be most of the cost.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row; a later op on the same key wins.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry { table, key_end, value_end: Some(self.bytes.len()) });
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.entries.push(Entry { table, key_end: self.bytes.len(), value_end: None });
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Room for so many changes with so many bytes of keys and values, so that a large batch is not
    /// copied while it grows.
    pub fn reserve(&mut self, changes: usize, bytes: usize) {
        self.entries.reserve(changes);
        self.bytes.reserve(bytes);
    }

    /// Adds all changes of another batch after its own.
    pub fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.into_iter().map(|entry| Entry {
            table: entry.table,
            key_end: base + entry.key_end,
            value_end: entry.value_end.map(|end| base + end),
        }));
    }

    /// The changes in order.
    pub fn iter(&self) -> impl Iterator<Item = Op<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let key = &self.bytes[start..entry.key_end];
            start = entry.value_end.unwrap_or(entry.key_end);
            match entry.value_end {
                Some(end) => Op::Put(entry.table, key, &self.bytes[entry.key_end..end]),
                None => Op::Delete(entry.table, key),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appended_batch_reads_as_if_it_had_been_written_there() {
        let first = |batch: &mut Batch| {
            batch.put(Table::Item, b"saw", b"held");
            batch.delete(Table::Item, b"drill");
        };
        let second = |batch: &mut Batch| {
            batch.delete(Table::Member, b"");
            batch.put(Table::Meta, b"key", b"");
        };
        let (mut whole, mut joined, mut part) = (Batch::new(), Batch::new(), Batch::new());
        first(&mut whole);
        second(&mut whole);
        let mut start = Batch::new();
        first(&mut start);
        joined.append(start);
        second(&mut part);
        joined.append(part);
        joined.append(Batch::new());
        assert_eq!(joined.iter().collect::<Vec<_>>(), whole.iter().collect::<Vec<_>>());
        assert_eq!((joined.len(), joined.bytes()), (4, whole.bytes()));
    }
}
