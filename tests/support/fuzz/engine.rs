//! The whole engine, fed with whatever bytes say: connections, true and false messages, forged
//! blocks, commands, time, lost power.
//!
//! Checked at every step: no panic, one commit per input, bounded queues, one reply per command,
//! no two blocks of ours on one parent shown to others. At every crash and at the end: the state is
//! that of a naive replay, and nothing acknowledged is gone. At the end an honest peer still brings
//! it to its own tip or a better one.

mod scene;
mod steps;

use super::Source;
use scene::Scene;

/// Steps of one run.
const STEPS_MAX: usize = 120;

/// One life of a node among hostile peers.
pub(super) fn engine(data: &[u8]) {
    let mut source = Source::new(data);
    let mut scene = Scene::new(&mut source);
    for _ in 0..STEPS_MAX {
        if source.is_empty() {
            break;
        }
        scene.step(&mut source);
    }
    scene.end();
}
