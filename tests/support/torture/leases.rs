//! Memberships that are lent for a few blocks, now and then; and before everybody has to agree, all of
//! them made memberships without end, after which who was cut off comes back by itself.
//!
//! Not together with revocations: who is revoked for good and who may come back are told apart by
//! the naive ledger in the tests of the rules.

use cairn_core::engine::Command;
use cairn_core::fact::{Body, Role};
use cairn_core::id::FactId;
use cairn_core::ledger::line;
use cairn_core::ledger::read::Read;
use cairn_core::store::{Table, View};
use cairn_core::testing::MemStore;
use cairn_core::time::Millis;

use super::play::Play;
use super::{Scenario, Step};
use crate::mesh::key;
use crate::random::Random;

/// Seeds of a hundred in which memberships are lent.
const CHANCE: u64 = 15;
/// Between two looks at who is still lent one.
const PAUSE: Millis = 60_000;

/// Adds leases to a scenario, in draws of their own, so that all other seeds stay as they were.
pub(super) fn lend(scenario: &mut Scenario) {
    let mut random = Random::new(scenario.seed ^ 0x006c_6561_7365_7331);
    let may_be_lent = |n: &usize| {
        let plan = &scenario.nodes[*n];
        plan.evil.is_none() && plan.role.is_some_and(|role| role != Role::Admin)
    };
    let members: Vec<usize> = (1..scenario.nodes.len()).filter(may_be_lent).collect();
    let revokes = scenario.steps.iter().any(Step::revokes);
    if scenario.rules.open || revokes || members.is_empty() || !random.chance(CHANCE) {
        return;
    }
    for _ in 0..=random.below(5) {
        let whom = members[random.below(members.len() as u64) as usize];
        let blocks = [Some(0), Some(1), Some(3), Some(12), None][random.below(5) as usize];
        let at = random.below(scenario.steps.len() as u64 + 1) as usize;
        scenario.steps.insert(at, Step::Lease { n: 0, whom, blocks });
    }
}

/// Whether a node's chain or what waits there lends one of these memberships.
fn is_lent(view: &MemStore, whom: &[usize]) -> bool {
    let lent = |n: &usize| line::lease(view, &key(*n).node_id()).unwrap().is_some();
    let waits = |id: &[u8]| {
        let fact = FactId::from_slice(id).and_then(|id| view.fact(&id).unwrap());
        fact.is_some_and(|(_, fact)| matches!(fact.fact().body, Body::Lease { until: Some(_), .. }))
    };
    let pending = view.scan(Table::Pending, &[], &[0xff; 9], usize::MAX).unwrap();
    whom.iter().any(lent) || pending.iter().any(|(_, id)| waits(id))
}

/// The founder renews all leases for ever, again and again until every node has heard.
pub(super) fn renew(play: &mut Play<'_>, patience: Millis) {
    let whom = play.scenario.steps.iter().filter_map(|step| match step {
        Step::Lease { whom, .. } => Some(*whom),
        _ => None,
    });
    let mut whom: Vec<usize> = whom.collect();
    whom.sort_unstable();
    whom.dedup();
    if whom.is_empty() || !play.is_up(0) {
        return;
    }
    for _ in 0..=patience / PAUSE {
        let world = &mut play.world;
        if !world.honest().any(|n| is_lent(world.nodes[n].view(), &whom)) {
            return;
        }
        for n in &whom {
            world.command(0, Command::Lease { node: key(*n).node_id(), until: None });
        }
        world.run(PAUSE);
    }
    let world = &play.world;
    let late: Vec<usize> =
        world.honest().filter(|n| is_lent(world.nodes[*n].view(), &whom)).collect();
    panic!("nodes {late:?} have not heard within {patience} ms that leases were renewed");
}
