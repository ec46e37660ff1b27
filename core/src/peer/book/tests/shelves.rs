//! Who keeps a place in the book, and what the store is told.

use super::*;

/// What a store that was told of all changes holds.
fn rows(book: &mut Book) -> Vec<(PeerAddr, Option<NodeId>, bool)> {
    let kept = book.take_unsaved(now(MINUTE).wall).into_iter();
    kept.filter_map(|(address, row)| row.map(|row| (address, row.node, row.is_reached()))).collect()
}

#[test]
fn who_came_to_us_is_remembered_at_one_address_and_dialled_first_at_the_next_start() {
    let mut book = book();
    book.meet(&address(1), node(1), member(1), UnixTime(5));
    assert!(book.is_first_of(node(1)));
    assert_eq!(rows(&mut book), [(address(1), Some(node(1)), false)]);
    // It moved: the other row is deleted.
    book.meet(&address(2), node(1), member(1), UnixTime(7));
    assert!(!book.is_first_of(node(1)), "the store has one");
    assert_eq!(rows(&mut book), [(address(2), Some(node(1)), false)]);
    assert!(book.shareable(9).is_empty(), "nobody was reached there");
    let mut again = super::book();
    (3..9).for_each(|n| assert!(again.hear(&address(n), Some(node(n)), member(9))));
    again.remember_met(&address(2), Some(node(1)), member(1), UnixTime(7));
    assert!(!again.is_unsaved());
    assert_eq!(dials(&mut again, 0, &[])[0], address(2));
    // What cannot be kept is deleted: it is there already, or no address.
    again.remember_met(&address(2), Some(node(1)), member(1), UnixTime(7));
    again.remember_met(&PeerAddr("nonsense".into()), None, member(1), UnixTime(7));
    assert_eq!(again.take_unsaved(UnixTime(8)).len(), 2);
}

#[test]
fn who_came_is_believed_over_what_is_heard_and_not_over_what_was_found() {
    let mut book = book();
    book.hear(&address(1), Some(node(8)), member(8));
    book.meet(&address(1), node(1), member(1), UnixTime(5));
    book.hear(&address(1), Some(node(9)), member(9));
    assert_eq!(rows(&mut book), [(address(1), Some(node(1)), false)]);
    // The address changed hands.
    book.meet(&address(1), node(2), member(2), UnixTime(6));
    assert_eq!(rows(&mut book), [(address(1), Some(node(2)), false)]);
    link(&mut book, 0, 1, 1, &[]);
    assert_eq!(rows(&mut book), [(address(1), Some(node(1)), true)]);
    for n in [2, 3] {
        book.meet(&address(1), node(n), member(n), UnixTime(7));
        assert!(!book.is_first_of(node(n)));
    }
    assert!(entry(&book, &address(1)).unwrap().met.is_none());
}

#[test]
fn of_two_rows_of_one_node_that_came_the_first_is_kept() {
    let mut book = book();
    for n in 1..=2 {
        book.remember_met(&address(n), Some(node(1)), member(1), UnixTime(7));
    }
    book.remember_met(&address(3), None, member(1), UnixTime(7));
    let kept: Vec<_> = book.take_unsaved(UnixTime(8)).into_iter().map(|(at, _)| at).collect();
    assert_eq!(kept, [address(2), address(3)], "to be deleted");
}

/// A book with one bucket of tried addresses, all taken; they were seen one after the other.
fn crowded() -> Book {
    let mut book = Book::new(&limits(64, 16), node(0), [3; 32], 7);
    for n in 1..=16 {
        book.remember(&address(n), Some(node(n)), UnixTime(n.into()), None);
    }
    assert_eq!(book.iter().count(), 16);
    book
}

/// A newcomer is reached, by a dial that somebody made.
fn reach(book: &mut Book, at: Millis, conn: u64, n: u16, linked: &[NodeId]) {
    book.hear(&address(n), None, member(99));
    book.hurry(&address(n));
    let others: Vec<_> = (1..=16).map(node).collect();
    let (dial, to, _) = book.next_dial(Instant(at), 8, &others).expect("the newcomer");
    assert_eq!(to, address(n));
    book.opened(dial, ConnId(conn), node(n));
    assert!(book.next_dial(Instant(at), 0, linked).is_none());
    book.accepted(ConnId(conn), now(at));
}

