//! The Cairn node as a library: store, driver, clocks, keys, HTTP and the `cairn` command line.
//!
//! The binary is a thin shell around this, so that tests can start ten nodes in one process.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod app;
mod bootstrap;
pub mod cli;
pub mod clock;
pub mod data_dir;
pub mod doctor;
pub mod driver;
pub mod enroll;
pub mod events;
pub mod exit;
pub mod explain;
pub mod handle;
pub mod keys;
mod lan;
pub mod outbox;
pub mod problem;
pub mod recovery;
mod rotation;
pub mod shutdown;
pub mod store;
pub mod verify_pool;
