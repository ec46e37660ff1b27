//! Counts what scenarios have, so that whoever reads "nothing failed" sees what was tried.

use cairn_core::fact::Role;

use super::{Scenario, Step};
use crate::world::Tally;

/// Counts the rules and the nodes of a scenario.
pub(super) fn scenario(tally: &mut Tally, scenario: &Scenario) {
    let rules = &scenario.rules;
    let present = || scenario.nodes.iter().filter(|node| !node.absent);
    let with_role = |wanted: &[Role]| {
        present().filter(|node| node.role.is_some_and(|role| wanted.contains(&role))).count()
    };
    let traits = [
        ("mesh: sealers in turn", rules.pow.is_none()),
        ("mesh: proof of work", rules.pow.is_some()),
        ("mesh: by invitation", !rules.open),
        ("mesh: open", rules.open),
        ("mesh: only the holder releases", rules.holder_only),
        ("mesh: small limits", rules.small),
        ("mesh: several sealers", with_role(&[Role::Sealer, Role::Admin]) > 1),
        ("mesh: several admins", with_role(&[Role::Admin]) > 1),
        ("mesh: hostile nodes", present().any(|node| node.evil.is_some())),
    ];
    for (name, _) in traits.into_iter().filter(|(_, holds)| *holds) {
        count(tally, name);
    }
    let evil = present().filter_map(|node| node.evil.as_ref());
    for habit in evil.flat_map(|(habits, _)| habits) {
        count(tally, habit.name());
    }
}

/// Counts a step that is played.
pub(super) fn step(tally: &mut Tally, step: &Step) {
    count(tally, step.name());
}

fn count(tally: &mut Tally, name: &'static str) {
    *tally.drawn.entry(name).or_default() += 1;
}
