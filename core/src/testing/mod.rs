//! Builders for tests, benches and the simulator: keys, rules, facts, a store in memory and a
//! ledger without seals. Feature `testing`.

mod facts;
mod ledger;
mod store;

pub use facts::{TestNode, params};
pub use ledger::TestLedger;
pub use store::MemStore;
