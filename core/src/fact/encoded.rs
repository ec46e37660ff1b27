//! Facts as a node keeps them: the canonical bytes, with the id worked out once.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Fact, FactError, SIGNATURE_BYTES, SignedFact};
use crate::codec;
use crate::hash::Tag;
use crate::id::{FactId, MeshId, NodeId};
use crate::signature::{self, Claim, SigningKey};
use crate::verified::{Unverified, Verified};

/// Canonical bytes of a signed fact and its id. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFact {
    id: FactId,
    bytes: Arc<[u8]>,
}

/// Outcome of checking one fact's signature.
pub type FactVerdict = Result<Verified<EncodedFact>, FactId>;

impl EncodedFact {
    /// Structural check of bytes from anywhere.
    ///
    /// # Errors
    /// `FactError`, the first thing wrong.
    pub fn parse(mesh: &MeshId, bytes: &[u8]) -> Result<Unverified<Self>, FactError> {
        SignedFact::decode(bytes)?;
        let id = Self::id_of(mesh, bytes)
            .unwrap_or_else(|| unreachable!("what decodes is longer than a signature"));
        Ok(Unverified(Self { id, bytes: bytes.into() }))
    }

    /// The id of encoded bytes, whether or not they are a fact; none if they are too short.
    pub fn id_of(mesh: &MeshId, bytes: &[u8]) -> Option<FactId> {
        let unsigned = bytes.len().checked_sub(SIGNATURE_BYTES).and_then(|end| bytes.get(..end))?;
        Some(FactId(Tag::Fact.hasher().chain(mesh.as_bytes()).chain(unsigned).finish()))
    }

    /// Signs a fact of our own, which therefore needs no verification.
    ///
    /// # Errors
    /// `FactError` if a field breaks its bound, the whole is too long, or `fact.author` is not the
    /// key's.
    pub fn sign(
        fact: Fact<'_>,
        mesh: &MeshId,
        key: &SigningKey,
    ) -> Result<Verified<Self>, FactError> {
        if fact.author != key.node_id() {
            return Err(FactError::Author);
        }
        let bytes = codec::encode(&fact.sign(mesh, key));
        Self::parse(mesh, &bytes).map(|fact| Verified::proven(fact.0))
    }

    /// From our own store, where only verified facts are written.
    pub fn from_store(id: FactId, bytes: &[u8]) -> Verified<Self> {
        Verified::proven(Self { id, bytes: bytes.into() })
    }

    /// The fact's name.
    pub const fn id(&self) -> FactId {
        self.id
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, shared.
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        self.bytes.clone()
    }

    /// The fact itself.
    pub fn signed(&self) -> SignedFact<'_> {
        postcard::from_bytes(&self.bytes)
            .unwrap_or_else(|_| unreachable!("parse decoded these bytes"))
    }

    /// What is said, without the signature.
    pub fn fact(&self) -> Fact<'_> {
        // Decoded several times on a fact's way into a block, so without its signature, and with
        // the author's bytes taken at once: postcard reads an array byte by byte.
        let (author, rest) = self
            .bytes
            .split_first_chunk()
            .unwrap_or_else(|| unreachable!("parse decoded these bytes"));
        let ((time, body), _) = postcard::take_from_bytes(rest)
            .unwrap_or_else(|_| unreachable!("parse decoded these bytes"));
        Fact { author: NodeId(*author), time, body }
    }

    fn claim(&self) -> Claim {
        let signed = self.signed();
        Claim {
            node: signed.fact.author,
            tag: Tag::FactSignature,
            digest: self.id.0,
            signature: signed.signature,
        }
    }
}

/// Semantic check of one fact of a mesh.
///
/// # Errors
/// The id, if the author is no key or did not sign, or somebody who has to agree did not.
pub fn verify(mesh: &MeshId, fact: Unverified<EncodedFact>) -> FactVerdict {
    if fact.0.signed().check(mesh) { Ok(Verified::proven(fact.0)) } else { Err(fact.0.id) }
}

/// Semantic check of many facts; the same verdicts as `verify` on each, several times faster.
/// `seed` as in `signature::check_batch`.
pub fn verify_batch(
    mesh: &MeshId,
    facts: Vec<Unverified<EncodedFact>>,
    seed: &[u8; 32],
) -> Vec<FactVerdict> {
    let claims: Vec<Claim> = facts.iter().map(|fact| fact.0.claim()).collect();
    // Facts come in runs by one author; a key is decompressed once a run.
    let mut last_key = None;
    signature::check_batch(&claims, seed)
        .into_iter()
        .zip(facts)
        .zip(&claims)
        .map(|((signed, fact), claim)| {
            let key_ok = match last_key {
                Some((node, ok)) if node == claim.node => ok,
                _ => signature::check_node_id(&claim.node),
            };
            last_key = Some((claim.node, key_ok));
            let ok = signed && key_ok && fact.0.fact().body.is_agreed(mesh, &claim.node);
            if ok { Ok(Verified::proven(fact.0)) } else { Err(fact.0.id) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Role;
    use crate::testing::TestNode;

    #[test]
    fn a_fact_reads_the_same_with_and_without_its_signature() {
        let node = TestNode::new(1, MeshId([7; 32]));
        let other = TestNode::new(2, node.mesh);
        let id = FactId([9; 32]);
        for fact in [
            node.record("topic", "text"),
            node.relate(id, id),
            node.request("saw", None),
            node.request("saw", Some(id)),
            node.release("saw", id),
            node.transfer("saw", id, other.id()),
            node.admit(other.id(), Role::Sealer),
            node.rotate(&other, Role::Member),
            node.fact(u64::MAX, node.record("topic", "").fact().body),
        ] {
            assert_eq!(fact.fact(), fact.signed().fact);
        }
    }
}
