//! Small files beside a store that tell the next start what happened to this one.
//!
//! `<store>.opening`: how many starts have begun to open it and not come to the end. A library that
//! aborts on damaged files leaves no other trace, but neither does a power cut, so one is not
//! enough. `<store>.damaged`: why it is not to be trusted any more.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

/// Starts that die while they open the store before it counts as damaged.
const OPENINGS_MAX: usize = 2;
/// Most bytes of a reason.
const REASON_MAX: usize = 1_024;

thread_local! {
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is opening a store: a panic is caught then, where panics unwind.
pub fn is_opening() -> bool {
    OPENING.get()
}

/// Runs something as part of opening a store.
pub(super) fn while_opening<T>(open: impl FnOnce() -> T) -> T {
    OPENING.set(true);
    let result = open();
    OPENING.set(false);
    result
}

/// `path` with something added to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Notes that the store is about to be opened. Returns whether so many earlier starts did not
/// survive that; then it begins to count anew.
pub(super) fn opening(store: &Path) -> bool {
    let path = beside(store, ".opening");
    let before = fs::metadata(&path).map_or(0, |file| file.len());
    let died = before >= OPENINGS_MAX as u64;
    let now = if died { 1 } else { before.saturating_add(1) };
    // One byte a start. If it cannot be written, an abort is noticed later or not at all.
    let _ = fs::write(&path, vec![b'.'; usize::try_from(now).unwrap_or(OPENINGS_MAX)]);
    died
}

/// The store is open, or was refused in words.
pub(super) fn opened(store: &Path) {
    let _ = fs::remove_file(beside(store, ".opening"));
}

/// Notes why a store is not to be trusted any more, for the next start. Best effort: without the
/// note the damage is found again when it is read again.
pub fn note_damage(store: &Path, reason: &str) {
    let reason: String = reason.chars().take(REASON_MAX).collect();
    if let Err(error) = fs::write(beside(store, ".damaged"), reason) {
        tracing::warn!(%error, "cannot note the damage for the next start");
    }
}

/// What an earlier run noted.
pub(crate) fn noted_damage(store: &Path) -> Option<String> {
    let reason = fs::read(beside(store, ".damaged")).ok()?;
    Some(String::from_utf8_lossy(&reason).chars().filter(|c| !c.is_control()).collect())
}

/// Forgets all notes: another store is there now.
pub(super) fn forget(store: &Path) {
    for suffix in [".opening", ".damaged", ".mark"] {
        let _ = fs::remove_file(beside(store, suffix));
    }
}
