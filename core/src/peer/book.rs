//! The address book and the dialler: which places are known, and which to dial now.
//!
//! An address that a person gave is dialled always; one that others told of only while more
//! connections are wanted; a seed only when nothing else connects. Nothing is forgotten because it
//! failed: an outage must not empty the book. When it is full, the address that was never reached
//! and failed most makes room.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::conn::{ConnId, DialId, PeerAddr};
use crate::id::NodeId;
use crate::time::{Instant, Millis, UnixTime};
use crate::wire::CloseCode;

/// An address that failed so often in a row may be gone. (A connection that ends counts as one.)
const HOPELESS: u32 = 2;

/// How we know an address, least trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A fallback, dialled only when nothing else connects.
    Seed,
    /// Another node told us.
    Heard,
    /// We were connected to it before.
    Tried,
    /// A person gave it.
    Given,
}

/// What is known of one address.
#[derive(Debug, Clone)]
pub struct Entry {
    /// How we know it.
    pub source: Source,
    /// The only key to accept there.
    pub pin: Option<NodeId>,
    /// Who last answered there.
    pub node: Option<NodeId>,
    /// When it last said hello.
    pub last_seen: Option<UnixTime>,
    /// Why the last connection ended, and whether the peer ended it.
    pub last_close: Option<(CloseCode, bool)>,
    /// The live connection.
    pub conn: Option<ConnId>,
    dialing: Option<DialId>,
    failures: u32,
    next_dial: Instant,
}

/// Known addresses.
#[derive(Debug)]
pub struct Book {
    entries: BTreeMap<PeerAddr, Entry>,
    /// Addresses that were reached once and made room for others.
    forgotten: Vec<PeerAddr>,
    max: usize,
    backoff: (Millis, Millis),
    /// Longest wait before a given address is dialled again.
    given_wait_max: Millis,
    next_dial_id: u64,
    /// State of the jitter; seeded, so that a run can be repeated.
    jitter: u64,
}

impl Book {
    /// Remembers at most `max` addresses; waits between `backoff` after failures, for a given
    /// address at most `given_wait_max`.
    pub const fn new(
        max: usize,
        backoff: (Millis, Millis),
        given_wait_max: Millis,
        jitter: u64,
    ) -> Self {
        Self {
            entries: BTreeMap::new(),
            forgotten: Vec::new(),
            max,
            backoff,
            given_wait_max,
            next_dial_id: 0,
            jitter,
        }
    }

    /// Learns of an address. A better source or a pin is kept; nothing else changes for a known
    /// one. False if it is no address or there is no room.
    pub fn learn(&mut self, address: PeerAddr, source: Source, pin: Option<NodeId>) -> bool {
        if !address.check() {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.source = entry.source.max(source);
            entry.pin = pin.or(entry.pin);
            return true;
        }
        if self.entries.len() >= self.max && !self.evict(source) {
            return false;
        }
        let entry = Entry {
            source,
            pin,
            node: pin,
            last_seen: None,
            last_close: None,
            conn: None,
            dialing: None,
            failures: 0,
            next_dial: Instant::default(),
        };
        self.entries.insert(address, entry);
        true
    }

    /// Addresses remembered, and those forgotten of which nobody asked yet.
    #[cfg(any(test, feature = "testing"))]
    pub fn sizes(&self) -> (usize, usize) {
        (self.entries.len(), self.forgotten.len())
    }

    /// Another node tells where this one is. It may be wrong, so that decides only whether to dial.
    pub fn hear(&mut self, address: PeerAddr, node: NodeId) {
        let known = self.entries.contains_key(&address);
        if !known
            && self.learn(address.clone(), Source::Heard, None)
            && let Some(entry) = self.entries.get_mut(&address)
        {
            entry.node = Some(node);
        }
    }

    /// Makes room for an address of this source: an unused one of the same or a lesser source goes.
    fn evict(&mut self, source: Source) -> bool {
        let victim = self
            .entries
            .iter()
            .filter(|(_, e)| e.conn.is_none() && e.dialing.is_none() && e.source <= source)
            .filter(|(_, e)| e.source < source || (e.last_seen.is_none() && e.failures > 0))
            .min_by_key(|(_, e)| (e.source, core::cmp::Reverse(e.failures)))
            .map(|(address, _)| address.clone());
        let Some((address, entry)) = victim.and_then(|a| self.entries.remove_entry(&a)) else {
            return false;
        };
        if entry.last_seen.is_some() {
            self.forgotten.push(address);
        }
        true
    }

