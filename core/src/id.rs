//! Names of things: 32-byte identifiers, each its own type so that none can stand for another.
//!
//! `FactId`, `BlockId`, `MeshId` and `ContentHash` are SHA-256 digests and print as 64 lowercase
//! hex digits. `NodeId` is an ed25519 public key and prints as bech32m (`cairn1…`), whose checksum
//! catches a mistyped character. What the digests are taken over is in `hash.rs`.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes in every identifier.
pub const ID_BYTES: usize = 32;

/// The human-readable part of a `NodeId` in bech32m.
pub const NODE_ID_HRP: &str = "cairn";

/// A text that does not name an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdParseError {
    /// Not the right number of characters: expected, got.
    Length(usize, usize),
    /// A character outside the alphabet, at this index.
    Character(usize),
    /// A bech32m text with a wrong checksum, prefix or length: most likely mistyped.
    Bech32,
}

impl fmt::Display for IdParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(expected, got) => {
                write!(f, "expected {expected} hex digits, got {got} characters")
            }
            Self::Character(at) => write!(f, "character {} is not a hex digit", at + 1),
            Self::Bech32 => write!(f, "not a node id (expected `cairn1…`); probably mistyped"),
        }
    }
}

impl core::error::Error for IdParseError {}

fn hex_value(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

fn parse_hex(text: &str) -> Result<[u8; ID_BYTES], IdParseError> {
    let bytes = text.as_bytes();
    if bytes.len() != ID_BYTES * 2 {
        return Err(IdParseError::Length(ID_BYTES * 2, text.chars().count()));
    }
    let mut out = [0; ID_BYTES];
    for (i, slot) in out.iter_mut().enumerate() {
        let digit = |at: usize| hex_value(bytes[at]).ok_or(IdParseError::Character(at));
        *slot = digit(2 * i)? << 4 | digit(2 * i + 1)?;
    }
    Ok(out)
}

/// Prints bytes as lowercase hex; for identifiers and anything else that is shown raw.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; ID_BYTES]);

        impl $name {
            /// All bytes zero: "none" where a field must hold something.
            pub const ZERO: Self = Self([0; ID_BYTES]);

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
                &self.0
            }

            /// From a slice of exactly 32 bytes, as found in a store key.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

macro_rules! hex_identifier {
    ($(#[$doc:meta])* $name:ident) => {
        identifier!($(#[$doc])* $name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Hex(&self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}…)"), Hex(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;
            fn from_str(text: &str) -> Result<Self, IdParseError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

hex_identifier! {
    /// Names a fact: the hash of its mesh, author, time and body (not of its signature).
    FactId
}
hex_identifier! {
    /// Names a block: the hash of its whole header, seal included.
    BlockId
}
hex_identifier! {
    /// Names a mesh: the id of its genesis block.
    MeshId
}
hex_identifier! {
    /// Names what a fact says, whoever says it: the hash of its body.
    ContentHash
}
hex_identifier! {
    /// A SHA-256 digest that is none of the above: a Merkle root or node.
    Hash
}
identifier! {
    /// Names a node: its ed25519 public key. `signature::check_node_id` tells whether the bytes are
    /// a key at all.
    NodeId
}

impl From<BlockId> for MeshId {
    fn from(genesis: BlockId) -> Self {
        Self(genesis.0)
    }
}

impl From<MeshId> for BlockId {
    fn from(mesh: MeshId) -> Self {
        Self(mesh.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hrp = bech32::Hrp::parse(NODE_ID_HRP).map_err(|_| fmt::Error)?;
        bech32::encode_lower_to_fmt::<bech32::Bech32m, _>(f, hrp, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({}…)", Hex(&self.0[..4]))
    }
}

impl FromStr for NodeId {
    type Err = IdParseError;

    fn from_str(text: &str) -> Result<Self, IdParseError> {
        let parsed = bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32m>(text)
            .map_err(|_| IdParseError::Bech32)?;
        if !parsed.hrp().as_str().eq_ignore_ascii_case(NODE_ID_HRP) {
            return Err(IdParseError::Bech32);
        }
        let mut out = [0; ID_BYTES];
        let mut bytes = parsed.byte_iter();
        for slot in &mut out {
            *slot = bytes.next().ok_or(IdParseError::Bech32)?;
        }
        if bytes.next().is_some() { Err(IdParseError::Bech32) } else { Ok(Self(out)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn hex_ids_print_and_parse_back() {
        let id = FactId(core::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn a_mistyped_hex_id_says_where() {
        assert_eq!("abc".parse::<FactId>(), Err(IdParseError::Length(64, 3)));
        let mut text = FactId::ZERO.to_string();
        text.replace_range(9..10, "g");
        assert_eq!(text.parse::<FactId>(), Err(IdParseError::Character(9)));
    }

    #[test]
    fn node_ids_print_as_bech32m_and_one_wrong_character_is_noticed() {
        let id = NodeId(core::array::from_fn(|i| i as u8));
        let text = id.to_string();
        assert!(text.starts_with("cairn1"));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        for at in 6..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'q' { b'p' } else { b'q' };
            let wrong = alloc::string::String::from_utf8(wrong).unwrap();
            assert_eq!(wrong.parse::<NodeId>(), Err(IdParseError::Bech32));
        }
    }
}
