//! `cargo xtask demo [ARGS]`: `cairn demo`, built for speed; ARGS go to it.

use std::process::Stdio;

use crate::process::{Failure, cargo};

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let demo = ["run", "--release", "-p", "cairn-node", "--", "demo"];
    // Unlike every other step this one is for a person: it keeps the terminal.
    let status = cargo(demo).args(args).stdin(Stdio::inherit()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(
            "cairn demo",
            format!("it ended with {status}; its own words are above"),
            "cargo xtask demo --help",
        )),
        Err(error) => Err(Failure::new("cargo run", error.to_string(), "cargo --version")),
    }
}
