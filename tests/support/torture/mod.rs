//! Trust by torture: a seed draws a scenario (a mesh, its rules, what its people do, what goes wrong
//! and who is hostile), which is played, healed, and judged by everything that must hold.
//!
//! The idea is FoundationDB's and TigerBeetle's. A scenario is an explicit list of steps, so that
//! one which fails can be made smaller and read.

mod demand;
mod draw;
mod leases;
mod outcasts;
mod play;
mod run;
mod shrink;
mod step;
mod tally;

pub use draw::draw;
pub use play::{Played, play, try_play};
pub use run::{Options, Report, run};
pub use shrink::shrink;
pub use step::Step;

use cairn_core::fact::Role;
use cairn_core::limits::Limits;
use cairn_core::params::{Admission, Params, ReleaseRule, SealRule};
use cairn_core::time::Millis;
use cairn_core::work::Target;

use crate::evil::Habit;
use crate::mesh;
use crate::world::Weather;

/// The rules of a drawn mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Least time between blocks.
    pub spacing: Millis,
    /// Most facts in a block.
    pub block_facts_max: u32,
    /// Half-life of proof of work; none if sealers take turns.
    pub pow: Option<Millis>,
    /// Anybody may write.
    pub open: bool,
    /// Only the holder may release.
    pub holder_only: bool,
    /// Nodes keep and send so little that their limits are reached.
    pub small: bool,
    /// There is a recovery key.
    pub recovery: bool,
}

impl Rules {
    /// Changes the limits of a node.
    pub fn limit(&self, limits: &mut Limits) {
        if !self.small {
            return;
        }
        (limits.mempool_facts, limits.mempool_bytes) = (24, 8 * 1024);
        (limits.strangers_facts, limits.strangers_bytes) = (8, 2 * 1024);
        (limits.wants, limits.verifying_facts) = (64, 16);
        (limits.headers_kept, limits.headers_in_memory) = (200, 4_000);
        (limits.bodies_ahead, limits.body_ids_in_memory) = (4, 64);
        (limits.requests_per_peer, limits.addresses) = (1, 16);
    }

    /// As rules of a mesh that node 0 founds.
    pub fn params(&self) -> Params {
        let mut params = mesh::private();
        params.spacing = self.spacing;
        params.block_facts_max = self.block_facts_max;
        if let Some(half_life) = self.pow {
            params.seal = SealRule::Pow { initial: Target::MAX, half_life };
        }
        if self.open {
            params.admission = Admission::Open;
        }
        if self.holder_only {
            params.release = ReleaseRule::Holder;
        }
        if self.recovery {
            params.recovery = mesh::recovery();
        }
        params
    }
}

/// One node of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// What it is admitted as; none if it is not, in an open mesh.
    pub role: Option<Role>,
    /// Admitted by an invite, not by the founder.
    pub by_invite: bool,
    /// Who it dials; the founder is always among them.
    pub dial: Vec<usize>,
    /// It joins with a step, not at the beginning.
    pub late: bool,
    /// How it lies, and how often of a hundred.
    pub evil: Option<(Vec<Habit>, u64)>,
    /// Left out by the shrinker.
    pub absent: bool,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// What it was drawn from; also decides everything that chance decides while it is played.
    pub seed: u64,
    /// The rules.
    pub rules: Rules,
    /// The weather at first.
    pub weather: Weather,
    /// The nodes; the first is the founder, who is honest and never leaves.
    pub nodes: Vec<NodePlan>,
    /// What happens.
    pub steps: Vec<Step>,
    /// Whether hostile nodes are still there, and lie, while the others have to agree.
    pub evil_stays: bool,
    /// How long it must be quiet in the end.
    pub quiet: Millis,
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {}: {:?}", self.seed, self.rules)?;
        writeln!(f, "  {:?}", self.weather)?;
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.absent) {
            let late = if node.late { ", late" } else { "" };
            write!(f, "  n{n}: {:?}, dials {:?}{late}", node.role, node.dial)?;
            match &node.evil {
                Some((habits, rate)) => writeln!(f, ", hostile {habits:?} in {rate} %")?,
                None => writeln!(f)?,
            }
        }
        let stays = if self.evil_stays { ", hostile nodes stay" } else { "" };
        for step in &self.steps {
            writeln!(f, "  {step:?}")?;
        }
        write!(f, "  heal{stays}, then agree, then {} min of quiet", self.quiet / 60_000)
    }
}
