//! Many seeds on all cores, and what came of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{draw, try_play};
use crate::world::Tally;

/// Seeds of which each is played twice, to see that it gives the same trace: one in so many.
const TWICE: u64 = 16;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first seed.
    pub from: u64,
    /// How many at least.
    pub seeds: u64,
    /// Goes on with further seeds until so much time has passed.
    pub span: Duration,
    /// Nodes of each mesh; drawn if not given.
    pub nodes: Option<usize>,
    /// Threads.
    pub threads: usize,
    /// Ends with the first seed that fails.
    pub first_failure: bool,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Seeds that were played.
    pub seeds: u64,
    /// What their worlds saw.
    pub tally: Tally,
    /// Seeds that failed, and how.
    pub failed: BTreeMap<u64, String>,
    /// How long it took.
    pub wall: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.wall.as_secs_f64();
        let hours = self.tally.node_ms as f64 / 3_600_000.0;
        writeln!(f, "seeds       {:>14}", self.seeds)?;
        writeln!(f, "failed      {:>14}", self.failed.len())?;
        writeln!(f, "events      {:>14}", self.tally.events)?;
        writeln!(f, "node-hours  {hours:>14.0}")?;
        writeln!(f, "wall time   {seconds:>14.1} s")?;
        let events = self.tally.events as f64 / seconds;
        writeln!(f, "per second  {events:>14.0} events, {:.0} node-hours", hours / seconds)?;
        writeln!(f, "drawn")?;
        for (kind, count) in &self.tally.drawn {
            writeln!(f, "  {count:>12}  {kind}")?;
        }
        writeln!(f, "happened")?;
        for (kind, count) in &self.tally.faults {
            writeln!(f, "  {count:>12}  {kind}")?;
        }
        writeln!(f, "fullest, of the bound")?;
        for (name, (held, most)) in &self.tally.fullest {
            writeln!(f, "  {held:>12}  of {most:>9}  {name}")?;
        }
        Ok(())
    }
}

/// Plays one seed; some of them twice.
fn one(seed: u64, nodes: Option<usize>) -> Result<Tally, String> {
    let scenario = draw(seed, nodes);
    let played = try_play(&scenario)?;
    if seed.is_multiple_of(TWICE) {
        let again = try_play(&scenario)?;
        if again.trace != played.trace {
            return Err("two runs of one seed have different traces".into());
        }
    }
    Ok(played.tally)
}

/// Plays seeds. `failed` is told of each that fails as soon as it does.
pub fn run(options: &Options, failed: impl Fn(u64, &str) + Sync) -> Report {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let done = number >= options.seeds && start.elapsed() >= options.span;
                    if done || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = options.from.wrapping_add(number);
                    let result = one(seed, options.nodes);
                    let Ok(mut total) = total.lock() else { return };
                    total.seeds += 1;
                    match result {
                        Ok(tally) => total.tally.merge(&tally),
                        Err(message) => {
                            failed(seed, &message);
                            stop.store(options.first_failure, Ordering::Relaxed);
                            total.failed.insert(seed, message);
                        }
                    }
                }
            });
        }
    });
    let mut report = total.into_inner().unwrap_or_default();
    report.wall = start.elapsed();
    report
}
