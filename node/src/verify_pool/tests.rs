//! Tests of `verify_pool`.

use std::sync::mpsc;
use std::time::Duration;

use cairn_core::block::genesis;
use cairn_core::fact::{Body, Fact, SIGNATURE_BYTES};
use cairn_core::id::MeshId;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;
use cairn_core::work::Target;

use super::*;

fn pool(threads: usize) -> (VerifyPool, mpsc::Receiver<Done>) {
    let (sender, receiver) = mpsc::channel();
    let sink = Box::new(move |done| sender.send(done).unwrap());
    (VerifyPool::start(threads, MeshId::ZERO, [7; 32], sink).unwrap(), receiver)
}

fn next(receiver: &mpsc::Receiver<Done>) -> Done {
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn fact(n: u64, good: bool) -> Unverified<EncodedFact> {
    let key = SigningKey::from_seed([n as u8 % 3 + 1; 32]);
    let body = Body::Record { topic: "t", media_type: "text/plain", bytes: b"x" };
    let fact = Fact { author: key.node_id(), time: UnixTime(n), body };
    let signed = EncodedFact::sign(fact, &MeshId::ZERO, &key).unwrap();
    let mut bytes = signed.bytes().to_vec();
    let at = bytes.len() - SIGNATURE_BYTES;
    bytes[at] ^= u8::from(!good);
    EncodedFact::parse(&MeshId::ZERO, &bytes).unwrap()
}

#[test]
fn verdicts_come_in_the_order_of_the_facts_and_name_the_bad_ones() {
    let (pool, done) = pool(3);
    let facts: Vec<_> = (0..600).map(|n| fact(n, n % 97 != 5)).collect();
    let ids: Vec<_> = facts.iter().map(|fact| fact.0.id()).collect();
    pool.submit(JobId(1), Job::Verify(facts));
    let Done::Verified(JobId(1), verdicts) = next(&done) else {
        panic!("not the verdicts");
    };
    assert_eq!(verdicts.len(), 600);
    for (n, (verdict, id)) in verdicts.iter().zip(ids).enumerate() {
        match verdict {
            Ok(fact) => assert!(n % 97 != 5 && fact.id() == id),
            Err(bad) => assert!(n % 97 == 5 && *bad == id),
        }
    }
}

#[test]
fn an_empty_job_is_answered() {
    let (pool, done) = pool(1);
    pool.submit(JobId(4), Job::Verify(Vec::new()));
    assert!(matches!(next(&done), Done::Verified(JobId(4), v) if v.is_empty()));
}

fn header(target: Target) -> Box<Header> {
    let mut header = genesis(&Params::open());
    header.target = target;
    Box::new(header)
}

#[test]
fn grinding_finds_a_seal_that_meets_the_target() {
    let (pool, done) = pool(2);
    pool.submit(JobId(1), Job::Grind(header(Target(0x1f7f_ffff))));
    let Done::Sealed(JobId(1), Some(header)) = next(&done) else {
        panic!("not sealed");
    };
    assert!(header.target.is_met_by(header.id().as_bytes()));
}

#[test]
fn facts_are_checked_while_grinding_and_each_grind_gets_one_answer() {
    let (pool, done) = pool(1);
    // The hardest target there is: no nonce meets it.
    let hopeless = || header(Target(0x0101_0000));
    pool.submit(JobId(1), Job::Grind(hopeless()));
    pool.submit(JobId(2), Job::Verify(vec![fact(1, true)]));
    assert!(matches!(next(&done), Done::Verified(JobId(2), v) if v[0].is_ok()));
    pool.submit(JobId(3), Job::Grind(hopeless()));
    assert!(matches!(next(&done), Done::Sealed(JobId(1), None)));
    pool.submit(JobId(4), Job::StopGrinding);
    assert!(matches!(next(&done), Done::Sealed(JobId(3), None)));
    pool.submit(JobId(5), Job::StopGrinding);
    pool.submit(JobId(6), Job::Verify(Vec::new()));
    assert!(matches!(next(&done), Done::Verified(JobId(6), _)));
}
