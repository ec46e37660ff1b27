//! Reads of one consistent state: everything up to some commit, nothing after it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_core::store::{Row, StoreFault, Table, View};
use fjall::{Guard, Keyspace, Readable, Snapshot};

use super::tables::physical;

/// One state of the store. Cheap to clone and to read from any thread. Holding one for long keeps
/// old versions of rows on disk, so take a new one per query.
#[derive(Clone)]
pub struct StoreView {
    pub(super) facts: Keyspace,
    pub(super) index: Keyspace,
    pub(super) snapshot: Arc<Snapshot>,
    /// Told when something cannot be read, whoever reads.
    pub(super) unreadable: Arc<AtomicBool>,
}

impl std::fmt::Debug for StoreView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreView(at {})", self.snapshot.seqno())
    }
}

fn fault(unreadable: &AtomicBool, table: Table, error: &fjall::Error) -> StoreFault {
    unreadable.store(true, Ordering::Relaxed);
    tracing::error!(?table, %error, "the store cannot be read");
    StoreFault { table, what: "the database reports an error; see the log" }
}

fn row(unreadable: &AtomicBool, table: Table, guard: Guard) -> Result<Row, StoreFault> {
    let (key, value) = guard.into_inner().map_err(|e| fault(unreadable, table, &e))?;
    // The first byte is the table's number.
    Ok((key.get(1..).unwrap_or_default().to_vec(), (*value).into()))
}

impl StoreView {
    fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Fact => &self.facts,
            _ => &self.index,
        }
    }

    /// None if nothing can be in the range; fjall need not expect a reversed one.
    fn range(table: Table, from: &[u8], to: &[u8]) -> Option<Range<Vec<u8>>> {
        (from < to).then(|| physical(table, from)..physical(table, to))
    }
}

impl View for StoreView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreFault> {
        let value = self.snapshot.get(self.keyspace(table), physical(table, key));
        let value = value.map_err(|e| fault(&self.unreadable, table, &e))?;
        Ok(value.map(|value| (*value).into()))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        let Some(range) = Self::range(table, from, to) else {
            return Ok(Vec::new());
        };
        let rows = self.snapshot.range(self.keyspace(table), range);
        rows.take(max).map(|guard| row(&self.unreadable, table, guard)).collect()
    }

    fn scan_back(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        let Some(range) = Self::range(table, from, to) else {
            return Ok(Vec::new());
        };
        let rows = self.snapshot.range(self.keyspace(table), range).rev();
        rows.take(max).map(|guard| row(&self.unreadable, table, guard)).collect()
    }
}
