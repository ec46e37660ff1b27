//! The engine: everything a node decides, as one machine without I/O.
//!
//! Contract of the driver: one input, then `poll_output` until `None`; time never goes back; at
//! most one `Commit` per input, made visible before the next input and durable later, in order; a
//! promise (a `Reply`, a block this node sealed) comes out only after its `Durable`; every command
//! gets exactly one reply, every job exactly one answer; spurious inputs are harmless.

mod config;
mod input;
mod output;
mod status;

pub use crate::conn::{ConnId, DialId, PeerAddr, RequestTag, StreamTag};
pub use config::Config;
pub use input::{BatchId, Command, CommandId, ConnInput, CustodyAction, Input, JobId};
pub use output::{Frame, Job, Output, Published, Receipt, Refusal};
pub use status::{PeerStatus, State, Status};

use alloc::collections::VecDeque;

use crate::store::{StoreFault, View};
use crate::time::{Instant, Now};

/// The machine.
pub struct Engine {
    status: Status,
    outbox: VecDeque<Output>,
}

impl Engine {
    /// Rebuilds the engine from what is on disk (`genesis_batch` has been committed once before).
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn new(_config: Config, _view: &dyn View, _now: Now) -> Result<Self, StoreFault> {
        Err(StoreFault {
            table: crate::store::Table::Meta,
            what: "not written yet",
        })
    }

    /// One thing happened.
    ///
    /// # Errors
    /// Only if `view` fails; then the engine must be dropped and rebuilt from disk.
    pub fn handle_input(
        &mut self,
        _now: Now,
        _input: Input<'_>,
        _view: &dyn View,
    ) -> Result<(), StoreFault> {
        Ok(())
    }

    /// One thing to do. Call until `None` before the next `handle_input`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call `handle_input` with `Input::Tick` at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What is shown of the engine.
    pub const fn status(&self) -> &Status {
        &self.status
    }
}
