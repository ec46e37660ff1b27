//! `cargo xtask ci [--full]`: everything that must hold. Without `--full` it is what runs before
//! every merge; with it, what runs before a release.

use std::path::Path;
use std::process::Command;

use crate::process::{self, Failure, cargo, works};
use crate::steps::Steps;
use crate::{bare, dist, install, purity, sim, test, tidy};

/// Feature sets that compile different code; each is linted apart.
const LINTED: [&[&str]; 4] = [
    &["--workspace"],
    &["-p", "cairn-core", "--no-default-features"],
    &["-p", "cairn-core"],
    &["-p", "cairn-node", "--no-default-features", "--features", "ring"],
];
/// Seeds per behavior before a release.
const MANY_SEEDS: &str = "500";
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
        steps.step("miri", miri);
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

/// The codec's tests under Miri, where a nightly has it.
fn miri() -> Result<(), Failure> {
    let miri = ["run", "nightly", "cargo", "miri"];
    let add = ["component", "add", "--toolchain", "nightly", "miri", "rust-src"];
    if !works("rustup", &add) {
        eprintln!("\n*** NOT CHECKED: there is no nightly with Miri here.");
        eprintln!("*** rustup toolchain install nightly -c miri -c rust-src --profile minimal");
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command.args(miri).args(["test", "-p", "cairn-core", "--lib", "codec::"]);
    // Miri is slow, and isolation hides the file in which proptest keeps its failures.
    command.env("PROPTEST_CASES", "16").env("MIRIFLAGS", "-Zmiri-disable-isolation");
    process::run(command.env_remove("RUSTUP_TOOLCHAIN").current_dir(process::root()))
}
