//! Support for Cairn's tests: a whole mesh in virtual time from one seed, and real processes.
//!
//! The simulated world runs the real engine on a simulated network and disk; nothing else is
//! simulated. One seed gives one run.

#![allow(clippy::unwrap_used)]

pub mod checkers;
pub mod disk;
pub mod model;
mod net;
pub mod power;
pub mod process;
pub mod random;
pub mod relay;
mod schedule;
pub mod strace;
pub mod world;
