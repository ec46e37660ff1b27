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
mod commits;
mod error;
pub mod manifest;
mod marks;
mod room;
mod scrub;
mod tables;
mod view;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use cairn_core::store::{Batch, KEY_BYTES_MAX, Op, Table};
use fjall::{Database, Keyspace, OwnedWriteBatch as WriteBatch, PersistMode};

pub use boot::quarantine;
pub(crate) use boot::sync_directory;
pub use error::StoreError;
pub(crate) use marks::noted_damage;
pub use marks::{is_opening, note_damage};
pub(crate) use room::free_bytes;
pub use room::{Room, Space};
pub use scrub::Scrub;
pub use tables::Profile;
pub use view::StoreView;
pub use writer::{Durability, DurableSink, FLUSH_INTERVAL, SyncBeside};

use tables::{HEARTBEAT_KEY, push_physical};

/// Bytes committed between two heartbeats; several go into one journal of 64 MB.
const HEARTBEAT_BYTES: u64 = 8 * 1024 * 1024;

/// What only the writer knows.
#[derive(Debug, Default)]
struct Writing {
    /// Bytes since the last heartbeat.
    since_heartbeat: u64,
    /// Number of the last commit.
    commit: u64,
}

/// An open store.
pub struct Store {
    path: PathBuf,
    profile: Profile,
    db: Database,
    facts: Keyspace,
    index: Keyspace,
    current: RwLock<StoreView>,
    writing: Mutex<Writing>,
    /// Number of the newest commit that is visible.
    committed: AtomicU64,
    mark: commits::Mark,
    lost: u64,
    /// Whether it may lack facts that were acknowledged.
    lacking: bool,
    /// Set by whoever could not read what should be there.
    unreadable: Arc<AtomicBool>,
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
        let unreadable = Arc::new(AtomicBool::new(false));
        let current = RwLock::new(StoreView {
            facts: facts.clone(),
            index: index.clone(),
            snapshot: Arc::new(db.snapshot()),
            unreadable: unreadable.clone(),
        });
        let commit = commits::newest(path, &index)?;
        let (mark, durable) = commits::Mark::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            profile,
            db,
            facts,
            index,
            current,
            writing: Mutex::new(Writing { since_heartbeat: 0, commit }),
            committed: AtomicU64::new(commit),
            mark,
            lost: durable.saturating_sub(commit),
            // Without a mark nobody knows, as in a store that is new.
            lacking: durable == 0 || durable > commit,
            unreadable,
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

    /// Names of damaged stores that were moved away and wait beside it for somebody to look.
    pub fn quarantined(&self) -> Vec<String> {
        boot::quarantined(&self.path)
    }

    /// How many of the newest commits are gone that were durable: the end of a journal was damaged.
    /// What is here is a state that once was.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether it may lack facts that were acknowledged: it is new, or lost commits.
    pub const fn may_lack_facts(&self) -> bool {
        self.lacking
    }

    /// Whether somebody could not read what should be there.
    pub fn is_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
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
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = last_writes(batch);
        let mut writes = WriteBatch::with_capacity(self.db.clone(), rows.len() + 3)
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
        writing.since_heartbeat += bytes;
        writing.commit += 1;
        let (key, number) = commits::row(writing.commit);
        writes.insert(&self.index, key, number);
        if writing.since_heartbeat >= HEARTBEAT_BYTES {
            writing.since_heartbeat = 0;
            let beat = self.bytes_committed().to_be_bytes();
            writes.insert(&self.facts, HEARTBEAT_KEY, beat);
            writes.insert(&self.index, HEARTBEAT_KEY, beat);
        }
        self.timed(|| writes.commit())?;
        self.committed.store(writing.commit, Ordering::Release);
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
        let commit = self.committed.load(Ordering::Acquire);
        self.db.persist(PersistMode::SyncData).map_err(|e| StoreError::fjall(&self.path, e))?;
        if let Err(error) = self.mark.write(commit) {
            // It stays too low, which hides a damage at worst.
            tracing::debug!(%error, "cannot note what is durable");
        }
        Ok(())
    }

    /// Reads every table once and compares it with what was written.
    ///
    /// # Errors
    /// `StoreError::Damaged`.
    pub fn verify_tables(&self) -> Result<(), StoreError> {
        scrub::pass(&self.path, || true)
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
