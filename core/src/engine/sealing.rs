//! When this node seals a block: facts wait, it is (or has become) its turn, it has caught up, and
//! its last block is on disk.

use alloc::boxed::Box;

use super::promises::Promise;
use super::{Config, Engine, Job, JobId, Output};
use crate::block::Header;
use crate::event::Event;
use crate::params::SealRule;
use crate::seal::authority;
use crate::store::{Batch, StoreFault, View};
use crate::time::{Instant, Millis, UnixTime};

/// Before it has heard of anybody, a node waits this long for others to tell of a longer chain.
const PATIENCE: Millis = 3_000;

/// What sealing is waiting for.
#[derive(Debug)]
pub(super) struct Sealing {
    enabled: bool,
    /// Not before this, unless a peer told that we have caught up.
    patient_until: Instant,
    /// Nothing that waits can be sealed; try again only when something changed.
    fruitless: bool,
    /// When it becomes our turn.
    at: Option<Instant>,
    /// The block being ground (proof of work) and its list of facts.
    grinding: Option<(JobId, alloc::vec::Vec<crate::id::FactId>)>,
}

impl Sealing {
    pub(super) const fn new(config: &Config, now: Instant) -> Self {
        Self {
            enabled: config.seal_blocks,
            patient_until: now.after(PATIENCE),
            fruitless: false,
            at: None,
            grinding: None,
        }
    }

    /// Something changed: what could not be sealed may be now.
    pub(super) const fn retry(&mut self) {
        self.fruitless = false;
    }

    pub(super) const fn timeout(&self) -> Option<Instant> {
        self.at
    }
}
