//! What decides validity: the rules that genesis fixes for one mesh, and the bounds that format
//! version 1 fixes for all. Changing anything here changes which facts and blocks are valid, so it
//! never depends on the machine. Local tuning is in `limits.rs`.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::hash::Tag;
use crate::id::{Hash, NodeId};
use crate::text::{NAME_BYTES_MAX, is_name};
use crate::time::{Millis, UnixTime};
use crate::work::Target;

/// Version of rules, facts and blocks described by this crate.
pub const RULES_VERSION: u8 = 1;
/// Most bytes of an encoded, signed fact.
pub const FACT_BYTES_MAX: usize = 16 * 1024;
/// Most founders a mesh can name in its genesis.
pub const ROOTS_MAX: usize = 8;
/// Most sealers at any height; a further `Admit` as sealer is rejected.
pub const SEALERS_MAX: usize = 1024;
/// Most fact ids in a block, whatever genesis says.
pub const BLOCK_FACTS_MAX: u32 = 8192;
/// Most bytes of encoded facts in a block, whatever genesis says.
pub const BLOCK_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Shortest and longest spacing between blocks.
pub const SPACING_MS: core::ops::RangeInclusive<Millis> = 10..=24 * 3_600_000;
/// Headers whose median time the next header must exceed.
pub const MEDIAN_TIME_SPAN: usize = 11;
/// Blocks in which a key still counts after the one that rotated it, in a private mesh.
pub const OVERLAP_BLOCKS: u64 = 128;
/// Longest such overlap a mesh can have.
pub const OVERLAP_BLOCKS_MAX: u64 = 1 << 20;
/// Most encoded bytes of `Params`.
pub const PARAMS_BYTES_MAX: usize = 640;
/// Most recovery keys of a mesh.
pub const RECOVERY_KEYS_MAX: usize = 5;

/// How blocks are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SealRule {
    /// Sealers sign in turn.
    Authority,
    /// Whoever finds a hash below the target.
    Pow {
        /// Target of the first block.
        initial: Target,
        /// ASERT half-life in milliseconds; 0 keeps the target constant.
        half_life: Millis,
    },
}

/// Who may write facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// Only those admitted by an `Admit` fact.
    Invite,
    /// Anybody, within rate limits.
    Open,
}

/// Who may release a held item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseRule {
    /// Any member.
    Member,
    /// Its holder only.
    Holder,
}

/// Keys of no node, kept offline, that together can end an admin and make another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// How many of them it takes; 0 if there are none.
    pub threshold: u8,
    /// The keys, ascending, without repeats.
    pub keys: Vec<NodeId, RECOVERY_KEYS_MAX>,
}

impl Recovery {
    fn check(&self, roots: &[NodeId]) -> bool {
        let ordered = self.keys.windows(2).all(|pair| pair[0] < pair[1]);
        let keys = self.keys.iter().all(crate::signature::check_node_id);
        let apart = !self.keys.iter().any(|key| roots.contains(key));
        let enough = usize::from(self.threshold) <= self.keys.len();
        ordered && keys && apart && enough && (self.threshold == 0) == self.keys.is_empty()
    }
}

/// The rules of one mesh, fixed for ever by its genesis block. The same rules give the same
/// `MeshId` on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// `RULES_VERSION`.
    pub version: u8,
    /// What people call the mesh.
    pub name: String<NAME_BYTES_MAX>,
    /// How blocks are sealed.
    pub seal: SealRule,
    /// Least time between blocks.
    pub spacing: Millis,
    /// Most fact ids in a block.
    pub block_facts_max: u32,
    /// Most bytes of encoded facts in a block.
    pub block_bytes_max: u32,
    /// Coins for the sealer of a block; 0 under authority.
    pub reward: u64,
    /// Who may write.
    pub admission: Admission,
    /// Who may release a held item.
    pub release: ReleaseRule,
    /// For so many blocks after its rotation a key still counts beside the new one.
    pub overlap: u64,
    /// Who can say that an admin's key was lost or stolen.
    pub recovery: Recovery,
    /// First admins and sealers, ascending, without repeats.
    pub roots: Vec<NodeId, ROOTS_MAX>,
    /// When the mesh was founded; the time of genesis.
    pub time: UnixTime,
}

