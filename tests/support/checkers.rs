//! What must be true, one function each. They panic with what is wrong.

use std::collections::BTreeMap;

use cairn_core::engine::{Engine, Gauge};
use cairn_core::event::Event;
use cairn_core::fact::Body;
use cairn_core::id::{FactId, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::{FOR_GOOD, FactState, height_key, history_key};
use cairn_core::params::Admission;
use cairn_core::store::{Table, View};
use cairn_core::testing::MemStore;
use cairn_core::time::{Instant, Millis};
use cairn_core::wire::{Class, CloseCode};
use cairn_core::work::Height;

use crate::belonging::{anybody_revoked, in_force, is_revoked, lets_in, somebody_seals};
use crate::model::Model;
use crate::world::{End, Node, Tally, World};

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

/// No honest node that is up has a link to a key that its set knows to be revoked.
pub fn revoked_cut_off(world: &World) -> bool {
    world.honest().all(|n| {
        let peers = world.nodes[n].engine().unwrap().peers();
        let mut live = peers.iter().filter(|peer| peer.connected).filter_map(|peer| peer.node);
        !live.any(|node| is_revoked(world.nodes[n].view(), &node))
    })
}

/// A link to somebody who is revoked in the set of a node ends within this time.
const CUT_OFF_WITHIN: Millis = 5_000;

/// No node has been linked for longer to a key that its set knows to be revoked.
pub(crate) fn revoked_in_time(n: usize, node: &mut Node, now: Instant) {
    let view = node.disk.view();
    let Some(engine) = node.engine.as_ref().filter(|_| !view.is_empty(Table::Revoked)) else {
        return;
    };
    let closes = node.config.params.admission == Admission::Invite && !is_revoked(view, &node.id());
    let peers = engine.peers();
    let linked = peers.iter().filter(|peer| peer.connected).filter_map(|peer| peer.node);
    let late: Vec<NodeId> = linked.filter(|key| closes && is_revoked(view, key)).collect();
    let (life, since) = &mut node.overdue;
    if *life != node.life {
        (*life, *since) = (node.life, BTreeMap::new());
    }
    since.retain(|key, _| late.contains(key));
    for key in late {
        let seen = *since.entry(key).or_insert(now);
        let span = now.since(seen);
        assert!(
            span <= CUT_OFF_WITHIN,
            "node {n} is linked to {key}, who is revoked, for {span} ms"
        );
    }
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
/// is wrong. (`wrong_close` judges the others when they are made.) Returns the accusation.
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
            (blames && !evil.contains(node)).then(|| format!("{event:?}"))
        }
        Event::PeerBanned { node, .. } if !evil.contains(node) => Some(format!("{event:?}")),
        Event::BlockRefused { .. } if evil.is_empty() => Some(format!("{event:?}")),
        _ => None,
    }
}

/// A reason to close a connection that is not true, by an honest node toward another: who is kept
/// out is revoked in the set of the closer, or nobody who counts there admits it; and a hello was
/// late.
pub(crate) fn wrong_close(world: &World, n: usize, end: &End, code: CloseCode) -> Option<String> {
    let (closer, other) = (&world.nodes[n], &world.nodes[end.to]);
    if !closer.is_honest() || !other.is_honest() {
        return None;
    }
    let right = match code {
        CloseCode::BadHello => {
            world.now().saturating_sub(end.opened_at) >= closer.config.limits.hello_timeout
        }
        // Who was told on this link that it is revoked itself closes it too, if the other does not.
        // Neither set need have that any more: who has no room does not note it, and the other may
        // have lost its disk since. Or it was when it took leave, a moment before a recovery came.
        CloseCode::Revoked => {
            let was = closer.view().get(Table::Revoked, other.id().as_bytes()).unwrap().is_some();
            was || end.dismissed || is_revoked(closer.view(), &other.id())
        }
        CloseCode::NotMember | CloseCode::InviteRevoked => !lets_in(world, n, end.to),
        CloseCode::InviteSpent => false,
        _ => true,
    };
    (!right).then(|| format!("node {n} closes its link to {} wrongly: {code}", end.to))
}

/// No honest node ever accused another.
pub fn nobody_blamed(world: &World) {
    for (n, node) in world.nodes.iter().enumerate().filter(|(_, node)| node.is_honest()) {
        let accusation = node.events.iter().find_map(|event| accusation(world, event));
        assert!(accusation.is_none(), "node {n} accuses: {accusation:?}");
    }
}

/// No queue of an engine is longer than its limit.
pub(crate) fn within_limits(n: usize, engine: &Engine, tally: &mut Tally) {
    engine.gauges(|gauge| {
        let Gauge { name, held, most } = gauge;
        assert!(held <= most, "node {n}: {held} {name}, more than {most}");
        tally.saw(name, held, most);
    });
}

