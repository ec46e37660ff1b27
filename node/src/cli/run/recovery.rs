//! A node whose store failed starts again in the same process where that helps: when the disk was
//! full, as soon as there is room; when the store is damaged, once, and then the start puts a new
//! one in its place if peers can refill it. Everything else ends the process with exit code 8.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::NodeConfig;
use crate::data_dir::DataDir;
use crate::store::{Room, Space, StoreError, is_opening, note_damage};

/// Between two looks at whether there is room again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Libraries whose panics mean that the files of the store are damaged.
const STORE_LIBRARIES: [&str; 4] = ["/fjall-", "/lsm-tree-", "/sfa-", "/byteview-"];

/// Where a configuration has its store.
fn store_path(config: &NodeConfig) -> PathBuf {
    config.db_dir.clone().unwrap_or_else(|| DataDir::new(&config.data_dir).store())
}

/// What one run of the process remembers of failures.
pub(super) struct Recovery {
    store: PathBuf,
    room: Room,
    damaged: bool,
}

impl Recovery {
    pub(super) fn new(config: &NodeConfig) -> Self {
        Self { store: store_path(config), room: config.room(), damaged: false }
    }

    /// Waits until a start makes sense; false if it never will.
    pub(super) async fn ready(&mut self, error: &StoreError) -> bool {
        match error {
            StoreError::Full(_) => {
                tracing::warn!("the disk is full; the node starts again when there is room");
                while self.is_short() {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                true
            }
            StoreError::Damaged { what, .. } => {
                note_damage(&self.store, what);
                !std::mem::replace(&mut self.damaged, true)
            }
            _ => false,
        }
    }

    fn is_short(&self) -> bool {
        // What the store takes is known when it is open; a start goes on from there.
        let space = Space { free: crate::store::free_bytes(&self.store), used: 0 };
        self.room.is_short(true, space)
    }
}

/// A panic of the store's library ends the process as every damage does: it is told, noted for the
/// next start, and the exit code is 8. Release builds would abort, and every start after it as well.
pub(super) fn exit_on_panics_of_the_store(config: &NodeConfig) {
    let store = store_path(config);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if cfg!(panic = "unwind") && is_opening() {
            return;
        }
        let file = panic.location().map_or("", |location| location.file());
        if STORE_LIBRARIES.iter().any(|library| file.contains(library)) {
            give_up(&store, &panic.to_string());
        }
    }));
}

fn give_up(store: &Path, what: &str) -> ! {
    note_damage(store, what);
    let error = StoreError::Damaged { path: store.to_owned(), what: what.into() };
    tracing::error!(%error, hint = error.hint(), "the store failed; the node ends");
    std::process::exit(crate::exit::STORAGE.into())
}
