//! `cargo xtask ci [--full | STEP...]`: everything that must hold. Without `--full` it is what runs
//! before every merge; with it, what runs before a release; or only the steps that are named.

use std::env;
use std::path::{Path, PathBuf};

use crate::process::{self, Failure, cargo, works};
use crate::steps::Steps;
use crate::{bare, dist, fuzz, install, miri, purity, sim, strangers, test, tidy};

/// Feature sets that compile different code; each is linted apart.
const LINTED: [&[&str]; 4] = [
    &["--workspace"],
    &["-p", "cairn-core", "--no-default-features"],
    &["-p", "cairn-core"],
    &["-p", "cairn-node", "--no-default-features", "--features", "ring"],
];
/// Seeds of the simulation before a merge, about a minute of two cores.
const FEW_SEEDS: u64 = 300;
/// The same before a release.
const MANY_SEEDS: u64 = 2_000;
/// Seconds of fuzzing per target before a release.
const FUZZ_SECONDS: &str = "30";
/// A 32-bit target whose tests run natively: numbers in the codec differ in width there.
const NARROW_TARGET: &str = "i686-unknown-linux-gnu";

/// When a step runs, if it is not named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Before a merge.
    Short,
    /// Before a release.
    Full,
}

struct Step {
    name: &'static str,
    when: When,
    run: fn() -> Result<(), Failure>,
}

const fn step(name: &'static str, when: When, run: fn() -> Result<(), Failure>) -> Step {
    Step { name, when, run }
}

/// What fails soonest comes first.
const STEPS: [Step; 17] = [
    step("fmt", When::Always, format_is_fixed),
    step("tidy", When::Always, || tidy::run(&[])),
    step("clippy", When::Always, clippy),
    step("purity", When::Always, || purity::run(&[])),
    step("test", When::Short, || test::run(&["--no-fail-fast".into()])),
    step("thorough", When::Full, || test::thorough(&["--no-fail-fast".into()])),
    step("strangers", When::Full, || strangers::run(&[])),
    step("fresh", When::Short, || fresh_seeds(FEW_SEEDS)),
    step("doc", When::Always, documentation),
    step("bare", When::Always, || bare::run(&[])),
    step("aarch64", When::Short, || dist::quick("aarch64")),
    step("deny", When::Full, deny),
    step("sim", When::Full, || fresh_seeds(MANY_SEEDS)),
    step("narrow", When::Full, narrow),
    step("miri", When::Full, || miri::run(&[])),
    step("fuzz", When::Full, || fuzz::run(&["--seconds".into(), FUZZ_SECONDS.into()])),
    step("dist", When::Full, || dist::run(&[])),
];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let named: Vec<&str> = args.iter().map(String::as_str).collect();
    if let Some(unknown) =
        named.iter().find(|name| **name != "--full" && STEPS.iter().all(|step| step.name != **name))
    {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        let why = format!("it takes --full, or names of steps: {}", names.join(", "));
        return Err(Failure::new(format!("ci does not know `{unknown}`"), why, "cargo xtask ci"));
    }
    let wanted = |step: &Step| match (&named[..], step.when) {
        ([], When::Always | When::Short) | (["--full"], When::Always | When::Full) => true,
        ([] | ["--full"], _) => false,
        (names, _) => names.contains(&step.name),
    };
    let mut steps = Steps::default();
    STEPS.iter().filter(|step| wanted(step)).for_each(|step| steps.step(step.name, step.run));
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

/// Seeds that no other state of the tree is tried with; the same for the same files, so that what
/// fails once fails again.
fn fresh_seeds(count: u64) -> Result<(), Failure> {
    let from = process::tree_number() * MANY_SEEDS;
    sim::run(&["--seeds", &count.to_string(), "--from", &from.to_string()].map(Into::into))
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
    let offline = ["deny", "--offline", "--all-features", "check"];
    process::run(cargo(offline).args(["licenses", "bans", "sources"]))?;
    let is_new = process::run(&mut cargo(["deny", "fetch", "db"])).is_ok();
    let checked = process::run(cargo(offline).arg("advisories"));
    if !is_new {
        eprintln!(
            "\n*** NOT CHECKED: the newest advisories cannot be fetched here; what was fetched"
        );
        eprintln!("*** before, if anything, has been looked through.");
        let old = cargo_home().join("advisory-dbs").read_dir();
        let has_old = old.is_ok_and(|all| all.flatten().any(|one| one.path().is_dir()));
        return if has_old { checked } else { Ok(()) };
    }
    checked
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Core's tests on a 32-bit machine.
fn narrow() -> Result<(), Failure> {
    install::rust_target(NARROW_TARGET)?;
    let is_there = Path::new("/usr/lib32/libc.so").exists();
    install::debian("a 32-bit C library", is_there, &["gcc-multilib"])?;
    process::run(&mut test::tests(&["-p", "cairn-core", "--target", NARROW_TARGET]))
}