/// The next address that is only looked at.
fn feeler(book: &mut Book, linked: &[NodeId]) -> (Instant, DialId, PeerAddr) {
    let mut at = Instant(0);
    loop {
        if let Some((dial, to, _)) = book.next_dial(at, 0, linked) {
            return (at, dial, to);
        }
        at = book.timeout(0, linked).expect("something to look at");
    }
}

#[test]
fn a_tried_address_that_answers_keeps_its_place_when_another_wants_it() {
    let mut book = crowded();
    reach(&mut book, 0, 1, 40, &[]);
    assert!(matches!(entry(&book, &address(40)).unwrap().place, Place::New(_)));
    let (at, dial, to) = feeler(&mut book, &[node(40)]);
    assert_eq!(to, address(1), "the one that was not seen for longest");
    book.opened(dial, ConnId(2), node(1));
    book.accepted(ConnId(2), now(at.0));
    book.closed(now(at.0), ConnId(2), Some((CloseCode::Full, false)));
    assert!(matches!(entry(&book, &address(1)).unwrap().place, Place::Tried(_)));
    assert!(matches!(entry(&book, &address(40)).unwrap().place, Place::New(_)));
    assert_eq!(entry(&book, &address(40)).unwrap().conn, Some(ConnId(1)), "and its link");
}

#[test]
fn a_tried_address_that_fails_the_test_gives_way_and_is_not_forgotten() {
    let mut book = crowded();
    reach(&mut book, 0, 1, 40, &[]);
    let (at, dial, _) = feeler(&mut book, &[node(40)]);
    book.dial_failed(at, dial);
    assert!(matches!(entry(&book, &address(40)).unwrap().place, Place::Tried(_)));
    assert!(matches!(entry(&book, &address(1)).unwrap().place, Place::New(_)));
    let rows = book.take_unsaved(UnixTime(9));
    let kept: Vec<_> = rows.iter().map(|(address, row)| (address.clone(), row.is_some())).collect();
    assert_eq!(kept, [(address(1), false), (address(40), true)]);
}

#[test]
fn who_is_full_or_stopping_answers_and_who_is_a_stranger_by_now_does_not() {
    for (code, keeps) in [
        (CloseCode::Full, true),
        (CloseCode::ShuttingDown, true),
        (CloseCode::Duplicate, true),
        (CloseCode::WrongMesh, false),
    ] {
        let mut book = crowded();
        reach(&mut book, 0, 1, 40, &[]);
        let (at, dial, _) = feeler(&mut book, &[node(40)]);
        book.opened(dial, ConnId(2), node(1));
        book.closed(now(at.0), ConnId(2), Some((code, true)));
        let is_tried = matches!(entry(&book, &address(1)).unwrap().place, Place::Tried(_));
        assert_eq!(is_tried, keeps, "{code}");
    }
}

#[test]
fn a_linked_address_is_not_tested_and_only_so_many_wait_for_a_test() {
    let mut book = crowded();
    let linked: Vec<_> = (1..=5).map(node).collect();
    assert_eq!(dials(&mut book, 0, &linked).len(), 11);
    (1..=11).for_each(|dial| book.dial_failed(Instant(0), DialId(dial)));
    for n in 0..20u16 {
        reach(&mut book, u64::from(n), 100 + u64::from(n), 40 + n, &linked);
    }
    assert_eq!(book.tests.len(), TESTS_MAX);
    let (_, _, to) = feeler(&mut book, &linked);
    assert!((6..=16).any(|n| to == address(n)), "{to}");
}

