//! What must be true, one function each. They panic with what is wrong.

use cairn_core::id::{FactId, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::FactState;
use cairn_core::store::{Table, View};
use cairn_core::work::Height;

use crate::world::World;

fn up(world: &World) -> impl Iterator<Item = usize> + '_ {
    (0..world.nodes.len()).filter(|n| world.nodes[*n].engine().is_some())
}

/// Whether all nodes that are up have the same facts and the same tip.
pub fn agree(world: &World) -> bool {
    let mut states = up(world).map(|n| {
        let status = world.nodes[n].engine().unwrap().status();
        (status.facts, status.tip)
    });
    let Some(first) = states.next() else {
        return true;
    };
    states.all(|state| state == first)
}

/// Whether all nodes agree and nothing waits to be sealed any more.
pub fn settled(world: &World) -> bool {
    agree(world) && up(world).all(|n| world.nodes[n].engine().unwrap().status().pending == 0)
}

/// The same chain, state and fact states on all nodes that are up, byte for byte.
pub fn same_ledger(world: &World) {
    let tables = [
        Table::Chain,
        Table::History,
        Table::Item,
        Table::Member,
        Table::Invite,
        Table::Known,
        Table::Revoked,
    ];
    let mut nodes = up(world);
    let Some(first) = nodes.next() else { return };
    let first = world.nodes[first].view();
    for n in nodes {
        let view = world.nodes[n].view();
        for table in tables {
            let all = |view: &dyn View| view.scan(table, &[], &[0xff; 64], usize::MAX).unwrap();
            assert_eq!(all(first), all(view), "node {n}, {table:?}");
        }
        for height in 0..=first.tip_row().unwrap().unwrap().tip.height.0 {
            let id = first.block_at(Height(height)).unwrap().unwrap();
            assert_eq!(first.header(&id), view.header(&id), "node {n}, header {height}");
            assert_eq!(first.body(&id), view.body(&id), "node {n}, body {height}");
        }
    }
}

/// No node that is up has a link to a key that its set knows to be revoked.
pub fn revoked_cut_off(world: &World) -> bool {
    up(world).all(|n| {
        let view = world.nodes[n].view();
        let linked = |node: &NodeId| view.revoked(node).unwrap().is_some();
        let peers = &world.nodes[n].engine().unwrap().status().peers;
        let mut live = peers.iter().filter(|peer| peer.connected).filter_map(|peer| peer.node);
        !live.any(|node| linked(&node))
    })
}

/// How a fact stands on a node.
pub fn state_of(world: &World, n: usize, id: &FactId) -> Option<FactState> {
    world.nodes[n].view().fact_row(id).unwrap().map(|row| row.state)
}

/// Who holds an item on a node.
pub fn holder(world: &World, n: usize, item: &str) -> Option<NodeId> {
    world.nodes[n].view().custody(item).unwrap().and_then(|custody| custody.holder)
}

/// No reorg lost a fact, on any node.
pub fn nothing_lost(world: &World) {
    for (n, node) in world.nodes.iter().enumerate() {
        let reorgs = node.view().reorgs(u64::MAX, usize::MAX).unwrap();
        assert!(reorgs.iter().all(|reorg| reorg.lost == 0), "node {n}: {reorgs:?}");
    }
}

/// No node closed a connection for misbehavior: in a world without hostile peers nobody misbehaves.
pub fn nobody_blamed(world: &World) {
    use cairn_core::event::Event;
    use cairn_core::wire::CloseCode;
    for (n, node) in world.nodes.iter().enumerate() {
        for event in &node.events {
            let blamed =
                matches!(event, Event::PeerClosed { code: Some(CloseCode::Misbehavior), .. });
            assert!(!blamed, "node {n}: {event:?}");
            assert!(!matches!(event, Event::BlockRefused { .. }), "node {n}: {event:?}");
        }
    }
}

/// Whether every node that is up has sealed all these facts, and all agree.
pub fn sealed(world: &World, ids: &[FactId]) -> bool {
    let is_sealed = |n: usize, id| matches!(state_of(world, n, id), Some(FactState::Sealed(..)));
    settled(world) && up(world).all(|n| ids.iter().all(|id| is_sealed(n, id)))
}
