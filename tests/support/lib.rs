//! Support for Cairn's tests: a whole mesh in virtual time from one seed, and real processes.
//!
//! The simulated world runs the real engine on a simulated network and disk; nothing else is
//! simulated. One seed gives one run. Without the feature `node` only what needs core is here, so that
//! a fuzzer builds in seconds.

#![allow(clippy::unwrap_used)]

pub mod checkers;
pub mod disk;
pub mod fuzz;
pub mod model;
mod net;
#[cfg(feature = "node")]
pub mod process;
pub mod random;
#[cfg(feature = "node")]
pub mod relay;
mod schedule;
pub mod world;
