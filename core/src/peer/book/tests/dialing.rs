//! Whom the book dials, and when.

use super::*;

#[test]
fn persons_come_first_then_who_was_reached_then_hearsay_and_seeds_only_when_alone() {
    let mut book = book();
    book.learn(&address(1), Source::Seed, None);
    book.hear(&address(2), None, member(9));
    book.hear(&address(3), None, Introducer::Lan);
    book.remember(&address(4), Some(node(4)), UnixTime(5), None);
    book.learn(&address(5), Source::Given, Some(node(5)));
    let (_, to, pin) = book.next_dial(Instant(0), 8, &[]).unwrap();
    assert_eq!((to, pin), (address(5), Some(node(5))));
    assert_eq!(dials(&mut book, 0, &[]), [address(4), address(3), address(2)]);
    for dial in 1..=4 {
        assert!(book.next_dial(Instant(9), 8, &[]).is_none(), "a dial is under way");
        book.dial_failed(Instant(10), DialId(dial));
    }
    assert_eq!(dials(&mut book, 10, &[]), [address(1)]);
}

#[test]
fn a_seed_is_not_dialled_while_another_connects_nor_after_it_was_reached_once() {
    let mut book = book();
    book.remember(&address(1), Some(node(1)), UnixTime(5), None);
    book.remember(&address(2), Some(node(2)), UnixTime(9), None);
    book.learn(&address(1), Source::Seed, None);
    let (dial, to, _) = book.next_dial(Instant(0), 8, &[]).unwrap();
    assert_eq!(to, address(2));
    // Reached, and not accepted yet.
    book.opened(dial, ConnId(1), node(2));
    assert!(book.next_dial(Instant(1_000), 8, &[]).is_none());
    book.accepted(ConnId(1), now(2_000));
    assert!(book.next_dial(Instant(2_000), 7, &[node(2)]).is_none());
    assert_eq!(book.timeout(7, &[node(2)]), None);
    book.closed(now(MINUTE), ConnId(1), None);
    assert_eq!(book.next_dial(Instant(MINUTE), 8, &[]).unwrap().1, address(1));
}

#[test]
fn seeds_do_not_wait_for_ever_behind_dials_that_never_end() {
    let mut book = book();
    book.learn(&address(1), Source::Seed, None);
    (10..40).for_each(|n| book.remember(&address(n), Some(node(n)), UnixTime(5), None));
    let mut at = 0;
    loop {
        let Some((dial, to, _)) = book.next_dial(Instant(at), 8, &[]) else {
            at = book.timeout(8, &[]).unwrap().0.max(at + 1);
            continue;
        };
        if to == address(1) {
            break;
        }
        // One is always under way when the one before fails.
        let (_, to, _) = book.next_dial(Instant(at), 8, &[]).unwrap();
        if to == address(1) {
            break;
        }
        at += 5_000;
        book.dial_failed(Instant(at), dial);
    }
    assert!((30_000..=45_000).contains(&at), "{at}");
}

#[test]
fn the_next_dial_is_that_of_an_address_that_would_be_dialled() {
    let mut book = book();
    book.hear(&address(1), Some(node(1)), member(9));
    book.learn(&address(2), Source::Given, None);
    let linked = [node(1)];
    let (dial, to, _) = book.next_dial(Instant(5_000), 0, &linked).unwrap();
    assert_eq!(to, address(2));
    assert!(book.next_dial(Instant(5_000), 0, &linked).is_none());
    assert_eq!(book.timeout(0, &linked), None, "a linked one is not looked at");
    book.dial_failed(Instant(5_000), dial);
    assert!(book.next_dial(Instant(5_000), 0, &linked).is_none());
    let at = book.timeout(0, &linked).unwrap();
    assert!(at > Instant(5_000), "one that is linked or not wanted does not count");
    assert!(book.next_dial(Instant(at.0 - 1), 0, &linked).is_none());
    assert!(book.next_dial(at, 0, &linked).is_some());
}

