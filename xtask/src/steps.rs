//! Steps with a name and a duration. A failed step does not keep the others from running: one run
//! shows everything that is wrong.

use std::time::{Duration, Instant};

use crate::process::Failure;

/// Steps run so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, Option<Failure>)>,
}

impl Steps {
    /// Runs one step now.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<(), Failure>) {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let failure = run().err();
        let word = if failure.is_some() { "FAILED" } else { "ok" };
        eprintln!("=== {name}: {word} after {:.1} s", start.elapsed().as_secs_f32());
        self.done.push((name.into(), start.elapsed(), failure));
    }

    /// Prints all steps, their durations and their failures.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        eprintln!("\n=== summary");
        for (name, duration, failure) in &self.done {
            let word = if failure.is_some() { "FAILED" } else { "ok" };
            eprintln!("{word:6} {:7.1} s  {name}", duration.as_secs_f32());
        }
        let total: Duration = self.done.iter().map(|(_, duration, _)| *duration).sum();
        eprintln!("total  {:7.1} s", total.as_secs_f32());
        let failures: Vec<_> = self
            .done
            .into_iter()
            .filter_map(|(name, _, failure)| failure.map(|failure| (name, failure)))
            .collect();
        for (name, failure) in &failures {
            eprintln!("\n[{name}]\n{failure}");
        }
        if failures.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = failures.iter().map(|(name, _)| name.as_str()).collect();
        Err(Failure::new(
            format!("{} of the steps: {}", failures.len(), names.join(", ")),
            "each is explained above",
            "the `next` line of the first",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_but_lets_later_ones_run() {
        let mut steps = Steps::default();
        let mut later = false;
        steps.step("one", || Err(Failure::new("what", "why", "next")));
        steps.step("two", || {
            later = true;
            Ok(())
        });
        assert!(later);
        assert!(steps.finish().unwrap_err().to_string().contains("1 of the steps: one"));
    }

    #[test]
    fn steps_that_all_pass_pass() {
        let mut steps = Steps::default();
        steps.step("one", || Ok(()));
        assert!(steps.finish().is_ok());
    }
}
