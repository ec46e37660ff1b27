//! `cargo xtask bare`: tier 0 on a microcontroller. Builds `xtask/firmware` for a Cortex-M4, says
//! how much flash and RAM it takes, and runs it in QEMU; its exit status is the test's.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::install;
use crate::no_args;
use crate::process::{Failure, cargo, root, run as run_command, target_dir, works};
use crate::purity::BARE_TARGET;

/// Where RAM begins in `memory.x`; everything below is flash.
const RAM_START: u32 = 0x2000_0000;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    no_args("bare", args)?;
    install::rust_target(BARE_TARGET)?;
    let qemu = "qemu-system-arm";
    install::debian(qemu, works(qemu, &["--version"]), &[qemu])?;

    // Its own directory, for its .cargo/config.toml; flags from outside would replace those there.
    let out = target_dir().join("firmware");
    let mut build = cargo(["build", "--release", "--locked", "--target-dir"]);
    build.arg(&out).current_dir(root().join("xtask/firmware"));
    run_command(build.env_remove("RUSTFLAGS"))?;

    let image = out.join(BARE_TARGET).join("release/cairn-firmware");
    let (flash, ram) = sizes(&image)?;
    eprintln!("flash {flash} bytes, static RAM {ram} bytes (no heap; the stack is besides)");

    // The instruction counter paces virtual time, so a run takes the same steps on every machine.
    run_command(
        Command::new("timeout")
            .args(["120", "qemu-system-arm", "-M", "mps2-an386", "-nographic"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-icount", "shift=0", "-kernel"])
            .arg(image),
    )
}

fn sizes(image: &Path) -> Result<(u32, u32), Failure> {
    let bytes = fs::read(image).unwrap_or_default();
    segments(&bytes).ok_or_else(|| {
        Failure::new(
            format!("reading {}", image.display()),
            "not a 32-bit little-endian ELF file",
            "cargo clean, then cargo xtask bare",
        )
    })
}

/// Flash and RAM taken by the loadable segments of a 32-bit little-endian ELF file (System V ABI,
/// chapter 5: program header).
fn segments(elf: &[u8]) -> Option<(u32, u32)> {
    const LOAD: u32 = 1;
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?))
    };
    let half = |at: usize| -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?)))
    };
    if elf.get(..6)? != b"\x7fELF\x01\x01" {
        return None;
    }
    let (start, size, count) = (word(28)? as usize, half(42)?, half(44)?);
    let (mut flash, mut ram) = (0, 0);
    for at in (0..count).map(|i| start + i * size) {
        if word(at)? == LOAD {
            let (virtual_at, in_file, in_memory) = (word(at + 8)?, word(at + 16)?, word(at + 20)?);
            flash += in_file;
            ram += if virtual_at >= RAM_START { in_memory } else { 0 };
        }
    }
    Some((flash, ram))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(segments: &[[u32; 8]]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x01\x01".to_vec();
        bytes.resize(52, 0);
        bytes[28] = 52;
        bytes[42] = 32;
        bytes[44] = segments.len() as u8;
        let words = segments.iter().flatten();
        bytes.extend(words.flat_map(|word| word.to_le_bytes()));
        bytes
    }

    #[test]
    fn flash_holds_code_and_initial_data_and_ram_holds_data_and_zeros() {
        let code = [1, 0, 0, 0, 1000, 1000, 0, 0];
        let data = [1, 0, RAM_START, 1000, 20, 50, 0, 0];
        let note = [4, 0, 0, 0, 7, 7, 0, 0];
        assert_eq!(segments(&elf(&[code, data, note])), Some((1020, 50)));
    }

    #[test]
    fn a_cut_or_foreign_file_has_no_sizes() {
        let good = elf(&[[1, 0, 0, 0, 1000, 1000, 0, 0]]);
        assert_eq!(segments(&good[..good.len() - 12]), None);
        assert_eq!(segments(b"#!/bin/sh"), None);
    }
}
