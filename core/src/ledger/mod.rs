//! The ledger: which facts and blocks are valid in context, and what they change.
//!
//! Reads go through `store::View`; writes are `store::Batch`es. `rows.rs` says what the tables
//! hold, `read.rs` reads them.

pub mod read;
pub mod reject;
pub mod rows;
