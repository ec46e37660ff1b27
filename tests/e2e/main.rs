//! The real binary, as its users run it: processes, files, ports, signals. One file a behaviour.

#![allow(clippy::unwrap_used)]

mod bans;
mod behind;
mod capture;
mod closes;
mod crash;
mod custody;
mod damage;
mod demo;
mod disk_full;
mod doctor;
mod idle;
mod import;
mod initial;
mod lan;
mod leases;
mod members;
mod mesh;
mod power;
mod recover;
mod restart;
mod rotate;
mod split;
mod survivor;
mod syscalls;
mod twins;
mod walkthrough;
mod weather;
mod workload;
