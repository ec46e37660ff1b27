//! The calm after a scenario, and all that must hold then.

use std::collections::BTreeSet;

use cairn_core::engine::State;
use cairn_core::event::Event;
use cairn_core::id::FactId;
use cairn_core::ledger::read::Read;
use cairn_core::store::{Table, View};
use cairn_core::time::Millis;

use super::play::Play;
use super::{Step, leases, outcasts};
use crate::belonging::is_revoked;
use crate::checkers::{
    agree, nothing_acknowledged_lost, nothing_lost, only_stuck_pending, same_ledger, state_of,
};
use crate::model::Model;
use crate::world::{Weather, World};

const MINUTE: u64 = 60_000;
/// Quarters of an hour until nothing happens any more.
const CALM_MAX: usize = 40;
/// Inputs that an idle node may handle for each peer in a minute.
const IDLE_INPUTS: u64 = 40;

/// Everything that was wrong is right again.
pub(super) fn heal(play: &mut Play<'_>) {
    let scenario = play.scenario;
    play.world.heal();
    // Whoever is stopping stops, as soon as it is awake.
    let asleep = play.world.nodes.iter().map(|node| node.stops_at()).max();
    let stopped = asleep.unwrap_or_default().max(play.world.now()) + MINUTE / 6;
    play.world.run(stopped - play.world.now());
    play.world.weather = Weather::default();
    for n in 0..scenario.nodes.len() {
        let world = &mut play.world;
        world.set_scarce(n, false);
        world.nodes[n].disk.mend();
        world.nodes[n].clocks.unconfirmed = false;
        if world.nodes[n].clocks.skew != 0 {
            world.set_clock(n, 0);
        }
        if !world.nodes[n].is_honest() && !scenario.evil_stays {
            play.left[n] = true;
            if play.is_up(n) {
                play.world.kill(n);
            }
        }
        if !scenario.nodes[n].absent {
            play.joined[n] = true;
            play.start(n);
        }
    }
}

/// How long it may take until all agree and nothing waits.
fn patience(play: &Play<'_>) -> Millis {
    let written = play.scenario.steps.iter().map(|step| match step {
        Step::Note { count, .. } => *count,
        _ => 1,
    });
    let facts = written.sum::<u64>() + play.world.nodes[0].view().len(Table::Fact) as u64;
    let rules = &play.scenario.rules;
    let blocks = 20 + facts / u64::from(rules.block_facts_max.min(64));
    // A hostile sealer that withholds its blocks holds up each of the others' for as long as honest
    // nodes wait for what was announced.
    let withheld = if play.scenario.evil_stays { 2 * MINUTE } else { 0 };
    30 * MINUTE + play.ahead + blocks * (4 * rules.spacing + withheld)
}

/// Whether hostile nodes are still among the others.
fn is_infested(world: &World) -> bool {
    world.nodes.iter().any(|node| !node.is_honest() && node.engine().is_some())
}

fn synced(world: &World) -> bool {
    let state = |n: usize| world.nodes[n].engine().map(|engine| engine.status().state);
    // Whoever is alone in a mesh of many is isolated and says so.
    world.honest().count() < 2 || world.honest().all(|n| state(n) == Some(State::Synced))
}

fn settled(world: &World) -> bool {
    agree(world) && only_stuck_pending(world) && (is_infested(world) || synced(world))
}

fn demand_agreement(world: &mut World, patience: Millis, what: &str) {
    if !world.run_until(patience, settled) {
        for n in world.honest().collect::<Vec<_>>() {
            let engine = world.nodes[n].engine().unwrap();
            let mut peers = engine.peers();
            peers.retain(|peer| peer.connected);
            eprintln!("n{n}: {:?} {peers:?}", engine.status());
        }
        show_differences(world);
        panic!("{what}: no agreement within {patience} ms");
    }
}

