//! Links between nodes that find each other.

use cairn_core::event::Event;
use cairn_core::wire::CloseCode;
use support::checkers::nobody_blamed;
use support::world::World;

use support::mesh::{private, star};

/// Links that were closed because there was another one.
fn duplicates(world: &World) -> usize {
    let is_duplicate = |event: &&Event| {
        matches!(event, Event::PeerClosed { code: Some(CloseCode::Duplicate), by_peer: false, .. })
    };
    world.nodes.iter().flat_map(|node| &node.events).filter(is_duplicate).count()
}

#[test]
fn a_new_pair_makes_one_connection() {
    for others in [1, 2] {
        let mut world = star(7, private(), 0);
        let mesh = world.mesh();
        let founder = cairn_core::testing::TestNode { key: support::mesh::key(0), mesh };
        for n in 1..=others {
            let key = support::mesh::key(n);
            let admit = founder.admit(key.node_id(), cairn_core::fact::Role::Sealer);
            world.add_node(key, &[0], &[admit]);
            world.run(20_000);
        }
        world.run(600_000);
        assert_eq!(duplicates(&world), 0, "{others} others");
        for node in &world.nodes {
            let peers = node.engine().unwrap().peers();
            assert_eq!(peers.iter().filter(|peer| peer.connected).count(), others);
        }
        nobody_blamed(&world);
    }
}
