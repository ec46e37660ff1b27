//! Makes a scenario that fails smaller while it still fails in the same place: steps, nodes, habits,
//! weather. The idea is delta debugging (Zeller, Hildebrandt, TSE 2002).

use super::{Scenario, Step, try_play};
use crate::world::Weather;

/// Scenarios tried at most.
const TRIES: usize = 2_000;

struct Shrink {
    best: Scenario,
    /// Where it fails.
    place: String,
    tries: usize,
}

/// Where in the code it failed, and in which words up to the first number.
fn place(message: &str) -> String {
    let mut lines = message.lines();
    let place = lines.next().unwrap_or_default();
    let words = lines.next().unwrap_or_default();
    let words = words.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
    format!("{place} {words}")
}

impl Shrink {
    /// Keeps the candidate if it fails in the same place.
    fn keep(&mut self, candidate: Scenario) -> bool {
        if self.tries == 0 || candidate == self.best {
            return false;
        }
        self.tries -= 1;
        let same = try_play(&candidate).is_err_and(|message| place(&message) == self.place);
        if same {
            self.best = candidate;
        }
        same
    }

    fn change(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.keep(candidate)
    }

    /// Leaves out runs of steps, long ones first.
    fn steps(&mut self) -> bool {
        let mut shrunk = false;
        let mut length = self.best.steps.len();
        while length > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let to = (from + length).min(self.best.steps.len());
                if self.change(|s| drop(s.steps.drain(from..to))) {
                    shrunk = true;
                } else {
                    from += length;
                }
            }
            length /= 2;
        }
        shrunk
    }

    fn nodes(&mut self) -> bool {
        let mut shrunk = false;
        for n in 1..self.best.nodes.len() {
            shrunk |= self.change(|s| s.nodes[n].absent = true);
            shrunk |= self.change(|s| s.nodes[n].evil = None);
            shrunk |= self.change(|s| s.nodes[n].late = false);
            shrunk |= self.change(|s| s.nodes[n].by_invite = false);
            shrunk |= self.change(|s| s.nodes[n].dial = vec![0]);
            let habits = self.best.nodes[n].evil.as_ref().map_or(0, |(habits, _)| habits.len());
            for habit in (0..habits).rev() {
                shrunk |= self.change(|s| {
                    if let Some((habits, _)) = s.nodes[n].evil.as_mut() {
                        habits.remove(habit);
                    }
                });
            }
        }
        shrunk
    }

    fn weather(&mut self) -> bool {
        let calm = Weather::default();
        let mut shrunk = self.change(|s| s.weather = calm);
        shrunk |= self.change(|s| s.weather.latency = calm.latency);
        shrunk |= self.change(|s| s.weather.loss = 0);
        shrunk |= self.change(|s| s.weather.announce_loss = 0);
        shrunk |= self.change(|s| s.weather.request_loss = 0);
        shrunk |= self.change(|s| s.weather.bandwidth = 0);
        shrunk |= self.change(|s| s.weather.fsync = calm.fsync);
        shrunk | self.change(|s| s.evil_stays = false)
    }

    /// Fewer facts at a time.
    fn counts(&mut self) -> bool {
        let mut shrunk = false;
        for at in 0..self.best.steps.len() {
            shrunk |= self.change(|s| {
                if let Step::Note { count, .. } = &mut s.steps[at] {
                    *count = 1;
                }
            });
        }
        shrunk
    }
}

/// The smallest scenario found that fails where this one does; as it is if it does not fail.
pub fn shrink(scenario: &Scenario) -> Scenario {
    let Err(message) = try_play(scenario) else {
        return scenario.clone();
    };
    let mut shrink = Shrink { best: scenario.clone(), place: place(&message), tries: TRIES };
    while shrink.steps() | shrink.nodes() | shrink.weather() | shrink.counts() {}
    shrink.best
}
