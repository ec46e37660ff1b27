//! The node dies, or its disk fails, at a chosen system call. It starts again without a hand that
//! helps, and has everything that it had promised.

use std::collections::{BTreeMap, HashMap};

use rustix::process::Signal;
use support::process::{Cairn, count};
use support::strace;

use crate::workload::{TINY, alone, lost, write};

/// How many calls of each kind are struck, evenly spread; `CAIRN_SYSCALLS` sets another number, and
/// one larger than there are calls strikes each.
const STRUCK: usize = 2;
/// Calls that change or sync files.
const CALLS: [&str; 12] = [
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "renameat",
    "mkdir",
    "unlink",
    "unlinkat",
    "rmdir",
];
/// Exit status of a node whose store fails.
const STORAGE: i32 = 8;

/// Ends a node that may have ended already: its exit status, if no signal ended it.
fn end(node: &mut Cairn) -> Option<i32> {
    node.signal(Signal::TERM);
    node.wait(60).0
}

/// Runs a node that is struck as the wrapper says, through a start and everything it writes, then
/// through a start with the store that is left. Gives the exit status of the first run, and what
/// was promised.
fn strike(node: &mut Cairn, wrapper: &[String]) -> (Option<i32>, Vec<Vec<String>>) {
    node.under(wrapper.to_vec());
    let first = match node.launch(&TINY) {
        Ok(()) => {
            let promised = write(node);
            (end(node), promised)
        }
        Err(status) => (status.code(), Vec::new()),
    };
    if node.launch(&TINY).is_ok() {
        node.kill();
    }
    node.under(Vec::new());
    first
}

/// It starts by itself and has what it promised.
fn check(node: &mut Cairn, promised: &[Vec<String>], how: &str) {
    let started = node.launch(&TINY);
    assert!(started.is_ok(), "{how}: it does not start: {started:?}\n{}", node.logged());
    let lost = lost(node, promised);
    assert!(lost.is_empty(), "{how}: it lost {lost:?}");
    node.kill();
}

/// How often a thread makes each call at most in a whole run.
fn calls() -> BTreeMap<&'static str, usize> {
    let mut node = alone("counted");
    let trace = node.file("trace", "");
    node.under(strace::record(&trace));
    node.start(&TINY);
    write(&node);
    assert_eq!(end(&mut node), Some(0));
    let text = strace::recorded(&trace);
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for line in text.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        if let Some((call, _)) = rest.trim_start().split_once('(') {
            *counts.entry((thread, call)).or_default() += 1;
        }
    }
    let most = |call: &str| counts.iter().filter(|(key, _)| key.1 == call).map(|(_, n)| *n).max();
    CALLS.into_iter().filter_map(|call| Some((call, most(call)?))).collect()
}

/// So many of the numbers from 1 to `most`, evenly spread, the last one among them.
fn spread(most: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.clamp(1, most);
    (1..=wanted).map(move |n| most * n / wanted)
}

#[test]
fn a_kill_at_any_system_call_loses_nothing_that_was_promised() {
    if !strace::works() {
        return;
    }
    let struck = count("CAIRN_SYSCALLS", STRUCK);
    let (mut kills, mut promises) = (0, 0);
    for (call, most) in calls() {
        for nth in spread(most, struck) {
            let mut node = alone("struck");
            let (code, promised) = strike(&mut node, &strace::kill_at(call, nth));
            check(&mut node, &promised, &format!("killed at {call} {nth} of {most}"));
            kills += usize::from(code.is_none());
            promises += promised.len();
        }
    }
    eprintln!("{kills} kills, {promises} promises kept");
    assert!(kills > 0 && promises > 0);
}

#[test]
fn a_failed_sync_ends_the_node_with_words_and_loses_nothing_that_was_promised() {
    if !strace::works() {
        return;
    }
    // The third sync of the journal comes with the first notes.
    for nth in [1, 3, 5] {
        let mut node = alone("failing");
        let wrapper = strace::fail_from("fdatasync", "EIO", nth, None);
        let (code, promised) = strike(&mut node, &wrapper);
        let log = node.logged();
        assert_eq!(code, Some(STORAGE), "fdatasync {nth}: {log}");
        assert!(log.contains("Input/output error") && log.contains("next:"), "{log}");
        check(&mut node, &promised, &format!("fdatasync {nth} failed"));
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_promised() {
    if !strace::works() {
        return;
    }
    for nth in [2, 12, 40] {
        let mut node = alone("full");
        let journal = node.dir().join("db").join("0.jnl");
        let wrapper = strace::fail_from("write", "ENOSPC", nth, Some(&journal));
        let (code, promised) = strike(&mut node, &wrapper);
        // Some end, some only refuse to write.
        assert!(matches!(code, Some(0 | STORAGE)), "write {nth}: {code:?} {}", node.logged());
        assert!(promised.len() < 12, "write {nth}: everything was written");
        check(&mut node, &promised, &format!("no space from write {nth} on"));
    }
}
