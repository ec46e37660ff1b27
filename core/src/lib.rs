//! Cairn's core: what a ledger *is* and what a node *decides*, with no I/O, clock, thread or
//! randomness of its own.
//!
//! The module list below is the reading order and the dependency order: a module may name only
//! modules of its own or a lower layer. See `ARCHITECTURE.md` beside this crate.
//!
//! Two tiers. Tier 0 (no `alloc`) verifies headers, work, Merkle paths and facts on a
//! microcontroller. Tier A (feature `alloc`, the default) adds everything a full node decides.

#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;

// 1 · words and bytes
pub mod codec;
#[cfg(feature = "alloc")]
pub mod conn;
pub mod hash;
pub mod id;
pub mod merkle;
pub mod signature;
pub mod text;
pub mod time;
pub mod work;
// 2 · things
pub mod block;
pub mod fact;
#[cfg(feature = "alloc")]
pub mod invite;
pub mod light;
pub mod limits;
pub mod params;
pub mod seal;
pub mod verified;
// 3 · the vocabulary shared with the outside
#[cfg(feature = "alloc")]
pub mod event;
#[cfg(feature = "alloc")]
pub mod store;
pub mod wire;
// 4 · ledger
#[cfg(feature = "alloc")]
pub mod ledger;
// 5 · machines
#[cfg(feature = "alloc")]
pub mod chain;
#[cfg(feature = "alloc")]
pub mod gossip;
#[cfg(feature = "alloc")]
pub mod mempool;
#[cfg(feature = "alloc")]
pub mod peer;
#[cfg(feature = "alloc")]
pub mod producer;
#[cfg(feature = "alloc")]
pub mod reconcile;
#[cfg(feature = "alloc")]
pub mod sync;
// 6 · engine
#[cfg(feature = "alloc")]
pub mod engine;
#[cfg(all(feature = "alloc", any(test, feature = "testing")))]
pub mod testing;
