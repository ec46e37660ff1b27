//! Creating, recovering and checking a store before anybody uses it.
//!
//! A crash inside fjall's first `open` leaves a directory that never opens again, so a store is
//! created beside its place and renamed into it. fjall does not notice every damage (a flipped bit
//! in a manifest can lose rows without an error), so the newest headers are checked against each
//! other here, before the node trusts the tip.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::Seq;
use cairn_core::store::{STORE_FORMAT, StoreFault, Table, View};
use cairn_core::work::Height;
use fjall::PersistMode;

use super::marks::{self, beside};
use super::tables::{FORMAT_KEY, PROFILE_KEY, Profile};
use super::{Store, StoreError, StoreView, manifest};

/// Headers below the tip that are checked at start.
const HEADERS_CHECKED: u64 = 2_000;
/// Bytes of fjall's version marker; a shorter one was cut off by a crash.
const MARKER_BYTES: u64 = 4;
/// Damaged stores that are kept before the oldest place is refused.
const QUARANTINES_MAX: u32 = 1_000;

/// Makes a rename in a directory survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

fn sync_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) => sync_directory(parent).map_err(|e| StoreError::io(parent, e)),
        None => Ok(()),
    }
}

/// Moves a store that cannot be used to `<path>.bad-<n>`, where it waits for somebody to look.
/// Returns the new place.
///
/// # Errors
/// `StoreError` if it cannot be renamed.
pub fn quarantine(path: &Path) -> Result<PathBuf, StoreError> {
    let free = (1..=QUARANTINES_MAX)
        .map(|n| beside(path, &format!(".bad-{n}")))
        .find(|candidate| !candidate.exists())
        .ok_or_else(|| StoreError::Failed {
            path: path.to_owned(),
            what: "there are too many quarantined stores beside it".into(),
        })?;
    fs::rename(path, &free).map_err(|e| StoreError::io(path, e))?;
    sync_parent(path)?;
    marks::forget(path);
    Ok(free)
}

/// Names of the stores that `quarantine` moved away.
pub(super) fn quarantined(path: &Path) -> Vec<String> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let prefix = format!("{}.bad-", name.to_string_lossy());
    let siblings = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = siblings.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
    names.sort_unstable();
    names
}

pub(super) fn open(path: &Path, profile: Profile) -> Result<Store, StoreError> {
    let new = beside(path, ".new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(|e| StoreError::io(&new, e))?;
    }
    if path.exists() && !was_created(path) {
        let moved = quarantine(path)?;
        tracing::warn!(to = %moved.display(), "moved away a store that was never completed");
    }
    if !path.exists() {
        marks::forget(path);
        create(path, &new, profile)?;
    }
    if marks::opening(path) {
        marks::opened(path);
        return Err(StoreError::damaged(path, "the last starts died while they opened it"));
    }
    let opened = checked(path, profile);
    marks::opened(path);
    opened
}

/// Opens a store and holds it to everything that can be checked at once.
fn checked(path: &Path, profile: Profile) -> Result<Store, StoreError> {
    // Before fjall sees them: it deletes the tables that a damaged manifest does not name.
    manifest::check(path)?;
    let open = || {
        let db = profile.database(path).open().map_err(|e| StoreError::fjall(path, e))?;
        Store::assemble(path, profile, db)
    };
    // Where panics unwind, one on damaged files is an error like the others.
    let mut store = marks::while_opening(|| catch_unwind(AssertUnwindSafe(open)))
        .unwrap_or_else(|_| Err(StoreError::damaged(path, "the library panicked on its files")))?;
    check_format(&store)?;
    store.profile = created_with(&store)?;
    if store.profile != profile {
        tracing::warn!(
            created = store.profile.name(),
            asked = profile.name(),
            "the store keeps the memtable size of the profile it was created with"
        );
    }
    check_chain(&store.view())
        .map_err(|fault| StoreError::fault(path, &fault))
        .and_then(|fine| fine.map_err(|what| StoreError::damaged(path, what)))?;
    Ok(store)
}

