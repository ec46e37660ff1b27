//! Merkle trees exactly as in RFC 9162 §2.1, so that the published vectors apply: leaf hash
//! `SHA-256(0x00 ‖ d)`, node hash `SHA-256(0x01 ‖ left ‖ right)`, empty tree `SHA-256("")`.
//!
//! Nothing here allocates: a `Frontier` holds the roots of the perfect subtrees ("peaks") that an
//! append-only tree consists of, at most one for each bit of its size. Proofs are made from those
//! perfect subtrees alone, so whoever stores them (they never change) can prove anything.
//!
//! Not here: what the leaves are. Blocks and histories decide that.

use core::convert::Infallible;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::hash::sha256;
use crate::id::Hash;

/// Most nodes in a proof, and most peaks of a tree.
pub const DEPTH_MAX: usize = 64;

/// The node hashes of an inclusion or consistency proof, in the order of the RFC.
pub type Proof = Vec<Hash, DEPTH_MAX>;

/// Hash of a leaf.
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256(&[&[0], data])
}

/// Hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// Merkle Tree Hash of the leaves.
pub fn root<T: AsRef<[u8]>>(leaves: impl IntoIterator<Item = T>) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push(leaf.as_ref());
    }
    frontier.root()
}

/// A perfect subtree that will never change: it covers the leaves
/// `index << level .. (index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves.
    pub level: u8,
    /// Position among the nodes of this level.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// An append-only tree, reduced to what appending and its root need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "(u64, Vec<Hash, DEPTH_MAX>)", into = "(u64, Vec<Hash, DEPTH_MAX>)")]
pub struct Frontier {
    size: u64,
    /// Largest first; one for each set bit of `size`.
    peaks: Vec<Hash, DEPTH_MAX>,
}

/// The number of peaks does not fit the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeaksError;

impl core::fmt::Display for PeaksError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the number of peaks does not fit the size of the tree")
    }
}

impl core::error::Error for PeaksError {}

impl TryFrom<(u64, Vec<Hash, DEPTH_MAX>)> for Frontier {
    type Error = PeaksError;
    fn try_from((size, peaks): (u64, Vec<Hash, DEPTH_MAX>)) -> Result<Self, PeaksError> {
        if peaks.len() == size.count_ones() as usize {
            Ok(Self { size, peaks })
        } else {
            Err(PeaksError)
        }
    }
}

impl From<Frontier> for (u64, Vec<Hash, DEPTH_MAX>) {
    fn from(frontier: Frontier) -> Self {
        (frontier.size, frontier.peaks)
    }
}

impl Frontier {
    /// The empty tree.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// A tree of known size, from stored perfect subtrees.
    ///
    /// # Errors
    /// Whatever `node(level, index)` fails with.
    pub fn from_nodes<E>(
        size: u64,
        mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
    ) -> Result<Self, E> {
        let mut frontier = Self::new();
        for level in (0..64u8).rev().filter(|level| size >> level & 1 == 1) {
            // The peak's index is the number of subtrees of its size to its left.
            let index = (size >> level) - 1;
            // Fits: at most one for each of 64 bits.
            let _ = frontier.peaks.push(node(level, index)?);
        }
        frontier.size = size;
        Ok(frontier)
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Hashes of the perfect subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_with(leaf, |_| ());
    }

