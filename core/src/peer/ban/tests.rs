//! Bans: how long, of whom, and what survives a restart.

use super::*;
use crate::ledger::read::Read;
use crate::testing::MemStore;
use proptest::prelude::*;

const SPANS: (Millis, Millis) = (600_000, 7 * 24 * 3_600_000);
const DAY: Millis = 24 * 3_600_000;
const EPOCH: u64 = 1_795_284_300_000;

fn at(millis: u64) -> Now {
    Now { instant: Instant(millis), wall: UnixTime(EPOCH + millis), wall_confirmed: true }
}

fn place() -> PeerAddr {
    PeerAddr("192.0.2.1:7071".into())
}

fn host(ip: &str) -> Subject {
    Subject::at(ip.parse().unwrap())
}

fn node(n: u32) -> NodeId {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

fn empty() -> Bans {
    Bans::load(Vec::new(), SPANS, at(0))
}

fn is_banned(bans: &Bans, now: u64, n: u32) -> bool {
    bans.find(Instant(now), Some(&node(n)), &place()).is_some()
}

#[test]
fn each_ban_is_longer_up_to_the_longest_and_forgotten_in_the_end() {
    let mut bans = empty();
    let (mut now, mut spans) = (0, Vec::new());
    for _ in 0..7 {
        let until = bans.accuse(at(now), node(1), Misbehavior::Signature).unwrap();
        let span = until.0 - EPOCH - now;
        assert!(is_banned(&bans, now + span - 1, 1) && !is_banned(&bans, now + span, 1));
        spans.push(span / 60_000);
        now += span;
    }
    assert_eq!(spans, [10, 40, 160, 640, 2_560, 10_080, 10_080]);
    assert_eq!(bans.strikes(&node(1)), 7);
    now += SPANS.1;
    let until = bans.accuse(at(now), node(1), Misbehavior::Block).unwrap();
    assert_eq!(until.0 - EPOCH - now, SPANS.0);
}

#[test]
fn what_comes_to_light_after_it_was_thrown_out_counts_once() {
    let mut bans = empty();
    let until = bans.accuse(at(0), node(1), Misbehavior::Frame);
    assert_eq!(bans.accuse(at(9), node(1), Misbehavior::Signature), until);
    assert_eq!(bans.strikes(&node(1)), 1);
}

#[test]
fn a_person_bans_nodes_and_addresses_and_lifts_it() {
    let mut bans = empty();
    let host = host("192.0.2.1");
    assert!(bans.ban(at(0), host.clone(), DAY, "noisy\u{1b}[2J"));
    let row = bans.find(Instant(1), None, &place()).unwrap();
    assert_eq!((row.reason.as_str(), row.by_person), ("noisy[2J", true));
    assert!(bans.find(Instant(1), Some(&node(3)), &PeerAddr("192.0.2.2:7071".into())).is_none());
    assert!(bans.unban(Instant(2), &host));
    assert!(!bans.unban(Instant(2), &host), "there is none any more");
    assert!(!is_banned(&bans, 3, 3));
    assert!(bans.ban(at(0), Subject::Node(node(1)), 5, ""));
    assert!(!bans.unban(Instant(5), &Subject::Node(node(1))), "it was over");
}

#[test]
fn a_persons_longer_ban_is_not_shortened_by_the_nodes_own() {
    let mut bans = empty();
    bans.ban(at(0), Subject::Node(node(1)), DAY, "");
    assert_eq!(bans.accuse(at(1), node(1), Misbehavior::Frame), Some(UnixTime(EPOCH + DAY)));
    assert!(is_banned(&bans, DAY - 1, 1));
    assert_eq!(bans.strikes(&node(1)), 1);
}

#[test]
fn without_a_span_nobody_is_kept_out_but_by_a_person() {
    let mut bans = Bans::load(Vec::new(), (0, 0), at(0));
    assert_eq!(bans.accuse(at(0), node(1), Misbehavior::Frame), None);
    assert!(!is_banned(&bans, 1, 1));
    assert!(bans.ban(at(0), Subject::Node(node(1)), DAY, ""));
    let mut store = MemStore::new();
    let mut batch = Batch::new();
    bans.save(&mut batch);
    store.apply(&batch);
    let again = Bans::load(store.ban_rows(9).unwrap(), (0, 0), at(0));
    assert!(is_banned(&again, 1, 1));
}

#[test]
fn a_flood_of_offenders_is_bounded_and_frees_nobody_whom_a_person_banned() {
    let mut bans = empty();
    let mut store = MemStore::new();
    bans.ban(at(0), Subject::Node(node(0)), 1, "");
    for n in 1..100 {
        assert!(bans.ban(at(0), Subject::Node(node(n)), DAY, ""));
    }
    for n in 100..3_000 {
        assert!(bans.accuse(at(u64::from(n)), node(n), Misbehavior::Frame).is_some());
        let mut batch = Batch::new();
        bans.save(&mut batch);
        store.apply(&batch);
    }
    assert_eq!(bans.all.len(), BANS_MAX);
    assert_eq!(store.ban_rows(usize::MAX).unwrap().len(), BANS_MAX);
    assert!((1..100).all(|n| is_banned(&bans, 3_000, n)));
    assert!(is_banned(&bans, 3_000, 2_999) && !is_banned(&bans, 3_000, 100));
    for n in 3_000..3_000 + BANS_MAX as u32 - 99 {
        assert!(bans.ban(at(3_000), Subject::Node(node(n)), DAY, ""));
    }
    assert!(!bans.ban(at(3_000), Subject::Node(node(9_000)), DAY, ""), "full of people's bans");
    assert_eq!(bans.accuse(at(3_000), node(9_000), Misbehavior::Frame), None);
}

#[test]
fn keys_of_subjects_lead_back_to_them() {
    for subject in [Subject::Node(node(9)), host("2001:db8::1")] {
        assert_eq!(Subject::from_key(&subject.key()), Some(subject));
    }
    for wrong in [&b""[..], b"\0short", b"\x01\xff", b"\x01x", b"\x02x"] {
        assert_eq!(Subject::from_key(wrong), None);
    }
}

#[test]
fn an_address_is_banned_however_it_is_written() {
    let spellings = [
        ("192.0.2.1", "192.0.2.1:7071"),
        ("192.0.2.1", "[::ffff:192.0.2.1]:9"),
        ("::ffff:192.0.2.1", "192.0.2.1:7071"),
        ("2001:db8::1", "[2001:0DB8:0:0:0:0:0:1]:7071"),
        ("2001:db8:0::0:1", "[2001:db8::1]:7071"),
        ("fe80::1", "[fe80::1%3]:7071"),
    ];
    for (banned, seen) in spellings {
        let mut bans = empty();
        assert!(bans.ban(at(0), host(banned), DAY, ""));
        let seen = PeerAddr(seen.into());
        assert!(bans.find(Instant(1), None, &seen).is_some(), "{banned}: {seen}");
        assert!(host(banned).fits(None, &seen), "{banned}: {seen}");
        for other in ["192.0.2.2:1", "[2001:db8::2]:1", "raspi.local:7071", "", "192.0.2.1"] {
            assert!(bans.find(Instant(1), None, &PeerAddr(other.into())).is_none(), "{other}");
        }
    }
}

proptest! {
    /// After any start, with any clock, a ban lasts no longer than it was made for, and no longer
    /// than before if the clock is right.
    #[test]
    fn a_restart_never_makes_a_ban_longer(wall: u64, length in 1..DAY, passed in 0..2 * DAY) {
        let mut bans = empty();
        bans.ban(at(0), Subject::Node(node(1)), length, "");
        let (mut store, mut batch) = (MemStore::new(), Batch::new());
        bans.save(&mut batch);
        store.apply(&batch);
        let start = |wall| Now { instant: Instant(5), wall: UnixTime(wall), wall_confirmed: false };
        let again = Bans::load(store.ban_rows(9).unwrap(), SPANS, start(EPOCH + passed));
        prop_assert_eq!(is_banned(&again, 5, 1), passed < length);
        if passed < length {
            prop_assert!(is_banned(&again, 5 + length - passed - 1, 1));
            prop_assert!(!is_banned(&again, 5 + length - passed, 1));
        }
        let odd = Bans::load(store.ban_rows(9).unwrap(), SPANS, start(wall));
        prop_assert!(!is_banned(&odd, 5 + length, 1));
    }
}
