//! Moves frames between peers that have proven who they are, over QUIC; judges nothing.
//!
//! A peer here is a key: both ends of a connection prove in the TLS handshake that they hold their
//! ed25519 key, and which keys are welcome is decided by core, after `Opened`. What the bytes of a
//! frame mean is core's matter too; this crate knows only classes, sizes and who waits for whom.
//!
//! The driver makes an `inbox` of its own input type, gives the sender to `Endpoint::bind` and takes
//! everything from the `Inbox`: `T: From<TransportEvent>` is all that it has to write.
//!
//! Reading order: `event` and `inbox` (what the driver sees), `config` (every limit), `framing`
//! (bytes), `knock` and `door` (who is answered), `identity` and `verifier` (who it is), `streams`
//! (one frame on one stream), `session` (one connection), `admission` and `endpoint` (the socket).
//!
//! Invariants: nothing from a peer is kept without a bound; `Closed` comes exactly once after
//! `Opened`, and nothing of that connection after it; every request gets exactly one `Answer` or
//! `NoAnswer` while the connection lives, unless it is forgotten.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admission;
mod call_back;
mod config;
mod door;
mod endpoint;
mod error;
mod event;
pub mod framing;
mod identity;
mod inbox;
mod knock;
mod session;
mod streams;
mod verifier;

#[cfg(test)]
mod tests;

pub use config::TransportLimits;
pub use endpoint::Endpoint;
pub use error::{BindError, DialError, FrameError};
pub use event::TransportEvent;
pub use identity::ALPN;
pub use inbox::{Inbox, InboxSender, inbox};
pub use knock::Knock;

// A dependency only so that its security floor holds.
use webpki as _;
