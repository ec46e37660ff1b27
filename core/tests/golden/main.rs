//! The wire and disk formats, pinned: `tests/golden/` holds bytes that every version and every
//! machine must accept, or refuse, and why. `CAIRN_BLESS=1` writes the files anew;
//! `tests/golden/README.md` says how, and when that is allowed.

#![allow(clippy::unwrap_used)]

mod facts;
mod headers;
#[cfg(feature = "alloc")]
mod messages;
mod vector;
