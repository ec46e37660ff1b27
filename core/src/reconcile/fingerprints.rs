//! One summary per bucket of ids, maintained as facts arrive.
//!
//! Facts of revoked authors that no block seals are held but not compared: which of them a node has
//! ever met is chance. What is written covers all facts held; those outside are found again by their
//! rows at the start, and taken off when somebody asks.
//!
//! They are written to the store now and then with the number of the last fact in them, so a start
//! reads 160 KiB and the few facts after that number, never the set.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::fact::EncodedFact;
use crate::id::{FactId, MeshId};
use crate::ledger::read::Read;
use crate::ledger::rows::{FOR_GOOD, FactRow, Key, Meta, Seq, height_key, key};
use crate::store::{Batch, StoreFault, Table, View};
use crate::wire::SetSummary;

/// Groups of buckets.
pub const GROUPS: usize = 64;
/// Buckets in a group.
pub(super) const BUCKETS_PER_GROUP: usize = 64;
/// Buckets in all; ids are spread over them by their first 12 bits.
pub(super) const BUCKETS: usize = GROUPS * BUCKETS_PER_GROUP;
/// Facts after which the summaries are written: about 20 bytes a fact.
const SAVE_EVERY: u64 = 8_192;
/// Rows of facts outside the set read at one time.
const ROWS_PER_SCAN: usize = 1_024;

/// The bucket of an id.
pub(super) fn bucket_of(id: &FactId) -> u16 {
    u16::from_be_bytes([id.0[0], id.0[1]]) >> 4
}

/// The least id of a bucket; beyond the last bucket the greatest id there is.
fn first_id(bucket: u16) -> FactId {
    let mut id = [0; 32];
    if usize::from(bucket) >= BUCKETS {
        id = [0xff; 32];
    } else {
        id[..2].copy_from_slice(&(bucket << 4).to_be_bytes());
    }
    FactId(id)
}

/// The summaries of all buckets.
#[derive(Debug)]
pub struct Fingerprints {
    /// Of everything held.
    buckets: Vec<SetSummary>,
    /// Of what is held outside the set, by bucket.
    outside: BTreeMap<u16, SetSummary>,
    outside_all: SetSummary,
    /// Number of the last fact in the summaries on disk.
    saved: Seq,
}

impl Fingerprints {
    /// Reads what was written and adds the facts that came after it, up to `last`.
    ///
    /// # Errors
    /// `StoreFault` if the view fails or the rows are not whole.
    pub fn load(view: &dyn View, mesh: &MeshId, last: Seq) -> Result<Self, StoreFault> {
        let broken = |what| StoreFault { table: Table::Fingerprint, what };
        let saved: Seq = view.row(Table::Meta, &Meta::FingerprintSeq.key())?.unwrap_or_default();
        let mut buckets = Vec::with_capacity(BUCKETS);
        if saved > Seq(0) {
            for group in 0..GROUPS {
                let row: Option<Vec<SetSummary>> = view.row(Table::Fingerprint, &[group as u8])?;
                buckets.extend(row.ok_or(broken("a group is missing"))?);
            }
        } else {
            buckets.resize(BUCKETS, SetSummary::default());
        }
        if buckets.len() != BUCKETS {
            return Err(broken("a group has the wrong size"));
        }
        let (outside, outside_all) = (BTreeMap::new(), SetSummary::default());
        let mut loaded = Self { buckets, outside, outside_all, saved };
        for seq in saved.0 + 1..=last.0 {
            let bytes = view.fact_bytes(Seq(seq))?;
            let id = EncodedFact::id_of(mesh, &bytes).ok_or(broken("a stored fact is cut off"))?;
            loaded.insert(&id);
        }
        let mut from = height_key(FOR_GOOD).to_vec();
        loop {
            let rows = view.scan(Table::Conflict, &from, &[0xff; 17], ROWS_PER_SCAN)?;
            for (key, value) in &rows {
                let id = FactId::from_slice(value);
                loaded.leave(&id.ok_or(broken("a fact outside the set has no id"))?);
                from.clone_from(key);
                from.push(0);
            }
            if rows.len() < ROWS_PER_SCAN {
                return Ok(loaded);
            }
        }
    }

    /// A fact that is held leaves the set.
    pub fn leave(&mut self, id: &FactId) {
        self.outside.entry(bucket_of(id)).or_default().add(id);
        self.outside_all.add(id);
    }

    /// A fact that had left is in the set again.
    pub fn rejoin(&mut self, id: &FactId) {
        let bucket = bucket_of(id);
        if let Some(outside) = self.outside.get_mut(&bucket) {
            outside.remove(id);
            self.outside_all.remove(id);
            if outside.count == 0 {
                self.outside.remove(&bucket);
            }
        }
    }

