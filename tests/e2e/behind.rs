//! Nodes that are thousands of blocks behind catch up, whoever goes away meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use support::process::{Cairn, count, eventually};

use crate::mesh::{agree, founder, invite, joined, sound};

/// Blocks to be behind; `CAIRN_BEHIND` sets another number.
const BEHIND: usize = 1_500;
/// Clients that write at one time: enough that every block has something to seal.
const WRITERS: usize = 4;

/// Writes on a node until its chain is that high.
fn grow(node: &Cairn, height: u64) {
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, done) = (node.client(), done.clone());
            std::thread::spawn(move || {
                for number in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    client.note(&format!("writer {writer}, note {number}")).unwrap();
                }
            })
        })
        .collect();
    eventually("the chain is high enough", 280, || (node.height() >= height).then_some(()));
    done.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

/// Waits until a node has a part of the chain but not all of it.
fn half_way(node: &Cairn, height: u64) {
    eventually("it is half way", 60, || (node.height() > height / 4).then_some(()));
}

#[test]
fn catching_up_survives_the_death_and_the_silence_of_those_who_help() {
    let height = count("CAIRN_BEHIND", BEHIND) as u64;
    let mut a = founder("a", "10ms");
    let invite = invite(&a);
    let (b, mut late) = (joined("b", &invite), joined("late", &invite));
    agree(&[&a, &b, &late], 60);
    late.stop();
    let started = std::time::Instant::now();
    grow(&a, height);
    let height = agree(&[&a, &b], 60);
    eprintln!("{height} blocks in {:?}", started.elapsed());

    late.start(&[]);
    half_way(&late, height);
    a.kill();
    assert!(late.height() < height, "too quick to be interrupted");
    let started = std::time::Instant::now();
    agree(&[&b, &late], 120);
    eprintln!("caught up {:?} after one peer died", started.elapsed());

    // Now somebody who has nothing at all, and a peer that is there but says nothing.
    a.start(&[]);
    agree(&[&a, &b, &late], 60);
    late.stop();
    let mut fresh = Cairn::new("fresh");
    fresh.ok(&["join", &invite]);
    fresh.start(&["--peer", &b.listen().to_string()]);
    half_way(&fresh, height);
    a.signal(Signal::STOP);
    assert!(fresh.height() < height, "too quick to be interrupted");
    let started = std::time::Instant::now();
    eventually("the fresh node has every block", 120, || (fresh.height() >= height).then_some(()));
    eprintln!("caught up {:?} after one peer fell silent", started.elapsed());
    a.signal(Signal::CONT);
    sound(&[&a, &b, &fresh]);
}
