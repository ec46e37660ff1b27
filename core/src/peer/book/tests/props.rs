//! Whatever happens to a book, in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Hear(u16, u16, u16),
    Meet(u16, u16),
    Lan(u16),
    Give(u16),
    /// A dial; it fails, is refused, or is accepted and ends after so long.
    Dial(u8, Millis),
    /// The links that are left alone end.
    End(Millis),
    Pass(Millis),
    Save,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..300u16, 0..300u16, 0..12u16).prop_map(|(a, n, by)| Step::Hear(a, n, by)),
        2 => (0..300u16, 0..12u16).prop_map(|(a, n)| Step::Meet(a, n)),
        1 => (0..300u16).prop_map(Step::Lan),
        1 => (0..20u16).prop_map(Step::Give),
        8 => (0..5u8, 0..200_000u64).prop_map(|(what, span)| Step::Dial(what, span)),
        1 => (0..100_000u64).prop_map(Step::End),
        4 => (0..700_000u64).prop_map(Step::Pass),
        1 => Just(Step::Save),
    ]
}

/// What can be looked up is what a look at all entries finds.
fn check(book: &Book, limits: &Limits) {
    let all: Vec<_> = book.iter().collect();
    assert_eq!(all.len(), book.entries.len());
    let count = |keep: fn(&Entry) -> bool| all.iter().filter(|(_, entry)| keep(entry)).count();
    assert!(count(Entry::is_new) <= limits.addresses);
    assert!(count(|entry| matches!(entry.place, Place::Tried(_))) <= limits.addresses_tried);
    assert_eq!(count(|entry| entry.place == Place::Given), book.given);
    assert!(book.given <= limits.addresses_given);
    assert_eq!(count(|entry| entry.failures < HOPELESS) > 0, book.is_hopeful());
    assert_eq!(count(|entry| entry.dialing.is_some()) > 0, book.is_dialing());
    assert_eq!(count(|entry| !entry.is_idle()), book.reaching(|_| false));
    let met: Vec<_> = all.iter().filter(|(_, e)| e.met.is_some()).map(|(_, e)| e.node).collect();
    let nodes: BTreeSet<_> = met.iter().flatten().collect();
    assert_eq!(nodes.len(), met.len(), "one address of each node that came");
    assert!(book.tests.len() <= TESTS_MAX);
    for (victim, rival) in &book.tests {
        assert!(matches!(book.place_of(*victim), Some(Place::Tried(_))));
        assert!(book.entries.contains_key(rival));
    }
    for (id, entry) in &book.entries {
        let shelf = match entry.place {
            Place::New(bucket) => book.new.bucket(bucket),
            Place::Tried(bucket) => book.tried.bucket(bucket),
            Place::Given => continue,
        };
        assert_eq!(shelf.iter().filter(|other| *other == id).count(), 1);
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(200))]

    #[test]
    fn bounds_hold_and_nothing_tried_or_given_is_lost_by_what_is_heard(
        steps in prop::collection::vec(step(), 1..120),
        new in 1..80usize,
        tried in 1..40usize,
    ) {
        let limits = Limits { addresses_given: 12, ..limits(new, tried) };
        let mut book = Book::new(&limits, node(0), [5; 32], 11);
        let (mut at, mut conns, mut live) = (0, 0, Vec::new());
        for step in steps {
            match step {
                Step::Hear(a, n, by) => {
                    let kept = |book: &Book| -> Vec<PeerAddr> {
                        let kept = book.iter().filter(|(_, entry)| !entry.is_new());
                        kept.map(|(address, _)| address.clone()).collect()
                    };
                    let before = kept(&book);
                    book.hear(&address(a), Some(node(n)), member(by));
                    prop_assert_eq!(before, kept(&book));
                }
                Step::Meet(a, n) => {
                    book.meet(&address(a), node(n), member(n), now(at).wall);
                }
                Step::Lan(a) => {
                    book.learn(&address(a), Source::Lan, None);
                }
                Step::Give(a) => {
                    book.learn(&address(a), Source::Given, None);
                }
                Step::Dial(what, span) => {
                    let linked: Vec<_> = live.iter().map(|(_, node)| *node).collect();
                    let wanted = usize::from(what % 2 == 0) * 8;
                    let Some((dial, ..)) = book.next_dial(Instant(at), wanted, &linked) else {
                        let next = book.timeout(wanted, &linked);
                        prop_assert!(next.is_none_or(|next| next.0 > at), "{next:?} at {at}");
                        continue;
                    };
                    conns += 1;
                    let (conn, peer) = (ConnId(conns), node(1_000 + conns as u16));
                    match what {
                        0 => book.dial_failed(Instant(at), dial),
                        1 => {
                            book.opened(dial, conn, node(0));
                            book.closed(now(at), conn, Some((CloseCode::Myself, true)));
                        }
                        2 => {
                            book.opened(dial, conn, peer);
                            book.accepted(conn, now(at));
                            live.push((conn, peer));
                        }
                        _ => {
                            book.opened(dial, conn, peer);
                            book.accepted(conn, now(at));
                            book.closed(now(at + span), conn, None);
                            at += span;
                        }
                    }
                }
                Step::End(span) => {
                    at += span;
                    for (conn, _) in live.drain(..) {
                        book.closed(now(at), conn, None);
                    }
                }
                Step::Pass(span) => at += span,
                Step::Save => {
                    for (address, row) in book.take_unsaved(now(at).wall) {
                        let kept = book.iter().any(|(other, e)| *other == address && e.is_kept());
                        prop_assert_eq!(row.is_some(), kept);
                    }
                    prop_assert!(!book.is_unsaved());
                }
            }
            check(&book, &limits);
        }
        let told = book.shareable(64);
        prop_assert!(told.len() <= 64);
    }

    #[test]
    fn hostile_text_is_an_address_with_one_spelling_or_none(text in "[a-z0-9:.%_\\[\\]-]{0,40}") {
        let address = PeerAddr(text);
        if let Some(spelled) = place::canonical(&address) {
            prop_assert!(spelled.check());
            prop_assert_eq!(place::canonical(&spelled), Some(spelled.clone()));
            prop_assert_eq!(Group::of(&address), Group::of(&spelled));
        }
    }
}
