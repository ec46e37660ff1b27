//! `cargo xtask sim [--seeds N] [ARGS]`: the simulation only; `CAIRN_SIM_SEEDS` tells it how many
//! seeds each behavior is tried with.

use crate::process::{Failure, cargo, has_nextest, run as run_command};

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (seeds, rest) = match args {
        [flag, seeds, rest @ ..] if flag == "--seeds" => (Some(seeds.as_str()), rest),
        [first, rest @ ..] if first.starts_with("--seeds=") => {
            (first.strip_prefix("--seeds="), rest)
        }
        _ => (None, args),
    };
    if let Some(text) = seeds.filter(|text| text.parse::<u64>().map_or(true, |n| n == 0)) {
        return Err(Failure::new(
            format!("--seeds {text}"),
            "the number of seeds is a whole number above 0",
            "cargo xtask sim --seeds 100",
        ));
    }
    let mut command = if has_nextest() {
        let only = ["-p", "cairn-tests", "-E", "binary(sim)"];
        cargo([&["nextest", "run", "--profile", "sim"], &only[..]].concat())
    } else {
        cargo(["test", "-p", "cairn-tests", "--test", "sim"])
    };
    if let Some(seeds) = seeds {
        command.env("CAIRN_SIM_SEEDS", seeds);
    }
    run_command(command.args(rest))
}
