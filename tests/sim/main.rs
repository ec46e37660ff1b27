//! Protocol behaviour in a simulated mesh: faults first, then heal and demand progress.

#![allow(clippy::unwrap_used)]

mod chaos;
mod clocks;
mod converge;
mod custody;
mod links;
mod seeds;
mod silence;

pub(crate) use support::mesh;
