//! ed25519 signatures under ZIP 215 rules, because there single and batch verification accept
//! exactly the same set (<https://zips.z.cash/zip-0215>); with any other rules two nodes could
//! disagree about one block.
//!
//! Signing is deterministic (RFC 8032), so core needs no randomness for it.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

use crate::hash::Tag;
use crate::id::NodeId;

/// A 64-byte ed25519 signature; encoded as its raw bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // Two halves, because serde knows arrays up to 32; postcard writes the same 64 bytes.
        let (r, s_half) = self.0.split_at(32);
        let halves: (&[u8; 32], &[u8; 32]) = match (r.try_into(), s_half.try_into()) {
            (Ok(r), Ok(s)) => (r, s),
            _ => unreachable!("64 = 32 + 32"),
        };
        halves.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (r, s): ([u8; 32], [u8; 32]) = Deserialize::deserialize(d)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}…)", crate::id::Hex(&self.0[..4]))
    }
}

/// A private key. Wiped when dropped, never printed.
pub struct SigningKey {
    key: ed25519_zebra::SigningKey,
    node: NodeId,
}

impl SigningKey {
    /// From the 32-byte RFC 8032 seed, which the caller wipes.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = ed25519_zebra::SigningKey::from(seed);
        seed.zeroize();
        let node = NodeId(key.verification_key().into());
        Self { key, node }
    }

    /// The public half.
    pub const fn node_id(&self) -> NodeId {
        self.node
    }

    /// Signs `tag ‖ digest`.
    pub fn sign(&self, tag: Tag, digest: &[u8; 32]) -> Signature {
        Signature(self.key.sign(&tag.message(digest)).to_bytes())
    }
}

impl Clone for SigningKey {
    fn clone(&self) -> Self {
        Self { key: self.key, node: self.node }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.node)
    }
}

/// Whether the bytes are a public key that can name a node: canonical and not of small order.
/// ZIP 215 would verify signatures under other keys too, some of which everybody can make.
pub fn check_node_id(node: &NodeId) -> bool {
    let compressed = curve25519_dalek::edwards::CompressedEdwardsY(node.0);
    compressed
        .decompress()
        .is_some_and(|point| point.compress() == compressed && !point.is_small_order())
}

/// Whether `signature` is `node`'s over `tag ‖ digest`.
pub fn check(node: &NodeId, tag: Tag, digest: &[u8; 32], signature: &Signature) -> bool {
    let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
    ed25519_zebra::VerificationKey::try_from(node.0)
        .is_ok_and(|key| key.verify(&signature, &tag.message(digest)).is_ok())
}

/// One claim to check in a batch: this node signed `tag ‖ digest`.
#[cfg(feature = "alloc")]
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Who is said to have signed.
    pub node: NodeId,
    /// What kind of thing.
    pub tag: Tag,
    /// Its digest.
    pub digest: [u8; 32],
    /// The signature.
    pub signature: Signature,
}

/// Checks many signatures at once, four to five times faster than one by one when few authors
/// signed them; on failure halves the batch until the bad ones are found.
///
/// `seed` must be unpredictable to whoever made the signatures (a batch equation with known
/// coefficients can be satisfied by forgeries). Returns one verdict per claim, in order.
#[cfg(feature = "alloc")]
pub fn check_batch(claims: &[Claim], seed: &[u8; 32]) -> alloc::vec::Vec<bool> {
    let mut verdicts = alloc::vec![true; claims.len()];
    check_half(claims, &mut verdicts, seed);
    verdicts
}

#[cfg(feature = "alloc")]
fn check_half(claims: &[Claim], verdicts: &mut [bool], seed: &[u8; 32]) {
    use rand_core::SeedableRng;
    if let ([claim], [verdict]) = (claims, &mut *verdicts) {
        *verdict = check(&claim.node, claim.tag, &claim.digest, &claim.signature);
        return;
    }
    let mut batch = ed25519_zebra::batch::Verifier::new();
    let mut hasher = Tag::BatchSeed.hasher().chain(seed);
    for claim in claims {
        let key = ed25519_zebra::VerificationKeyBytes::from(claim.node.0);
        let signature = ed25519_zebra::Signature::from_bytes(&claim.signature.0);
        hasher.update(&claim.signature.0);
        batch.queue((key, signature, &claim.tag.message(&claim.digest)));
    }
    let rng = rand_chacha::ChaCha20Rng::from_seed(hasher.finish());
    if batch.verify(rng).is_err() {
        let middle = claims.len() / 2;
        let (left, right) = verdicts.split_at_mut(middle);
        check_half(&claims[..middle], left, seed);
        check_half(&claims[middle..], right, seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_tag_and_digest_only() {
        let (a, b) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let signature = a.sign(Tag::FactSignature, &[7; 32]);
        assert!(check(&a.node_id(), Tag::FactSignature, &[7; 32], &signature));
        assert!(!check(&b.node_id(), Tag::FactSignature, &[7; 32], &signature));
        assert!(!check(&a.node_id(), Tag::BlockSeal, &[7; 32], &signature));
        assert!(!check(&a.node_id(), Tag::FactSignature, &[8; 32], &signature));
    }

    #[test]
    fn small_order_and_non_canonical_keys_name_no_node() {
        assert!(check_node_id(&SigningKey::from_seed([3; 32]).node_id()));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(!check_node_id(&NodeId(identity)));
        // y = p + 1, a non-canonical form of the identity.
        let mut shifted = [0xff; 32];
        shifted[0] = 0xee;
        shifted[31] = 0x7f;
        assert!(!check_node_id(&NodeId(shifted)));
    }

    /// An interpreter takes seconds for each.
    #[cfg(feature = "alloc")]
    const CLAIMS: u8 = if cfg!(miri) { 4 } else { 33 };

    #[cfg(feature = "alloc")]
    #[test]
    fn a_batch_names_exactly_the_bad_signatures() {
        let [first, second, third] = [CLAIMS / 6, CLAIMS / 2, CLAIMS - 1].map(usize::from);
        let keys: alloc::vec::Vec<_> = (1..4).map(|i| SigningKey::from_seed([i; 32])).collect();
        let mut claims: alloc::vec::Vec<Claim> = (0..CLAIMS)
            .map(|i| {
                let key = &keys[usize::from(i) % 3];
                let signature = key.sign(Tag::FactSignature, &[i; 32]);
                Claim { node: key.node_id(), tag: Tag::FactSignature, digest: [i; 32], signature }
            })
            .collect();
        claims[first].digest[0] ^= 1;
        claims[second].node = NodeId([0xff; 32]);
        claims[third].signature.0[63] ^= 0x80;
        let verdicts = check_batch(&claims, &[9; 32]);
        let bad: alloc::vec::Vec<_> = (0..claims.len()).filter(|i| !verdicts[*i]).collect();
        assert_eq!(bad, [first, second, third]);
        assert!(check_batch(&[], &[9; 32]).is_empty());
    }
}
