//! The chain machine: verified headers as a tree, and which of its branches is best.
//!
//! Not here: bodies, facts and state (the ledger), and asking peers for any of it (sync).

mod fork_choice;
mod locator;
mod tree;

pub use fork_choice::{Candidate, ForkChoice};
pub use locator::{find_fork, locator};
pub use tree::{
    EVIDENCE_MAX, Entry, Evidence, ExtendError, HeaderTree, InsertError, Inserted, NewHeader, Root,
    Status, Stopped,
};
