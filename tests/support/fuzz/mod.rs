//! What is fuzzed: one function per target, which takes any bytes and panics if a promise is
//! broken. libFuzzer calls them from `tests/fuzz`; on stable, a plain test calls them with every
//! file of the corpus.
//!
//! A new decoder needs one function and one line in `TARGETS`, and a `[[bin]]` in
//! `tests/fuzz/Cargo.toml`.

mod bytes;
#[cfg(feature = "processes")]
mod edge;
mod engine;
#[cfg(feature = "processes")]
mod files;
#[cfg(feature = "processes")]
mod frames;
#[cfg(feature = "processes")]
mod http;
mod ledger;
mod messages;
mod peers;
mod proofs;
mod stored;
mod things;
#[cfg(feature = "processes")]
mod words;

use std::fmt::Debug;

use cairn_core::codec;
use serde::{Deserialize, Serialize};

pub use bytes::Source;

/// A target: panics if the bytes break a promise.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("message", messages::message),
    ("fact", things::fact),
    ("header", things::header),
    ("rules", things::rules),
    ("invite", things::invite),
    ("text", things::text),
    ("stored", stored::row),
    ("proof", proofs::proof),
    ("ledger", ledger::ledger),
    ("engine", engine::engine),
    #[cfg(feature = "processes")]
    ("line", edge::line),
    #[cfg(feature = "processes")]
    ("mesh_file", edge::mesh_file),
    #[cfg(feature = "processes")]
    ("frames", frames::frames),
    #[cfg(feature = "processes")]
    ("outbox", files::outbox),
    #[cfg(feature = "processes")]
    ("manifest", files::manifest_files),
    #[cfg(feature = "processes")]
    ("argument", words::argument),
    #[cfg(feature = "processes")]
    ("seed_file", words::seed_file),
    #[cfg(feature = "processes")]
    ("http", http::http),
];

/// Runs one target on some bytes. Panics if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("no fuzz target `{name}`")).1(data);
}

/// Ends what targets keep from one input to the next. libFuzzer never calls it: it ends a process
/// without a word.
pub fn finish() {
    #[cfg(feature = "processes")]
    http::finish();
}

/// Decodes; what decodes must encode to the same bytes again and fit its bound.
fn canonical<'a, T>(bytes: &'a [u8], max: usize) -> Option<T>
where
    T: Deserialize<'a> + Serialize + PartialEq + Debug,
{
    let value: T = codec::decode(bytes, max).ok()?;
    assert!(bytes.len() <= max);
    assert_eq!(codec::encode(&value), bytes, "{value:?}");
    assert_eq!(codec::encoded_len(&value), bytes.len());
    Some(value)
}
