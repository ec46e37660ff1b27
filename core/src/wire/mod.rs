//! What peers say to each other: one stream per message class, one postcard message per frame.
//!
//! A stream begins with two bytes, its class and `WIRE_VERSION`. Each frame is a four-byte
//! little-endian length and that many bytes. Control and announce are long-lived; every other class
//! opens a bidirectional stream per request that carries one request frame and one answer frame.

mod class;
mod close;
#[cfg(feature = "alloc")]
mod message;
#[cfg(feature = "alloc")]
mod set;
#[cfg(feature = "alloc")]
mod twin;

pub use class::{Class, WIRE_VERSION};
pub use close::{CloseCode, LEASE_OVER};
#[cfg(feature = "alloc")]
pub use message::*;
#[cfg(feature = "alloc")]
pub use set::{ReconcileAnswer, ReconcileRequest, SetSummary};
#[cfg(feature = "alloc")]
pub use twin::{Challenge, Run, Statement, Twin};
