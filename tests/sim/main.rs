//! Protocol behaviour in a simulated mesh: faults first, then heal and demand progress.

#![allow(clippy::unwrap_used)]

mod chaos;
mod converge;
mod custody;
mod membership;
mod mesh;
mod seeds;
mod silence;
