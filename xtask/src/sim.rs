//! `cargo xtask sim [ARGS]`: the torture. Builds the simulator optimized, with every assertion and
//! nothing but core, and hands it the arguments:
//!
//! - `--seeds N [--from S]`: so many seeds; `--minutes M`: fresh ones, for so long
//! - `--nodes K`, `--threads T`
//! - `--replay SEED [--verbose]`: one seed, with everything that happens
//! - `--shrink SEED`: the smallest scenario found that fails as this one does
//! - `--first-failure`: ends with the first seed that fails
//! - `--scale 10,100,1000`: how large meshes converge

use crate::process::{Failure, cargo, run as run_command};

/// What cargo builds or runs.
pub(crate) const SIMULATOR: [&str; 6] =
    ["--profile", "sim", "-p", "cairn-tests", "--no-default-features", "--bin=cairn-sim"];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    run_command(cargo([&["run"], &SIMULATOR[..]].concat()).arg("--").args(args))
}