#[test]
fn those_linked_when_the_last_run_ended_are_dialled_first() {
    let mut book = book();
    // The store holds them in the order of their addresses.
    for n in 1..=20 {
        let linked = [4, 9, 17].contains(&n);
        book.remember(&address(n), Some(node(n)), UnixTime(if linked { 50 } else { 7 }), None);
    }
    book.hear(&address(30), None, member(9));
    let mut first = dials(&mut book, 0, &[]);
    first.truncate(3);
    first.sort();
    assert_eq!(first, [address(17), address(4), address(9)]);
}

#[test]
fn links_lead_to_different_networks_where_there_is_a_choice() {
    let mut book = book();
    for n in 1..=5 {
        book.hear(&PeerAddr(format!("45.1.0.{n}:7071")), None, member(n));
    }
    book.hear(&PeerAddr("46.1.0.1:7071".into()), None, member(9));
    let first: Vec<_> = dials(&mut book, 0, &[]).into_iter().take(2).collect();
    assert_eq!(first.iter().filter(|to| to.0.starts_with("46.")).count(), 1, "{first:?}");
}

#[test]
fn an_address_is_on_the_way_until_its_peer_is_accepted() {
    let mut book = book();
    book.hear(&address(1), None, member(9));
    let (dial, ..) = book.next_dial(Instant(0), 1, &[]).unwrap();
    assert!(book.is_dialing());
    assert_eq!(book.reaching(|_| false), 1);
    book.opened(dial, ConnId(7), node(1));
    assert!(!book.is_dialing());
    assert_eq!((book.reaching(|_| false), book.reaching(|_| true)), (1, 0));
}

#[test]
fn the_address_of_a_linked_node_is_not_dialled_until_the_link_is_lost() {
    let mut book = book();
    book.hear(&address(1), Some(node(1)), member(9));
    book.learn(&address(2), Source::Given, Some(node(1)));
    assert!(book.next_dial(Instant(0), 8, &[node(1)]).is_none());
    assert_eq!(dials(&mut book, 0, &[node(2)]), [address(2), address(1)]);
}

#[test]
fn of_two_that_are_said_to_be_at_an_address_neither_keeps_us_from_dialling_it() {
    let mut book = book();
    // A linked member wants us not to dial somebody else.
    book.hear(&address(1), Some(node(9)), member(9));
    assert!(book.next_dial(Instant(0), 8, &[node(9)]).is_none());
    book.hear(&address(1), Some(node(1)), member(8));
    let (dial, to, _) = book.next_dial(Instant(0), 8, &[node(9)]).unwrap();
    assert_eq!(to, address(1));
    // Who was reached there counts more than what is said.
    book.opened(dial, ConnId(1), node(1));
    book.accepted(ConnId(1), now(0));
    book.hear(&address(1), Some(node(9)), member(9));
    assert_eq!(entry(&book, &address(1)).unwrap().node, Some(node(1)));
}

#[test]
fn our_own_address_is_dialled_once_and_again_when_a_person_says_so() {
    let mut book = book();
    book.learn(&address(1), Source::Given, None);
    let (dial, ..) = book.next_dial(Instant(0), 8, &[]).unwrap();
    book.opened(dial, ConnId(1), node(0));
    book.closed(now(0), ConnId(1), Some((CloseCode::Myself, true)));
    assert!(!book.is_hopeful());
    assert!(book.next_dial(Instant(60 * MINUTE), 8, &[]).is_none());
    assert_eq!(book.timeout(8, &[]), None);
    book.hurry(&address(1));
    assert!(book.next_dial(Instant(60 * MINUTE), 8, &[]).is_some());
}

