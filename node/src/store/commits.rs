//! Every commit has a number, so that commits that are missing are noticed.
//!
//! fjall ends the replay of a journal at the first byte that makes no sense and says nothing. At the
//! end of the newest journal that is right after a power cut; anywhere else commits are lost that
//! were durable. Two things show it. Each commit writes its number into a ring of rows: a gap among
//! them is a journal that lost its end while a newer one was replayed. And after each sync the
//! newest durable number is noted in a small file beside the store (`<store>.mark`, not synced
//! itself: it may be too low, never too high): a store that ends below it has lost its newest part.
//! What is left in that case is a state that once was, so it can be used and the rest fetched again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use fjall::Keyspace;
use xxhash_rust::xxh3::xxh3_64;

use super::StoreError;
use super::marks::beside;
use super::tables::OWN;

/// Commits that are remembered: several journals full of all but the smallest.
const RING: u64 = 16_384;
/// Second byte of the keys of the ring.
const COMMIT: u8 = 1;
/// The mark: the number and its checksum.
const MARK_BYTES: usize = 16;

/// The row that a commit with this number writes.
pub(super) fn row(number: u64) -> ([u8; 4], [u8; 8]) {
    // Below the ring's size, so it fits.
    let [.., high, low] = (number % RING).to_be_bytes();
    ([OWN, COMMIT, high, low], number.to_be_bytes())
}

/// The newest commit in the store; 0 if it has none.
///
/// # Errors
/// `StoreError::Damaged` if there is a gap among the newest ones.
pub(super) fn newest(path: &Path, index: &Keyspace) -> Result<u64, StoreError> {
    let mut numbers = Vec::new();
    for guard in index.prefix([OWN, COMMIT]) {
        let (key, value) = guard.into_inner().map_err(|e| StoreError::fjall(path, e))?;
        let number = value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        if row(number).0[..] != key[..] {
            return Err(StoreError::damaged(path, "a commit's number is not its own"));
        }
        numbers.push(number);
    }
    let newest = numbers.iter().copied().max().unwrap_or(0);
    let oldest = numbers.iter().copied().min().unwrap_or(1);
    let expected = newest.min(RING);
    if numbers.len() as u64 == expected && (newest == 0 || oldest == newest - expected + 1) {
        Ok(newest)
    } else {
        Err(StoreError::damaged(path, "commits are missing between others"))
    }
}

/// The file that says what was durable.
#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    /// Opens it, and reads what it says; 0 if it says nothing that makes sense.
    ///
    /// # Errors
    /// `StoreError` if it cannot be opened.
    pub(super) fn open(store: &Path) -> Result<(Self, u64), StoreError> {
        let path = beside(store, ".mark");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(|e| StoreError::io(&path, e))?;
        let mut bytes = [0; MARK_BYTES];
        let read = file.read_exact_at(&mut bytes, 0);
        let (number, sum) = bytes.split_at(8);
        let sound = read.is_ok() && xxh3_64(number).to_be_bytes() == *sum;
        let number = number.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Ok((Self(file), if sound { number } else { 0 }))
    }

    /// Everything up to this commit is durable. Sixteen bytes at one place: they are there as a
    /// whole or, after a power cut, perhaps not yet.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn write(&self, number: u64) -> io::Result<()> {
        let number = number.to_be_bytes();
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&xxh3_64(&number).to_be_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}