fn was_created(path: &Path) -> bool {
    fs::metadata(path.join("version")).is_ok_and(|marker| marker.len() >= MARKER_BYTES)
}

fn create(path: &Path, new: &Path, profile: Profile) -> Result<(), StoreError> {
    let fail = |e| StoreError::fjall(new, e);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| StoreError::io(parent, e))?;
    }
    let db = profile.database(new).open().map_err(fail)?;
    let store = Store::assemble(new, profile, db)?;
    let mut batch = store.db.batch();
    batch.insert(&store.index, FORMAT_KEY, [STORE_FORMAT]);
    batch.insert(&store.index, PROFILE_KEY, [profile as u8]);
    batch.commit().map_err(fail)?;
    store.db.persist(PersistMode::SyncAll).map_err(fail)?;
    drop(store);
    marks::forget(new);
    // fjall syncs the directory of each keyspace, but not the one in which these are.
    for directory in [&new.join("keyspaces"), new] {
        sync_directory(directory).map_err(|e| StoreError::io(directory, e))?;
    }
    fs::rename(new, path).map_err(|e| StoreError::io(path, e))?;
    sync_parent(path)
}

fn own_byte(store: &Store, key: [u8; 2]) -> Result<Option<u8>, StoreError> {
    let value = store.index.get(key);
    let value = value.map_err(|e| StoreError::fjall(&store.path, e))?;
    Ok(value.and_then(|value| value.first().copied()))
}

fn check_format(store: &Store) -> Result<(), StoreError> {
    match own_byte(store, FORMAT_KEY)? {
        Some(STORE_FORMAT) => Ok(()),
        Some(found) if found > STORE_FORMAT => {
            Err(StoreError::NewerFormat { found, known: STORE_FORMAT })
        }
        Some(found) => Err(StoreError::damaged(
            &store.path,
            format!("format {found} is older than any that this program reads"),
        )),
        None => Err(StoreError::damaged(&store.path, "its format is missing")),
    }
}

fn created_with(store: &Store) -> Result<Profile, StoreError> {
    own_byte(store, PROFILE_KEY)?
        .and_then(Profile::from_byte)
        .ok_or_else(|| StoreError::damaged(&store.path, "its profile is missing"))
}

/// Walks the newest headers from the tip down and looks at the end of the fact log. The inner
/// error says what does not fit.
fn check_chain(view: &StoreView) -> Result<Result<(), String>, StoreFault> {
    let Some(row) = view.tip_row()? else {
        return Ok(Ok(()));
    };
    let (mut height, mut id) = (row.tip.height, row.tip.id);
    for _ in 0..HEADERS_CHECKED {
        if view.block_at(height)? != Some(id) {
            return Ok(Err(format!("the block at height {height} is not the one expected")));
        }
        let Some(header) = view.header(&id)? else {
            return Ok(Err(format!("the header at height {height} is missing")));
        };
        if header.header.id() != id || header.header.height != height {
            return Ok(Err(format!("the header at height {height} is not its id's")));
        }
        let Some(below) = height.previous() else {
            break;
        };
        (height, id) = (below, header.header.parent);
    }
    if view.block_at(Height(row.tip.height.0.saturating_add(1)))?.is_some() {
        return Ok(Err("there is a block above the tip".into()));
    }
    let last = Seq(view.set_row()?.summary.count);
    let held = view.scan_back(Table::Fact, &[], &[0xff; 9], 1)?;
    let held = held.first().and_then(|(key, _)| Seq::from_key(key));
    if held.unwrap_or_default() != last {
        return Ok(Err(format!("the log of facts does not end at number {}", last.0)));
    }
    // Facts are written once and never deleted, so at least so many rows must be there.
    if (view.facts.approximate_len() as u64) < last.0 {
        return Ok(Err(format!("there are less than {} facts", last.0)));
    }
    Ok(Ok(()))
}
