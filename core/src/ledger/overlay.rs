//! A view plus changes that are not written yet. Reads see the changes, so several blocks of a
//! reorg are judged one on top of the other and become one atomic batch, or nothing.
//!
//! One ordered map a table: a lookup needs no allocation, and the batch comes out in key order,
//! which is the cheapest order for the store to take it in.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use serde::Serialize;

use crate::codec;
use crate::store::{Batch, Op, Row, StoreFault, Table, View};

/// New value of a row; none if it is removed.
type Change = Option<Arc<[u8]>>;
type Changes = BTreeMap<Box<[u8]>, Change>;

/// Unwritten changes on top of a view.
pub struct Overlay<'v> {
    base: &'v dyn View,
    tables: [Changes; Table::ALL.len()],
}

impl<'v> Overlay<'v> {
    /// No changes yet.
    pub fn new(base: &'v dyn View) -> Self {
        Self { base, tables: Default::default() }
    }

    /// Writes a row.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.tables[table as usize].insert(key.into(), Some(value.into()));
    }

    /// Writes a row whose value is postcard.
    pub fn put_row<T: Serialize + ?Sized>(&mut self, table: Table, key: &[u8], value: &T) {
        self.tables[table as usize].insert(key.into(), Some(codec::encode(value).into()));
    }

    /// Removes a row, if there.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.tables[table as usize].insert(key.into(), None);
    }

    /// Writes the row, or removes it if there is no value.
    pub fn set_row<T: Serialize>(&mut self, table: Table, key: &[u8], value: Option<&T>) {
        match value {
            Some(value) => self.put_row(table, key, value),
            None => self.delete(table, key),
        }
    }

    /// Takes the changes of a batch.
    pub fn write(&mut self, batch: &Batch) {
        for op in batch.iter() {
            match op {
                Op::Put(table, key, value) => self.put(table, key, value),
                Op::Delete(table, key) => self.delete(table, key),
            }
        }
    }

    /// Whether a row was written or removed here, whatever the base holds.
    pub fn touches(&self, table: Table, key: &[u8]) -> bool {
        self.tables[table as usize].contains_key(key)
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// The changes, ordered by table and key.
    pub fn into_batch(self) -> Batch {
        let mut batch = Batch::new();
        for (table, changes) in Table::ALL.into_iter().zip(&self.tables) {
            for (key, change) in changes {
                match change {
                    Some(value) => batch.put(table, key, value),
                    None => batch.delete(table, key),
                }
            }
        }
        batch
    }

    /// Changes with `from <= key < to`, and how many of them remove a row.
    fn range(&self, table: Table, from: &[u8], to: &[u8]) -> (Vec<(&[u8], &Change)>, usize) {
        if from >= to {
            return (Vec::new(), 0);
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let changes = self.tables[table as usize].range::<[u8], _>(bounds);
        let changes: Vec<_> = changes.map(|(key, change)| (&**key, change)).collect();
        let removed = changes.iter().filter(|(_, change)| change.is_none());
        let removed = removed.count();
        (changes, removed)
    }
}

/// Merges rows of the base with changes; both in the order that `before` tells.
fn merge<'a>(
    base: Vec<Row>,
    changes: impl Iterator<Item = (&'a [u8], &'a Change)>,
    before: fn(&[u8], &[u8]) -> bool,
    max: usize,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(max.min(base.len() + 16));
    let mut base = base.into_iter().peekable();
    let mut changes = changes.peekable();
    while rows.len() < max {
        let base_first = match (base.peek(), changes.peek()) {
            (None, None) => break,
            (Some((key, _)), Some((changed, _))) => before(key, changed),
            (base_row, _) => base_row.is_some(),
        };
        if base_first {
            rows.extend(base.next());
        } else if let Some((key, change)) = changes.next() {
            // The change hides the base's row of the same key.
            base.next_if(|(hidden, _)| hidden.as_slice() == key);
            rows.extend(change.as_ref().map(|value| (key.to_vec(), value.clone())));
        }
    }
    rows
}

impl View for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreFault> {
        match self.tables[table as usize].get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        let (changes, removed) = self.range(table, from, to);
        // As many more as removals can hide.
        let base = self.base.scan(table, from, to, max.saturating_add(removed))?;
        Ok(merge(base, changes.into_iter(), |a, b| a < b, max))
    }

    fn scan_back(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<Row>, StoreFault> {
        let (changes, removed) = self.range(table, from, to);
        let base = self.base.scan_back(table, from, to, max.saturating_add(removed))?;
        Ok(merge(base, changes.into_iter().rev(), |a, b| a > b, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemStore;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put(u8, u8),
        Delete(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..24u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            (0..24u8).prop_map(Step::Delete),
        ];
        prop::collection::vec(step, 0..40)
    }

    fn batch(steps: &[Step]) -> Batch {
        let mut batch = Batch::new();
        for step in steps {
            match step {
                Step::Put(key, value) => batch.put(Table::Item, &[*key], &[*value]),
                Step::Delete(key) => batch.delete(Table::Item, &[*key]),
            }
        }
        batch
    }

    proptest! {
        #[test]
        fn an_overlay_reads_like_the_store_it_becomes(
            base in steps(), over in steps(), from in 0..26u8, to in 0..26u8, max in 0..12usize,
        ) {
            let mut store = MemStore::new();
            store.apply(&batch(&base));
            let before = store.clone();
            let mut overlay = Overlay::new(&before);
            overlay.write(&batch(&over));
            let scanned = overlay.scan(Table::Item, &[from], &[to], max).unwrap();
            let scanned_back = overlay.scan_back(Table::Item, &[from], &[to], max).unwrap();
            let got: Vec<_> = (0..24).map(|k| overlay.get(Table::Item, &[k]).unwrap()).collect();
            store.apply(&overlay.into_batch());
            prop_assert_eq!(scanned, store.scan(Table::Item, &[from], &[to], max).unwrap());
            let back = store.scan_back(Table::Item, &[from], &[to], max).unwrap();
            prop_assert_eq!(scanned_back, back);
            let want: Vec<_> = (0..24).map(|k| store.get(Table::Item, &[k]).unwrap()).collect();
            prop_assert_eq!(got, want);
        }
    }
}
