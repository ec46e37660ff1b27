//! Blocks: a header and the ids of the facts it orders. Facts themselves travel apart, so a fact
//! crosses a link once and two forks share theirs.

#[cfg(feature = "alloc")]
mod body;
mod genesis;
mod grant;
mod header;
mod verify;

#[cfg(feature = "alloc")]
pub use body::BodyReject;
pub use genesis::{facts_root, genesis, mesh_id, sealers_root};
pub use grant::{Grant, RECOVERY, recovery_digest};
pub use header::{Apart, HEADER_BYTES_MAX, Header, Seal};
pub use verify::{ChainEnd, HeaderReject, RecentTimes, is_early};

#[cfg(feature = "alloc")]
use crate::id::FactId;
#[cfg(feature = "alloc")]
use serde::{Deserialize, Serialize};

/// A header and the fact ids it orders, in execution order.
#[cfg(feature = "alloc")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Distinct fact ids; `header.facts_root` commits to them.
    pub facts: alloc::vec::Vec<FactId>,
}
