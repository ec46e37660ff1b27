//! When the system asks the process to end.

use tokio::signal::unix::{SignalKind, signal};

/// Why the process should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: exit with 0 after a clean stop.
    Terminate,
    /// SIGINT (Ctrl-C): the same; a command that waits for something exits with 130.
    Interrupt,
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If the system takes no signal handlers.
pub async fn requested() -> std::io::Result<Signal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(Signal::Terminate),
        _ = interrupt.recv() => Ok(Signal::Interrupt),
    }
}
