//! `cargo xtask miri`: core's tests in an interpreter that notices undefined behavior, on this
//! machine's word size, on a 32-bit one and on a big-endian one. Core has no `unsafe`; what it
//! depends on has.

use std::process::Command;

use crate::process::{self, Failure, works};

/// A machine, by its target, and what runs there. The first runs all that Miri can do in minutes;
/// the others what depends on the width and order of bytes.
const RUNS: [(Option<&str>, &[&str]); 3] = [
    (None, &["--lib", "--test", "decoders"]),
    (Some("i686-unknown-linux-gnu"), NARROW),
    (Some("s390x-unknown-linux-gnu"), NARROW),
];
const NARROW: &[&str] = &["--lib", "codec::", "id::", "wire::", "work::", "merkle::", "fact::"];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    crate::no_args("miri", args)?;
    let add = ["component", "add", "--toolchain", "nightly", "miri", "rust-src"];
    if !works("rustup", &add) {
        eprintln!("\n*** NOT CHECKED: there is no nightly with Miri here.");
        eprintln!("*** rustup toolchain install nightly -c miri -c rust-src --profile minimal");
        return Ok(());
    }
    RUNS.iter().try_for_each(|(target, what)| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "miri", "test", "-p", "cairn-core"]);
        if let Some(target) = target {
            command.args(["--target", target]);
        }
        // Miri is slow, and isolation hides the file in which proptest keeps its failures.
        command.args(*what).env("PROPTEST_CASES", "2");
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env_remove("RUSTUP_TOOLCHAIN");
        process::run(command.current_dir(process::root()))
    })
}
