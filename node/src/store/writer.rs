//! When visible becomes durable: one thread that groups commits into one `fdatasync`.
//!
//! A promise somebody waits for is synced at once. Everything else waits until `FLUSH_INTERVAL` has
//! passed since the sync before, so a lone commit costs no delay and a stream of them costs five
//! syncs a second: memory cards wear by the sync, not by the byte.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cairn_core::engine::BatchId;

use super::{Store, StoreError};

/// Shortest time between two syncs that nobody waits for.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// What is synced together with the store: a promise needs both.
pub type SyncBeside = Box<dyn Fn() -> Result<(), StoreError> + Send>;

/// Told by the durability thread.
pub type DurableSink = Box<dyn Fn(Result<BatchId, StoreError>) + Send>;

#[derive(Default)]
struct Wanted {
    batch: Option<BatchId>,
    urgent: bool,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The durability thread.
pub struct Durability {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Durability {
    /// Starts the thread. `beside` is called after each sync of the store; `sink` is told the newest batch of every sync, or the first error, after
    /// which the thread has ended.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        store: Arc<Store>,
        beside: SyncBeside,
        sink: DurableSink,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("cairn-durable".into())
            .spawn(move || run(&store, &for_thread, &beside, &sink))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// This batch is visible and shall become durable; at once if somebody waits for it.
    pub fn want(&self, batch: BatchId, urgent: bool) {
        let mut wanted = self.shared.lock();
        wanted.batch = Some(batch);
        wanted.urgent |= urgent;
        drop(wanted);
        self.shared.changed.notify_one();
    }

    /// Syncs what is still wanted, reports it, and ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there ends the process in release builds.
            let _ = thread.join();
        }
    }
}

impl Drop for Durability {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until something is to be synced; none when the thread shall end.
fn next(shared: &Shared, due: Instant) -> Option<BatchId> {
    let mut wanted = shared.lock();
    loop {
        let wait = due.saturating_duration_since(Instant::now());
        let ready = wanted.urgent || wanted.stop || wait.is_zero();
        match wanted.batch {
            Some(batch) if ready => {
                wanted.batch = None;
                wanted.urgent = false;
                return Some(batch);
            }
            None if wanted.stop => return None,
            Some(_) => {
                let waited = shared.changed.wait_timeout(wanted, wait);
                wanted = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            None => {
                let waited = shared.changed.wait(wanted);
                wanted = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn run(store: &Store, shared: &Shared, beside: &SyncBeside, sink: &DurableSink) {
    let mut due = Instant::now();
    while let Some(batch) = next(shared, due) {
        // Everything up to `batch` was visible before it was wanted.
        let result = store.persist().and_then(|()| beside()).map(|()| batch);
        let failed = result.is_err();
        sink(result);
        if failed {
            return;
        }
        due = Instant::now() + FLUSH_INTERVAL;
    }
}
