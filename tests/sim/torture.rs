//! Scenarios drawn from seeds; `cargo xtask sim` plays as many as there is time for.

use std::time::Duration;

use support::torture::{Options, Report, Step, draw, run, shrink, try_play};

use crate::seeds::KEPT;

/// Seeds that every test run plays.
const SEEDS: u64 = 48;

fn holds(report: &Report) {
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    assert!(report.tally.events > 1_000, "nothing happened");
}

fn options(from: u64, seeds: u64) -> Options {
    Options { from, seeds, span: Duration::ZERO, nodes: None, threads: 1, first_failure: false }
}

#[test]
fn whatever_happens_everything_that_must_hold_holds() {
    holds(&run(&options(0, SEEDS), |_, _| {}));
}

#[test]
fn seeds_that_found_bugs_find_none() {
    for (seed, _) in KEPT {
        let report = run(&options(*seed, 1), |_, _| {});
        assert!(report.failed.is_empty(), "{:#?}", report.failed);
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let trace = |seed| try_play(&draw(seed, Some(4))).unwrap().trace;
    let traces: Vec<u64> = (1..6).map(trace).collect();
    assert_eq!(traces, (1..6).map(trace).collect::<Vec<_>>());
    assert!(traces.windows(2).all(|two| two[0] != two[1]));
}

#[test]
fn what_fails_is_made_smaller_and_still_fails_in_the_same_way() {
    // A step that no world knows how to do is the fault to be found among all others.
    let mut scenario = draw(3, Some(5));
    let fault = Step::Transfer { n: 0, item: 99, to: 0 };
    scenario.steps.insert(scenario.steps.len() / 2, fault.clone());
    let small = shrink(&scenario);
    assert_eq!(small.steps, [fault]);
    assert!(small.nodes[1..].iter().all(|node| node.absent));
    assert!(try_play(&small).unwrap_err().contains("index out of bounds"));
}
