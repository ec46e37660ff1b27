//! Set reconciliation: finding the facts that a peer has and we have not, at a cost that follows
//! the difference and not the set. This is the guarantee behind gossip: sets converge even if every
//! announcement is lost.
//!
//! First form: ids are spread over 4,096 buckets in 64 groups by their first 12 bits, each bucket
//! has a summary that is maintained as facts arrive, and two nodes compare groups, then the buckets
//! of groups that differ, then the ids of buckets that differ. Each side only ever learns what *it*
//! lacks; the peer runs its own session. Where the summaries agree, a slow sweep compares digests, so
//! that ids ground to have equal sums hide nothing for long. Nothing outside this module knows about buckets.

mod fingerprints;
mod schedule;
mod session;
mod sweep;

pub use fingerprints::{Fingerprints, GROUPS, ids_in};
pub use schedule::{Purpose, Schedule};
pub use session::{Session, Step, answer};
pub use sweep::{Span, holds};
