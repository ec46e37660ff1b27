//! Who belongs to a mesh as one node sees it: the rules of revocation once more, in the plainest
//! words, to judge engines by.

use cairn_core::fact::Body;
use cairn_core::id::NodeId;
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::params::{Admission, SealRule};
use cairn_core::store::{Table, View};
use cairn_core::testing::MemStore;

use crate::world::World;

/// Whether a set has a revocation of this key, or of one that it replaced.
pub fn is_revoked(view: &MemStore, key: &NodeId) -> bool {
    line::cut_off(view, key).unwrap().is_some()
}

/// Whether a set or the chain has any revocation.
pub fn anybody_revoked(view: &MemStore) -> bool {
    let members = view.scan(Table::Member, &[], &[0xff; 33], usize::MAX).unwrap();
    let mut keys = members.iter().filter_map(|(key, _)| NodeId::from_slice(key));
    !view.scan(Table::Revoked, &[], &[0xff; 33], 1).unwrap().is_empty()
        || keys.any(|key| !in_force(view, &key))
}

/// Whether the chain has a key as a member.
pub fn in_force(view: &MemStore, key: &NodeId) -> bool {
    matches!(line::standing(view, key), Ok(Standing::Member | Standing::Replaced))
}

/// Whether node `a` has to let node `b` in: it is not revoked, its lease is not over, and either the
/// chain has it or the facts that admit it are all by keys that are not revoked.
pub fn lets_in(world: &World, a: usize, b: usize) -> bool {
    let (view, b) = (world.nodes[a].view(), &world.nodes[b]);
    if world.params.admission == Admission::Open {
        return true;
    }
    let standing = line::standing(view, &b.id());
    if is_revoked(view, &b.id()) || matches!(standing, Ok(Standing::Lapsed(_))) {
        return false;
    }
    let mut authors = b.introduction.iter().map(|fact| fact.fact().author);
    // A key that it took since is known from the chain or not at all.
    let mut bodies = b.introduction.iter().map(|fact| fact.fact().body);
    let admits = |body: Body<'_>| matches!(body, Body::Admit { node, .. } if node == b.id());
    let admitted = bodies.any(admits) || world.params.roots.contains(&b.id());
    in_force(view, &b.id()) || (admitted && authors.all(|author| !is_revoked(view, &author)))
}

/// Whether an honest node that is up may seal the next block.
pub fn somebody_seals(world: &World) -> bool {
    if !matches!(world.params.seal, SealRule::Authority) {
        return true;
    }
    world.honest().any(|n| {
        let (node, tip) = (&world.nodes[n], world.nodes[n].engine().unwrap().status().tip);
        let row = node.view().header(&tip.id).unwrap().unwrap();
        let sealers = node.view().sealers(&row.header.sealers_root).unwrap();
        !is_revoked(node.view(), &node.id())
            && sealers.is_some_and(|sealers| sealers.contains(&node.id()))
    })
}
