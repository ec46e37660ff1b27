//! After revocations: whoever is revoked learns it, is cut off, and goes; the others must agree.
//!
//! Who was cut off in a part of the mesh may see things differently for ever, and nobody can tell it
//! better. So those who do not let each other in are not asked to agree: the largest group whose
//! members all do is what the mesh is now.

use cairn_core::engine::Command;
use cairn_core::time::Millis;

use super::play::Play;
use crate::belonging::{is_revoked, lets_in};
use crate::checkers::revoked_cut_off;
use crate::world::{World, address};

/// Quiet time in which blocks on their way decide whose admission counts.
const DUST: Millis = 20 * 60_000;

/// Everybody gets everybody's address from a person: who knew only the founder is lost without.
pub(super) fn exchange_addresses(world: &mut World) {
    let up: Vec<usize> = world.honest().collect();
    for a in &up {
        for b in up.iter().filter(|b| *b != a) {
            world.command(*a, Command::AddPeer(address(*b), None));
        }
    }
}

/// Whether a node's own set says that it is revoked.
fn knows_it_is_out(world: &World, n: usize) -> bool {
    is_revoked(world.nodes[n].view(), &world.nodes[n].id())
}

/// Whether everybody revoked in the set of somebody who is not has heard so.
fn all_know(world: &World) -> bool {
    let up: Vec<usize> = world.honest().collect();
    let tellers = up.iter().filter(|n| !knows_it_is_out(world, **n));
    let mut pairs = tellers.flat_map(|a| up.iter().map(move |b| (*a, *b)));
    pairs.all(|(a, b)| {
        !is_revoked(world.nodes[a].view(), &world.nodes[b].id()) || knows_it_is_out(world, b)
    })
}

/// The largest of the groups of nodes that all let each other in; of equals the one with the
/// lowest numbers.
fn mesh(world: &World, up: &[usize]) -> Vec<usize> {
    let both = |a: usize, b: usize| lets_in(world, a, b) && lets_in(world, b, a);
    let mut best = Vec::new();
    for chosen in 0_u32..1 << up.len() {
        let group: Vec<usize> =
            (0..up.len()).filter(|i| chosen >> i & 1 == 1).map(|i| up[i]).collect();
        let whole = group.iter().all(|a| group.iter().all(|b| a == b || both(*a, *b)));
        if whole && group.len() > best.len() {
            best = group;
        }
    }
    best
}

/// Whoever does not belong any more goes, after it has been told.
pub(super) fn leave(play: &mut Play<'_>, patience: Millis) {
    let world = &mut play.world;
    exchange_addresses(world);
    let told = world.run_until(patience, |world| all_know(world) && cut_off(world));
    assert!(told, "a revoked node was not told within {patience} ms");
    world.run(DUST);
    assert!(all_know(world) && cut_off(world), "revoked nodes are let in again");
    let up: Vec<usize> = world.honest().collect();
    let (out, rest): (Vec<usize>, Vec<usize>) =
        up.into_iter().partition(|n| knows_it_is_out(world, *n));
    let stay = mesh(world, &rest);
    for n in out {
        play.world.fault("revoked node gone");
        go(play, n);
    }
    for n in rest.into_iter().filter(|n| !stay.contains(n)) {
        play.world.fault("node not let in by all");
        go(play, n);
    }
}

fn cut_off(world: &World) -> bool {
    world.params.admission == cairn_core::params::Admission::Open || revoked_cut_off(world)
}

fn go(play: &mut Play<'_>, n: usize) {
    play.left[n] = true;
    play.world.kill(n);
}
