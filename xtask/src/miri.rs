//! `cargo xtask miri`: tests of core in an interpreter that notices undefined behavior, on this
//! machine's word size, on a 32-bit one and on a big-endian one. Core has no `unsafe`; what it
//! depends on has.
//!
//! Only modules that do not sign: one ed25519 signature takes seconds there, and a ledger hundreds
//! of them.

use std::process::Command;

use crate::process::{self, Failure, works};

/// Machines by their target; none is this one.
const MACHINES: [Option<&str>; 3] =
    [None, Some("i686-unknown-linux-gnu"), Some("s390x-unknown-linux-gnu")];
/// Where bytes, their order and their width are handled.
const MODULES: [&str; 8] =
    ["codec::", "id::", "wire::", "work::", "merkle::", "text::", "store::", "chain::locator::"];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    crate::no_args("miri", args)?;
    let add = ["component", "add", "--toolchain", "nightly", "miri", "rust-src"];
    if !works("rustup", &add) {
        eprintln!("\n*** NOT CHECKED: there is no nightly with Miri here.");
        eprintln!("*** rustup toolchain install nightly -c miri -c rust-src --profile minimal");
        return Ok(());
    }
    MACHINES.iter().try_for_each(|target| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "miri", "test", "-p", "cairn-core", "--lib"]);
        if let Some(target) = target {
            command.args(["--target", target]);
        }
        command.arg("--").args(MODULES);
        if target.is_none() {
            // On x86-64 the numbers of 256 bits divide in assembly, which Miri does not read.
            command.args(["--skip", "work::"]);
        }
        // Miri is slow, and isolation hides the file in which proptest keeps its failures.
        command.env("PROPTEST_CASES", "2");
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env_remove("RUSTUP_TOOLCHAIN");
        process::run(command.current_dir(process::root()))
    })
}
