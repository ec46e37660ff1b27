//! Support for Cairn's tests: a whole mesh in virtual time from one seed, and real processes.
//!
//! The simulated world runs the real engine on a simulated network and disk; nothing else is
//! simulated. One seed gives one run. Without the feature `node` only what needs core is here, so that
//! a fuzzer builds in seconds.

#![allow(clippy::unwrap_used)]

pub mod attack;
pub mod belonging;
pub mod checkers;
#[cfg(feature = "processes")]
pub mod closes;
pub mod disk;
pub mod evil;
pub mod fuzz;
pub mod mesh;
pub mod model;
mod net;
#[cfg(feature = "processes")]
pub mod power;
#[cfg(feature = "processes")]
pub mod process;
pub mod random;
#[cfg(feature = "processes")]
pub mod relay;
pub mod scale;
mod schedule;
#[cfg(feature = "processes")]
pub mod small_disk;
#[cfg(feature = "processes")]
pub mod strace;
pub mod torture;
pub mod world;
