//! Facts: what members say, signed and named by what they say.
//!
//! `FactId = SHA-256("cairn/fact/1" ‖ MeshId ‖ postcard(unsigned fact))`; the signature covers
//! `"cairn/fact-sig/1" ‖ FactId`. The mesh is hashed but not carried, so a fact cannot be replayed
//! in another mesh; the signature is outside the id, so one statement has one id.
//!
//! The encoding of a signed fact is that of the unsigned one followed by the 64 signature bytes.
//! That is how it is stored, sent and hashed; nothing encodes it twice.

mod body;
#[cfg(feature = "alloc")]
mod encoded;
mod recover;

pub use crate::text::{is_item, is_label, is_name};
pub use body::{Body, BodyError, Role, sign_rotation};
#[cfg(feature = "alloc")]
pub use encoded::{EncodedFact, FactVerdict, verify, verify_batch};
pub use recover::{ENDED_MAX, KEPT_MAX, Keys, Recover, SEATS_MAX, SIGNED_BYTES};

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::hash::Tag;
use crate::id::{ContentHash, FactId, MeshId, NodeId};
use crate::params::FACT_BYTES_MAX;
use crate::signature::{self, Signature, SigningKey};
use crate::time::UnixTime;

/// Bytes of the signature at the end of an encoded fact.
pub const SIGNATURE_BYTES: usize = 64;

/// What is said, by whom, and when (a claim, for people; never used for order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<'a> {
    /// Who says it.
    pub author: NodeId,
    /// When, by the author's clock.
    pub time: UnixTime,
    /// What.
    #[serde(borrow)]
    pub body: Body<'a>,
}

/// A fact with its author's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedFact<'a> {
    /// The statement.
    #[serde(borrow)]
    pub fact: Fact<'a>,
    /// The author's signature over its id.
    pub signature: Signature,
}

/// Why bytes are not a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactError {
    /// They do not decode canonically within bounds.
    Decode(DecodeError),
    /// A field breaks its bound.
    Body(BodyError),
    /// The author's bytes are no key.
    Author,
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(e) => e.fmt(f),
            Self::Body(e) => e.fmt(f),
            Self::Author => f.write_str("the author is not a public key"),
        }
    }
}

impl core::error::Error for FactError {}

impl<'a> Fact<'a> {
    /// The id in a mesh.
    pub fn id(&self, mesh: &MeshId) -> FactId {
        FactId(codec::hash_into(self, Tag::Fact.hasher().chain(mesh.as_bytes())).finish())
    }

    /// The hash of what is said, whoever says it.
    pub fn content_hash(&self) -> ContentHash {
        ContentHash(codec::hash_into(&self.body, Tag::Content.hasher()).finish())
    }

    /// Signs; the result is not checked against any bound.
    pub fn sign(self, mesh: &MeshId, key: &SigningKey) -> SignedFact<'a> {
        let signature = key.sign(Tag::FactSignature, self.id(mesh).as_bytes());
        SignedFact { fact: self, signature }
    }
}

impl<'a> SignedFact<'a> {
    /// Structural check: decodes canonical bytes and checks every bound. Proves nothing about who
    /// signed.
    ///
    /// # Errors
    /// `FactError`, the first thing wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FactError> {
        let signed: Self = codec::decode(bytes, FACT_BYTES_MAX).map_err(FactError::Decode)?;
        signed.fact.body.check().map_err(FactError::Body)?;
        Ok(signed)
    }

    /// Semantic check without an allocator: the author is a key and signed this in this mesh, and
    /// whoever else has to agree did.
    pub fn check(&self, mesh: &MeshId) -> bool {
        let author = &self.fact.author;
        signature::check_node_id(author)
            && signature::check(
                author,
                Tag::FactSignature,
                self.fact.id(mesh).as_bytes(),
                &self.signature,
            )
            && self.fact.body.is_agreed(mesh, author)
    }
}
