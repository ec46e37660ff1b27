//! The wire and disk formats, pinned: `tests/golden/` holds bytes that every version and every
//! machine must accept, or refuse, and why. `tests/golden/README.md` says how they are written, and
//! when one may change.

#![allow(clippy::unwrap_used)]

mod facts;
mod headers;
#[cfg(feature = "alloc")]
mod invites;
#[cfg(feature = "alloc")]
mod kind;
#[cfg(feature = "alloc")]
mod messages;
#[cfg(feature = "alloc")]
mod requests;
mod rules;
mod vector;
