//! What must be true, one function each. They panic with what is wrong.

use cairn_core::event::Event;
use cairn_core::fact::Body;
use cairn_core::id::{FactId, NodeId};
use cairn_core::ledger::line;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::FactState;
use cairn_core::peer::CLOSES_MAX;
use cairn_core::store::{Table, View};
use cairn_core::testing::MemStore;
use cairn_core::wire::CloseCode;
use cairn_core::work::Height;

use crate::world::World;

fn up(world: &World) -> impl Iterator<Item = usize> + '_ {
    (0..world.nodes.len()).filter(|n| world.nodes[*n].engine().is_some())
}

/// Whether all nodes that are up and honest have the same facts and the same tip.
pub fn agree(world: &World) -> bool {
    let mut states = world.honest().map(|n| {
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

/// The same chain and state on all honest nodes that are up, byte for byte.
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
    let mut nodes = world.honest();
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
        let linked = |node: &NodeId| line::cut_off(view, node).unwrap().is_some();
        let peers = world.nodes[n].engine().unwrap().peers();
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

/// No honest node accuses another: of all reasons to close a connection, these mean that the other
/// is wrong. (A hello that is late is closed as one that is bad; on a bad line that is nobody's
/// fault.) Returns the accusation.
pub fn accusation(world: &World, event: &Event) -> Option<String> {
    let evil = world.evil_keys();
    match event {
        Event::PeerClosed { node, code: Some(code), .. } => {
            let blames = matches!(
                code,
                CloseCode::Misbehavior
                    | CloseCode::WrongMesh
                    | CloseCode::RulesVersion
                    | CloseCode::Protocol
            );
            // Where somebody was revoked, or changed its key, these two are right.
            let expels = matches!(code, CloseCode::NotMember | CloseCode::Revoked);
            let blames = blames || (expels && !any_key_ended(world));
            (blames && !evil.contains(node)).then(|| format!("{event:?}"))
        }
        Event::PeerBanned { node, .. } if !evil.contains(node) => Some(format!("{event:?}")),
        Event::BlockRefused { .. } if evil.is_empty() => Some(format!("{event:?}")),
        _ => None,
    }
}

fn any_key_ended(world: &World) -> bool {
    let ended = |view: &MemStore| {
        let mut members = view.scan(Table::Member, &[], &[0xff; 33], usize::MAX).unwrap();
        let rows = members.drain(..).map(|(key, _)| NodeId(key[..].try_into().unwrap()));
        let until = |node: NodeId| view.member(&node).unwrap().and_then(|row| row.until);
        !view.is_empty(Table::Revoked) || rows.map(until).any(|until| until.is_some())
    };
    world.nodes.iter().any(|node| ended(node.view()))
}

/// No honest node ever accused another.
pub fn nobody_blamed(world: &World) {
    for (n, node) in world.nodes.iter().enumerate().filter(|(_, node)| node.is_honest()) {
        let accusation = node.events.iter().find_map(|event| accusation(world, event));
        assert!(accusation.is_none(), "node {n} accuses: {accusation:?}");
    }
}

/// No queue is longer than its limit.
pub fn within_limits(world: &World) {
    for n in world.honest() {
        let limits = &world.nodes[n].config.limits;
        let engine = world.nodes[n].engine().unwrap();
        let (status, shown) = (engine.status(), engine.peers());
        assert!(status.wanted <= limits.wants as u64, "node {n} wants {} facts", status.wanted);
        let live = limits.inbound_max + limits.outbound_max;
        let (peers, most) = (shown.len(), limits.addresses_in_all() + live + CLOSES_MAX);
        assert!(peers <= most, "node {n} shows {peers} peers");
        let connected = shown.iter().filter(|peer| peer.connected).count();
        assert!(connected <= live, "node {n} has {connected} peers");
    }
}

/// What a node acknowledged is on every honest node that is up.
pub fn nothing_acknowledged_lost(world: &World) {
    for owner in world.honest() {
        for id in &world.nodes[owner].acknowledged {
            for n in world.honest() {
                let there = state_of(world, n, id).is_some();
                assert!(there, "node {n} lacks {id}, which node {owner} acknowledged");
            }
        }
    }
}

/// Whether all that still waits to be sealed waits for something that will never come: it is by
/// somebody hostile, or follows a fact that was lost with a disk or never existed.
pub fn only_stuck_pending(world: &World) -> bool {
    let evil = world.evil_keys();
    let may_be_stuck =
        !evil.is_empty() || world.nodes.iter().any(|node| node.wiped || node.engine().is_none());
    let stuck = |view: &MemStore, key: &[u8]| {
        let id = FactId::from_slice(key).unwrap();
        let (_, encoded) = view.fact(&id).unwrap().unwrap();
        let fact = encoded.fact();
        let is_custody = matches!(
            fact.body,
            Body::Request { .. } | Body::Release { .. } | Body::Transfer { .. }
        );
        evil.contains(&fact.author) || is_custody
    };
    world.honest().all(|n| {
        let pending = world.nodes[n].engine().unwrap().status().pending;
        let view = world.nodes[n].view();
        let rows = || view.scan(Table::Pending, &[], &[0xff; 9], usize::MAX).unwrap();
        pending == 0 || (may_be_stuck && rows().iter().all(|(_, id)| stuck(view, id)))
    })
}

/// Whether every node that is up has sealed all these facts, and all agree.
pub fn sealed(world: &World, ids: &[FactId]) -> bool {
    let is_sealed = |n: usize, id| matches!(state_of(world, n, id), Some(FactState::Sealed(..)));
    settled(world) && up(world).all(|n| ids.iter().all(|id| is_sealed(n, id)))
}
