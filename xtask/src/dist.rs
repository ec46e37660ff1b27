//! `cargo xtask dist [BOARD]`: the static binary for each kind of board: built with zig, checked to
//! be of the right architecture and static, tried in an emulator, and listed with its SHA-256.
//!
//! Everything ends in `target/dist-files/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;
use crate::process::{Failure, output, root, run as run_command, target_dir, works};

/// A kind of machine that Cairn is shipped for.
struct Board {
    name: &'static str,
    target: &'static str,
    /// QEMU's user emulator and the oldest processor that must do; none: run it natively.
    emulator: Option<(&'static str, &'static str)>,
    /// What `readelf -hA` must say of the binary.
    marks: &'static [&'static str],
}

const BOARDS: [Board; 5] = [
    Board {
        name: "aarch64",
        target: "aarch64-unknown-linux-musl",
        emulator: Some(("qemu-aarch64", "cortex-a53")),
        marks: &["AArch64"],
    },
    Board {
        name: "armv7",
        target: "armv7-unknown-linux-musleabihf",
        emulator: Some(("qemu-arm", "cortex-a7")),
        marks: &["Tag_CPU_arch: v7", "Tag_ABI_VFP_args: VFP registers"],
    },
    Board {
        name: "armv6",
        target: "arm-unknown-linux-musleabihf",
        emulator: Some(("qemu-arm", "arm1176")),
        marks: &["Tag_CPU_arch: v6", "Tag_ABI_VFP_args: VFP registers"],
    },
    Board {
        name: "riscv64",
        target: "riscv64gc-unknown-linux-musl",
        emulator: Some(("qemu-riscv64", "rv64")),
        marks: &["RISC-V", "double-float ABI"],
    },
    Board {
        name: "x86_64",
        target: "x86_64-unknown-linux-musl",
        emulator: None,
        marks: &["X86-64"],
    },
];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let chosen: Vec<&Board> = match args {
        [] => BOARDS.iter().collect(),
        [name] => vec![board(name)?],
        _ => return Err(usage("more than one argument")),
    };
    let folder = target_dir().join("dist-files");
    fs::create_dir_all(&folder).map_err(|error| file_failure(&folder, &error))?;
    for board in chosen {
        let binary = board.build("dist")?;
        board.check(&binary)?;
        board.smoke(&binary)?;
        let file = folder.join(format!("cairn-{}", board.target));
        fs::copy(&binary, &file).map_err(|error| file_failure(&file, &error))?;
    }
    list_sums(&folder)
}

/// Builds one board's binary in the release profile and tries it: what `ci` has time for.
pub(crate) fn quick(name: &str) -> Result<(), Failure> {
    let board = board(name)?;
    let binary = board.build("release")?;
    board.check(&binary)?;
    board.smoke(&binary)
}

fn usage(what: &str) -> Failure {
    let names = BOARDS.map(|board| board.name).join(", ");
    Failure::new(
        format!("dist: {what}"),
        format!("it takes one board of {names}, or nothing for all"),
        "cargo xtask dist aarch64",
    )
}

fn file_failure(path: &Path, error: &std::io::Error) -> Failure {
    let what = format!("writing {}", path.display());
    Failure::new(what, error.to_string(), "df -h; ls -ld target")
}

fn board(name: &str) -> Result<&'static Board, Failure> {
    BOARDS
        .iter()
        .find(|board| board.name == name || board.target == name)
        .ok_or_else(|| usage(&format!("no board `{name}`")))
}

/// `cairn-…  sha256` of everything in the folder.
fn list_sums(folder: &Path) -> Result<(), Failure> {
    let list = "sha256sum cairn-* > SHA256SUMS && cat SHA256SUMS && ls -l cairn-*";
    run_command(Command::new("sh").args(["-c", list]).current_dir(folder))
}

impl Board {
    fn build(&self, profile: &str) -> Result<PathBuf, Failure> {
        let bin = install::zig()?;
        // rustup does not serve every musl target's std; then it is compiled from source.
        let has_std = install::rust_target(self.target).is_ok();
        let mut path = bin.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());

        let mut build = Command::new(bin.join("cargo-zigbuild"));
        build.current_dir(root());
        build.args(["zigbuild", "--locked", "-p", "cairn-node", "--bin", "cairn"]);
        build.args(["--profile", profile, "--target", self.target]);
        build.env("PATH", path).env_remove("RUSTFLAGS");
        if !has_std {
            install::rust_component("rust-src")?;
            build.arg("-Zbuild-std=std,panic_abort");
            build.env("RUSTC_BOOTSTRAP", "1");
            build.env("RUSTFLAGS", "-C link-self-contained=no");
        }
        run_command(&mut build)?;
        Ok(target_dir().join(self.target).join(profile).join("cairn"))
    }

    fn check(&self, binary: &Path) -> Result<(), Failure> {
        install::debian("readelf", works("readelf", &["--version"]), &["binutils"])?;
        let said = output(Command::new("readelf").args(["-hAlW"]).arg(binary))?;
        let missing = self.marks.iter().find(|mark| !said.contains(**mark));
        let fault = match missing {
            Some(mark) => format!("readelf -hA does not say `{mark}`"),
            None if said.contains("INTERP") => "it is not static: it names an interpreter".into(),
            None => return Ok(()),
        };
        let what = format!("checking {}", binary.display());
        Err(Failure::new(what, fault, format!("readelf -hAl {}", binary.display())))
    }

    /// The binary says its version and runs a whole mesh in one process.
    fn smoke(&self, binary: &Path) -> Result<(), Failure> {
        let mut program: Vec<String> = vec!["timeout".into(), "300".into()];
        if let Some((emulator, cpu)) = self.emulator {
            // Debian's static package adds a suffix.
            let suffixed = format!("{emulator}-static");
            let is_there = |program: &str| works(program, &["--version"]);
            let found = if is_there(emulator) { emulator } else { &suffixed };
            install::debian(found, is_there(found), &["qemu-user-static"])?;
            program.extend([found, "-cpu", cpu].map(String::from));
        }
        program.push(binary.to_string_lossy().into_owned());
        let command = |verb: &[&str]| {
            let mut command = Command::new(&program[0]);
            command.args(&program[1..]).args(verb);
            command
        };
        let version = output(&mut command(&["version"]))?;
        if !version.contains(env!("CARGO_PKG_VERSION")) {
            let why = format!("it says `{}`, not {}", version.trim(), env!("CARGO_PKG_VERSION"));
            return Err(Failure::new("cairn version", why, "cargo run -- version"));
        }
        run_command(&mut command(&["demo", "--exit"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_found_by_name_or_target_and_a_wrong_name_lists_them() {
        assert_eq!(board("armv6").unwrap().target, "arm-unknown-linux-musleabihf");
        assert_eq!(board("riscv64gc-unknown-linux-musl").unwrap().name, "riscv64");
        let refused = board("pi").err().unwrap().to_string();
        assert!(refused.contains("aarch64, armv7, armv6, riscv64, x86_64"));
    }
}
