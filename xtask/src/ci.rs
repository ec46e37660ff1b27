//! `cargo xtask ci [--full]`: everything that must hold. Without `--full` it is what runs before
//! every merge; with it, what runs before a release.

use std::path::Path;

use crate::process::{self, Failure, cargo, works};
use crate::steps::Steps;
use crate::{bare, dist, fuzz, install, miri, purity, sim, test, tidy};

/// Feature sets that compile different code; each is linted apart.
const LINTED: [&[&str]; 4] = [
    &["--workspace"],
    &["-p", "cairn-core", "--no-default-features"],
    &["-p", "cairn-core"],
    &["-p", "cairn-node", "--no-default-features", "--features", "ring"],
];
/// Seeds per behavior before a release.
const MANY_SEEDS: &str = "500";
/// Seconds of fuzzing per target before a release.
const FUZZ_SECONDS: &str = "30";
/// A 32-bit target whose tests run natively: numbers in the codec differ in width there.
const NARROW_TARGET: &str = "i686-unknown-linux-gnu";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let full = match args {
        [] => false,
        [flag] if flag == "--full" => true,
        _ => {
            let what = format!("ci does not know `{}`", args.join(" "));
            return Err(Failure::new(what, "it takes --full or nothing", "cargo xtask ci"));
        }
    };
    let mut steps = Steps::default();
    steps.step("fmt", format_is_fixed);
    steps.step("tidy", || tidy::run(&[]));
    steps.step("clippy", clippy);
    steps.step("purity", || purity::run(&[]));
    let tests = if full { test::thorough } else { test::run };
    steps.step("test", || tests(&["--no-fail-fast".into()]));
    steps.step("doc", documentation);
    steps.step("bare", || bare::run(&[]));
    if full {
        steps.step("deny", deny);
        steps.step("sim", || sim::run(&["--seeds".into(), MANY_SEEDS.into()]));
        steps.step("narrow", narrow);
        steps.step("miri", || miri::run(&[]));
        steps.step("fuzz", || fuzz::run(&["--seconds".into(), FUZZ_SECONDS.into()]));
        steps.step("dist", || dist::run(&[]));
    } else {
        steps.step("aarch64", || dist::quick("aarch64"));
    }
    steps.finish()
}

fn format_is_fixed() -> Result<(), Failure> {
    process::run(&mut cargo(["fmt", "--all", "--check"]))?;
    let manifest = "xtask/firmware/Cargo.toml";
    process::run(&mut cargo(["fmt", "--check", "--manifest-path", manifest]))
}

fn clippy() -> Result<(), Failure> {
    LINTED.iter().try_for_each(|packages| {
        let lint = [&["clippy", "--all-targets"], *packages, &["--", "-D", "warnings"]];
        process::run(&mut cargo(lint.concat()))
    })
}

/// Documentation builds without warnings, and its examples run.
fn documentation() -> Result<(), Failure> {
    let build = ["doc", "--workspace", "--no-deps"];
    process::run(cargo(build).env("RUSTDOCFLAGS", "-D warnings"))?;
    process::run(&mut cargo(["test", "--doc", "-p", "cairn-core"]))
}

/// Licenses, advisories and sources of every dependency, by `deny.toml`.
fn deny() -> Result<(), Failure> {
    let has_deny = works("cargo-deny", &["--version"]);
    let install = ["install", "--locked", "cargo-deny"];
    if !has_deny && process::run(&mut cargo(install)).is_err() {
        eprintln!("\n*** NOT CHECKED: cargo-deny is missing and cannot be installed here.");
        eprintln!("*** Licenses and advisories of dependencies are unknown for this run.");
        return Ok(());
    }
    process::run(&mut cargo(["deny", "--all-features", "check"]))
}

/// Core's tests on a 32-bit machine.
fn narrow() -> Result<(), Failure> {
    install::rust_target(NARROW_TARGET)?;
    let is_there = Path::new("/usr/lib32/libc.so").exists();
    install::debian("a 32-bit C library", is_there, &["gcc-multilib"])?;
    process::run(&mut test::tests(&["-p", "cairn-core", "--target", NARROW_TARGET]))
}
