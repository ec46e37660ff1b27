//! `cargo xtask mutants [NAME] [--seeds N]`: plants faults in a copy of the tree, one at a time, and
//! demands that the simulation finds each.
//!
//! A simulation that never fails proves nothing until it is seen to fail. Each fault of
//! `planted.rs` is a change of a few words that compiles; the simulation then runs seed after seed
//! until a checker speaks. What is told is how many seeds that took.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::planted::{Fault, PLANTED};
use crate::process::{Failure, cargo, output, root, target_dir};
use crate::sim::SIMULATOR;

/// Seeds tried before a fault counts as not found.
const SEEDS: u32 = 200;

/// What the simulation said of a planted fault.
enum Verdict {
    /// A seed failed; so many had been tried, and this is what its checker said.
    Caught {
        seeds: u32,
        words: String,
    },
    Missed,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (only, seeds) = read(args)?;
    let chosen = PLANTED.iter().filter(|fault| only.is_none_or(|name| name == fault.name));
    let tree = target_dir().join("mutants").join("tree");
    copy_tree(&tree)?;
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    for fault in chosen {
        let verdict = plant(&tree, fault, seeds)?;
        let row = match verdict {
            Verdict::Caught { seeds, words } => format!("| {} | {seeds} | {words} |", fault.name),
            Verdict::Missed => {
                missed.push(fault.name);
                format!("| {} | not in {seeds} | |", fault.name)
            }
        };
        eprintln!("{row}");
        rows.push(row);
    }
    let table = format!(
        "| planted fault | seeds until caught | by |\n|---|---|---|\n{}\n",
        rows.join("\n")
    );
    std::io::stdout()
        .write_all(table.as_bytes())
        .map_err(|error| cannot("write to", &tree, &error))?;
    if rows.is_empty() {
        let names: Vec<&str> = PLANTED.iter().map(|fault| fault.name).collect();
        return Err(Failure::new("no such fault", "these are known", names.join(", ")));
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        format!("not caught: {}", missed.join(", ")),
        "the simulation does not reach them, or no checker looks",
        "more seeds, or a checker that would have seen it",
    ))
}

fn read(args: &[String]) -> Result<(Option<&str>, u32), Failure> {
    let wrong = || {
        let why = "it takes the name of one fault and how many seeds to try";
        Failure::new(format!("mutants {}", args.join(" ")), why, "cargo xtask mutants --seeds 50")
    };
    let (mut only, mut seeds) = (None, SEEDS);
    let mut args_left = args.iter();
    while let Some(arg) = args_left.next() {
        match arg.as_str() {
            "--seeds" => {
                let count = args_left.next().and_then(|text| text.parse().ok());
                seeds = count.filter(|count| *count > 0).ok_or_else(wrong)?;
            }
            name if !name.starts_with('-') && only.is_none() => only = Some(name),
            _ => return Err(wrong()),
        }
    }
    Ok((only, seeds))
}

/// Puts the fault into the copy, simulates, and takes it out again.
fn plant(tree: &Path, fault: &Fault, seeds: u32) -> Result<Verdict, Failure> {
    let file = tree.join(fault.file);
    let sound = fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))?;
    if sound.matches(fault.from).count() != 1 {
        return Err(Failure::new(
            format!("the fault `{}` does not fit {}", fault.name, fault.file),
            "the words it changes are not there exactly once: the code has moved on",
            "bring xtask/src/planted.rs up to date",
        ));
    }
    let write = |text: &str| fs::write(&file, text).map_err(|error| cannot("write", &file, &error));
    write(&sound.replacen(fault.from, fault.to, 1))?;
    let verdict = simulate(tree, fault, seeds);
    write(&sound)?;
    verdict
}

fn simulate(tree: &Path, fault: &Fault, seeds: u32) -> Result<Verdict, Failure> {
    let in_copy = |command: &mut Command| {
        command
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", target_dir().join("mutants").join("build"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    };
    let mut build = cargo([&["build"], &SIMULATOR[..]].concat());
    in_copy(&mut build);
    output(&mut build).map_err(|_| {
        let why = "it must compile to prove anything";
        Failure::new(format!("the fault `{}` does not compile", fault.name), why, "mend its words")
    })?;
    let mut run = cargo([&["run"], &SIMULATOR[..]].concat());
    in_copy(&mut run);
    run.args(["--", "--threads", "1", "--from", "1", "--first-failure", "--seeds"]);
    let ran = run.arg(seeds.to_string()).output().map_err(|error| cannot("run", tree, &error))?;
    if ran.status.success() {
        return Ok(Verdict::Missed);
    }
    Ok(caught(&String::from_utf8_lossy(&ran.stderr)))
}

/// Reads which seed failed first, and what was wrong.
fn caught(text: &str) -> Verdict {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let seed = line.strip_prefix("seed ").and_then(|rest| rest.split_once(" failed: "));
        if let Some((Ok(seeds), place)) = seed.map(|(seed, place)| (seed.parse(), place)) {
            let words = lines.next().filter(|_| place.starts_with("panicked at"));
            let words = words.unwrap_or(place).trim().chars().take(70).collect::<String>();
            return Verdict::Caught { seeds, words: words.replace('|', "/") };
        }
    }
    Verdict::Missed
}

/// The tree as it is, without what git ignores.
fn copy_tree(to: &Path) -> Result<(), Failure> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let files = output(Command::new("git").args(list).current_dir(root()))?;
    if to.exists() {
        fs::remove_dir_all(to).map_err(|error| cannot("empty", to, &error))?;
    }
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to): (PathBuf, PathBuf) = (root().join(file), to.join(file));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
        }
        if from.is_file() {
            fs::copy(&from, &to).map_err(|error| cannot("copy", &from, &error))?;
        }
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let what = format!("cannot {what} {}", path.display());
    Failure::new(what, error.to_string(), "see that the disk has room and may be written to")
}
