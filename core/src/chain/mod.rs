//! The chain machine: verified headers as a tree, and which of its branches is best.
//!
//! Not here: bodies, facts and state (the ledger), and asking peers for any of it (sync).

mod fork_choice;

pub use fork_choice::{Candidate, ForkChoice};