/// Prints the facts that are not the same on all honest nodes.
fn show_differences(world: &World) {
    let nodes: Vec<usize> = world.honest().collect();
    let ids = |n: usize| {
        let rows = world.nodes[n].view().scan(Table::FactIndex, &[], &[0xff; 33], usize::MAX);
        rows.unwrap().into_iter().filter_map(|(key, _)| FactId::from_slice(&key))
    };
    for (_, id) in world.nodes[nodes[0]].view().scan(Table::Pending, &[], &[0xff; 9], 9).unwrap() {
        let fact =
            FactId::from_slice(&id).and_then(|id| world.nodes[nodes[0]].view().fact(&id).unwrap());
        eprintln!(
            "pending on n{}: {:?}",
            nodes[0],
            fact.map(|(_, fact)| format!("{:?}", fact.fact()))
        );
    }
    let all: BTreeSet<FactId> = nodes.iter().flat_map(|n| ids(*n)).collect();
    for id in all {
        let states: Vec<_> = nodes.iter().map(|n| state_of(world, *n, &id)).collect();
        if states.windows(2).any(|two| two[0] != two[1]) {
            eprintln!("{id} on {nodes:?}: {states:?}");
        }
    }
}

/// Every line of "what must be true at all times" that can only be seen afterwards.
pub(super) fn everything(play: &mut Play<'_>) {
    let patience = patience(play);
    if play.scenario.steps.iter().any(Step::revokes) {
        outcasts::leave(play, patience);
        if play.world.honest().next().is_none() {
            return play.world.fault("nobody left");
        }
    }
    leases::renew(play, patience);
    let world = &mut play.world;
    demand_agreement(world, patience, "after the healing");
    ledgers(world);
    if !is_infested(world) {
        quiet(world, play.scenario.quiet);
    }
    // Whoever comes back with nothing after those who admitted the others were revoked may refuse
    // them for good: a known fault (docs/roadmap.md).
    let admitter_revoked = world.honest().any(|n| {
        let view = world.nodes[n].view();
        world.params.roots.iter().any(|root| is_revoked(view, root))
    });
    if play.scenario.seed.is_multiple_of(4) && !is_infested(world) && !admitter_revoked {
        survive(world, patience, play.scenario.seed / 4);
    }
}

fn ledgers(world: &World) {
    same_ledger(world);
    nothing_lost(world);
    nothing_acknowledged_lost(world);
    for n in world.honest() {
        let view = world.nodes[n].view();
        Model::replay(&world.params, view).assert_is(view);
    }
}

/// Nothing happens any more but pings.
fn quiet(world: &mut World, span: Millis) {
    let news = |world: &World| -> usize {
        let is_news = |event: &&Event| {
            matches!(event, Event::FactAdded(_) | Event::BlockConnected { .. } | Event::Reorged(_))
        };
        world.nodes.iter().map(|node| node.events.iter().filter(is_news).count()).sum()
    };
    // Whoever sleeps wakes first, and what hostile nodes left behind is sealed or never is.
    let mut before = usize::MAX;
    for _ in 0..CALM_MAX {
        if before == news(world) {
            break;
        }
        before = news(world);
        world.run(15 * MINUTE);
    }
    let (before, events) = (news(world), world.tally.events);
    world.run(span);
    assert_eq!(news(world), before, "something happened in the quiet");
    let nodes = world.nodes.len() as u64;
    let busy = (world.tally.events - events) / nodes / nodes;
    let most = IDLE_INPUTS * span / MINUTE;
    assert!(busy < most, "an idle node handled {busy} inputs per peer, more than {most}");
    assert!(settled(world), "no longer settled");
}

/// All but one lose everything, and get it back from the one.
fn survive(world: &mut World, patience: Millis, pick: u64) {
    let up: Vec<usize> = world.honest().collect();
    let survivor = up[(pick % up.len() as u64) as usize];
    let row = |world: &World| world.nodes[survivor].engine().unwrap().status().clone();
    let before = row(world);
    for n in up.into_iter().filter(|n| *n != survivor) {
        world.kill(n);
        world.wipe(n);
        world.start(n);
    }
    outcasts::exchange_addresses(world);
    demand_agreement(world, patience, "one survivor");
    ledgers(world);
    let after = row(world);
    // Whoever lost its disk may seal a height again before it hears of the first block there.
    assert_eq!(before.facts, after.facts, "the survivor lost facts");
    assert!(after.tip.work >= before.tip.work, "{before:?} became {after:?}");
}