    /// The set, given everything held.
    pub fn set_of(&self, held: &SetSummary) -> SetSummary {
        let mut set = *held;
        set.subtract(&self.outside_all);
        set
    }

    /// A fact entered the set.
    pub fn insert(&mut self, id: &FactId) {
        self.buckets[usize::from(bucket_of(id))].add(id);
    }

    /// Writes the summaries if enough facts came since the last time, or if told to.
    pub fn save(&mut self, last: Seq, now: bool, batch: &mut Batch) {
        let new = last.0 - self.saved.0;
        if new >= SAVE_EVERY || (now && new > 0) {
            for (group, row) in self.buckets.chunks(BUCKETS_PER_GROUP).enumerate() {
                batch.put(Table::Fingerprint, &[group as u8], &crate::codec::encode(row));
            }
            let key = Meta::FingerprintSeq.key();
            batch.put(Table::Meta, &key, &crate::codec::encode(&last));
            self.saved = last;
        }
    }

    /// The summary of each group.
    pub fn groups(&self) -> Vec<SetSummary> {
        let sum = |group: &[SetSummary]| {
            group.iter().fold(SetSummary::default(), |mut all, one| {
                all.merge(one);
                all
            })
        };
        let mut groups: Vec<SetSummary> = self.buckets.chunks(BUCKETS_PER_GROUP).map(sum).collect();
        for (bucket, outside) in &self.outside {
            groups[usize::from(*bucket) / BUCKETS_PER_GROUP].subtract(outside);
        }
        groups
    }

    /// The summaries of a group's buckets; empty if there is no such group.
    pub fn group(&self, group: u8) -> Vec<SetSummary> {
        let first = usize::from(group) * BUCKETS_PER_GROUP;
        let held = self.buckets.chunks(BUCKETS_PER_GROUP).nth(group.into()).unwrap_or(&[]);
        let mut set = held.to_vec();
        for (at, summary) in set.iter_mut().enumerate() {
            if let Some(outside) = self.outside.get(&((first + at) as u16)) {
                summary.subtract(outside);
            }
        }
        set
    }
}

/// Ids of the set from after one up to and with another (or the greatest), ascending; at most `max`.
///
/// # Errors
/// `StoreFault` if the view fails.
pub(super) fn ids_after(
    view: &dyn View,
    after: Option<FactId>,
    last: Option<FactId>,
    max: usize,
) -> Result<Vec<FactId>, StoreFault> {
    let from = after.map_or_else(Default::default, past);
    scan(view, from, &past(last.unwrap_or(FactId([0xff; 32]))), max)
}

/// The next key after an id is the id and one zero byte.
fn past(id: FactId) -> Key {
    key(&[&id.0, &[0]])
}

/// The first ids of the set from one key up to another, at most `max`.
fn scan(view: &dyn View, mut from: Key, end: &[u8], max: usize) -> Result<Vec<FactId>, StoreFault> {
    let mut ids = Vec::new();
    loop {
        let wanted = max - ids.len();
        let rows = view.scan(Table::FactIndex, &from, end, wanted)?;
        for (id, row) in &rows {
            let row: FactRow = postcard::from_bytes(row).map_err(|_| StoreFault {
                table: Table::FactIndex,
                what: "a row does not decode",
            })?;
            ids.extend(FactId::from_slice(id).filter(|_| !row.state.is_outside()));
        }
        match rows.last() {
            // Some of them are outside the set; there may be more behind.
            Some((last, _)) if rows.len() == wanted && ids.len() < max => from = key(&[last, &[0]]),
            _ => return Ok(ids),
        }
    }
}

/// Ids of the set in these ascending buckets, ascending, from after `after`; at most `max`, and
/// whether there are more.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn ids_in(
    view: &dyn View,
    buckets: &[u16],
    after: Option<FactId>,
    max: usize,
) -> Result<(Vec<FactId>, bool), StoreFault> {
    let mut ids = Vec::new();
    for &bucket in buckets {
        let (first, end) = (first_id(bucket), first_id(bucket.saturating_add(1)));
        let from = match after {
            Some(after) if after >= end => continue,
            Some(after) if after >= first => past(after),
            _ => key(&[&first.0]),
        };
        // One more than fits, to know whether there is more.
        ids.extend(scan(view, from, &end.0, max + 1 - ids.len())?);
        if ids.len() > max {
            ids.truncate(max);
            return Ok((ids, true));
        }
    }
    Ok((ids, false))
}
