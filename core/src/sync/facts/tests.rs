//! Asking, failing, making room.

mod histories;

use super::*;

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);

fn id(n: u8) -> FactId {
    FactId([n; 32])
}

fn machine() -> FactSync {
    let mut sync = FactSync::new(8);
    sync.add_conn(A);
    sync.add_conn(B);
    sync
}

#[test]
fn a_fact_is_asked_of_one_holder_at_a_time() {
    let mut sync = machine();
    sync.want(id(1), A);
    sync.want(id(1), B);
    assert_eq!(sync.next_request(A, RequestTag(1), 10, &[]), [id(1)]);
    assert!(sync.next_request(B, RequestTag(2), 10, &[]).is_empty());
    sync.failed(RequestTag(1));
    assert!(sync.next_request(A, RequestTag(3), 10, &[]).is_empty());
    assert_eq!(sync.next_request(B, RequestTag(4), 10, &[]), [id(1)]);
    assert_eq!(sync.answered(RequestTag(4), &[id(1), id(9)], false), [id(1)]);
    sync.done(&id(1));
    assert!(sync.is_empty());
}

#[test]
fn what_did_not_fit_is_asked_of_the_same_peer_again() {
    let mut sync = machine();
    sync.want(id(1), A);
    sync.want(id(2), A);
    assert_eq!(sync.next_request(A, RequestTag(1), 10, &[]).len(), 2);
    assert_eq!(sync.answered(RequestTag(1), &[id(1)], true), [id(1)]);
    assert_eq!(sync.next_request(A, RequestTag(2), 10, &[]), [id(2)]);
    assert!(sync.answered(RequestTag(2), &[], true).is_empty());
    assert_eq!(sync.len(), 1, "an empty promise of more is not believed");
}

#[test]
fn an_announced_fact_nobody_serves_is_forgotten_and_a_needed_one_is_not() {
    let mut sync = machine();
    sync.want(id(1), A);
    sync.need(id(2), Some(A));
    assert_eq!(sync.next_request(A, RequestTag(1), 10, &[]).len(), 2);
    sync.remove_conn(A);
    assert_eq!(sync.len(), 1);
    assert!(sync.is_stuck());
    sync.retry_needed();
    assert_eq!(sync.next_request(B, RequestTag(2), 10, &[]), [id(2)]);
}

#[test]
fn a_needed_fact_is_asked_of_every_peer_in_turn() {
    let mut sync = FactSync::new(8);
    (1..=9).for_each(|n| sync.add_conn(ConnId(n)));
    // Its sender is gone already.
    sync.need(id(1), Some(ConnId(77)));
    let mut asked = Vec::new();
    let mut tag = 0;
    while asked.len() < 9 && tag < 100 {
        assert!(sync.is_stuck());
        sync.retry_needed();
        assert!(!sync.is_stuck());
        for n in 1..=9 {
            tag += 1;
            if !sync.next_request(ConnId(n), RequestTag(tag), 10, &[]).is_empty() {
                asked.push(n);
                sync.failed(RequestTag(tag));
            }
        }
        asked.sort_unstable();
        asked.dedup();
    }
    assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    sync.done(&id(1));
    assert!(!sync.is_stuck());
}

#[test]
fn announcements_do_not_grow_it_beyond_its_bound() {
    let mut sync = machine();
    (0..20).for_each(|n| sync.want(id(n), A));
    assert_eq!(sync.len(), 8);
    sync.need(id(30), Some(B));
    assert_eq!(sync.len(), 9);
}

#[test]
fn the_last_resort_is_asked_only_for_what_no_prompt_peer_is_known_to_hold() {
    let mut sync = machine();
    sync.want(id(1), A);
    sync.want(id(1), B);
    sync.want(id(2), A);
    assert_eq!(sync.next_request(A, RequestTag(1), 10, &[B]), [id(2)]);
    sync.remove_conn(B);
    assert_eq!(sync.next_request(A, RequestTag(2), 10, &[]), [id(1)]);
}

#[test]
fn what_only_peers_hold_that_let_us_wait_is_asked_of_them_while_others_are_prompt() {
    let mut sync = machine();
    let prompt = ConnId(3);
    sync.add_conn(prompt);
    sync.need(id(1), None);
    sync.retry_needed();
    assert_eq!(sync.next_request(prompt, RequestTag(1), 10, &[]), [id(1)]);
    sync.answered(RequestTag(1), &[], false);
    assert_eq!(sync.next_request(A, RequestTag(2), 10, &[prompt]), [id(1)]);
}

