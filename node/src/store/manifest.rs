//! The checksums that fjall writes and does not read.
//!
//! Each keyspace has a file `current` that names its manifest (`v<n>`) and carries the manifest's
//! checksum (xxh3, 128 bits); the manifest names the tables and carries theirs. fjall opens a
//! manifest with a flipped bit, misses the tables that are not named any more, and deletes their
//! files. So the manifests are checked before fjall opens the store. The tables are checked by the
//! scrub, as there may be gigabytes of them; until then each block is checked when it is read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::StoreError;

/// `current`: number of the manifest, its checksum, kind of the checksum.
const CURRENT_BYTES: usize = 8 + 16 + 1;
/// A table in a manifest: number, kind of checksum, checksum, sequence number.
const TABLE_BYTES: usize = 8 + 1 + 16 + 8;
/// The only kind of checksum there is.
const XXH3: u8 = 0;

/// A table's file and what its content must sum up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Its file.
    pub path: PathBuf,
    checksum: u128,
}

/// Directories of the keyspaces that were created to the end.
fn keyspaces(store: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let fail = |e| StoreError::io(store, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(store.join("keyspaces")).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.join("current").exists() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The manifest of a keyspace, once it is known to be what was written.
fn manifest(store: &Path, keyspace: &Path) -> Result<PathBuf, StoreError> {
    let damaged = |what: String| StoreError::damaged(store, what);
    let current = keyspace.join("current");
    let bytes = fs::read(&current).map_err(|e| StoreError::io(&current, e))?;
    let fields: Option<[u8; CURRENT_BYTES]> = bytes.try_into().ok();
    let parsed = fields.and_then(|fields| {
        let number = u64::from_le_bytes(*fields.first_chunk()?);
        let checksum = u128::from_le_bytes(*fields.get(8..)?.first_chunk()?);
        (fields.last() == Some(&XXH3)).then_some((number, checksum))
    });
    let (number, checksum) =
        parsed.ok_or_else(|| damaged(format!("{} is not as it was written", current.display())))?;
    let path = keyspace.join(format!("v{number}"));
    let bytes = fs::read(&path)
        .map_err(|e| damaged(format!("the manifest {} cannot be read: {e}", path.display())))?;
    if xxh3_128(&bytes) == checksum {
        Ok(path)
    } else {
        Err(damaged(format!("the manifest {} is not as it was written", path.display())))
    }
}

/// Checks the manifests of a store that nobody has open.
pub fn check(store: &Path) -> Result<(), StoreError> {
    for keyspace in keyspaces(store)? {
        manifest(store, &keyspace)?;
    }
    Ok(())
}

/// The files of all tables, as the manifests name them now. While the store is open they may be
/// replaced at any time: what is not there any more when it is looked at was not damaged.
pub fn tables(store: &Path) -> Result<Vec<TableFile>, StoreError> {
    let mut tables = Vec::new();
    for keyspace in keyspaces(store)? {
        let path = manifest(store, &keyspace)?;
        let listed = listed(&path, &keyspace.join("tables"));
        // A manifest with the right checksum reads well, unless it has just been replaced.
        tables.extend(listed.unwrap_or_default());
    }
    Ok(tables)
}

fn listed(manifest: &Path, folder: &Path) -> Option<Vec<TableFile>> {
    let reader = sfa::Reader::new(manifest).ok()?;
    let section = reader.toc().section(b"tables")?;
    let mut bytes = Vec::new();
    section.buf_reader(manifest).ok()?.read_to_end(&mut bytes).ok()?;
    let mut rest = &bytes[..];
    let mut files = Vec::new();
    let (levels, tail) = rest.split_first()?;
    rest = tail;
    for _ in 0..*levels {
        let (runs, tail) = rest.split_first()?;
        rest = tail;
        for _ in 0..*runs {
            let (count, tail) = rest.split_first_chunk()?;
            rest = tail;
            for _ in 0..u32::from_le_bytes(*count) {
                let (table, tail) = rest.split_first_chunk::<TABLE_BYTES>()?;
                rest = tail;
                let number = u64::from_le_bytes(*table.first_chunk()?);
                let checksum = u128::from_le_bytes(*table.get(9..)?.first_chunk()?);
                files.push(TableFile { path: folder.join(number.to_string()), checksum });
            }
        }
    }
    Some(files)
}

/// Reads a file to its end in pieces, with a pause after each that `pause` makes; stops early if it
/// says so. Returns whether the content is what was written; a file that is gone was replaced.
pub fn is_sound(
    table: &TableFile,
    piece: &mut [u8],
    mut pause: impl FnMut() -> bool,
) -> io::Result<bool> {
    let mut file = match File::open(&table.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    let mut sum = Xxh3Default::new();
    loop {
        match file.read(piece)? {
            0 => return Ok(sum.digest128() == table.checksum),
            read => sum.update(piece.get(..read).unwrap_or_default()),
        }
        if !pause() {
            return Ok(true);
        }
    }
}
