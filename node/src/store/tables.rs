//! Where rows live in fjall: two keyspaces, and what a device profile fixes for both.
//!
//! Facts are large, immutable and written in ascending order, so their tables are never rewritten;
//! everything else is small and changes. More keyspaces would cost a memtable each, and an idle one
//! keeps old journals from being deleted (fjall issue 288).

use cairn_core::ledger::rows::Meta;
use cairn_core::store::{KEY_BYTES_MAX, Table};
use fjall::config::PartitioningPolicy;
use fjall::{Database, KeyspaceCreateOptions};

/// First byte of rows that belong to the store itself, in no table of core's.
pub(super) const OWN: u8 = 0xff;
/// Key of the profile that the store was created with.
pub(super) const PROFILE_KEY: [u8; 2] = [OWN, 0];
/// Key of the heartbeat, in both keyspaces.
pub(super) const HEARTBEAT_KEY: [u8; 2] = [Table::Meta as u8, Meta::Heartbeat.key()[0]];
/// Key of the format's version.
pub(super) const FORMAT_KEY: [u8; 2] = [Table::Meta as u8, Meta::Format.key()[0]];

/// A physical key: the table's number, then the key.
pub(super) type PhysicalKey = Vec<u8>;

/// The physical key of a row.
pub(super) fn physical(table: Table, key: &[u8]) -> PhysicalKey {
    let mut physical = Vec::with_capacity(1 + key.len());
    push_physical(&mut physical, table, key);
    physical
}

/// Appends the physical key of a row.
pub(super) fn push_physical(physical: &mut PhysicalKey, table: Table, key: &[u8]) {
    debug_assert!(key.len() <= KEY_BYTES_MAX + 1, "no table has such long keys");
    physical.push(table as u8);
    physical.extend_from_slice(key);
}

/// How much memory and how many threads the store takes. Memtable sizes are fixed when a store is
/// created (fjall ignores later ones); the rest follows the profile of each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Profile {
    /// Boards with 512 MiB or less: about 17 MiB at the peak.
    Tiny = 0,
    /// Small computers.
    #[default]
    Small = 1,
    /// Machines with memory to spare.
    Server = 2,
}

struct Sizes {
    cache: u64,
    memtable: u64,
    journals: u64,
    files: usize,
    workers: usize,
}

const MIB: u64 = 1024 * 1024;

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Tiny, Self::Small, Self::Server];

    /// Its name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Server => "server",
        }
    }

    /// The profile with this number.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| *profile as u8 == byte)
    }

    const fn sizes(self) -> Sizes {
        let (cache, memtable, journals, files, workers) = match self {
            Self::Tiny => (2, 1, 64, 64, 1),
            Self::Small => (8, 8, 128, 256, 1),
            Self::Server => (64, 32, 512, 800, 2),
        };
        Sizes {
            cache: cache * MIB,
            memtable: memtable * MIB,
            journals: journals * MIB,
            files,
            workers,
        }
    }

    pub(super) fn database(self, path: &std::path::Path) -> fjall::DatabaseBuilder<Database> {
        let sizes = self.sizes();
        Database::builder(path)
            .cache_size(sizes.cache)
            .max_journaling_size(sizes.journals)
            .max_cached_files(Some(sizes.files))
            .worker_threads(sizes.workers)
    }

    pub(super) fn keyspace(self) -> KeyspaceCreateOptions {
        // Whole filters and indexes of large tables outgrow the cache, and then every look-up of an
        // unknown id reads and checks a megabyte. Those of fresh tables are small, and kept.
        let partitioned = || PartitioningPolicy::new([false, true]);
        KeyspaceCreateOptions::default()
            .max_memtable_size(self.sizes().memtable)
            .filter_block_partitioning_policy(partitioned())
            .index_block_partitioning_policy(partitioned())
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| format!("expected tiny, small or server, got `{text}`"))
    }
}
