//! The power fails: at any moment, with any loss that a disk may cause, the node starts again and
//! has everything that it had promised.

use rustix::process::Signal;
use support::power::{Loss, Record};
use support::process::{Cairn, count};
use support::random::Random;
use support::strace;

use crate::workload::{TINY, alone, lost, write};

/// Moments at which the power is cut, with every kind of loss each; `CAIRN_CUTS` sets another
/// number.
const CUTS: usize = 6;

/// Runs a node from its first start to its end. Gives what it did, and what it promised.
fn recorded() -> (Record, Vec<Vec<String>>) {
    let mut node = alone("recorded");
    let (before, trace) = (Record::of(&node.dir()), node.file("trace", ""));
    node.under(strace::record(&trace));
    node.start(&TINY);
    let promised = write(&node);
    node.signal(Signal::TERM);
    assert_eq!(node.wait(60).0, Some(0));
    let text = strace::recorded(&trace);
    (before.read(&node.dir(), &text), promised)
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_promised() {
    if !strace::works() {
        return;
    }
    let (record, promised) = recorded();
    let mut random = Random::new(18);
    let whole = tempfile::tempdir().unwrap();
    let made = record.cut(record.len(), Loss::Bytes, &mut random, whole.path());
    assert_eq!(made, promised.len(), "every promise is in the record");

    let cuts = count("CAIRN_CUTS", CUTS).clamp(1, record.len()) as u64;
    let (mut checked, mut with_promises) = (0, 0);
    for cut in 0..cuts {
        // One moment in each stretch of the record, so that all of it is seen.
        let [from, to] = [cut, cut + 1].map(|edge| edge * record.len() as u64 / cuts);
        let done = (from + random.below(to - from) + 1) as usize;
        for loss in Loss::ALL {
            let mut node = Cairn::new("cut");
            let made = record.cut(done, loss, &mut random, &node.dir());
            let started = node.launch(&TINY);
            assert!(started.is_ok(), "after {done} operations, {loss:?}: {started:?}");
            let lost = lost(&node, &promised[..made]);
            assert!(lost.is_empty(), "after {done} operations, {loss:?}: lost {lost:?}");
            node.kill();
            checked += 1;
            with_promises += usize::from(made > 0);
        }
    }
    assert!(with_promises > 0);
    eprintln!(
        "{checked} power cuts in {} operations, {with_promises} after promises",
        record.len()
    );
}
