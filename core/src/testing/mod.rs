//! Builders for tests, benches and the simulator: keys, rules, facts, a store in memory, a
//! ledger without seals and a chain with them. Feature `testing`.

mod chain;
mod facts;
mod ledger;
mod store;

pub use chain::TestChain;
pub use facts::{TestNode, params};
pub use ledger::TestLedger;
pub use store::{Before, MemStore};
