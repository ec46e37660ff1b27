//! Block headers: everything that is needed to follow a chain without the facts.

use serde::{Deserialize, Serialize};

use super::grant::{Grant, RECOVERY};
use crate::codec;
use crate::hash::Tag;
use crate::id::{BlockId, Hash, NodeId};
use crate::signature::Signature;
use crate::time::UnixTime;
use crate::work::{Height, Target};

/// Most bytes of an encoded header.
pub const HEADER_BYTES_MAX: usize = 704;
/// The same without a grant.
const UNGRANTED_BYTES_MAX: usize = 320;

/// A rare large part of a header: where there is an allocator it is kept apart, so that the many
/// headers in memory stay small.
#[cfg(feature = "alloc")]
pub type Apart<T> = alloc::boxed::Box<T>;
/// A rare large part of a header. Without an allocator there are few headers.
#[cfg(not(feature = "alloc"))]
pub type Apart<T> = T;

/// What makes a header costly or attributable.
#[cfg_attr(not(feature = "alloc"), expect(clippy::large_enum_variant, reason = "see `Apart`"))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seal {
    /// Height 0: the hash of the mesh's rules.
    Genesis(Hash),
    /// The sealer's signature over the header without its seal.
    Authority(Signature),
    /// A number that makes the block's id meet the target.
    Pow(u64),
    /// The recovery keys' leave to seal this block, and the sealer's signature.
    Recovery(Apart<Grant>),
}

/// The header of a block. Its id covers every field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `RULES_VERSION`.
    pub version: u8,
    /// Number on the chain.
    pub height: Height,
    /// The block before; zero for genesis.
    pub parent: BlockId,
    /// RFC 9162 Merkle Tree Hash of the ids in the body.
    pub facts_root: Hash,
    /// RFC 9162 Merkle Tree Hash of the ids of blocks 0 … height−1.
    pub history_root: Hash,
    /// RFC 9162 Merkle Tree Hash of the sealers, ascending, that may seal the *next* block.
    pub sealers_root: Hash,
    /// Reserved; zero.
    pub state_root: Hash,
    /// When it was sealed.
    pub time: UnixTime,
    /// The target its id meets; zero under authority.
    pub target: Target,
    /// Who sealed it; zero for genesis.
    pub sealer: NodeId,
    /// The proof.
    pub seal: Seal,
}

#[derive(Serialize)]
struct Unsealed<'a>(u8, Height, BlockId, Hash, Hash, Hash, Hash, UnixTime, Target, &'a NodeId);

impl Header {
    /// The block's id: `SHA-256("cairn/block/1" ‖ postcard(header))`.
    pub fn id(&self) -> BlockId {
        BlockId(codec::hash_into(self, Tag::Block.hasher()).finish())
    }

    /// Bound of its encoded bytes.
    pub const fn bytes_max(&self) -> usize {
        match self.seal {
            Seal::Recovery(_) => HEADER_BYTES_MAX,
            _ => UNGRANTED_BYTES_MAX,
        }
    }

    /// Whom the block counts for when branches are compared.
    pub const fn voter(&self) -> NodeId {
        match self.seal {
            Seal::Recovery(_) => RECOVERY,
            _ => self.sealer,
        }
    }

    /// What an authority seal signs: the hash of all fields but the seal.
    pub fn seal_digest(&self) -> [u8; 32] {
        let unsealed = Unsealed(
            self.version,
            self.height,
            self.parent,
            self.facts_root,
            self.history_root,
            self.sealers_root,
            self.state_root,
            self.time,
            self.target,
            &self.sealer,
        );
        codec::hash_into(&unsealed, Tag::BlockSeal.hasher()).finish()
    }
}
