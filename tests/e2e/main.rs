//! The real binary, as its users run it.

#![allow(clippy::unwrap_used)]