#[test]
fn what_a_block_needs_is_not_left_to_a_peer_that_let_us_wait() {
    let mut sync = machine();
    sync.need(id(1), Some(A));
    sync.want(id(2), A);
    sync.shun(A);
    assert!(sync.is_stuck());
    sync.retry_needed();
    assert_eq!(sync.next_request(B, RequestTag(1), 10, &[]), [id(1)]);
    assert_eq!(sync.next_request(A, RequestTag(2), 10, &[]), [id(2)]);
}

#[test]
fn what_a_block_needs_is_asked_for_first() {
    let mut sync = machine();
    (1..=4).for_each(|n| sync.want(id(n), A));
    sync.need(id(3), Some(A));
    sync.need(id(9), Some(A));
    assert_eq!(sync.next_request(A, RequestTag(1), 3, &[]), [id(3), id(9), id(1)]);
}

#[test]
fn whoever_makes_room_is_still_asked_for_what_a_block_needs() {
    let mut sync = machine();
    (1..=8).for_each(|n| sync.want(id(n), A));
    // Announced first, and last in line.
    sync.need(id(8), Some(A));
    (21..=29).for_each(|n| sync.want(id(n), B));
    assert_eq!(sync.next_request(A, RequestTag(1), 1, &[]), [id(8)]);
}

#[test]
fn a_block_whose_facts_are_withheld_keeps_no_announcement_out() {
    let mut sync = machine();
    (1..=100).for_each(|n| sync.need(id(n), None));
    assert!(sync.has_room(A));
    sync.want(id(200), A);
    assert_eq!(sync.next_request(A, RequestTag(1), 10, &[]), [id(200)]);
}

#[test]
fn what_no_block_needs_any_more_stays_within_the_bound() {
    let mut sync = machine();
    (1..=100).for_each(|n| sync.need(id(n), Some(A)));
    sync.review_needed(|fact| *fact == id(100));
    assert_eq!(sync.len(), 9);
    assert_eq!(sync.next_request(A, RequestTag(1), 1, &[]), [id(100)]);
}

/// Eight peers fill the list with what they never serve; a ninth comes.
fn filled() -> (FactSync, u16) {
    let mut sync = FactSync::new(16_384);
    (1..=9).for_each(|n| sync.add_conn(ConnId(n)));
    let mut n = 0;
    for conn in (1..=8).map(ConnId) {
        for _ in 0..4_000 {
            n += 1;
            sync.want(numbered(n), conn);
        }
    }
    assert_eq!(sync.len(), 16_384);
    (sync, n)
}

fn numbered(n: u16) -> FactId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    FactId(bytes)
}

#[test]
fn whoever_fills_the_list_makes_room_for_another() {
    let (mut sync, last) = filled();
    let honest = ConnId(9);
    assert!(sync.has_room(honest) && !sync.has_room(ConnId(1)));
    let ids: Vec<_> = (1..=500).map(|n| numbered(last + n)).collect();
    ids.iter().for_each(|id| sync.want(*id, honest));
    assert_eq!(sync.len(), 16_384, "within its bound");
    // They cannot take that room back.
    (1..=8).for_each(|n| sync.want(numbered(last + 1_000 + n), ConnId(n.into())));
    assert!(sync.next_request(honest, RequestTag(1), 1_024, &[]) == ids);
}

#[test]
fn whoever_failed_to_serve_makes_room_before_whoever_merely_announced_much() {
    let (mut sync, last) = filled();
    let ids = sync.next_request(ConnId(3), RequestTag(1), 1_024, &[]);
    sync.answered(RequestTag(1), &[], false);
    ids.iter().for_each(|id| sync.want(*id, ConnId(3)));
    let before: Vec<_> = (1..=8).map(|n| sync.sponsored(ConnId(n))).collect();
    (1..=1_100).for_each(|n| sync.want(numbered(last + n), ConnId(9)));
    let after: Vec<_> = (1..=8).map(|n| sync.sponsored(ConnId(n))).collect();
    let lost: Vec<_> = before.iter().zip(after).map(|(before, after)| before - after).collect();
    assert_eq!(lost, [0, 0, 1_100, 0, 0, 0, 0, 0]);
}
