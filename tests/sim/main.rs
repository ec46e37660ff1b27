//! Protocol behaviour in a simulated mesh: faults first, then heal and demand progress.

#![allow(clippy::unwrap_used)]

mod chaos;
mod converge;
mod custody;
mod seeds;
mod silence;

pub(crate) use support::mesh;
