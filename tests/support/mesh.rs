//! Meshes to start from.

use crate::world::World;
use cairn_core::engine::{self, Command, CommandId, CustodyAction, Receipt, State};
use cairn_core::fact::{EncodedFact, Role};
use cairn_core::id::{BlockId, FactId};
use cairn_core::params::{Params, Recovery, SealRule};
use cairn_core::signature::SigningKey;
use cairn_core::testing::TestNode;
use cairn_core::time::UnixTime;
use cairn_core::verified::Verified;
use cairn_core::work::Target;

/// Key of the `n`th node.
pub fn key(n: usize) -> SigningKey {
    SigningKey::from_seed([n as u8 + 1; 32])
}

/// Rules of a private mesh founded by node 0, a block every second.
pub fn private() -> Params {
    let mut params =
        Params::private("sim", &[key(0).node_id()], UnixTime(1_767_225_600_000)).unwrap();
    params.spacing = 1_000;
    params
}

/// Rules of a mesh with the easiest proof of work at a constant target.
pub fn pow() -> Params {
    Params { seal: SealRule::Pow { initial: Target::MAX, half_life: 0 }, ..private() }
}

/// A recovery key, of no node.
pub fn recovery_key() -> SigningKey {
    SigningKey::from_seed([0xee; 32])
}

/// What rules say of it.
pub fn recovery() -> Recovery {
    Recovery { threshold: 1, keys: [recovery_key().node_id()].into_iter().collect() }
}

/// What the recovery key says: node `n` takes over from the founder's key, going on from a block if
/// one is named, and these have their seats again.
pub fn recover(world: &mut World, n: usize, seats: &[usize], on: Option<BlockId>) {
    let mut seats: Vec<_> = seats.iter().map(|n| key(*n).node_id()).collect();
    seats.sort_unstable();
    let seats: Vec<u8> = seats.iter().flat_map(|key| key.0).collect();
    let ended = key(0).node_id().0.to_vec();
    let mut said = engine::Recovery { on, ended, seats, ..engine::Recovery::default() };
    let author = key(n).node_id();
    said.signatures = said.statement().sign(&world.mesh(), &author, &recovery_key()).to_vec();
    world.command(n, Command::Recover(said));
}

/// A founder and `others` sealers admitted by it, who know only the founder's address.
pub fn star(seed: u64, params: Params, others: usize) -> World {
    let mut world = World::new(seed, params);
    let mesh = world.mesh();
    let founder = TestNode { key: key(0), mesh };
    world.add_node(key(0), &[], &[]);
    for n in 1..=others {
        let admit: Verified<EncodedFact> = founder.admit(key(n).node_id(), Role::Sealer);
        world.add_node(key(n), &[0], &[admit]);
    }
    world
}

/// Writes a record on a node.
pub fn note(world: &mut World, n: usize, text: &str) -> FactId {
    let author = TestNode { key: key(n), mesh: world.mesh() };
    let fact = author.record("note", text);
    let id = fact.id();
    world.command(n, Command::Publish(vec![fact]));
    id
}

/// Asks for a custody change on a node.
pub fn custody(world: &mut World, n: usize, item: &str, action: CustodyAction) -> CommandId {
    world.command(n, Command::Custody { item: item.into(), action, note: String::new() })
}

/// How a node that is up is doing.
pub fn state(world: &World, n: usize) -> State {
    world.nodes[n].engine().unwrap().status().state
}

/// Whether a node that is up has a link to the key of the `number`th.
pub fn linked(world: &World, n: usize, number: usize) -> bool {
    let peers = world.nodes[n].engine().unwrap().peers();
    peers.iter().any(|peer| peer.connected && peer.node == Some(key(number).node_id()))
}

/// The fact that a command made, once it is durable.
pub fn made(world: &World, n: usize, command: CommandId) -> Option<FactId> {
    match world.nodes[n].replies.get(&command) {
        Some(Ok(Receipt::Made(id))) => Some(*id),
        _ => None,
    }
}
