//! How large meshes converge: every node dials a few others that were there before it, as an
//! operator would, and finds more by itself.

use std::fmt;

use cairn_core::engine::Command;
use cairn_core::fact::Role;
use cairn_core::id::FactId;
use cairn_core::signature::SigningKey;
use cairn_core::store::Table;
use cairn_core::testing::TestNode;
use cairn_core::time::Millis;

use crate::checkers::{agree, state_of};
use crate::mesh;
use crate::random::Random;
use crate::world::World;

/// Others that each node dials.
const DIALS: usize = 8;
/// Members that seal blocks.
const SEALERS: usize = 16;
const MINUTE: u64 = 60_000;

/// What a mesh of one size needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Nodes.
    pub nodes: usize,
    /// From the start of all nodes at once until all hold all admissions and one chain.
    pub joined_ms: Millis,
    /// Bytes that a node sent for that.
    pub joined_bytes: u64,
    /// From one new fact until all hold it.
    pub fact_ms: Millis,
    /// Until all have it sealed, on one chain.
    pub sealed_ms: Millis,
    /// Bytes that a node sent for that.
    pub fact_bytes: u64,
    /// Bytes that a node sends in an hour in which nothing happens.
    pub idle_bytes: u64,
    /// Bytes of memory of one node, its store in memory included.
    pub memory: u64,
}

impl Measured {
    /// Heads of the columns.
    pub const HEAD: &'static str = "\
| nodes | joined, s | bytes a node | fact held by all, s | sealed, s | bytes a node \
| idle, bytes a node and hour | memory a node |\n|--:|--:|--:|--:|--:|--:|--:|--:|";
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.nodes,
            seconds(self.joined_ms),
            self.joined_bytes,
            seconds(self.fact_ms),
            seconds(self.sealed_ms),
            self.fact_bytes,
            self.idle_bytes,
            self.memory
        )
    }
}

fn key(n: usize) -> SigningKey {
    if n == 0 {
        return mesh::key(0);
    }
    let mut seed = [0x5c; 32];
    seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
    SigningKey::from_seed(seed)
}

fn build(nodes: usize, seed: u64) -> World {
    let mut world = World::new(seed, mesh::private());
    let founder = TestNode { key: key(0), mesh: world.mesh() };
    let mut random = Random::new(seed);
    for n in 0..nodes {
        let mut dial: Vec<usize> =
            (0..DIALS).map(|_| random.below(n as u64) as usize).filter(|to| *to < n).collect();
        dial.sort_unstable();
        dial.dedup();
        let role = if n < SEALERS { Role::Sealer } else { Role::Member };
        let admit = (n > 0).then(|| founder.admit(key(n).node_id(), role));
        world.add_node(key(n), &dial, admit.as_slice());
    }
    world
}

fn sent(world: &World) -> u64 {
    world.nodes.iter().map(|node| node.traffic.sent).sum::<u64>() / world.nodes.len() as u64
}

fn all_hold(world: &World, id: &FactId) -> bool {
    (0..world.nodes.len()).all(|n| state_of(world, n, id).is_some())
}

fn settled(world: &World, facts: usize) -> bool {
    let status = |n: usize| world.nodes[n].engine().map(|engine| engine.status().pending);
    let full = world.nodes[0].view().len(Table::Fact) == facts;
    full && agree(world) && (0..world.nodes.len()).all(|n| status(n) == Some(0))
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

/// Measures a mesh of so many nodes. Panics if it does not converge.
pub fn measure(nodes: usize, seed: u64) -> Measured {
    let before = resident();
    let mut world = build(nodes, seed);
    let mut measured = Measured { nodes, ..Measured::default() };
    assert!(world.run_until(60 * MINUTE, |world| settled(world, nodes - 1)), "no mesh");
    measured.joined_ms = world.now();
    measured.joined_bytes = sent(&world);
    measured.memory = resident().saturating_sub(before) / nodes as u64;
    // Until everybody has found its peers.
    world.run(30 * MINUTE);

    let idle = sent(&world);
    world.run(60 * MINUTE);
    measured.idle_bytes = sent(&world) - idle;

    let (start, bytes) = (world.now(), sent(&world));
    let author = TestNode { key: key(nodes - 1), mesh: world.mesh() };
    let fact = author.record("note", "what is new");
    let id = fact.id();
    world.command(nodes - 1, Command::Publish(vec![fact]));
    assert!(world.run_until(10 * MINUTE, |world| all_hold(world, &id)), "not everybody heard");
    measured.fact_ms = world.now() - start;
    assert!(world.run_until(10 * MINUTE, |world| settled(world, nodes)), "not sealed by all");
    measured.sealed_ms = world.now() - start;
    measured.fact_bytes = sent(&world) - bytes;
    measured
}