/// What is wrong with a set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamsError {
    /// Made for another version of the rules.
    Version(u8),
    /// Empty, or with control characters.
    Name,
    /// Outside `SPACING_MS`.
    Spacing(Millis),
    /// Zero, or above what the version allows.
    BlockBounds,
    /// A proof-of-work target that is no number, or a reward under authority.
    Seal,
    /// Above `OVERLAP_BLOCKS_MAX`.
    Overlap(u64),
    /// Recovery keys out of order, repeated, no keys or founders, or fewer than it takes.
    Recovery,
    /// Roots out of order, repeated, not keys, or missing where they are needed.
    Roots,
    /// Later than year 9999.
    Time,
}

impl core::fmt::Display for ParamsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Version(v) => write!(f, "rules version {v}; this program knows {RULES_VERSION}"),
            Self::Name => f.write_str("the mesh name is empty or has control characters"),
            Self::Spacing(ms) => write!(
                f,
                "a block spacing of {ms} ms; it must be between {} ms and {} ms",
                SPACING_MS.start(),
                SPACING_MS.end()
            ),
            Self::BlockBounds => write!(
                f,
                "block bounds must be 1 to {BLOCK_FACTS_MAX} facts and {FACT_BYTES_MAX} to \
                 {BLOCK_BYTES_MAX} bytes"
            ),
            Self::Seal => f.write_str("the seal's target or reward is not permitted"),
            Self::Overlap(blocks) => {
                write!(f, "an overlap of {blocks} blocks; at most {OVERLAP_BLOCKS_MAX}")
            }
            Self::Recovery => f.write_str("the recovery keys are too few, repeated or no keys"),
            Self::Roots => f.write_str("the founders are missing, repeated, unordered or no keys"),
            Self::Time => f.write_str("the founding time is later than year 9999"),
        }
    }
}

impl core::error::Error for ParamsError {}

impl Params {
    /// Rules with the defaults of a private mesh.
    ///
    /// # Errors
    /// `ParamsError::Name` if the name is too long; everything else is left to `check`.
    pub fn private(name: &str, roots: &[NodeId], time: UnixTime) -> Result<Self, ParamsError> {
        let mut sorted = Vec::from_slice(roots).map_err(|_| ParamsError::Roots)?;
        sorted.sort_unstable();
        Ok(Self {
            version: RULES_VERSION,
            name: String::try_from(name).map_err(|_| ParamsError::Name)?,
            seal: SealRule::Authority,
            spacing: 5_000,
            block_facts_max: BLOCK_FACTS_MAX,
            block_bytes_max: BLOCK_BYTES_MAX,
            reward: 0,
            admission: Admission::Invite,
            release: ReleaseRule::Member,
            overlap: OVERLAP_BLOCKS,
            recovery: Recovery::default(),
            roots: sorted,
            time,
        })
    }

    /// The fixed open mesh `cairn-open`, the same on every machine: proof of work, no founders.
    pub fn open() -> Self {
        Self {
            version: RULES_VERSION,
            name: String::try_from("cairn-open").unwrap_or_default(),
            seal: SealRule::Pow { initial: Target(0x1e7f_ffff), half_life: 3_600_000 },
            spacing: 30_000,
            block_facts_max: BLOCK_FACTS_MAX,
            block_bytes_max: BLOCK_BYTES_MAX,
            reward: 0,
            admission: Admission::Open,
            release: ReleaseRule::Member,
            overlap: OVERLAP_BLOCKS,
            recovery: Recovery::default(),
            roots: Vec::new(),
            // 2026-01-01T00:00:00Z
            time: UnixTime(1_767_225_600_000),
        }
    }

