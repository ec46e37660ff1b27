//! Leave to seal one block, given by the recovery keys of a mesh that has no honest sealer left.
//!
//! Their signatures are those of a `Recover` fact that names the block to go on from; a hash stands
//! for the rest of what that fact says, so a header proves by itself who may seal it.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::{Header, mesh_id};
use crate::hash::Tag;
use crate::id::{BlockId, Hash, MeshId, NodeId};
use crate::params::{Params, RECOVERY_KEYS_MAX};
use crate::signature::{self, Signature};

/// Who a block by such leave counts for when branches are compared: the recovery keys, whoever
/// sealed it. No key has these bytes.
pub const RECOVERY: NodeId = NodeId([0xff; 32]);

/// The proof of a block that no list of sealers permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The sealer's signature, as in an authority seal.
    pub signature: Signature,
    /// `Recover::said`, of the fact that the recovery keys signed.
    pub said: Hash,
    /// Places of recovery keys in the rules, ascending, and their signatures.
    pub by: Vec<(u8, Signature), RECOVERY_KEYS_MAX>,
}

/// What recovery keys sign: that `author` takes over, going on from block `on` if that is named.
pub fn recovery_digest(
    mesh: &MeshId,
    author: &NodeId,
    on: Option<&BlockId>,
    said: &Hash,
) -> [u8; 32] {
    let on = on.copied().unwrap_or(BlockId::ZERO);
    let hasher = Tag::Recovery.hasher().chain(mesh.as_bytes()).chain(author.as_bytes());
    hasher.chain(on.as_bytes()).chain(said.as_bytes()).finish()
}

impl Grant {
    /// Whether as many recovery keys as it takes let this header's sealer go on from its parent.
    pub fn holds(&self, params: &Params, header: &Header) -> bool {
        let recovery = &params.recovery;
        let enough = recovery.threshold > 0 && self.by.len() == usize::from(recovery.threshold);
        if !enough || !self.by.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return false;
        }
        let mesh = mesh_id(params);
        let digest = recovery_digest(&mesh, &header.sealer, Some(&header.parent), &self.said);
        self.by.iter().all(|(place, signature)| {
            recovery.keys.get(usize::from(*place)).is_some_and(|key| {
                signature::check(key, Tag::RecoverySignature, &digest, signature)
            })
        })
    }
}