#[test]
fn a_given_address_is_tried_every_half_minute_at_least() {
    let mut book = book();
    book.learn(&address(1), Source::Given, None);
    let mut at = Instant(0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        let (dial, ..) = book.next_dial(at, 0, &[]).unwrap();
        book.dial_failed(at, dial);
        assert!(book.next_dial(at, 0, &[]).is_none());
        let next = book.timeout(1, &[]).unwrap();
        waits.push(next.since(at));
        at = next;
    }
    assert!((1_000..=2_000).contains(&waits[0]), "{waits:?}");
    assert!(waits[8..].iter().all(|wait| (15_000..=30_000).contains(wait)), "{waits:?}");
}

#[test]
fn links_that_end_at_once_are_made_ever_more_rarely_and_one_that_lasted_is_made_soon() {
    let mut book = book();
    book.hear(&address(1), None, member(9));
    let mut at = 0;
    for conn in 0..12 {
        link(&mut book, at, conn, 1, &[]);
        book.closed(now(at + 100), ConnId(conn), None);
        assert!(book.next_dial(Instant(at + 100), 8, &[]).is_none());
        at = book.timeout(8, &[]).unwrap().0;
    }
    assert!(at > 20 * MINUTE, "{at}");
    link(&mut book, at, 99, 1, &[]);
    let end = at + 2 * MINUTE;
    book.closed(now(end), ConnId(99), None);
    assert!(book.next_dial(Instant(end), 8, &[]).is_none());
    assert!(book.timeout(8, &[]).unwrap().since(Instant(end)) <= 2_000);
}

#[test]
fn an_address_whose_link_was_one_too_many_is_dialled_soon_after_the_other_link_is_lost() {
    let mut book = book();
    book.hear(&address(1), None, member(9));
    let (dial, ..) = book.next_dial(Instant(0), 8, &[]).unwrap();
    book.opened(dial, ConnId(1), node(1));
    book.closed(now(0), ConnId(1), Some((CloseCode::Duplicate, true)));
    assert!(book.next_dial(Instant(MINUTE), 8, &[node(1)]).is_none());
    let (again, ..) = book.next_dial(Instant(MINUTE), 8, &[]).unwrap();
    book.dial_failed(Instant(MINUTE), again);
    assert!(book.next_dial(Instant(MINUTE), 8, &[]).is_none());
    assert!(book.timeout(1, &[]).unwrap().since(Instant(MINUTE)) <= 4_000);
}

#[test]
fn there_is_hope_until_every_address_failed_twice() {
    let mut book = book();
    assert!(!book.is_hopeful());
    book.learn(&address(1), Source::Given, None);
    for hopeful in [true, false, false] {
        let (dial, ..) = book.next_dial(Instant(u64::MAX), 8, &[]).unwrap();
        book.dial_failed(Instant(0), dial);
        assert_eq!(book.is_hopeful(), hopeful);
    }
    book.hurry(&address(1));
    assert!(book.is_hopeful());
}

#[test]
fn once_there_are_links_enough_one_new_address_at_a_time_is_looked_at() {
    let mut book = book();
    (10..60).for_each(|n| assert!(book.hear(&address(n), None, member(n))));
    let linked = [node(1)];
    let (mut at, mut looked, mut tried) = (0, 0, 0);
    while at < 60 * MINUTE {
        if let Some((dial, to, _)) = book.next_dial(Instant(at), 0, &linked) {
            assert!(book.next_dial(Instant(at), 0, &linked).is_none(), "one at a time");
            looked += 1;
            let conn = ConnId(looked);
            book.opened(dial, conn, node(100 + looked as u16));
            assert!(book.is_feeler(conn));
            book.accepted(conn, now(at + 50));
            book.closed(now(at + 50), conn, Some((CloseCode::Full, false)));
            assert!(!book.is_feeler(conn));
            let entry = entry(&book, &to).unwrap();
            assert_eq!((entry.source, entry.last_close), (Source::Tried, None));
            tried += 1;
        } else {
            at = book.timeout(0, &linked).unwrap().0;
        }
    }
    assert!((20..=45).contains(&looked), "{looked} in an hour");
    assert_eq!(tried, looked, "nobody is looked at twice");
    assert!(book.next_dial(Instant(at), 0, &[]).is_none(), "not without any link");
}