/// What a node acknowledged is on every honest node that is up.
pub fn nothing_acknowledged_lost(world: &World) {
    for owner in world.honest() {
        for id in &world.nodes[owner].acknowledged {
            // What a revoked author wrote and no block seals stays with those who have it.
            let view = world.nodes[owner].view();
            let fact = view.fact(id).unwrap();
            let ended = fact.is_some_and(|(row, fact)| {
                let sealed = matches!(row.state, FactState::Sealed(..));
                !sealed && is_revoked(view, &fact.fact().author)
            });
            if ended {
                continue;
            }
            for n in world.honest() {
                let there = state_of(world, n, id).is_some();
                let state = state_of(world, owner, id);
                assert!(there, "node {n} lacks {id} ({state:?}), acknowledged by node {owner}");
            }
        }
    }
}

/// Whether all that still waits to be sealed waits for something that will never come: it is by
/// somebody hostile or who does not belong any more, names somebody who does not, or follows a fact
/// that was lost with a disk or never existed; or all who might seal are gone.
pub fn only_stuck_pending(world: &World) -> bool {
    let evil = world.evil_keys();
    let may_be_stuck =
        !evil.is_empty() || world.nodes.iter().any(|node| node.wiped || node.engine().is_none());
    let is_open = world.params.admission == Admission::Open;
    let stuck = |view: &MemStore, key: &[u8]| {
        let id = FactId::from_slice(key).unwrap();
        let (_, encoded) = view.fact(&id).unwrap().unwrap();
        let fact = encoded.fact();
        let is_custody = matches!(
            fact.body,
            Body::Request { .. } | Body::Release { .. } | Body::Transfer { .. }
        );
        // In an open mesh too, an invite whose maker is revoked admits nobody.
        let needs_admission = !is_open || fact.body.is_membership();
        let gone = anybody_revoked(view)
            && (is_revoked(view, &fact.author)
                || (needs_admission && !in_force(view, &fact.author)));
        evil.contains(&fact.author) || is_custody || gone
    };
    // It waits for somebody who may be admitted yet.
    let names_nobody = |view: &MemStore, key: &[u8]| {
        let id = FactId::from_slice(key).unwrap();
        let (_, encoded) = view.fact(&id).unwrap().unwrap();
        matches!(encoded.fact().body, Body::Name { node, .. } if !in_force(view, &node))
    };
    if !somebody_seals(world) {
        return true;
    }
    world.honest().all(|n| {
        let pending = world.nodes[n].engine().unwrap().status().pending;
        let view = world.nodes[n].view();
        let rows = || view.scan(Table::Pending, &[], &[0xff; 9], usize::MAX).unwrap();
        let any_may_be = may_be_stuck || anybody_revoked(view);
        let waits_in_vain = |id: &[u8]| names_nobody(view, id) || (any_may_be && stuck(view, id));
        pending == 0 || rows().iter().all(|(_, id)| waits_in_vain(id))
    })
}

/// Everything that must be true when a story is over.
pub fn sound(world: &World) {
    same_ledger(world);
    nothing_lost(world);
    nobody_blamed(world);
    assert!(revoked_cut_off(world));
    for node in world.nodes.iter().filter(|node| node.engine().is_some()) {
        Model::replay(&world.params, node.view()).assert_is(node.view());
    }
}

/// No row speaks of a block above the tip, and each block of the chain can be taken back.
pub(crate) fn nothing_above_the_tip(view: &MemStore) {
    let tip = view.tip_row().unwrap().unwrap().tip.height;
    let above = tip.0 + 1;
    let rows = |table, from: &[u8], to: &[u8]| view.scan(table, from, to, 1).unwrap();
    assert_eq!(rows(Table::Chain, &height_key(Height(above)), &[0xff; 9]), [], "above {tip:?}");
    for level in 0..64 {
        let (from, to) = (history_key(level, above >> level), history_key(level, u64::MAX));
        assert_eq!(rows(Table::History, &from, &to), [], "above {tip:?} at level {level}");
    }
    let conflicts = rows(Table::Conflict, &height_key(Height(above)), &height_key(FOR_GOOD));
    assert_eq!(conflicts, [], "since above {tip:?}");
    assert_eq!(view.len(Table::Undo) as u64, tip.0, "blocks that can be taken back");
}

/// Whether the answers to requests of a class are written down.
pub(crate) const fn fills_the_disk(class: Class) -> bool {
    matches!(class, Class::Blocks | Class::Facts | Class::Reconcile)
}

/// Whether every node that is up has sealed all these facts, and all agree.
pub fn sealed(world: &World, ids: &[FactId]) -> bool {
    settled(world) && up(world).all(|n| have_sealed(world, n, ids))
}

/// Whether every honest node has sealed all these facts.
pub fn honest_sealed(world: &World, ids: &[FactId]) -> bool {
    world.honest().all(|n| have_sealed(world, n, ids))
}

fn have_sealed(world: &World, n: usize, ids: &[FactId]) -> bool {
    ids.iter().all(|id| matches!(state_of(world, n, id), Some(FactState::Sealed(..))))
}
