//! `cargo xtask bench [ARGS]`: the benchmarks; ARGS go to `cargo bench`.

use crate::process::{Failure, cargo, run as run_command};

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    run_command(cargo(["bench", "-p", "cairn-benches"]).args(args))
}
