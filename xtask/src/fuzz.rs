//! `cargo xtask fuzz [--seconds N] [TARGET...]`: libFuzzer on each target of `tests/fuzz`, starting
//! from the corpus there. What it finds on the way is kept under `target/fuzz`, which a later run
//! goes on from; only what breaks a promise belongs into the repository.
//!
//! Without a sanitizer: our code has no `unsafe`, and twice as many runs find more. Words that a
//! target's inputs are made of are in `tests/fuzz/dict`, where that helps.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Failure, cargo, root, run as run_command, target_dir, works};

const SECONDS: &str = "60";

/// Arguments of every call of cargo-fuzz.
const COMMON: [&str; 5] = ["--fuzz-dir", "tests/fuzz", "--sanitizer", "none", "--features=node"];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (seconds, wanted) = match args {
        [flag, seconds, rest @ ..] if flag == "--seconds" => (seconds.as_str(), rest),
        _ => (SECONDS, args),
    };
    let targets = targets()?;
    let unknown = wanted.iter().find(|name| !targets.contains(name));
    if seconds.parse::<u32>().is_err() || unknown.is_some() {
        let what = unknown.map_or_else(|| format!("--seconds {seconds}"), Clone::clone);
        let why = format!("seconds are a number; the targets are {}", targets.join(", "));
        return Err(Failure::new(what, why, "cargo xtask fuzz --seconds 60"));
    }
    if !has_tools() {
        eprintln!("\n*** NOT CHECKED: fuzzing needs a nightly and cargo-fuzz.");
        eprintln!("*** rustup toolchain install nightly --profile minimal");
        eprintln!("*** cargo install --locked cargo-fuzz");
        return Ok(());
    }
    run_command(&mut cargo_fuzz("build", &[]))?;
    let chosen = if wanted.is_empty() { &targets } else { wanted };
    chosen.iter().try_for_each(|target| fuzz(target, seconds))
}

/// The targets are the folders of the corpus.
fn targets() -> Result<Vec<String>, Failure> {
    let corpus = root().join("tests/fuzz/corpus");
    let entries = fs::read_dir(&corpus).map_err(|error| {
        Failure::new("no corpus", format!("{}: {error}", corpus.display()), "git status")
    })?;
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut targets: Vec<_> = entries.flatten().map(name).collect();
    targets.sort();
    Ok(targets)
}

fn has_tools() -> bool {
    if !works("rustup", &["run", "nightly", "cargo", "--version"]) {
        return false;
    }
    works("cargo-fuzz", &["--version"])
        || run_command(&mut cargo(["install", "--locked", "cargo-fuzz"])).is_ok()
}

fn cargo_fuzz(verb: &str, args: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", verb]).args(COMMON);
    command.arg("--target-dir").arg(target_dir().join("fuzz")).args(args);
    // This program runs under the stable toolchain, which would win over `run nightly`.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(root());
    command
}

/// Where the nodes of targets keep their files: in memory, where that is possible.
fn temporary() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { env::temp_dir() };
    base.join(format!("cairn-fuzz-{}", std::process::id()))
}

fn fuzz(target: &str, seconds: &str) -> Result<(), Failure> {
    let scratch = target_dir().join("fuzz");
    let found = scratch.join("corpus").join(target);
    let artifacts = scratch.join("artifacts").join(target);
    let temporary = temporary();
    for folder in [&found, &artifacts, &temporary] {
        fs::create_dir_all(folder).map_err(|error| {
            Failure::new(format!("{}", folder.display()), error.to_string(), "check the disk")
        })?;
    }
    let (found, artifacts) = (found.to_string_lossy(), artifacts.to_string_lossy());
    let (kept, time) =
        (format!("tests/fuzz/corpus/{target}"), format!("-max_total_time={seconds}"));
    let prefix = format!("-artifact_prefix={artifacts}/");
    let words = root().join("tests/fuzz/dict").join(target);
    let words = words.is_file().then(|| format!("-dict={}", words.display()));
    let mut args =
        vec![target, &found, &kept, "--", &time, &prefix, "-timeout=30", "-print_final_stats=1"];
    args.extend(words.as_deref());
    let ran = run_command(cargo_fuzz("run", &args).env("TMPDIR", &temporary));
    // libFuzzer ends without running anything that would clean up.
    let _ = fs::remove_dir_all(&temporary);
    ran.map_err(|_| {
        Failure::new(
            format!("fuzz target {target}"),
            format!("an input in {artifacts} breaks a promise; the panic is above"),
            format!("add the input to {kept}, then cargo nextest run -p cairn-tests --test fuzz"),
        )
    })
}
