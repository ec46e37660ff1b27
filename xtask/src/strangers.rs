//! `cargo xtask strangers [--attempts N]`: real nodes against a QUIC client that is not of our making.
//!
//! Everything that Rust tests can show about strangers they show with quinn, which is what nodes are
//! made of; a fault that both sides share would stay hidden. So the same is done once more with
//! aioquic, which is Python.

use std::env;
use std::path::PathBuf;

use crate::install;
use crate::process::{self, Failure, cargo, root, target_dir};

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let python = install::aioquic()?;
    let cairn = match env::var_os("CAIRN_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            process::run(&mut cargo(["build", "-p", "cairn-node", "--bins"]))?;
            target_dir().join("debug").join("cairn")
        }
    };
    let mut command = std::process::Command::new(python);
    command.arg(root().join("tests/strangers/strangers.py")).arg("--cairn").arg(cairn).args(args);
    process::run(&mut command)
}
