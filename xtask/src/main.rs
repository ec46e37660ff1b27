//! `cargo xtask VERB`: everything that is run around the code, one file per verb.
//!
//! It runs cargo and other programs and depends on nothing, so that it builds in a second on a
//! fresh machine. What it installs: `install.rs`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bare;
mod bench;
mod ci;
mod demo;
mod dist;
mod fuzz;
mod install;
mod miri;
mod mutants;
mod planted;
mod process;
mod purity;
mod sim;
mod steps;
mod strangers;
mod test;
mod tidy;

use std::io::Write;
use std::process::ExitCode;

use process::Failure;

const HELP: &str = "\
cargo xtask VERB [ARGS]

  test [ARGS]         builds `cairn` and runs all tests; ARGS go to cargo nextest (or cargo test)
  sim [--seeds N]     runs the simulation only, over N seeds per behavior
  mutants [NAME]      plants faults, one at a time, and demands that the simulation finds each
  tidy                checks the rules of the house that no compiler checks
  purity              proves that core builds and works without std, with and without an allocator
  bare                builds tier 0 for a Cortex-M4 and runs it in QEMU
  dist [BOARD]        builds, checks and tries the static binary of one board or of all
  bench [ARGS]        runs the benchmarks
  fuzz [--seconds N] [TARGET...]  fuzzes each target (or these) for N seconds, with libFuzzer
  miri                runs tests of core under Miri: 64 bit, 32 bit, big-endian
  strangers [--attempts N]  knocks at real nodes with another QUIC (Python), as who does not belong
  demo [ARGS]         cairn demo
  ci [--full | STEP]  everything above that must pass before a merge; --full before a release

Installs what it needs where it can: Rust targets with rustup, Debian packages when root, Python
packages under target/. Everything else it asks for.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = match args.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("--help", &[][..]),
    };
    let result = match verb {
        "bare" => bare::run(rest),
        "bench" => bench::run(rest),
        "ci" => ci::run(rest),
        "demo" => demo::run(rest),
        "dist" => dist::run(rest),
        "fuzz" => fuzz::run(rest),
        "miri" => miri::run(rest),
        "mutants" => mutants::run(rest),
        "purity" => purity::run(rest),
        "sim" => sim::run(rest),
        "test" => test::run(rest),
        "strangers" => strangers::run(rest),
        "tidy" => tidy::run(rest),
        "--help" | "-h" | "help" => {
            let printed = std::io::stdout().write_all(HELP.as_bytes());
            return ExitCode::from(u8::from(printed.is_err()));
        }
        _ => {
            eprint!("xtask has no verb `{verb}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses arguments that a verb does not take.
fn no_args(verb: &str, args: &[String]) -> Result<(), Failure> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(Failure::new(
            format!("{verb} takes no argument `{arg}`"),
            "it always checks everything",
            format!("cargo xtask {verb}"),
        )),
    }
}