#[test]
fn what_a_person_gave_is_no_part_of_a_shelf_and_gives_way_to_nothing() {
    let limits = Limits { addresses_given: 3, ..limits(16, 16) };
    let mut book = Book::new(&limits, node(0), [3; 32], 7);
    (1..=3).for_each(|n| assert!(book.learn(&address(n), Source::Given, None)));
    assert!(!book.learn(&address(4), Source::Given, None));
    assert!(book.learn(&address(3), Source::Seed, Some(node(3))), "it is there already");
    let third = entry(&book, &address(3)).unwrap();
    assert_eq!((third.source, third.pin), (Source::Given, Some(node(3))));
    for n in 100..1_000 {
        book.hear(&address(n), None, member(n));
    }
    assert_eq!(book.iter().count(), 3 + 16);
    (1..=3).for_each(|n| assert!(entry(&book, &address(n)).is_some()));
    assert!(!book.learn(&PeerAddr("no port".into()), Source::Given, None));
}

#[test]
fn one_address_in_many_spellings_is_one() {
    let mut book = book();
    book.learn(&PeerAddr("Raspi.example:7071".into()), Source::Given, None);
    book.hear(&PeerAddr("raspi.EXAMPLE.:07071".into()), None, member(1));
    book.hear(&PeerAddr("[::ffff:192.0.2.1]:1".into()), None, member(1));
    book.hear(&PeerAddr("192.0.2.1:1".into()), None, member(2));
    assert_eq!(book.iter().count(), 2);
}

#[test]
fn the_store_is_told_of_whom_was_reached_and_of_nobody_else() {
    let mut book = book();
    book.learn(&address(1), Source::Given, None);
    book.hear(&address(2), Some(node(2)), member(9));
    assert!(!book.is_unsaved());
    link(&mut book, 5, 1, 1, &[]);
    assert!(book.is_unsaved());
    let rows = book.take_unsaved(UnixTime(2_000_000));
    let (to, row) = &rows[0];
    let row = row.as_ref().unwrap();
    assert_eq!((rows.len(), to, row.node), (1, &address(1), Some(node(1))));
    assert_eq!(row.last_seen, Some(UnixTime(2_000_000)), "it is linked still");
    assert!(!book.is_unsaved());
    // Failures are nothing to write about.
    let (dial, ..) = book.next_dial(Instant(10), 8, &[node(1)]).unwrap();
    book.dial_failed(Instant(10), dial);
    assert!(!book.is_unsaved());
    book.closed(now(20), ConnId(1), Some((CloseCode::ShuttingDown, true)));
    let rows = book.take_unsaved(UnixTime(3_000_000));
    let row = rows[0].1.as_ref().unwrap();
    assert_eq!(row.last_close, Some((CloseCode::ShuttingDown, true)));
    assert_eq!(row.last_seen, Some(UnixTime(2_000_000)));
}

#[test]
fn rows_that_find_no_place_are_deleted() {
    let mut book = crowded();
    book.remember(&address(90), Some(node(90)), UnixTime(1), None);
    book.remember(&PeerAddr("[::0]:07071".into()), None, UnixTime(1), None);
    let rows = book.take_unsaved(UnixTime(9));
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|(_, row)| row.is_none()));
}

#[test]
fn what_is_shared_differs_and_names_those_first_that_answer() {
    let mut book = book();
    (1..=100).for_each(|n| book.remember(&address(n), Some(node(n)), UnixTime(n.into()), None));
    let failed: Vec<_> = (0..40).map(|_| book.next_dial(Instant(0), 8, &[]).unwrap()).collect();
    for (dial, ..) in &failed {
        book.dial_failed(Instant(0), *dial);
    }
    // The same fail again, as soon as their wait is over.
    let (dial, to, _) = book.next_dial(Instant(MINUTE), 8, &[]).unwrap();
    book.dial_failed(Instant(MINUTE), dial);
    assert!(failed.iter().all(|(_, other, _)| *other != to), "others come first");
    for (_, to, _) in &failed {
        book.edit(book.index.by_address[to], |entry| entry.failures = HOPELESS);
    }
    let told: Vec<_> = (0..8).map(|_| book.shareable(20)).collect();
    assert!(told.iter().all(|told| told.len() == 20));
    assert!(told.iter().any(|other| *other != told[0]));
    let all = book.shareable(usize::MAX);
    assert_eq!(all.len(), 100);
    let is_failed = |address: &PeerAddr| failed.iter().any(|(_, other, _)| other == address);
    assert!(all[..60].iter().all(|(address, _)| !is_failed(address)));
}
