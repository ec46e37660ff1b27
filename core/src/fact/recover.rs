//! What the recovery keys of a mesh say together: who is no admin any more, and what of that key's
//! revocations stays. The statement names its author too, so nobody else can say it.

use serde::{Deserialize, Serialize};

use crate::block::{Grant, recovery_digest};
use crate::hash::Tag;
use crate::id::{BlockId, Hash, MeshId, NodeId};
use crate::params::{RECOVERY_KEYS_MAX, Recovery};
use crate::signature::{self, Signature, SigningKey};

/// Most keys that one statement ends: those of one node, and of admins it made.
pub const ENDED_MAX: usize = 8;
/// Most keys that stay revoked.
pub const KEPT_MAX: usize = 16;
/// Most sealers that get their seats back.
pub const SEATS_MAX: usize = 32;

/// Ascending keys without repeats, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keys<'a>(#[serde(with = "serde_bytes", borrow)] pub &'a [u8]);

impl<'a> Keys<'a> {
    /// The keys.
    pub fn iter(self) -> impl Iterator<Item = NodeId> + use<'a> {
        self.0.as_chunks::<32>().0.iter().map(|key| NodeId(*key))
    }

    /// Whether a key is among them.
    pub fn contains(self, key: &NodeId) -> bool {
        self.iter().any(|other| other == *key)
    }

    fn check(self, max: usize) -> bool {
        let (keys, rest) = self.0.as_chunks::<32>();
        rest.is_empty() && keys.len() <= max && keys.windows(2).all(|pair| pair[0] < pair[1])
    }
}

/// Bytes of a key and its signature.
pub const SIGNED_BYTES: usize = 32 + 64;

/// A `Recover` fact's statement. Its author becomes an admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover<'a> {
    /// The block to go on from, if nobody honest can seal: its author seals the next one, and no
    /// branch without that block wins against it.
    pub on: Option<BlockId>,
    /// Keys that count no more, for good, and whose revocations never did.
    #[serde(borrow)]
    pub ended: Keys<'a>,
    /// But they did for these keys.
    pub kept: Keys<'a>,
    /// Members that seal again.
    pub seats: Keys<'a>,
    /// Recovery keys, ascending, each with its signature.
    #[serde(with = "serde_bytes")]
    pub signatures: &'a [u8],
}

impl<'a> Recover<'a> {
    /// Hash of its three lists.
    pub fn said(&self) -> Hash {
        let lists = [self.ended, self.kept, self.seats];
        let add = |hasher: crate::hash::Hasher, keys: Keys<'_>| {
            hasher.chain(&(keys.0.len() as u64).to_be_bytes()).chain(keys.0)
        };
        Hash(lists.into_iter().fold(Tag::RecoveryLists.hasher(), add).finish())
    }

    /// What recovery keys sign.
    fn digest(&self, mesh: &MeshId, author: &NodeId) -> [u8; 32] {
        recovery_digest(mesh, author, self.on.as_ref(), &self.said())
    }

    /// What lets its author seal the block after `on`, but for the author's signature; none if the
    /// keys are not a mesh's recovery keys.
    pub fn grant(&self, recovery: &Recovery) -> Option<Grant> {
        let mut by = heapless::Vec::new();
        for (key, signature) in self.signed() {
            let place = recovery.keys.binary_search(&key).ok()?;
            by.push((u8::try_from(place).ok()?, signature)).ok()?;
        }
        Some(Grant { signature: Signature([0; 64]), said: self.said(), by })
    }

    /// The key's part of the signatures.
    pub fn sign(&self, mesh: &MeshId, author: &NodeId, key: &SigningKey) -> [u8; SIGNED_BYTES] {
        let mut part = [0; SIGNED_BYTES];
        let signature = key.sign(Tag::RecoverySignature, &self.digest(mesh, author));
        part[..32].copy_from_slice(key.node_id().as_bytes());
        part[32..].copy_from_slice(&signature.0);
        part
    }

    fn signed(&self) -> impl Iterator<Item = (NodeId, Signature)> + use<'a> {
        self.signatures.as_chunks::<SIGNED_BYTES>().0.iter().map(|part| {
            let (mut key, mut signature) = ([0; 32], [0; 64]);
            key.copy_from_slice(&part[..32]);
            signature.copy_from_slice(&part[32..]);
            (NodeId(key), Signature(signature))
        })
    }

    /// Whether all bounds are kept.
    pub fn check(&self) -> bool {
        let (parts, rest) = self.signatures.as_chunks::<SIGNED_BYTES>();
        !self.ended.0.is_empty()
            && self.ended.check(ENDED_MAX)
            && self.kept.check(KEPT_MAX)
            && self.seats.check(SEATS_MAX)
            && rest.is_empty()
            && parts.len() <= RECOVERY_KEYS_MAX
            && parts.windows(2).all(|pair| pair[0][..32] < pair[1][..32])
    }

    /// Whether the signatures hold, whoever made them.
    pub fn is_signed(&self, mesh: &MeshId, author: &NodeId) -> bool {
        let digest = self.digest(mesh, author);
        let holds = |(key, signature): (NodeId, Signature)| {
            signature::check_node_id(&key)
                && signature::check(&key, Tag::RecoverySignature, &digest, &signature)
        };
        self.signed().all(holds)
    }

    /// Whether as many recovery keys of a mesh as it takes, and nobody else, signed.
    pub fn is_by(&self, recovery: &Recovery) -> bool {
        let known = |(key, _)| recovery.keys.contains(&key);
        recovery.threshold > 0
            && self.signed().count() == usize::from(recovery.threshold)
            && self.signed().all(known)
    }
}
