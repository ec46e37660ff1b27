//! `cargo xtask miri`: tests of core in an interpreter that notices undefined behavior, on this
//! machine's word size, on a 32-bit one and on a big-endian one. Core has no `unsafe`; what it
//! depends on has.
//!
//! One ed25519 signature takes seconds there, so of what signs only the smallest cases are run. Left
//! out are:
//!
//! - `ledger`, `mempool`, `engine`, `chain::tree`, `chain::fork_choice`, `light`, `block::verify`: they
//!   sign hundreds of facts and blocks;
//! - `seal::pow`: it mines, thousands of hashes for a block;
//! - the other tests of `invite`, of `reconcile` and of `block`: thousands of hashes or checksums;
//! - `work` on this machine alone: its numbers of 256 bits divide in assembly, which Miri does not read.

use std::process::Command;

use crate::process::{self, Failure, works};

/// Machines by their target; none is this one.
const MACHINES: [Option<&str>; 3] =
    [None, Some("i686-unknown-linux-gnu"), Some("s390x-unknown-linux-gnu")];
/// Where bytes, their order and their width are handled, and what signs a little.
const MODULES: [&str; 13] = [
    "codec::",
    "id::",
    "wire::",
    "work::",
    "merkle::",
    "text::",
    "store::",
    "chain::locator::",
    "params::",
    "signature::",
    "fact::",
    "seal::authority::",
    "invite::tests::an_invite_survives_its_text_form",
];

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
            command.args(["--skip", "work::"]);
        }
        // Miri is slow, and isolation hides the file in which proptest keeps its failures.
        command.env("PROPTEST_CASES", "2");
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env_remove("RUSTUP_TOOLCHAIN");
        process::run(command.current_dir(process::root()))
    })
}
