//! RFC 9162 Merkle trees.
