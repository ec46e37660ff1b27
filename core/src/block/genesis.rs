//! The genesis block: the rules of a mesh as a header, and the roots every header commits to.

use crate::id::{BlockId, FactId, Hash, MeshId, NodeId};
use crate::merkle;
use crate::params::{Params, RULES_VERSION, SealRule};
use crate::work::{Height, Target};

use super::{Header, Seal};

/// Genesis of a mesh: the same rules give the same header on every machine.
pub fn genesis(params: &Params) -> Header {
    Header {
        version: RULES_VERSION,
        height: Height::GENESIS,
        parent: BlockId::ZERO,
        facts_root: facts_root(&[]),
        history_root: merkle::Frontier::new().root(),
        sealers_root: sealers_root(&params.roots),
        state_root: Hash::ZERO,
        time: params.time,
        target: match params.seal {
            SealRule::Authority => Target(0),
            SealRule::Pow { initial, .. } => initial,
        },
        sealer: NodeId::ZERO,
        seal: Seal::Genesis(params.hash()),
    }
}

/// The mesh's name: the id of its genesis block.
pub fn mesh_id(params: &Params) -> MeshId {
    MeshId(genesis(params).id().0)
}

/// What `Header::sealers_root` holds for this ascending list.
pub fn sealers_root(sealers: &[NodeId]) -> Hash {
    merkle::root(sealers)
}

/// What `Header::facts_root` holds for this list.
pub fn facts_root(facts: &[FactId]) -> Hash {
    merkle::root(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_changes_the_mesh() {
        let params = Params::open();
        assert_eq!(mesh_id(&params), mesh_id(&params.clone()));
        let mut other = params.clone();
        other.spacing += 1;
        assert_ne!(mesh_id(&params), mesh_id(&other));
        assert_eq!(genesis(&params).seal, Seal::Genesis(params.hash()));
        assert_eq!(genesis(&params).time, params.time);
    }
}
