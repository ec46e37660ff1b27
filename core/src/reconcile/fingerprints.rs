//! One summary per bucket of ids, maintained as facts arrive.
//!
//! They are written to the store now and then with the number of the last fact in them, so a start
//! reads 160 KiB and the few facts after that number, never the set.

use alloc::vec::Vec;

use crate::fact::EncodedFact;
use crate::id::{FactId, MeshId};
use crate::ledger::read::Read;
use crate::ledger::rows::{Meta, Seq};
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
    buckets: Vec<SetSummary>,
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
        let mut loaded = Self { buckets, saved };
        for seq in saved.0 + 1..=last.0 {
            let bytes = view.fact_bytes(Seq(seq))?;
            let id = EncodedFact::id_of(mesh, &bytes).ok_or(broken("a stored fact is cut off"))?;
            loaded.insert(&id);
        }
        Ok(loaded)
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
        self.buckets.chunks(BUCKETS_PER_GROUP).map(sum).collect()
    }

    /// The summaries of a group's buckets; empty if there is no such group.
    pub fn group(&self, group: u8) -> &[SetSummary] {
        self.buckets.chunks(BUCKETS_PER_GROUP).nth(group.into()).unwrap_or(&[])
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
    // The next key after an id is the id and one zero byte.
    let past = |id: FactId| crate::ledger::rows::key(&[&id.0, &[0]]);
    let from = after.map_or_else(Default::default, past);
    let end = past(last.unwrap_or(FactId([0xff; 32])));
    let rows = view.scan(Table::FactIndex, &from, &end, max)?;
    Ok(rows.iter().filter_map(|(key, _)| FactId::from_slice(key)).collect())
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
            Some(after) if after >= first => crate::ledger::rows::key(&[&after.0, &[0]]),
            _ => crate::ledger::rows::key(&[&first.0]),
        };
        // One more than fits, to know whether there is more.
        let rows = view.scan(Table::FactIndex, &from, &end.0, max + 1 - ids.len())?;
        ids.extend(rows.iter().filter_map(|(key, _)| FactId::from_slice(key)));
        if ids.len() > max {
            ids.truncate(max);
            return Ok((ids, true));
        }
    }
    Ok((ids, false))
}
