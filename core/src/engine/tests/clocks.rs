//! Sealers whose clock is wrong.

use alloc::boxed::Box;

use super::peers::other;
use super::*;
use crate::params::SealRule;
use crate::seal::pow;
use crate::time::Millis;
use crate::work::Target;

const HOUR: Millis = 3_600_000;

/// The time of the block that an engine seals whose clock is so far ahead, with peers whose clocks
/// are right but for one that starts in 1970; and what its status says.
fn sealed_at(ahead: Millis, peers: usize, ancient: bool) -> (Millis, Millis) {
    let ([_, b, ..], mut params) = founders();
    params.time = UnixTime(EPOCH - HOUR);
    let b = b.in_mesh(crate::block::mesh_id(&params));
    let chain = TestChain::new(params.clone());
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), true);
    sole.ahead = ahead;
    for n in 0..peers {
        let node = other([0, 2, 3][n]);
        let conn = n as u64 + 1;
        let mut hello = hello(&chain);
        if ancient && n == 0 {
            hello.clock = UnixTime(0);
        }
        sole.join_saying(conn, node, hello);
    }
    sole.publish(b.record("note", "x"));
    sole.pass(30_000);
    assert_eq!(sole.tip().height.0, 1);
    let time = sole.engine.chain.tip_time().0 - EPOCH;
    (time, sole.engine.status().clock_ahead)
}

#[test]
fn a_clock_far_ahead_of_the_peers_seals_by_theirs() {
    for peers in [1, 3] {
        let (time, noted) = sealed_at(HOUR, peers, false);
        assert!(time < 30_000, "{time}");
        assert_eq!(noted, HOUR);
    }
}

#[test]
fn a_clock_a_little_ahead_or_with_nobody_to_compare_seals_by_itself() {
    let (time, noted) = sealed_at(50_000, 3, false);
    assert!((50_000..80_000).contains(&time), "{time}");
    assert_eq!(noted, 0);
    let (time, noted) = sealed_at(HOUR, 0, false);
    assert!(time >= HOUR, "{time}");
    assert_eq!(noted, 0);
}

#[test]
fn a_peer_without_a_clock_is_no_measure() {
    let (time, noted) = sealed_at(50_000, 1, true);
    assert!(time >= 50_000, "{time}");
    assert_eq!(noted, 0);
    let (time, noted) = sealed_at(HOUR, 3, true);
    assert!(time < 30_000, "{time}");
    assert_eq!(noted, HOUR);
}

#[test]
fn what_was_ground_before_the_clock_was_set_back_is_drafted_again() {
    let ([_, b, ..], mut params) = founders();
    params.seal = SealRule::Pow { initial: Target::MAX, half_life: 0 };
    params.time = UnixTime(EPOCH - HOUR);
    let b = b.in_mesh(crate::block::mesh_id(&params));
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), true);
    sole.ahead = HOUR;
    let publish = Command::Publish(alloc::vec![b.record("note", "x")]);
    sole.input(Input::Command(CommandId(1), publish));
    let ground = |sole: &mut Sole| {
        while sole.jobs.is_empty() && sole.now < 120_000 {
            sole.settle_but_jobs();
            sole.now += 1_000;
            sole.input(Input::Tick);
        }
        match sole.jobs.pop() {
            Some((job, Job::Grind(header))) => {
                (job, Box::new(pow::grind(&header, 0, 1_000).unwrap()))
            }
            other => panic!("{other:?}"),
        }
    };
    let (early, header) = ground(&mut sole);
    sole.ahead = 0;
    sole.input(Input::Sealed(early, Some(header)));
    assert_eq!(sole.tip().height.0, 0);
    let (job, header) = ground(&mut sole);
    assert!(header.time.0 < EPOCH + HOUR);
    sole.input(Input::Sealed(job, Some(header)));
    sole.settle_but_jobs();
    assert_eq!(sole.tip().height.0, 1);
}
