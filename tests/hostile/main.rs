//! A hostile peer over real QUIC, and bad input everywhere else.

#![allow(clippy::unwrap_used)]
