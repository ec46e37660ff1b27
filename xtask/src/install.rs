//! Gets tools that a step needs: Rust targets through rustup, Debian packages when root, Python
//! packages under `target`. Versions of what builds a release are pinned here.
//!
//! A download that fails is tried once more: registries hiccup.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::process::{Failure, run, target_dir, works};

/// zig is linker and C compiler for every Linux target; it needs no sysroot, CMake or clang.
const ZIG: [&str; 2] = ["ziglang==0.17.0", "cargo-zigbuild==0.24.0"];
/// A QUIC that shares no line with ours.
const AIOQUIC: [&str; 1] = ["aioquic==1.7.2"];

fn twice(command: impl Fn() -> Command) -> Result<(), Failure> {
    run(&mut command()).or_else(|_| run(&mut command()))
}

fn sh(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// The standard library of a target, for the toolchain in use.
pub(crate) fn rust_target(target: &str) -> Result<(), Failure> {
    twice(|| sh("rustup", &["target", "add", target])).map_err(|_| {
        Failure::new(
            format!("rustup target add {target}"),
            "rustup is missing, offline, or does not serve this target",
            format!("rustup target add {target}"),
        )
    })
}

/// A component of the toolchain in use.
pub(crate) fn rust_component(component: &str) -> Result<(), Failure> {
    twice(|| sh("rustup", &["component", "add", component])).map_err(|_| {
        Failure::new(
            format!("rustup component add {component}"),
            "rustup is missing or offline",
            format!("rustup component add {component}"),
        )
    })
}

/// Debian packages, unless what they bring is there already.
pub(crate) fn debian(what: &str, is_there: bool, packages: &[&str]) -> Result<(), Failure> {
    if is_there {
        return Ok(());
    }
    let list = packages.join(" ");
    let root = crate::process::output(&mut sh("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    if !root || !works("apt-get", &["--version"]) {
        return Err(Failure::new(
            format!("{what} not found"),
            "it is not installed, and only root can install Debian packages",
            format!("sudo apt-get install {list}"),
        ));
    }
    static UPDATED: OnceLock<bool> = OnceLock::new();
    UPDATED.get_or_init(|| run(&mut sh("apt-get", &["update", "-qq"])).is_ok());
    twice(|| {
        let mut command = sh("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]);
        command.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
        command
    })
}

/// The Python of a virtual environment under the target directory, with these packages; `probe` is
/// what works there once they are installed.
fn venv(name: &str, packages: &[&str], probe: (&str, &[&str])) -> Result<PathBuf, Failure> {
    let venv = target_dir().join(name);
    let bin = venv.join("bin");
    if !works(&bin.join(probe.0).to_string_lossy(), probe.1) {
        let list = packages.join(" ");
        run(&mut sh("python3", &["-m", "venv", &venv.to_string_lossy()])).map_err(|_| {
            Failure::new(
                "python3 -m venv",
                format!("Python 3 with venv is needed to install {list}"),
                "sudo apt-get install python3-venv",
            )
        })?;
        let pip = bin.join("pip").to_string_lossy().into_owned();
        let quiet = ["install", "--quiet", "--disable-pip-version-check"];
        twice(|| sh(&pip, &[&quiet, packages].concat())).map_err(|_| {
            Failure::new(
                format!("pip install {list}"),
                "the Python package index cannot be reached, and pip has them in no cache; nothing \
                 was checked",
                format!("{pip} install {list}"),
            )
        })?;
    }
    Ok(bin)
}

/// Directory of programs with `cargo-zigbuild` and the Python that has zig, made if missing.
pub(crate) fn zig() -> Result<PathBuf, Failure> {
    venv("zig", &ZIG, ("cargo-zigbuild", &["--version"]))
}

/// A Python that has aioquic, made if missing.
pub(crate) fn aioquic() -> Result<PathBuf, Failure> {
    Ok(venv("aioquic", &AIOQUIC, ("python", &["-c", "import aioquic"]))?.join("python"))
}
