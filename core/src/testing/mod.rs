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

/// How many cases of a property are tried: `usual`, or as many times that as `CAIRN_CASES`
/// said when this was built.
#[cfg(test)]
pub(crate) fn cases(usual: u32) -> proptest::test_runner::Config {
    let times = option_env!("CAIRN_CASES").and_then(|times| times.parse().ok());
    proptest::test_runner::Config::with_cases(usual.saturating_mul(times.unwrap_or(1)))
}
