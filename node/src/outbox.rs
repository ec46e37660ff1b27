//! Facts that this node promised to keep and that no other node is known to hold yet, a second time,
//! outside the store: a store that is damaged and moved away is refilled by peers, but what no peer
//! has they cannot give back.
//!
//! Append-only files of records (`outbox/<n>.log`), synced with the store's group commit before
//! anything is acknowledged. A file goes when everything in it is sealed in a block that a connected
//! peer has as well (a peer's tip is a block whose facts it holds), or when there are too many: then
//! the oldest goes, and what is lost with it is only the second copy.
//!
//! Not here: who calls it when (`driver.rs`, `app.rs`), and how facts come back (`bootstrap.rs`).

pub mod record;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_core::ledger::read::Read as _;
use cairn_core::ledger::rows::Seq;
use cairn_core::store::{StoreFault, Table, View};
use cairn_core::wire::Tip;
use cairn_core::work::Height;

use crate::store::{Store, sync_directory};

/// A file is closed at this size.
const FILE_BYTES: u64 = 1024 * 1024;
/// Files kept.
const FILES_MAX: usize = 16;

#[derive(Debug)]
struct Closed {
    path: PathBuf,
    /// Number of its last fact in this node's order of arrival, or a later one.
    last: Seq,
    /// The height at which all of it was sealed for sure, once it is.
    sealed: Option<Height>,
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    bytes: u64,
    /// As for a closed one.
    at: Closed,
    /// Whether something was written since it was last synced.
    dirty: bool,
}

#[derive(Debug)]
struct Files {
    closed: VecDeque<Closed>,
    open: Option<Open>,
    /// Number of the next file.
    next: u64,
    dropped: bool,
}

/// The outbox. Shared by the driver (appends), the durability thread (syncs) and whoever prunes.
#[derive(Debug)]
pub struct Outbox {
    directory: PathBuf,
    files: Mutex<Files>,
}

impl Outbox {
    /// Opens the outbox in a directory, which is made if it is missing. What earlier runs left
    /// counts as arrived by `last`.
    ///
    /// # Errors
    /// As the system says.
    pub fn open(directory: &Path, last: Seq) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let numbers = numbers(directory)?;
        let next = numbers.last().map_or(1, |number| number + 1);
        let closed = numbers.into_iter().map(|number| Closed {
            path: file_path(directory, number),
            last,
            sealed: None,
        });
        let closed = closed.collect();
        let files = Files { closed, open: None, next, dropped: false };
        Ok(Self { directory: directory.to_owned(), files: Mutex::new(files) })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds encoded facts with their numbers, in ascending order. They are there for certain after
    /// the next `sync`.
    ///
    /// # Errors
    /// As the system says; then nothing of them may be promised.
    pub fn append<'f>(&self, facts: impl Iterator<Item = (Seq, &'f [u8])>) -> io::Result<()> {
        let (mut bytes, mut last) = (Vec::new(), None);
        for (seq, fact) in facts {
            record::write(&mut bytes, fact);
            last = Some(seq);
        }
        let Some(last) = last else {
            return Ok(());
        };
        let mut guard = self.lock();
        let files = &mut *guard;
        let open = match &mut files.open {
            Some(open) => open,
            none => {
                let path = file_path(&self.directory, files.next);
                files.next += 1;
                let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
                sync_directory(&self.directory)?;
                let at = Closed { path, last, sealed: None };
                none.insert(Open { file: Arc::new(file), bytes: 0, at, dirty: false })
            }
        };
        (&*open.file).write_all(&bytes)?;
        open.bytes += bytes.len() as u64;
        open.dirty = true;
        open.at.last = last;
        open.at.sealed = None;
        if open.bytes >= FILE_BYTES {
            files.close()?;
        }
        Ok(())
    }

    /// Makes everything that was appended survive a power cut.
    ///
    /// # Errors
    /// As the system says.
    pub fn sync(&self) -> io::Result<()> {
        let file = {
            let mut files = self.lock();
            let Some(open) = files.open.as_mut().filter(|open| open.dirty) else {
                return Ok(());
            };
            open.dirty = false;
            open.file.clone()
        };
        // Without the lock: the driver goes on meanwhile.
        file.sync_data()
    }

    /// Forgets what others hold, by the tips that connected peers tell.
    ///
    /// # Errors
    /// `StoreFault` if the store fails.
    pub fn prune(&self, store: &Store, tips: &[Tip]) -> Result<(), StoreFault> {
        let mut files = self.lock();
        if files.is_empty() {
            return Ok(());
        }
        // Taken under the lock: all that was appended is visible in it.
        let view = store.view();
        let mut held = None;
        for tip in tips {
            if held < Some(tip.height) && view.on_best_chain(&tip.id, tip.height)? {
                held = Some(tip.height);
            }
        }
        // Facts numbered below the first that waits are sealed, at the tip's height or below it; or
        // they lost, and nobody needs them.
        let waiting = view.scan(Table::Pending, &[], &[0xff; 9], 1)?;
        let first = waiting.first().and_then(|(key, _)| Seq::from_key(key));
        let first = first.unwrap_or(Seq(u64::MAX));
        let Some(row) = view.tip_row()? else {
            return Ok(());
        };
        let tip = row.tip.height;
        let done = |at: &mut Closed| {
            if at.sealed.is_none() && at.last < first {
                at.sealed = Some(tip);
            }
            let done = at.sealed.is_some_and(|sealed| Some(sealed) <= held);
            if done {
                remove(&at.path);
            }
            done
        };
        files.closed.retain_mut(|closed| !done(closed));
        if files.open.as_mut().is_some_and(|open| done(&mut open.at)) {
            files.open = None;
        }
        Ok(())
    }

    /// Hands out all facts that are kept, a file at a time, oldest first. What cannot be read is
    /// passed over: this is a second copy.
    pub fn replay<E>(&self, mut file: impl FnMut(Vec<Vec<u8>>) -> Result<(), E>) -> Result<(), E> {
        let paths: Vec<PathBuf> = {
            let files = self.lock();
            let open = files.open.iter().map(|open| &open.at);
            files.closed.iter().chain(open).map(|at| at.path.clone()).collect()
        };
        for path in paths {
            match read_bounded(&path) {
                Ok(bytes) => file(record::read(&bytes).map(<[u8]>::to_vec).collect())?,
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot be read"),
            }
        }
        Ok(())
    }
}

impl Files {
    fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_none()
    }

    /// Closes the open file; the oldest of too many goes.
    fn close(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.take() {
            if open.dirty {
                open.file.sync_data()?;
            }
            self.closed.push_back(open.at);
        }
        while self.closed.len() >= FILES_MAX
            && let Some(oldest) = self.closed.pop_front()
        {
            remove(&oldest.path);
            if !self.dropped {
                self.dropped = true;
                tracing::info!("no peer holds our facts yet: only the newest are kept twice");
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "cannot be removed");
    }
}

fn file_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.log"))
}

/// Numbers of the files that are there, ascending.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A file is little longer than `FILE_BYTES`: the last facts of one commit.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(64 * FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
