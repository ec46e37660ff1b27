//! What a peer can provably do wrong. Each variant is a thing that no correct program does, whatever
//! its clock, its disk's room, its line and its view of the ledger.

use core::fmt;

use crate::wire::Class;

/// What a peer is accused of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehavior {
    /// Bytes that are no frame: a wrong length, class, version or stream.
    Frame,
    /// A message that does not decode, is over its bounds, or has no place there.
    Message(Class),
    /// A request that does not decode or asks for more than is allowed.
    Request(Class),
    /// An answer that does not decode, is over its bounds, or contradicts what was asked.
    Answer(Class),
    /// A fact whose signature is not its author's.
    Signature,
    /// A block that breaks a rule, served as one of its best chain.
    Block,
    /// The claim that this node is revoked, without a proof.
    FalseRevocation,
}

impl fmt::Display for Misbehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame => f.write_str("bytes that are no frame"),
            Self::Message(class) => write!(f, "a malformed message ({class:?})"),
            Self::Request(class) => write!(f, "a malformed request ({class:?})"),
            Self::Answer(class) => write!(f, "a wrong answer ({class:?})"),
            Self::Signature => f.write_str("a fact with a false signature"),
            Self::Block => f.write_str("a block that breaks the rules"),
            Self::FalseRevocation => f.write_str("a revocation without a proof"),
        }
    }
}
