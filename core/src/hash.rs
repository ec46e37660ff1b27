//! SHA-256 with a tag in front of every kind of thing that is hashed or signed, so that bytes of
//! one kind can never pass for another.

use sha2::{Digest, Sha256};

use crate::id::Hash;

/// What is hashed or signed. The tag's text is part of format version 1 and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Fact ids.
    Fact,
    /// What a fact's signature covers.
    FactSignature,
    /// Content hashes.
    Content,
    /// Block ids.
    Block,
    /// What an authority seal signs: the header without its seal.
    BlockSeal,
    /// The hash of a mesh's rules, inside its genesis block.
    Params,
    /// The key of the reconciliation sketch.
    Sketch,
    /// The ids of a span that a reconciliation sweeps over.
    Span,
    /// What the new key of a rotation agrees to: the mesh, the old key, the new key.
    Rotation,
    /// What that key's signature covers.
    RotationSignature,
    /// The key of the knock before a handshake, from the mesh id.
    Knock,
    /// What a node tells of its mesh on the local network.
    Lan,
    /// The number of one start of a node, and its challenges, from its seed.
    Run,
    /// What somebody signs to show that it runs with a key.
    Twin,
    /// What that signature covers.
    TwinSignature,
    /// What recovery keys say together.
    Recovery,
    /// The lists that are a part of it.
    RecoveryLists,
    /// What each of them signs of it.
    RecoverySignature,
    /// Deriving the seed of batch verification.
    BatchSeed,
    /// The secret of the address book: our signature over zeros, and what follows from it.
    Book,
}

impl Tag {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Fact => b"cairn/fact/1",
            Self::FactSignature => b"cairn/fact-sig/1",
            Self::Content => b"cairn/content/1",
            Self::Block => b"cairn/block/1",
            Self::BlockSeal => b"cairn/block-seal/1",
            Self::Params => b"cairn/params/1",
            Self::Sketch => b"cairn/sketch/1",
            Self::Span => b"cairn/span/1",
            Self::Rotation => b"cairn/rotate/1",
            Self::RotationSignature => b"cairn/rotate-sig/1",
            Self::Knock => b"cairn/knock/1",
            Self::Lan => b"cairn/lan/1",
            Self::Run => b"cairn/run/1",
            Self::Twin => b"cairn/twin/1",
            Self::TwinSignature => b"cairn/twin-sig/1",
            Self::Recovery => b"cairn/recover/1",
            Self::RecoveryLists => b"cairn/recover-lists/1",
            Self::RecoverySignature => b"cairn/recover-sig/1",
            Self::BatchSeed => b"cairn/batch-seed/1",
            Self::Book => b"cairn/book/1",
        }
    }

    /// A hasher that has already taken the tag.
    pub fn hasher(self) -> Hasher {
        Hasher(Sha256::new_with_prefix(self.bytes()))
    }

    /// `tag ‖ digest`, the message that a signature covers. At most 64 bytes.
    pub fn message(self, digest: &[u8; 32]) -> heapless::Vec<u8, 64> {
        let mut message = heapless::Vec::new();
        // Both fit: the longest tag has 19 bytes.
        let _ = message.extend_from_slice(self.bytes());
        let _ = message.extend_from_slice(digest);
        message
    }
}

/// An unfinished SHA-256.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes more bytes, for chaining.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Self {
        self.update(bytes);
        self
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Plain SHA-256 of the parts joined, as RFC 9162 needs it.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    Hash(hasher.finalize().into())
}
