//! Files of a node that a disk may damage: the outbox, and what the store library checks too late.

use std::fs;
use std::sync::Mutex;

use cairn_core::params::FACT_BYTES_MAX;
use cairn_node::outbox::record;
use cairn_node::store::manifest;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_128;

use super::Source;

/// Damage that is done to one file.
const DAMAGES_MAX: usize = 4;

fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let found: Vec<_> = record::read(bytes).collect();
    let mut written = Vec::new();
    for fact in &found {
        assert!(!fact.is_empty() && fact.len() <= FACT_BYTES_MAX);
        record::write(&mut written, fact);
    }
    assert!(written.len() <= bytes.len(), "more was read than there is");
    assert_eq!(record::read(&written).collect::<Vec<_>>(), found);
    found
}

/// Any bytes as an outbox; then a true one with a few flipped bytes, each of which costs one record
/// at most, and what is left is true.
pub(super) fn outbox(data: &[u8]) {
    records(data);
    let mut source = Source::new(data);
    // No zero is in them, so that no part of one passes for a record when the rest is damaged.
    let fact = |source: &mut Source<'_>| -> Vec<u8> {
        [&[7], source.bytes()].concat().iter().map(|byte| byte | 1).collect()
    };
    let facts = source.list(8, fact);
    let mut bytes = Vec::new();
    facts.iter().for_each(|fact| record::write(&mut bytes, fact));
    let damages = source.below(DAMAGES_MAX).min(bytes.len());
    for _ in 0..damages {
        let at = usize::from(source.short()) % bytes.len();
        bytes[at] ^= source.byte();
    }
    let left = records(&bytes);
    assert!(left.len() + damages >= facts.len(), "more was lost than was hit");
    let mut all = facts.iter();
    for fact in left {
        assert!(
            all.any(|true_one| true_one == fact),
            "a record that nobody wrote, or out of order"
        );
    }
}

/// A keyspace's `current` (25 bytes), then its manifest. What has the right checksum was written by
/// the store library, which trusts it: a length in it that nobody wrote would end the process.
pub(super) fn manifest_files(data: &[u8]) {
    static FOLDER: Mutex<Option<TempDir>> = Mutex::new(None);
    let mut place = FOLDER.lock().unwrap();
    let folder = place.get_or_insert_with(|| tempfile::tempdir().unwrap());
    let keyspace = folder.path().join("keyspaces/0");
    fs::create_dir_all(&keyspace).unwrap();
    let (current, content) = data.split_at(data.len().min(25));
    fs::write(keyspace.join("current"), current).unwrap();
    fs::write(keyspace.join("v0"), content).unwrap();
    let checked = manifest::check(folder.path());
    assert_eq!(checked.is_ok(), current == current_of(content));
    if let Ok(tables) = manifest::tables(folder.path()) {
        assert!(checked.is_ok());
        assert!(tables.iter().all(|table| table.path.starts_with(keyspace.join("tables"))));
    }
}

/// What `current` says of manifest number 0 with this content.
fn current_of(content: &[u8]) -> Vec<u8> {
    [&[0; 8][..], &xxh3_128(content).to_le_bytes(), &[0]].concat()
}
