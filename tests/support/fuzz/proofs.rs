//! Merkle proofs: a right one holds, and bytes that are no proof do not.

use cairn_core::id::{FactId, Hash};
use cairn_core::merkle::{
    consistency_proof, inclusion_proof, nodes_of, root, verify_consistency, verify_inclusion,
};

use super::Source;

fn hashes(source: &mut Source<'_>, good: &[Hash]) -> Vec<Hash> {
    let mut proof = good.to_vec();
    match source.below(5) {
        0 => {}
        1 => drop(proof.pop()),
        2 => proof.push(Hash([source.byte(); 32])),
        3 => {
            let at = source.below(256);
            if let Some(hash) = proof.get_mut(at) {
                hash.0[source.below(32)] ^= source.byte();
            }
        }
        _ => proof = source.list(70, |source| Hash([source.byte(); 32])),
    }
    proof
}

/// A tree of up to 40 leaves, one inclusion and one consistency proof, each perhaps spoiled.
pub(super) fn proof(data: &[u8]) {
    let mut source = Source::new(data);
    let size = 1 + source.below(40);
    let leaves: Vec<FactId> = (0..size).map(|n| FactId([n as u8; 32])).collect();
    let (whole, size) = (root(&leaves), size as u64);
    let (index, small) = (source.number() % size, 1 + source.number() % size);
    let leaf = &leaves[index as usize].0;

    let good = inclusion_proof(index, size, nodes_of(&leaves)).unwrap();
    let proof = hashes(&mut source, &good);
    let holds = verify_inclusion(leaf, index, size, &proof, &whole);
    assert_eq!(holds, proof == good.as_slice());
    // Numbers that mean no tree are refused, whatever the proof is.
    let (claimed_index, claimed_size) = (source.number(), source.number());
    let other = verify_inclusion(leaf, claimed_index, claimed_size, &proof, &whole);
    assert!(!other || claimed_index < claimed_size);

    let part = root(&leaves[..small as usize]);
    let good = consistency_proof(small, size, nodes_of(&leaves)).unwrap();
    let proof = hashes(&mut source, &good);
    let holds = verify_consistency((small, &part), (size, &whole), &proof);
    assert_eq!(holds, proof == good.as_slice());
    let claimed = ((source.number(), &part), (source.number(), &whole));
    verify_consistency(claimed.0, claimed.1, &proof);
}
