//! The ledger: which facts and blocks are valid in context, and what they change.
//!
//! Reads go through `store::View`; writes are `store::Batch`es. `rows.rs` says what the tables
//! hold, `read.rs` reads them. A fact enters the set in `arrival.rs`, whatever the chain says. A
//! block is read for (`prefetch.rs`), judged (`apply.rs`, by the rules in `custody.rs` and
//! `membership.rs` over a `state.rs`) and connected (`delta.rs`) on an `overlay.rs`.

pub mod apply;
pub mod arrival;
pub mod create;
pub mod custody;
pub mod delta;
pub mod line;
pub mod membership;
pub mod overlay;
pub mod prefetch;
pub mod read;
pub mod reject;
pub mod rows;
pub mod state;
#[cfg(test)]
mod tests;
