//! Protocol behaviour in a simulated mesh: faults first, then heal and demand progress.

#![allow(clippy::unwrap_used)]

mod bans;
mod clocks;
mod converge;
mod custody;
mod eclipse;
mod leases;
mod links;
mod majority;
mod membership;
mod peers;
mod recover;
mod rotate;
mod scale;
mod seeds;
mod silence;
mod torture;
mod twins;

pub(crate) use support::mesh;
