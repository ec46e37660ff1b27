//! Tests of `merkle`.

use super::*;
use crate::codec;
use alloc::vec::Vec as StdVec;
use proptest::prelude::*;

/// Largest of the trees that are tried. An interpreter takes an hour for all of them.
const LEAVES_MAX: u64 = if cfg!(miri) { 3 } else { 64 };

/// The eight leaves of Certificate Transparency's reference tests and the roots of their prefixes.
const LEAVES: [&[u8]; 8] = [
    &[],
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[
        0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e,
        0x6f,
    ],
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn roots_are_those_of_certificate_transparency() {
    for (size, expected) in ROOTS.iter().enumerate() {
        assert_eq!(root(&LEAVES[..size]), expected.parse().unwrap(), "{size}");
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let texts =
        |texts: &[&str]| -> StdVec<Hash> { texts.iter().map(|t| t.parse().unwrap()).collect() };
    let inclusion = inclusion_proof(5, 8, nodes_of(&LEAVES)).unwrap();
    assert_eq!(
        inclusion[..],
        texts(&[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ])
    );
    let consistency = consistency_proof(6, 8, nodes_of(&LEAVES)).unwrap();
    assert_eq!(
        consistency[..],
        texts(&[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ])
    );
}

fn leaves(count: u64) -> StdVec<[u8; 8]> {
    (0..count).map(u64::to_be_bytes).collect()
}

#[test]
fn every_inclusion_proof_verifies_at_its_place_only() {
    for size in 1..=LEAVES_MAX {
        let leaves = leaves(size);
        let root = root(&leaves);
        for index in 0..size {
            let proof = inclusion_proof(index, size, nodes_of(&leaves)).unwrap();
            let leaf = &leaves[index as usize];
            assert!(verify_inclusion(leaf, index, size, &proof, &root));
            assert!(!verify_inclusion(b"other", index, size, &proof, &root));
            assert!(!verify_inclusion(leaf, size, size, &proof, &root));
            if size > 1 {
                let elsewhere = (index + 1) % size;
                assert!(!verify_inclusion(leaf, elsewhere, size, &proof, &root));
                assert!(!verify_inclusion(leaf, index, size, &proof[1..], &root));
            }
        }
    }
}

#[test]
fn every_consistency_proof_verifies_for_its_trees_only() {
    for second in 1..=LEAVES_MAX {
        let leaves = leaves(second);
        let new = root(&leaves);
        for first in 1..=second {
            let old = root(&leaves[..first as usize]);
            let proof = consistency_proof(first, second, nodes_of(&leaves)).unwrap();
            assert!(verify_consistency((first, &old), (second, &new), &proof));
            assert!(!verify_consistency((first, &Hash::ZERO), (second, &new), &proof));
            assert!(!verify_consistency((first, &old), (second, &Hash::ZERO), &proof));
            assert!(!verify_consistency((second + 1, &old), (second, &new), &proof));
            assert!(!verify_consistency((0, &old), (second, &new), &proof));
        }
    }
}

#[test]
fn reported_nodes_rebuild_the_frontier_and_every_proof() {
    let mut stored = alloc::collections::BTreeMap::new();
    let mut frontier = Frontier::new();
    let leaves = leaves(LEAVES_MAX);
    for (count, leaf) in (1u64..).zip(&leaves) {
        frontier.push_with(leaf, |node| {
            stored.insert((node.level, node.index), node.hash);
        });
        let node = |level, index| stored.get(&(level, index)).copied().ok_or(());
        assert_eq!(Frontier::from_nodes(count, node), Ok(frontier.clone()));
        assert_eq!(frontier.root(), root(&leaves[..count as usize]));
        let mut buffer = [0; 4096];
        let bytes = codec::encode_into(&frontier, &mut buffer).unwrap();
        assert_eq!(codec::decode(bytes, 4096), Ok(frontier.clone()));
        let proof = inclusion_proof(count / 2, count, node).unwrap();
        let leaf = &leaves[(count / 2) as usize];
        assert!(verify_inclusion(leaf, count / 2, count, &proof, &frontier.root()));
    }
}

#[test]
fn a_frontier_with_the_wrong_number_of_peaks_does_not_decode() {
    let wrong = (3u64, [Hash::ZERO; 1].as_slice());
    let mut buffer = [0; 64];
    let bytes = codec::encode_into(&wrong, &mut buffer).unwrap();
    assert!(codec::decode::<Frontier>(bytes, 4096).is_err());
}

proptest! {
    #[test]
    fn any_changed_byte_breaks_a_proof(
        size in 2u64..=LEAVES_MAX, index: prop::sample::Index, at: prop::sample::Index, bit in 0u8..8
    ) {
        let leaves = leaves(size);
        let new = root(&leaves);
        let index = index.index(size as usize) as u64;
        let flip = |proof: &mut Proof| {
            let at = at.index(proof.len() * 32);
            proof[at / 32].0[at % 32] ^= 1 << bit;
        };
        let mut proof = inclusion_proof(index, size, nodes_of(&leaves)).unwrap();
        flip(&mut proof);
        prop_assert!(!verify_inclusion(&leaves[index as usize], index, size, &proof, &new));
        if index > 0 {
            let old = root(&leaves[..index as usize]);
            let mut proof = consistency_proof(index, size, nodes_of(&leaves)).unwrap();
            flip(&mut proof);
            prop_assert!(!verify_consistency((index, &old), (size, &new), &proof));
        }
    }

    #[test]
    fn hostile_sizes_and_proofs_do_not_panic(
        first: u64, second: u64, nodes in prop::collection::vec(any::<[u8; 32]>(), 0..70)
    ) {
        let proof: StdVec<Hash> = nodes.into_iter().map(Hash).collect();
        let root = Hash::ZERO;
        prop_assert!(!verify_inclusion(b"x", first, second, &proof, &root));
        prop_assert!(!verify_consistency((first, &root), (second, &Hash([1; 32])), &proof));
    }
}
