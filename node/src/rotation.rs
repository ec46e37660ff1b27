//! Going on under another key: `next.key` beside `node.key`, a `Rotate` fact that says so, and once a
//! block seals it, the one key in the place of the other.
//!
//! Each step is one atomic write, in this order, and a node that was killed between any two of them
//! goes on from there:
//!
//! 1. `next.key` and its copy are written. Killed after it: the next rotation takes this key.
//! 2. The fact is durable in the ledger. Killed after it: the next start waits for the block.
//! 3. A block seals it; `mesh.json` has the fact, by which the new key introduces itself.
//! 4. `node.key` and its copy hold the new key; the old one is gone.
//! 5. `next.key` is removed.
//!
//! Whoever runs the node waits for `sealed` and starts it again, which does 3 to 5 (`resume`): only
//! a start makes sockets, certificates and an engine for a key, so nothing lives under two keys.

use std::sync::Arc;

use cairn_core::engine::{Command, Receipt, Refusal};
use cairn_core::fact::sign_rotation;
use cairn_core::id::{FactId, NodeId};
use cairn_core::ledger::read::Read as _;
use cairn_core::store::StoreFault;
use tokio::sync::{Mutex, watch};

use crate::app::StartError;
use crate::data_dir::DataDir;
use crate::enroll::{self, Enrollment};
use crate::handle::NodeHandle;
use crate::keys::{self, KeyError, NodeKey};
use crate::store::{Store, StoreError};

/// Why a rotation cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The rules, or the state of the node.
    #[error("the node refused it")]
    Refused(Refusal),
    /// The new key cannot be kept.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error("{0}")]
    Store(StoreFault),
}

/// The new key of a node that runs, if it has one.
#[derive(Clone)]
pub(crate) struct Rotation {
    dir: DataDir,
    next: watch::Sender<Option<NodeId>>,
    /// Held while a rotation begins.
    one: Arc<Mutex<()>>,
}

impl Rotation {
    pub(crate) fn new(dir: &DataDir) -> Result<Self, KeyError> {
        let next = keys::load(&dir.next_key_file())?.map(|key| key.node_id());
        let (next, one) = (watch::Sender::new(next), Arc::default());
        Ok(Self { dir: dir.clone(), next, one })
    }

    /// Waits until a block seals the rotation to the new key; for ever, if there is none.
    pub(crate) async fn sealed(&self, node: &NodeHandle) {
        let (mut next, mut status) = (self.next.subscribe(), node.watch_status());
        loop {
            let key = *next.borrow_and_update();
            status.mark_unchanged();
            // A store that cannot be read ends the node in another way.
            if key.is_some_and(|key| matches!(node.view().member(&key), Ok(Some(_)))) {
                return;
            }
            let changed = tokio::select! {
                changed = next.changed() => changed,
                changed = status.changed() => changed,
            };
            if changed.is_err() {
                // The node is ending already.
                return std::future::pending().await;
            }
        }
    }

    /// Makes a new key and tells the mesh of it, durably. Told again, it is the same rotation.
    pub(crate) async fn begin(&self, node: &NodeHandle) -> Result<(NodeId, FactId), RotationError> {
        let _one = self.one.lock().await;
        let path = self.dir.next_key_file();
        let stopping = |_| RotationError::Refused(Refusal::Stopping);
        let made = tokio::task::spawn_blocking(move || keys::load_or_create(&path));
        let next: NodeKey = made.await.map_err(stopping)??;
        let key = next.node_id();
        let signature = sign_rotation(&node.mesh(), &node.node_id(), next.signing());
        match node.command(Command::Rotate { key, signature }).await {
            Ok(Receipt::Made(fact)) => {
                self.next.send_replace(Some(key));
                Ok((key, fact))
            }
            Ok(_) => Err(RotationError::Refused(Refusal::Stopping)),
            Err(refusal) => {
                // Whoever runs out of room may have written it all the same: such a key is kept.
                if node.view().known(&key).map_err(RotationError::Store)?.is_none() {
                    let path = self.dir.next_key_file();
                    let removed = tokio::task::spawn_blocking(move || keys::remove(&path));
                    removed.await.map_err(stopping)??;
                }
                Err(RotationError::Refused(refusal))
            }
        }
    }
}

/// Finishes a rotation that a block seals. Returns the node's place in the mesh as it is now.
///
/// # Errors
/// `StartError`; the same start goes on where this one ended.
pub(crate) fn resume(
    dir: &DataDir,
    mut enrollment: Enrollment,
    store: &Store,
) -> Result<Enrollment, StartError> {
    let path = dir.next_key_file();
    let Some(next) = keys::load(&path)? else {
        return Ok(enrollment);
    };
    if next.node_id() != enrollment.key.node_id() {
        let fault = |fault| StoreError::fault(store.path(), &fault);
        let view = store.view();
        let admit = view.member(&next.node_id()).map_err(fault)?.and_then(|row| row.admit);
        let Some(admit) = admit else {
            tracing::info!(next = %next.node_id(), "a rotation of the key waits to be sealed");
            return Ok(enrollment);
        };
        let (_, fact) = view.fact(&admit).map_err(fault)?.ok_or_else(|| missing(store))?;
        enroll::add_fact(dir, &mut enrollment, fact)?;
        let (old, new) = (enrollment.key.node_id(), next.node_id());
        keys::replace(&dir.key_file(), &next)?;
        enrollment.key = next;
        tracing::info!(%old, %new, "this node goes on under its new key");
    }
    keys::remove(&path)?;
    Ok(enrollment)
}

fn missing(store: &Store) -> StoreError {
    let what = "the fact that admits this node is missing".into();
    StoreError::Damaged { path: store.path().to_owned(), what }
}

#[cfg(test)]
mod tests;