    /// Checks every rule that a set of rules must itself obey.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ParamsError> {
        if self.version != RULES_VERSION {
            return Err(ParamsError::Version(self.version));
        }
        if !is_name(&self.name) {
            return Err(ParamsError::Name);
        }
        if !SPACING_MS.contains(&self.spacing) {
            return Err(ParamsError::Spacing(self.spacing));
        }
        let facts_ok = (1..=BLOCK_FACTS_MAX).contains(&self.block_facts_max);
        let bytes_ok = (FACT_BYTES_MAX as u32..=BLOCK_BYTES_MAX).contains(&self.block_bytes_max);
        if !facts_ok || !bytes_ok {
            return Err(ParamsError::BlockBounds);
        }
        let seal_ok = match self.seal {
            SealRule::Authority => self.reward == 0,
            SealRule::Pow { initial, .. } => initial.expand().is_some() && initial.0 <= 0x207f_ffff,
        };
        if !seal_ok {
            return Err(ParamsError::Seal);
        }
        if self.overlap > OVERLAP_BLOCKS_MAX {
            return Err(ParamsError::Overlap(self.overlap));
        }
        if !self.recovery.check(&self.roots) {
            return Err(ParamsError::Recovery);
        }
        let needs_roots = self.seal == SealRule::Authority || self.admission == Admission::Invite;
        let ordered = self.roots.windows(2).all(|pair| pair[0] < pair[1]);
        let keys = self.roots.iter().all(crate::signature::check_node_id);
        if !ordered || !keys || (needs_roots && self.roots.is_empty()) {
            return Err(ParamsError::Roots);
        }
        if self.time > UnixTime::MAX_VALID { Err(ParamsError::Time) } else { Ok(()) }
    }

    /// What genesis commits to.
    pub fn hash(&self) -> Hash {
        Hash(crate::codec::hash_into(self, Tag::Params.hasher()).finish())
    }

    /// Whether the node is a founder.
    pub fn is_root(&self, node: &NodeId) -> bool {
        self.roots.binary_search(node).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Params {
        let key = crate::signature::SigningKey::from_seed([1; 32]);
        Params::private("home", &[key.node_id()], UnixTime(0)).unwrap()
    }

    #[test]
    fn the_defaults_obey_the_rules() {
        assert_eq!(valid().check(), Ok(()));
        assert_eq!(Params::open().check(), Ok(()));
    }

    #[test]
    fn each_broken_rule_is_named() {
        let broken = |change: fn(&mut Params)| {
            let mut params = valid();
            change(&mut params);
            params.check().unwrap_err()
        };
        assert_eq!(broken(|p| p.version = 2), ParamsError::Version(2));
        assert_eq!(broken(|p| p.name.clear()), ParamsError::Name);
        assert_eq!(broken(|p| p.spacing = 9), ParamsError::Spacing(9));
        assert_eq!(broken(|p| p.block_facts_max = 0), ParamsError::BlockBounds);
        assert_eq!(broken(|p| p.block_bytes_max = u32::MAX), ParamsError::BlockBounds);
        assert_eq!(broken(|p| p.reward = 1), ParamsError::Seal);
        assert_eq!(broken(|p| p.overlap = u64::MAX), ParamsError::Overlap(u64::MAX));
        assert_eq!(broken(|p| p.recovery.threshold = 1), ParamsError::Recovery);
        assert_eq!(broken(|p| p.recovery.keys.push(p.roots[0]).unwrap()), ParamsError::Recovery);
        assert_eq!(broken(|p| p.roots.clear()), ParamsError::Roots);
        assert_eq!(broken(|p| p.roots.push(p.roots[0]).unwrap()), ParamsError::Roots);
        assert_eq!(broken(|p| p.roots[0] = NodeId::ZERO), ParamsError::Roots);
        assert_eq!(broken(|p| p.time = UnixTime(u64::MAX)), ParamsError::Time);
    }
}