    /// Addresses that the store remembers and the book does not any more, since the last call.
    pub fn take_forgotten(&mut self) -> Vec<PeerAddr> {
        core::mem::take(&mut self.forgotten)
    }

    /// What is remembered of an address from an earlier run.
    pub fn remember(
        &mut self,
        address: PeerAddr,
        node: Option<NodeId>,
        last_seen: UnixTime,
        last_close: Option<(CloseCode, bool)>,
    ) {
        if !self.learn(address.clone(), Source::Tried, None) {
            return self.forgotten.push(address);
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.node = node.or(entry.node);
            entry.last_seen = Some(last_seen);
            entry.last_close = last_close;
        }
    }

    /// A few milliseconds of a wait more or less, so that nodes do not dial in step (xorshift64*).
    fn jittered(&mut self, wait: Millis) -> Millis {
        self.jitter ^= self.jitter >> 12;
        self.jitter ^= self.jitter << 25;
        self.jitter ^= self.jitter >> 27;
        let random = self.jitter.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        wait / 2 + random % (wait + 1)
    }

    /// Addresses worth dialling as soon as their wait is over.
    fn candidates<'a>(
        &'a self,
        wanted: usize,
        connected: &'a [NodeId],
    ) -> impl Iterator<Item = (&'a PeerAddr, &'a Entry)> {
        let alone = connected.is_empty() && !self.is_dialing();
        let wanted_now = move |entry: &Entry| match entry.source {
            Source::Given => true,
            Source::Tried | Source::Heard => wanted > 0,
            Source::Seed => alone,
        };
        let linked = |entry: &Entry| entry.node.is_some_and(|node| connected.contains(&node));
        self.entries.iter().filter(move |(_, entry)| {
            let idle = entry.conn.is_none() && entry.dialing.is_none();
            idle && wanted_now(entry) && !linked(entry)
        })
    }

    /// Addresses being dialled, or reached but not accepted yet.
    pub fn reaching(&self, accepted: impl Fn(ConnId) -> bool) -> usize {
        let on_the_way = |entry: &&Entry| {
            entry.dialing.is_some() || entry.conn.is_some_and(|conn| !accepted(conn))
        };
        self.entries.values().filter(on_the_way).count()
    }

    /// The next address to dial, with the key to expect. `wanted`: how many further connections
    /// are wanted besides the given addresses; `connected`: nodes there is a connection to.
    pub fn next_dial(
        &mut self,
        now: Instant,
        wanted: usize,
        connected: &[NodeId],
    ) -> Option<(DialId, PeerAddr, Option<NodeId>)> {
        let (address, _) =
            self.candidates(wanted, connected)
                .filter(|(_, e)| e.next_dial <= now)
                .max_by_key(|(_, e)| (e.source, core::cmp::Reverse(e.failures), e.last_seen))?;
        let address = address.clone();
        self.next_dial_id += 1;
        let dial = DialId(self.next_dial_id);
        let entry = self.entries.get_mut(&address)?;
        entry.dialing = Some(dial);
        let pin = entry.pin;
        Some((dial, address, pin))
    }

    fn by_dial(&mut self, dial: DialId) -> Option<&mut Entry> {
        self.entries.values_mut().find(|entry| entry.dialing == Some(dial))
    }

    fn back_off(&mut self, now: Instant, address: &PeerAddr) {
        let Some(entry) = self.entries.get_mut(address) else {
            return;
        };
        let (first, longest) = self.backoff;
        // Somebody waits for a given address.
        let given = entry.source == Source::Given;
        let longest = if given { longest.min(self.given_wait_max) } else { longest };
        let wait = first.saturating_mul(1 << entry.failures.min(20)).min(longest);
        entry.failures = entry.failures.saturating_add(1);
        let wait = self.jittered(wait);
        if let Some(entry) = self.entries.get_mut(address) {
            entry.next_dial = now.after(wait);
        }
    }

    /// A dial failed.
    pub fn dial_failed(&mut self, now: Instant, dial: DialId) {
        let found = self.entries.iter().find(|(_, e)| e.dialing == Some(dial));
        let Some(address) = found.map(|(address, _)| address.clone()) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.dialing = None;
        }
        self.back_off(now, &address);
    }

    /// A dial reached somebody; whether it is a peer will be seen.
    pub fn opened(&mut self, dial: DialId, conn: ConnId, node: NodeId) {
        if let Some(entry) = self.by_dial(dial) {
            entry.dialing = None;
            entry.conn = Some(conn);
            entry.node = Some(node);
        }
    }

    /// The peer behind a connection is accepted. Returns its address if we dialled it.
    pub fn accepted(&mut self, conn: ConnId, wall: UnixTime) -> Option<PeerAddr> {
        let (address, entry) = self.entries.iter_mut().find(|(_, e)| e.conn == Some(conn))?;
        entry.failures = 0;
        entry.last_seen = Some(wall);
        entry.source = entry.source.max(Source::Tried);
        Some(address.clone())
    }

    /// A connection ended; the address behind it, if we dialled it, is dialled again later.
    pub fn closed(&mut self, now: Instant, conn: ConnId, close: Option<(CloseCode, bool)>) {
        let found = self.entries.iter().find(|(_, e)| e.conn == Some(conn));
        let Some(address) = found.map(|(address, _)| address.clone()) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.conn = None;
            entry.last_close = close;
            // That is our own address: nothing to come back for. (A duplicate is not dialled while
            // the better link lives, and must be soon after that one is lost.)
            if matches!(close, Some((CloseCode::Myself, _))) {
                entry.failures = entry.failures.max(8);
            }
        }
        self.back_off(now, &address);
    }

    /// Dial this address at once, whatever failed before.
    pub fn hurry(&mut self, address: &PeerAddr) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.next_dial = Instant::default();
            entry.failures = 0;
        }
    }

    /// Whether any dial is under way.
    pub fn is_dialing(&self) -> bool {
        self.entries.values().any(|entry| entry.dialing.is_some())
    }

    /// Whether some address has not failed twice since it was last reached, or learned. Unlike
    /// `is_dialing` that does not change back and forth while nobody answers.
    pub fn is_hopeful(&self) -> bool {
        self.entries.values().any(|entry| entry.failures < HOPELESS)
    }

    /// Whether there is anybody to dial at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerAddr, &Entry)> {
        self.entries.iter()
    }

    /// Addresses where a node was reached, for peer exchange; at most `max`.
    pub fn shareable(&self, max: usize) -> Vec<(PeerAddr, NodeId)> {
        let reached = self.entries.iter().filter(|(_, e)| e.last_seen.is_some());
        reached.filter_map(|(a, e)| Some((a.clone(), e.node?))).take(max).collect()
    }

    /// When `next_dial` will have something to dial, if nothing else changes.
    pub fn timeout(&self, wanted: usize, connected: &[NodeId]) -> Option<Instant> {
        self.candidates(wanted, connected).map(|(_, entry)| entry.next_dial).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn book() -> Book {
        Book::new(4, (1_000, 600_000), 30_000, 7)
    }

    fn address(n: u8) -> PeerAddr {
        PeerAddr(format!("192.0.2.{n}:7071"))
    }

    fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    #[test]
    fn given_addresses_are_dialled_first_and_seeds_only_when_alone() {
        let mut book = book();
        book.learn(address(1), Source::Seed, None);
        book.learn(address(2), Source::Heard, None);
        book.learn(address(3), Source::Given, Some(node(3)));
        let (first, to, pin) = book.next_dial(Instant(0), 1, &[]).unwrap();
        assert_eq!((to, pin), (address(3), Some(node(3))));
        let (second, to, _) = book.next_dial(Instant(0), 1, &[]).unwrap();
        assert_eq!(to, address(2));
        assert!(book.next_dial(Instant(0), 1, &[]).is_none());
        book.dial_failed(Instant(0), first);
        book.dial_failed(Instant(0), second);
        assert_eq!(book.next_dial(Instant(0), 1, &[]).unwrap().1, address(1));
    }

    #[test]
    fn the_next_dial_is_that_of_an_address_that_would_be_dialled() {
        let mut book = book();
        book.hear(address(1), node(1));
        book.learn(address(2), Source::Given, None);
        let (dial, to, _) = book.next_dial(Instant(5_000), 0, &[node(1)]).unwrap();
        assert_eq!((to, book.timeout(0, &[node(1)])), (address(2), None));
        book.dial_failed(Instant(5_000), dial);
        let at = book.timeout(0, &[node(1)]).unwrap();
        assert!(at > Instant(5_000), "one that is linked or not wanted does not count");
        assert!(book.next_dial(Instant(at.0 - 1), 0, &[node(1)]).is_none());
        assert!(book.next_dial(at, 0, &[node(1)]).is_some());
    }

    #[test]
    fn an_address_is_on_the_way_until_its_peer_is_accepted() {
        let mut book = book();
        book.learn(address(1), Source::Heard, None);
        let (dial, _, _) = book.next_dial(Instant(0), 1, &[]).unwrap();
        assert_eq!(book.reaching(|_| false), 1);
        book.opened(dial, ConnId(7), node(1));
        assert_eq!((book.reaching(|_| false), book.reaching(|_| true)), (1, 0));
    }

    #[test]
    fn the_address_of_a_linked_node_is_not_dialled_because_others_tell_of_it() {
        let mut book = book();
        book.hear(address(1), node(1));
        assert!(book.next_dial(Instant(0), 8, &[node(1)]).is_none());
        assert!(book.next_dial(Instant(0), 8, &[node(2)]).is_some());
    }

    #[test]
    fn waits_grow_with_failures_and_a_given_address_is_tried_every_half_minute() {
        let mut book = book();
        book.learn(address(1), Source::Given, None);
        let mut now = Instant(0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let (dial, ..) = book.next_dial(now, 0, &[]).unwrap();
            book.dial_failed(now, dial);
            let next = book.timeout(1, &[]).unwrap();
            waits.push(next.since(now));
            now = next;
        }
        assert!((500..=1_500).contains(&waits[0]), "{waits:?}");
        assert!(waits[8..].iter().all(|wait| (15_000..=45_000).contains(wait)), "{waits:?}");
    }

    #[test]
    fn invented_addresses_displace_nothing_that_worked() {
        let mut book = book();
        book.remember(address(1), Some(node(1)), UnixTime(5), None);
        book.learn(address(2), Source::Given, None);
        for n in 10..200 {
            book.learn(address(n), Source::Heard, None);
        }
        assert_eq!(book.iter().count(), 4);
        assert!(book.iter().any(|(a, _)| *a == address(1)));
        assert!(book.iter().any(|(a, _)| *a == address(2)));
        assert!(book.learn(address(3), Source::Given, None), "a person's address finds room");
        assert!(!book.learn(PeerAddr("no port".into()), Source::Given, None));
    }

    #[test]
    fn an_address_that_made_room_is_forgotten_by_the_store_too() {
        let mut book = book();
        for n in 1..=6 {
            book.remember(address(n), Some(node(n)), UnixTime(n.into()), None);
        }
        assert_eq!(book.take_forgotten(), [address(5), address(6)]);
        assert!(book.learn(address(7), Source::Given, None), "a person's address finds room");
        assert_eq!(book.take_forgotten().len(), 1);
        assert_eq!((book.iter().count(), book.take_forgotten().len()), (4, 0));
    }

    #[test]
    fn there_is_hope_until_every_address_failed_twice() {
        let mut book = book();
        assert!(!book.is_hopeful());
        book.learn(address(1), Source::Given, None);
        for hopeful in [true, false, false] {
            let (dial, ..) = book.next_dial(Instant(u64::MAX), 8, &[]).unwrap();
            book.dial_failed(Instant(0), dial);
            assert_eq!(book.is_hopeful(), hopeful);
        }
        book.hurry(&address(1));
        assert!(book.is_hopeful());
    }

    #[test]
    fn an_address_whose_link_was_one_too_many_is_dialled_soon_after_the_other_link_is_lost() {
        let mut book = book();
        book.learn(address(1), Source::Heard, None);
        let (dial, ..) = book.next_dial(Instant(0), 8, &[]).unwrap();
        book.opened(dial, ConnId(1), node(1));
        book.closed(Instant(0), ConnId(1), Some((CloseCode::Duplicate, true)));
        assert!(book.next_dial(Instant(60_000), 8, &[node(1)]).is_none());
        let (again, ..) = book.next_dial(Instant(60_000), 8, &[]).unwrap();
        book.dial_failed(Instant(60_000), again);
        assert!(book.timeout(1, &[]).unwrap().since(Instant(60_000)) <= 3_000);
    }

    #[test]
    fn a_node_that_is_connected_is_not_dialled_at_its_other_address() {
        let mut book = book();
        book.learn(address(1), Source::Given, Some(node(1)));
        assert!(book.next_dial(Instant(0), 8, &[node(1)]).is_none());
        assert!(book.next_dial(Instant(0), 8, &[node(2)]).is_some());
    }
}
