//! A store in memory.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::store::{Batch, Op, Row, StoreFault, Table, View};

/// Rows as they were before a batch, the last change first to be taken back.
#[derive(Debug, Clone, Default)]
pub struct Before(Vec<(Table, Vec<u8>, Option<Arc<[u8]>>)>);

impl Before {
    /// Whether the batch made a row that was not there.
    pub fn created(&self, table: Table, key: &[u8]) -> bool {
        self.0.iter().any(|(t, k, old)| *t == table && k == key && old.is_none())
    }
}

/// Tables as ordered maps. Two stores are equal if they hold the same rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemStore {
    tables: [BTreeMap<Vec<u8>, Arc<[u8]>>; Table::ALL.len()],
}

impl MemStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a batch visible.
    pub fn apply(&mut self, batch: &Batch) {
        for op in batch.iter() {
            match op {
                Op::Put(table, key, value) => {
                    self.tables[table as usize].insert(key.into(), value.into());
                }
                Op::Delete(table, key) => {
                    self.tables[table as usize].remove(key);
                }
            }
        }
    }

    /// Makes a batch visible; what it returns takes it back.
    pub fn apply_for_now(&mut self, batch: &Batch) -> Before {
        let replace = |op| match op {
            Op::Put(table, key, value) => {
                let old = self.tables[table as usize].insert(key.into(), value.into());
                (table, key.into(), old)
            }
            Op::Delete(table, key) => (table, key.into(), self.tables[table as usize].remove(key)),
        };
        Before(batch.iter().map(replace).collect())
    }

    /// Takes back a batch; those after it must have been taken back already.
    pub fn take_back(&mut self, before: Before) {
        for (table, key, old) in before.0.into_iter().rev() {
            let rows = &mut self.tables[table as usize];
            match old {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }

    /// Number of rows in a table.
    pub fn len(&self, table: Table) -> usize {
        self.tables[table as usize].len()
    }

    /// Whether a table has no rows.
    pub fn is_empty(&self, table: Table) -> bool {
        self.len(table) == 0
    }

    /// Forgets a table.
    pub fn clear(&mut self, table: Table) {
        self.tables[table as usize].clear();
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = Row> + '_ {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let rows = self.tables[table as usize].range::<[u8], _>(bounds);
        rows.map(|(key, value)| (key.clone(), value.clone()))
    }
}

impl View for MemStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreFault> {
        Ok(self.tables[table as usize].get(key).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        if from >= to {
            return Ok(Vec::new());
        }
        Ok(self.range(table, from, to).take(max).collect())
    }

    fn scan_back(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        if from >= to {
            return Ok(Vec::new());
        }
        Ok(self.range(table, from, to).rev().take(max).collect())
    }
}
