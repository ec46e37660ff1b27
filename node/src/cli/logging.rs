//! The log of a running node, on stderr; `CAIRN_LOG` filters it.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::problem::{Code, Problem};

/// How to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON document a line.
    Json,
}

/// Begins to write the log of this process.
pub(super) fn start(format: Format, verbose: u8, quiet: bool) -> Result<(), Problem> {
    let default = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let filter = match std::env::var("CAIRN_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            let message = format!("CAIRN_LOG=`{text}` is no filter: {error}");
            Problem::new(Code::Config, message, "write it as: CAIRN_LOG=info,cairn_node=debug")
        })?,
        // The crates below are talkative, and none of it is ours to explain.
        _ => EnvFilter::new(format!(
            "warn,cairn_node={default},cairn_core={default},\
            cairn_transport_quic={default}"
        )),
    };
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .with_target(false);
    // Only a second log in one process is refused, and the first one goes on.
    let _ = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// The same for a command that shows nodes at work: only errors, unless more is asked for.
pub(super) fn start_quietly(verbose: u8) -> Result<(), Problem> {
    start(Format::Text, verbose.saturating_sub(1), verbose == 0)
}
