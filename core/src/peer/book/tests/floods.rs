//! Members that invent addresses.

use super::*;

/// What a member makes up: addresses all over the network.
fn invented(n: u32) -> PeerAddr {
    let [a, b, c, d] = n.wrapping_mul(0x9e37_79b1).to_be_bytes();
    PeerAddr(format!("{}.{b}.{c}.{d}:{}", 20 + a % 100, 1 + n % 60_000))
}

fn told_by(book: &Book, by: Introducer) -> usize {
    book.iter().filter(|(_, entry)| entry.by == by && entry.is_new()).count()
}

#[test]
fn ten_thousand_invented_addresses_displace_none_that_worked_and_leave_room_for_others() {
    let mut book = book();
    (1..=150).for_each(|n| book.remember(&address(n), Some(node(n)), UnixTime(n.into()), None));
    let tried: Vec<_> = book.iter().map(|(address, _)| address.clone()).collect();
    (200..210).for_each(|n| assert!(book.hear(&address(n), None, member(n))));
    for n in 0..10_000 {
        book.hear(&invented(n), None, member(666));
    }
    // An eighth of the shelf is what one member reaches.
    let taken = told_by(&book, member(666));
    assert!((64..=128).contains(&taken), "{taken}");
    assert!(tried.iter().all(|address| entry(&book, address).is_some()));
    (200..210).for_each(|n| assert!(entry(&book, &address(n)).is_some()));
    // Others that come later find room, each for some.
    for by in 300..340u16 {
        let heard = (0..4).filter(|n| book.hear(&address(by * 4 + n), None, member(by))).count();
        assert!(heard >= 3, "{by}: {heard}");
    }
}

#[test]
fn one_network_gets_one_bucket_of_what_a_member_tells() {
    let mut book = book();
    for n in 0..10_000u32 {
        let [.., a, b] = n.to_be_bytes();
        book.hear(&PeerAddr(format!("45.1.{a}.{b}:7071")), None, member(1));
    }
    assert_eq!(book.iter().count(), 16);
}

#[test]
fn many_who_tell_much_do_not_silence_one_who_tells_little() {
    let mut book = book();
    for n in 0..8_000 {
        book.hear(&invented(n), None, member(600 + (n % 40) as u16));
    }
    assert!(book.iter().count() <= 1_024);
    let heard = (0..16).filter(|n| book.hear(&address(*n), None, member(1))).count();
    assert!(heard >= 12, "{heard}");
    // And what it told stays whatever comes after.
    for n in 8_000..16_000 {
        book.hear(&invented(n), None, member(600 + (n % 40) as u16));
    }
    assert_eq!(told_by(&book, member(1)), heard);
}

#[test]
fn an_address_that_was_dialled_in_vain_gives_way_first() {
    let mut book = Book::new(&limits(16, 16), node(0), [3; 32], 7);
    (1..=16).for_each(|n| assert!(book.hear(&address(n), None, member(1))));
    assert!(!book.hear(&address(17), None, member(1)));
    let (dial, to, _) = book.next_dial(Instant(0), 1, &[]).unwrap();
    book.dial_failed(Instant(0), dial);
    assert!(!book.hear(&address(17), None, member(1)), "once is bad luck");
    book.edit(book.index.by_address[&to], |entry| entry.failures = HOPELESS);
    assert!(book.hear(&address(17), None, member(1)));
    assert!(entry(&book, &to).is_none());
    assert_eq!(book.iter().count(), 16);
}

#[test]
fn the_local_network_has_an_eighth_of_the_shelf_too() {
    let mut book = book();
    for n in 0..10_000u32 {
        let [.., a, b] = n.to_be_bytes();
        book.learn(&PeerAddr(format!("10.0.{a}.{b}:7071")), Source::Lan, None);
    }
    let heard = book.iter().count();
    assert!((32..=128).contains(&heard), "{heard}");
}
