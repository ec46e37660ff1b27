//! Builders for tests, benches and the simulator: keys, rules, facts, a store in memory, a ledger
//! without seals, a chain with them, and a naive ledger to compare with. Feature `testing`.

mod chain;
mod facts;
mod ledger;
mod model;
mod store;

pub use chain::TestChain;
pub use facts::{TestNode, params};
pub use ledger::TestLedger;
pub use model::Model;
pub use store::{Before, MemStore};
