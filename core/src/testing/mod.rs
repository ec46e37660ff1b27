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

/// How many cases of a property are tried: `usual`, and in proportion as `PROPTEST_CASES` says.
#[cfg(test)]
pub(crate) fn cases(usual: u32) -> proptest::test_runner::Config {
    let all = proptest::test_runner::Config::default();
    proptest::test_runner::Config { cases: (all.cases * usual / 256).max(1), ..all }
}
