//! The book alone: shelves, order of dials, what is remembered.

mod dialing;
mod floods;
mod props;
mod shelves;

use alloc::format;
use alloc::vec::Vec;

use super::*;
use crate::conn::{ConnId, DialId};
use crate::time::Now;

const MINUTE: Millis = 60_000;

fn now(at: Millis) -> Now {
    Now { instant: Instant(at), wall: UnixTime(1_000_000 + at), wall_confirmed: true }
}

fn limits(new: usize, tried: usize) -> Limits {
    Limits { addresses: new, addresses_tried: tried, ..Limits::default() }
}

fn book() -> Book {
    Book::new(&Limits::default(), node(0), [3; 32], 7)
}

/// Each in a network of its own.
fn address(n: u16) -> PeerAddr {
    let [high, low] = n.to_be_bytes();
    PeerAddr(format!("{}.{low}.0.1:7071", 45 + high))
}

fn node(n: u16) -> NodeId {
    let mut id = [0xaa; 32];
    id[..2].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

fn member(n: u16) -> Introducer {
    Introducer::Member(node(n))
}

fn entry<'a>(book: &'a Book, address: &PeerAddr) -> Option<&'a Entry> {
    book.iter().find(|(other, _)| *other == address).map(|(_, entry)| entry)
}

/// A dial of this address, which must be next, is answered and accepted.
fn link(book: &mut Book, at: Millis, conn: u64, n: u16, others: &[NodeId]) {
    let (dial, to, _) = book.next_dial(Instant(at), 8, others).expect("somebody to dial");
    assert_eq!(to, address(n));
    book.opened(dial, ConnId(conn), node(n));
    book.accepted(ConnId(conn), now(at));
}

/// All addresses that would be dialled now, in their order; they stay dialled.
fn dials(book: &mut Book, at: Millis, linked: &[NodeId]) -> Vec<PeerAddr> {
    core::iter::from_fn(|| book.next_dial(Instant(at), 8, linked)).map(|(_, to, _)| to).collect()
}