    /// Appends a leaf and reports each perfect subtree that this completes, the leaf itself first.
    pub fn push_with(&mut self, leaf: &[u8], mut completed: impl FnMut(Node)) {
        let mut node = Node { level: 0, index: self.size, hash: leaf_hash(leaf) };
        completed(node);
        while node.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = Node {
                level: node.level + 1,
                index: node.index >> 1,
                hash: node_hash(&left, &node.hash),
            };
            completed(node);
        }
        // Fits: after the merges there is one peak for each set bit of the new size.
        let _ = self.peaks.push(node.hash);
        self.size += 1;
    }

    /// Merkle Tree Hash of all leaves so far.
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.peaks.iter().rev();
        match smallest_first.next() {
            None => sha256(&[]),
            Some(last) => smallest_first.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// Perfect subtrees of a slice of leaves, for making proofs. What lies outside the
/// slice hashes as if it were empty.
pub fn nodes_of<T: AsRef<[u8]>>(leaves: &[T]) -> impl Fn(u8, u64) -> Result<Hash, Infallible> {
    |level, index| {
        let at = |index: u64| {
            let start = index.checked_shl(u32::from(level)).unwrap_or(u64::MAX);
            usize::try_from(start).map_or(leaves.len(), |start| start.min(leaves.len()))
        };
        Ok(root(&leaves[at(index)..at(index.saturating_add(1))]))
    }
}

/// Where a tree of more than one leaf splits: the largest power of two below its size.
const fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// Merkle Tree Hash of `start..end`, where `start` is a multiple of the power of two at or above
/// the length (so it is for every right or left subtree of the RFC's recursion).
fn range_hash<E>(
    start: u64,
    end: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let size = end - start;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return node(level as u8, start >> level);
    }
    let middle = start + split(size);
    let left = range_hash(start, middle, node)?;
    Ok(node_hash(&left, &range_hash(middle, end, node)?))
}

/// Proof that the leaf `index` is in the tree of `size` leaves (RFC 9162 §2.1.3.1), made from the
/// perfect subtrees `node(level, index)`. Empty, and proving nothing, unless `index < size`.
///
/// # Errors
/// Whatever `node` fails with.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Proof, E> {
    let mut proof = Proof::new();
    if index >= size {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        let sibling = if index < middle {
            let right = range_hash(middle, end, &mut node)?;
            end = middle;
            right
        } else {
            let left = range_hash(start, middle, &mut node)?;
            start = middle;
            left
        };
        // Fits: every step at least halves the size, rounded up to a power of two.
        let _ = proof.push(sibling);
    }
    // Found from the root down; the RFC lists from the leaf up.
    proof.reverse();
    Ok(proof)
}

/// Proof that the tree of `first` leaves is a prefix of that of `second` (RFC 9162 §2.1.4.1).
/// Empty unless `0 < first < second`.
///
/// # Errors
/// Whatever `node` fails with.
pub fn consistency_proof<E>(
    first: u64,
    second: u64,
    mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Proof, E> {
    let mut proof = Proof::new();
    if first == 0 || first >= second {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, second);
    // Descends to the subtree that ends where the first tree ends.
    while first != end {
        let middle = start + split(end - start);
        let other = if first <= middle {
            let right = range_hash(middle, end, &mut node)?;
            end = middle;
            right
        } else {
            let left = range_hash(start, middle, &mut node)?;
            start = middle;
            left
        };
        let _ = proof.push(other);
    }
    if start != 0 {
        let _ = proof.push(range_hash(start, end, &mut node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether the proof shows the leaf at `index` of the tree with this size and root
/// (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: &[u8], index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = leaf_hash(leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the first tree is a prefix of the second (RFC 9162 §2.1.4.2).
/// Trees are `(size, root)`. Equal sizes need equal roots and no proof; nothing is shown about an
/// empty tree.
pub fn verify_consistency(first: (u64, &Hash), second: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((first, first_root), (second, second_root)) = (first, second);
    if first == second {
        return first != 0 && first_root == second_root && proof.is_empty();
    }
    if first == 0 || first > second {
        return false;
    }
    // The first tree is itself a node of the second: the proof leaves its hash out.
    let (seed, path) = match proof.split_first() {
        _ if first.is_power_of_two() && !proof.is_empty() => (first_root, proof),
        Some((seed, path)) if !first.is_power_of_two() => (seed, path),
        _ => return false,
    };
    let shift = (first - 1).trailing_ones();
    let (mut place, mut last) = ((first - 1) >> shift, (second - 1) >> shift);
    let (mut old, mut new) = (*seed, *seed);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old == *first_root && new == *second_root
}

#[cfg(test)]
mod tests;
