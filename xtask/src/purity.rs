//! `cargo xtask purity`: core is no_std in both tiers. A target that has no std is the proof; each
//! tier has its own cargo call, or feature unification would hide a leak.

use crate::install;
use crate::no_args;
use crate::process::{Failure, cargo, run as run_command};
use crate::test::tests;

/// Cortex-M4 with floating point: no operating system, so no std to link by accident.
pub(crate) const BARE_TARGET: &str = "thumbv7em-none-eabihf";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    no_args("purity", args)?;
    install::rust_target(BARE_TARGET)?;
    let tier_0 = ["build", "-p", "cairn-core", "--no-default-features", "--target", BARE_TARGET];
    run_command(&mut cargo(tier_0))?;
    run_command(cargo(tier_0).args(["--features", "alloc"]))?;
    run_command(&mut tests(&["-p", "cairn-core", "--no-default-features"]))
}
