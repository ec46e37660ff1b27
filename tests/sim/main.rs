//! Protocol behaviour in a simulated mesh: faults first, then heal and demand progress.

#![allow(clippy::unwrap_used)]

mod clocks;
mod converge;
mod custody;
mod links;
mod majority;
mod membership;
mod recover;
mod rotate;
mod scale;
mod seeds;
mod silence;
mod torture;

pub(crate) use support::mesh;
