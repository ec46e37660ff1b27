//! The store: core's tables in fjall, behind two words. *Visible*: the batch is in the database as
//! a whole and survives the process. *Durable*: it survives a power cut.
//!
//! Invariants: one writer, so commits never interleave; readers see states between commits only
//! (fjall alone can show half a batch to a snapshot that is taken while a background flush
//! publishes its own sequence number, so snapshots are taken here, after each commit); after any
//! failed write nothing is written again, and the node ends with exit code 8.
//!
//! Not here: what rows mean (core), when to be durable (`writer.rs`), creation and recovery
//! (`boot.rs`).

mod boot;
mod error;
mod tables;
mod view;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use cairn_core::store::{Batch, KEY_BYTES_MAX, Op, Table};
use fjall::{Database, Keyspace, OwnedWriteBatch as WriteBatch, PersistMode};

pub use boot::quarantine;
pub(crate) use boot::sync_directory;
pub use error::StoreError;
pub use tables::Profile;
pub use view::StoreView;
pub use writer::{Durability, DurableSink, FLUSH_INTERVAL};

use tables::{HEARTBEAT_KEY, push_physical};

/// Bytes committed between two heartbeats; several go into one journal of 64 MB.
const HEARTBEAT_BYTES: u64 = 8 * 1024 * 1024;

/// An open store.
pub struct Store {
    path: PathBuf,
    profile: Profile,
    db: Database,
    facts: Keyspace,
    index: Keyspace,
    current: RwLock<StoreView>,
    /// Held while writing; the bytes since the last heartbeat.
    writing: Mutex<u64>,
    started: Instant,
    /// When the write in progress began, in milliseconds after `started`, plus one; 0 if none.
    busy_since: AtomicU64,
    bytes_committed: AtomicU64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}, {})", self.path.display(), self.profile.name())
    }
}

impl Store {
    /// Opens the store at `path`, or creates it. What a crash during an earlier creation left
    /// behind is removed or moved away first.
    ///
    /// # Errors
    /// `StoreError`; on `Damaged` the caller may `quarantine` the directory and open again.
    pub fn open(path: &Path, profile: Profile) -> Result<Self, StoreError> {
        boot::open(path, profile)
    }

    fn assemble(path: &Path, profile: Profile, db: Database) -> Result<Self, StoreError> {
        let fail = |e| StoreError::fjall(path, e);
        let facts = db.keyspace("facts", || profile.keyspace()).map_err(fail)?;
        let index = db.keyspace("index", || profile.keyspace()).map_err(fail)?;
        let current = RwLock::new(StoreView {
            facts: facts.clone(),
            index: index.clone(),
            snapshot: Arc::new(db.snapshot()),
        });
        Ok(Self {
            path: path.to_owned(),
            profile,
            db,
            facts,
            index,
            current,
            writing: Mutex::new(0),
            started: Instant::now(),
            busy_since: AtomicU64::new(0),
            bytes_committed: AtomicU64::new(0),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The profile it was created with.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The state after the latest commit.
    pub fn view(&self) -> StoreView {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of keys and values committed since the start.
    pub fn bytes_committed(&self) -> u64 {
        self.bytes_committed.load(Ordering::Relaxed)
    }

    /// Bytes on disk, journals included.
    ///
    /// # Errors
    /// `StoreError` if the directory cannot be read.
    pub fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        self.db.disk_space().map_err(|e| StoreError::fjall(&self.path, e))
    }

    /// How long the write in progress has taken, in milliseconds; fjall can wait for ever for a
    /// background thread that died.
    pub fn busy_for(&self) -> u64 {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => 0,
            since => (self.elapsed() + 1).saturating_sub(since),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs a write with the stall clock on.
    fn timed<T>(&self, write: impl FnOnce() -> fjall::Result<T>) -> Result<T, StoreError> {
        self.busy_since.store(self.elapsed() + 1, Ordering::Relaxed);
        let result = write();
        self.busy_since.store(0, Ordering::Relaxed);
        result.map_err(|e| StoreError::fjall(&self.path, e))
    }

    /// Makes all changes of a batch visible, or none.
    ///
    /// # Errors
    /// `StoreError`; nothing can be written afterwards.
    pub fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut since_heartbeat = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = last_writes(batch);
        let mut writes = WriteBatch::with_capacity(self.db.clone(), rows.len() + 2)
            .durability(Some(PersistMode::Buffer));
        let mut physical = Vec::with_capacity(1 + KEY_BYTES_MAX);
        for (table, key, value) in rows {
            let keyspace = match table {
                Table::Fact => &self.facts,
                _ => &self.index,
            };
            physical.clear();
            push_physical(&mut physical, table, key);
            match value {
                Some(value) => writes.insert(keyspace, &physical[..], value),
                None => writes.remove(keyspace, &physical[..]),
            }
        }
        let bytes = batch.bytes() as u64;
        *since_heartbeat += bytes;
        if *since_heartbeat >= HEARTBEAT_BYTES {
            *since_heartbeat = 0;
            let beat = self.bytes_committed().to_be_bytes();
            writes.insert(&self.facts, HEARTBEAT_KEY, beat);
            writes.insert(&self.index, HEARTBEAT_KEY, beat);
        }
        self.timed(|| writes.commit())?;
        self.bytes_committed.fetch_add(bytes, Ordering::Relaxed);
        let snapshot = Arc::new(self.db.snapshot());
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.snapshot = snapshot;
        Ok(())
    }

    /// Makes everything that is visible durable.
    ///
    /// # Errors
    /// `StoreError`; nothing can be written afterwards, and it is unknown what survives.
    pub fn persist(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncData).map_err(|e| StoreError::fjall(&self.path, e))
    }
}

/// What becomes of a row; no value if it is removed.
type Write<'b> = (Table, &'b [u8], Option<&'b [u8]>);

/// The last write to each key, in the order of tables and keys: within one fjall batch the order of
/// two writes to one key is not defined.
fn last_writes(batch: &Batch) -> Vec<Write<'_>> {
    let mut writes = Vec::with_capacity(batch.len());
    writes.extend(batch.iter().map(|op| match op {
        Op::Put(table, key, value) => (table, key, Some(value)),
        Op::Delete(table, key) => (table, key, None),
    }));
    // Stable, so of equal keys the last one written comes last, and is kept.
    writes.sort_by_key(|(table, key, _)| (*table, *key));
    writes.dedup_by(|later, kept| {
        let same = (later.0, later.1) == (kept.0, kept.1);
        if same {
            *kept = *later;
        }
        same
    });
    writes
}

#[cfg(test)]
mod tests;
