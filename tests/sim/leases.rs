//! Memberships that end by height in one part of a split mesh and not yet in the other.

use cairn_core::engine::Command;
use cairn_core::id::FactId;
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::rows::FactState;
use cairn_core::work::Height;
use support::checkers::{sealed, settled, sound, state_of};
use support::world::World;

use crate::mesh::{key, linked, note, private, star};

const MINUTE: u64 = 60_000;

fn height(world: &World, n: usize) -> u64 {
    world.nodes[n].engine().unwrap().status().tip.height.0
}

fn lend(world: &mut World, by: usize, whom: usize, until: Option<u64>) {
    let node = key(whom).node_id();
    world.command(by, Command::Lease { node, until: until.map(Height) });
}

fn has_lapsed(world: &World, n: usize, whom: usize) -> bool {
    let standing = line::standing(world.nodes[n].view(), &key(whom).node_id());
    matches!(standing, Ok(Standing::Lapsed(_)))
}

/// Whether a node has sealed all of these.
fn has_sealed(world: &World, n: usize, ids: &[FactId]) -> bool {
    ids.iter().all(|id| matches!(state_of(world, n, id), Some(FactState::Sealed(..))))
}

#[test]
fn a_guest_whose_lease_ends_while_it_is_away_comes_back_with_all_it_wrote_when_it_is_renewed() {
    for (seed, alone) in [(101, 1), (102, 9)] {
        let mut world = star(seed, private(), 3);
        world.run(10_000);
        assert!(world.run_until(MINUTE, settled));
        let until = height(&world, 0) + 4;
        lend(&mut world, 0, 3, Some(until));
        assert!(world.run_until(MINUTE, settled));
        world.split(&[0, 1, 2], &[3]);
        world.run(2 * MINUTE);
        let mut written = Vec::new();
        for round in 0..6 {
            written.push(note(&mut world, round % 3, &format!("here {round}")));
            assert!(world.run_until(MINUTE, |world| has_sealed(world, 0, &written)));
        }
        // Alone it may get to the end of its lease as well, or further than the others.
        for round in 0..alone {
            written.push(note(&mut world, 3, &format!("away {round}")));
            world.run(MINUTE);
        }
        assert!(has_lapsed(&world, 0, 3));
        world.heal();
        world.run(5 * MINUTE);
        assert!((0..3).all(|n| has_lapsed(&world, n, 3) && !linked(&world, n, 3)), "seed {seed}");
        lend(&mut world, 0, 3, None);
        assert!(world.run_until(20 * MINUTE, |world| linked(world, 0, 3) && settled(world)));
        let late = note(&mut world, 3, "back");
        // What it was refused is in no set.
        written.retain(|id| state_of(&world, 3, id).is_some());
        assert!(written.len() > 6, "what it wrote while it counted is not lost");
        written.push(late);
        assert!(world.run_until(10 * MINUTE, |world| sealed(world, &written)), "seed {seed}");
        sound(&world);
    }
}
