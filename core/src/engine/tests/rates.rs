//! More than a peer may do: it is dropped or refused, and nobody is blamed.

use super::peers::{made_up, pair};
use super::*;
use crate::wire::{FactsRequest, PeersRequest};

fn pongs(sole: &Sole) -> usize {
    let is_pong = |output: &&Output| match output {
        Output::Send(_, Frame::Control(bytes)) => {
            matches!(codec::decode(bytes, bytes.len()), Ok(Control::Pong { .. }))
        }
        _ => false,
    };
    sole.out.iter().filter(is_pong).count()
}

#[test]
fn pings_over_the_rate_are_not_answered_until_time_passes() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let (rate, burst) = Limits::default().rates.control;
    let ping = |nonce| Control::Ping { nonce, tip: chain.tip(), facts: chain.set() };
    for nonce in 0..3 * u64::from(burst) {
        sole.control(1, &ping(nonce));
    }
    let first = pongs(&sole);
    assert!(first <= burst as usize && first + 2 >= burst as usize, "{first}");
    sole.pass(1_000);
    for nonce in 0..u64::from(burst) {
        sole.control(1, &ping(nonce));
    }
    // Our own pings were answered in the meantime.
    assert!((1..=rate as usize).contains(&(pongs(&sole) - first)));
    assert!(sole.closed().is_empty());
}

#[test]
fn announcements_over_the_rate_are_not_looked_at() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let ids: Vec<_> = (0..1_024).map(made_up).collect();
    for _ in 0..1_000 {
        sole.announce(1, &Announce::Facts(ids.clone()));
    }
    let (rate, burst) = Limits::default().rates.announce;
    let heard = sole.engine.status().announces_received;
    assert!(heard <= u64::from(burst) / 1_024, "{heard}");
    sole.pass(1_000);
    for _ in 0..1_000 {
        sole.announce(1, &Announce::Facts(ids.clone()));
    }
    let more = sole.engine.status().announces_received - heard;
    assert!((1..=u64::from(rate) / 1_024).contains(&more), "{more}");
    assert!(sole.closed().is_empty());
}

/// Whether a request is answered.
fn ask(sole: &mut Sole, n: u64, class: Class, bytes: &[u8]) -> bool {
    let before = sole.out.len();
    sole.conn(1, ConnInput::Request { stream: crate::conn::StreamTag(n), class, bytes });
    let answered = |output: &Output| matches!(output, Output::Send(_, Frame::Answer { .. }));
    sole.out[before..].iter().any(answered)
}

#[test]
fn requests_of_one_class_over_its_rate_leave_the_other_classes_alone() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let peers = codec::encode(&PeersRequest { max: 9 });
    let headers = codec::encode(&HeadersRequest { locator: [chain.last()].into(), max: 9 });
    let served = (0..100).filter(|n| ask(&mut sole, *n, Class::Peers, &peers)).count();
    assert_eq!(served, Limits::default().rates.peers.1 as usize);
    assert!(ask(&mut sole, 200, Class::Headers, &headers));
    assert!(sole.closed().is_empty());
}

/// A request for so many facts.
fn facts(count: u32) -> Vec<u8> {
    codec::encode(&FactsRequest { ids: (0..count).map(made_up).collect() })
}

#[test]
fn requests_for_many_facts_cost_more_than_those_for_few() {
    let burst = u64::from(Limits::default().rates.facts.1);
    for (asked, cost) in [(1, 1), (200, 1), (300, 2), (1_024, 5)] {
        let (mut sole, chain, a, _) = pair(false);
        sole.join(1, a.id(), &chain);
        let request = facts(asked);
        let served = (0..=burst).filter(|n| ask(&mut sole, *n, Class::Facts, &request)).count();
        assert_eq!(served as u64, burst / cost, "{asked} facts a request");
        assert!(sole.closed().is_empty());
    }
}

#[test]
fn who_catches_up_as_fast_as_any_machine_can_is_never_refused() {
    let (mut sole, chain, a, _) = pair(false);
    sole.join(1, a.id(), &chain);
    let request = facts(1_024);
    // A hundred thousand facts a second, for as long as two million take.
    for n in 0..2_000 {
        assert!(ask(&mut sole, n, Class::Facts, &request), "request {n}");
        sole.now += 10;
    }
}
