//! Running other programs, and saying well what went wrong.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What failed, the likely cause, and the command to run next.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    why: String,
    next: String,
}

impl Failure {
    pub(crate) fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), why: why.into(), next: next.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "failed: {}", self.what)?;
        writeln!(f, "why:    {}", self.why)?;
        write!(f, "next:   {}", self.next)
    }
}

/// Root of the repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The cargo that runs this program, at the root of the repository.
pub(crate) fn cargo<I: AsRef<str>>(args: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    args.into_iter().for_each(|arg| {
        command.arg(arg.as_ref());
    });
    command
}

/// As one would type it, without the environment.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text =
        program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(show(command), format!("cannot start it: {error}"), "install it, or see PATH")
}

/// Runs to the end, with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    eprintln!("$ {}", show(command));
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(
            show(command),
            format!("it ended with {status}; its own words are above"),
            "mend what it names, then the same again",
        ))
    }
}

/// Runs to the end and returns what it wrote on stdout.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = format!("it ended with {}: {}", output.status, words.trim());
        Err(Failure::new(show(command), why, "mend what it names, then the same again"))
    }
}

/// A number that no other state of the committed tree has; 0 outside a repository.
pub(crate) fn tree_number() -> u64 {
    let mut git = Command::new("git");
    let tree = output(git.args(["rev-parse", "HEAD^{tree}"]).current_dir(root()));
    let start = tree.ok().and_then(|tree| u64::from_str_radix(tree.get(..8)?, 16).ok());
    start.unwrap_or_default()
}

/// Whether a program is there and says so.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether `cargo-nextest` can be used.
pub(crate) fn has_nextest() -> bool {
    cargo(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
