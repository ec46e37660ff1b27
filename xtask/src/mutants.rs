//! `cargo xtask mutants [NAME] [--seeds N]`: plants faults in a copy of the tree and demands that the
//! simulation finds each.
//!
//! A simulation that never fails proves nothing until it is seen to fail. Each fault of
//! `planted.rs` is a change of a few words. All are planted at once, each behind a switch, so that
//! the copy is built once; then the simulation runs with one of them switched on, seed after seed,
//! until a checker speaks. What is told is how many seeds that took.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::planted::PLANTED;
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
    let numbered = PLANTED.iter().enumerate();
    let chosen = numbered.filter(|(_, fault)| only.is_none_or(|name| name == fault.name));
    let tree = target_dir().join("mutants").join("tree");
    copy_tree(&tree)?;
    plant(&tree)?;
    build(&tree)?;
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    for (number, fault) in chosen {
        let row = match simulate(&tree, number, seeds)? {
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

/// Which fault is switched on; a module of core in the copy.
const SWITCH: &str = "
//! Which fault is planted.

use core::sync::atomic::{AtomicUsize, Ordering};

static ON: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Switches a fault on.
pub fn switch_on(number: usize) {
    ON.store(number, Ordering::Relaxed);
}

/// Whether a fault is on.
pub fn is_on(number: usize) -> bool {
    ON.load(Ordering::Relaxed) == number
}
";

/// How the simulator learns which.
const VARIABLE: &str = "CAIRN_PLANTED";

/// Puts all faults into the copy, each behind its switch.
fn plant(tree: &Path) -> Result<(), Failure> {
    for (number, fault) in PLANTED.iter().enumerate() {
        let to = fault.to.replace("PLANTED", &format!("crate::planted::is_on({number})"));
        change(tree, fault.name, fault.file, fault.from, &to)?;
    }
    let file = tree.join("core/src/planted.rs");
    fs::write(&file, SWITCH).map_err(|error| cannot("write", &file, &error))?;
    change(
        tree,
        "switch",
        "core/src/lib.rs",
        "pub mod params;",
        "pub mod params;\npub mod planted;",
    )?;
    let main = "fn main() -> ExitCode {\n";
    let switch = format!(
        "{main}if let Some(Ok(on)) = std::env::var(\"{VARIABLE}\").ok().map(|on| on.parse()) \
         {{ cairn_core::planted::switch_on(on); }}\n"
    );
    change(tree, "switch", "tests/sim/run.rs", main, &switch)
}

/// Changes words of a file that are there exactly once.
fn change(tree: &Path, name: &str, file: &str, from: &str, to: &str) -> Result<(), Failure> {
    let path = tree.join(file);
    let sound = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    if sound.matches(from).count() != 1 {
        return Err(Failure::new(
            format!("the fault `{name}` does not fit {file}"),
            "the words it changes are not there exactly once: the code has moved on",
            "bring xtask/src/planted.rs up to date",
        ));
    }
    fs::write(&path, sound.replacen(from, to, 1)).map_err(|error| cannot("write", &path, &error))
}

/// The cargo that builds in the copy.
fn in_copy(tree: &Path, verb: &str) -> Command {
    let mut command = cargo([&[verb], &SIMULATOR[..]].concat());
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target_dir().join("mutants").join("build"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

fn build(tree: &Path) -> Result<(), Failure> {
    output(&mut in_copy(tree, "build")).map(drop).map_err(|failure| {
        Failure::new(
            "the copy with the planted faults does not build",
            format!("most likely a fault's words do not fit the code any more\n{failure}"),
            "bring xtask/src/planted.rs up to date",
        )
    })
}

fn simulate(tree: &Path, number: usize, seeds: u32) -> Result<Verdict, Failure> {
    let mut run = in_copy(tree, "run");
    run.env(VARIABLE, number.to_string()).stderr(Stdio::piped());
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
