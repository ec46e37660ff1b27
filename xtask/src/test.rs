//! `cargo xtask test`: all tests, with the `cairn` binary that the end-to-end tests start.
//!
//! The binary and the tests come from one build, so features are unified once and nothing is
//! compiled twice. It is the development profile: our code with debug checks, dependencies
//! optimized. `CAIRN_BIN` in the environment tries another binary instead.

use std::env;
use std::process::Command;

use crate::install;
use crate::process::{self, Failure, cargo, has_nextest, target_dir, works};

/// What makes the end-to-end tests try harder: times that all nodes are killed, blocks to be behind,
/// system calls of each kind that strike a node (all), moments at which the power is cut, seconds
/// that a machine sleeps, and that an idle link is measured; how many times as many cases of core's
/// larger properties.
const THOROUGH: [(&str, &str); 7] = [
    ("CAIRN_KILLS", "20"),
    ("CAIRN_BEHIND", "10000"),
    ("CAIRN_SYSCALLS", "1000000"),
    ("CAIRN_CUTS", "200"),
    ("CAIRN_SLEEP", "180"),
    ("CAIRN_IDLE", "600"),
    ("CAIRN_CASES", "20"),
];

/// What the cases of property tests are drawn from. The same tree tries the same ones, so that what
/// fails on one machine fails on another.
const PROPERTY_SEED: &str = "PROPTEST_RNG_SEED";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    run_with(args, &[])
}

/// The same, with the longest end-to-end tests there are.
pub(crate) fn thorough(args: &[String]) -> Result<(), Failure> {
    // Without it, the tests that need it say that they checked nothing.
    if let Err(failure) = install::debian("strace", works("strace", &["-V"]), &["strace"]) {
        eprintln!("{failure}");
    }
    run_with(args, &THOROUGH)
}

fn run_with(args: &[String], environment: &[(&str, &str)]) -> Result<(), Failure> {
    let chosen = args.iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    let scope: &[&str] = if chosen { &[] } else { &["--workspace"] };
    let mut command = tests(scope);
    command.args(args).envs(environment.iter().copied());
    if env::var_os(PROPERTY_SEED).is_none() {
        command.env(PROPERTY_SEED, process::tree_number().to_string());
    }
    if env::var_os("CAIRN_BIN").is_none() {
        let build: &[&str] = match chosen {
            false => &["build", "--workspace", "--bins", "--tests"],
            true => &["build", "-p", "cairn-node", "--bins"],
        };
        if !chosen || args.iter().any(|arg| arg.contains("cairn-tests")) {
            process::run(&mut cargo(build))?;
        }
        command.env("CAIRN_BIN", target_dir().join("debug").join("cairn"));
    }
    process::run(&mut command)
}

/// The command that runs tests: cargo-nextest where it is installed, else cargo itself.
pub(crate) fn tests(args: &[&str]) -> Command {
    if has_nextest() {
        return cargo([&["nextest", "run"], args].concat());
    }
    eprintln!("note: cargo test is slower; `cargo install --locked cargo-nextest` speeds it up");
    cargo([&["test"], args].concat())
}
