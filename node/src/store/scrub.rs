//! The scrub: reads every table from end to end, slowly, and compares it with the checksum in its
//! manifest. A flipped bit is found while there are still peers that can refill the store, not when
//! somebody happens to ask for the row years later.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{StoreError, manifest};

/// Bytes read at one time.
const PIECE_BYTES: usize = 256 * 1024;
/// Between two pieces: 1 MiB a second, a gigabyte in a quarter of an hour.
const PIECE_PAUSE: Duration = Duration::from_millis(250);
/// Before the first pass; a start has better things to do.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Between two passes.
const PASS_PAUSE: Duration = Duration::from_secs(24 * 3_600);

#[derive(Default)]
struct Stop {
    stopped: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    /// Sleeps; returns whether to go on.
    fn wait(&self, pause: Duration) -> bool {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let going = |(): &mut ()| !self.stopped.load(Ordering::Relaxed);
        let waited = self.changed.wait_timeout_while(guard, pause, going);
        drop(waited);
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// The thread that scrubs.
pub struct Scrub {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Scrub {
    /// Starts it. `found` is told of damage, after which the thread has ended.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        store: &Path,
        found: impl FnOnce(StoreError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, path) = (Arc::new(Stop::default()), store.to_owned());
        let for_thread = stop.clone();
        let run = move || {
            let mut pause = FIRST_PAUSE;
            while for_thread.wait(pause) {
                if let Err(error) = pass(&path, || for_thread.wait(PIECE_PAUSE)) {
                    return found(error);
                }
                pause = PASS_PAUSE;
            }
        };
        let thread = std::thread::Builder::new().name("cairn-scrub".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        let guard = self.stop.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.stopped.store(true, Ordering::Relaxed);
        drop(guard);
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there ends the process in release builds.
            let _ = thread.join();
        }
    }
}

/// Reads all tables once; ends early without a finding when `pause` says so.
///
/// # Errors
/// `StoreError::Damaged` at the first table that is not what was written.
pub(super) fn pass(store: &Path, mut pause: impl FnMut() -> bool) -> Result<(), StoreError> {
    let mut piece = vec![0; PIECE_BYTES];
    for table in manifest_tables(store)? {
        let sound = manifest::is_sound(&table, &mut piece, &mut pause);
        let name = table.path.display();
        match sound {
            Ok(true) => {}
            Ok(false) => {
                let what = format!("the table {name} is not as it was written");
                return Err(StoreError::damaged(store, what));
            }
            Err(error) => {
                let what = format!("the table {name} cannot be read: {error}");
                return Err(StoreError::damaged(store, what));
            }
        }
    }
    Ok(())
}

/// Manifests are replaced while the store is open: what looks wrong is looked at again.
fn manifest_tables(store: &Path) -> Result<Vec<manifest::TableFile>, StoreError> {
    let mut listed = manifest::tables(store);
    for _ in 0..3 {
        if listed.is_ok() {
            break;
        }
        listed = manifest::tables(store);
    }
    listed
}
