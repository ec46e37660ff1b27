//! The address book and the dialler: which places are known, and which to dial now.
//!
//! Two shelves of small buckets. *New*: what others tell of, in buckets chosen by who told and by
//! network, so that nobody fills more than a part of it, and who tells much gives way to who tells
//! little. *Tried*: where a node was reached, in buckets chosen by network; whoever is to make room
//! there is dialled first and stays if it answers. What a person gave is kept apart and gives way to
//! nothing. Nothing is forgotten because it failed: an outage must not empty the book.
//!
//! Order of dials: what was reached before, those first that were linked last (at a start these are
//! the links of the last run), and what a person gave, at once; then what was heard; seeds when
//! nothing else connects. Once there are links enough, one new address at a time is dialled now and
//! then only to see whether anybody answers (a *feeler*), so that the shelf of the tried grows.
//!
//! The model is Bitcoin Core's `addrman` with the countermeasures of Heilman et al., "Eclipse
//! Attacks on Bitcoin's Peer-to-Peer Network" (USENIX Security 2015, section 7). What differs, and
//! why, is in `docs/adr/0022`. Not here: who is banned, and what a row in the store looks like.

mod backoff;
mod dial;
mod entry;
mod index;
mod place;
mod save;
mod shelf;

pub use dial::Dial;
pub use entry::{Entry, Introducer, Source};
pub use place::{Group, may_be_told};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use backoff::Backoff;
use entry::{EntryId, HOPELESS, Place};
use index::Index;
use shelf::{Dice, Shelf};

use crate::conn::PeerAddr;
use crate::id::NodeId;
use crate::limits::Limits;
use crate::time::{Instant, Millis, UnixTime};
use crate::wire::CloseCode;

/// Addresses whose turn it is among which one is sought that leads somewhere else.
const PLACES_LOOKED_AT: usize = 8;
/// Entries of the tried that wait to be tested at one time.
const TESTS_MAX: usize = 8;

/// Known addresses.
#[derive(Debug)]
pub struct Book {
    entries: BTreeMap<EntryId, Entry>,
    index: Index,
    new: Shelf,
    tried: Shelf,
    dice: Dice,
    backoff: Backoff,
    me: NodeId,
    /// Most addresses that people give.
    given_max: usize,
    given: usize,
    /// Longest wait before a given address is dialled again.
    given_wait_max: Millis,
    last_entry: u64,
    last_dial: u64,
    /// Since when there is no link, or that there was one last.
    linked_at: Option<Instant>,
    /// The address that is only looked at.
    feeler: Option<EntryId>,
    next_feeler: Option<Instant>,
    /// Tried ones that keep their places if they answer, and those that want the places.
    tests: BTreeMap<EntryId, EntryId>,
    /// Addresses whose rows in the store are not as they should be.
    unsaved: BTreeSet<PeerAddr>,
    /// Grows when something new was heard.
    news: u64,
}

impl Book {
    /// An empty book of the node `me`. `key`: secret, the same at every start, so that addresses find
    /// their buckets again; `seed`: of the chance in waits.
    pub fn new(limits: &Limits, me: NodeId, key: [u8; 32], seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            index: Index::new(me),
            new: Shelf::new(limits.addresses),
            tried: Shelf::new(limits.addresses_tried),
            dice: Dice::new(key),
            backoff: Backoff::new(limits.backoff, seed),
            me,
            given_max: limits.addresses_given,
            given: 0,
            given_wait_max: limits.dial_interval,
            last_entry: 0,
            last_dial: 0,
            linked_at: None,
            feeler: None,
            next_feeler: None,
            tests: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            news: 0,
        }
    }

    /// Grows when something new was heard.
    pub const fn news(&self) -> u64 {
        self.news
    }

    /// Addresses remembered, and those whose rows are to be written.
    #[cfg(any(test, feature = "testing"))]
    pub fn sizes(&self) -> (usize, usize) {
        (self.entries.len(), self.unsaved.len())
    }

    /// Learns of an address, and of the only key to accept there if `pin` says one. `Given` and
    /// `Seed` are kept whatever happens; what has any other source is heard on the local network.
    /// False if it is no address or there is no room.
    pub fn learn(&mut self, address: &PeerAddr, source: Source, pin: Option<NodeId>) -> bool {
        if source < Source::Seed {
            return self.hear(address, pin, Introducer::Lan);
        }
        let Some(address) = place::canonical(address) else {
            return false;
        };
        let known = self.index.by_address.get(&address).copied();
        let held = known.is_some_and(|id| self.place_of(id) == Some(Place::Given));
        if !held && self.given >= self.given_max {
            return false;
        }
        let id = known.unwrap_or_else(|| self.insert(address, Place::Given, Introducer::Me));
        if !held {
            self.given += 1;
            self.leave_shelf(id);
        }
        self.edit(id, |entry| {
            entry.place = Place::Given;
            entry.source = entry.source.max(source);
            entry.pin = if source == Source::Given { pin } else { pin.or(entry.pin) };
            pin.inspect(|node| entry.is_of(*node));
        });
        self.note_unsaved(id);
        true
    }

    /// Hears of an address, and of the node that is said to be there. That may be wrong, so it
    /// decides only whether to dial; of two that are said, none counts. False if it is no address or
    /// there is no room.
    pub fn hear(&mut self, address: &PeerAddr, node: Option<NodeId>, by: Introducer) -> bool {
        let Some(address) = place::canonical(address) else {
            return false;
        };
        let source = if by == Introducer::Lan { Source::Lan } else { Source::Heard };
        if let Some(id) = self.index.by_address.get(&address).copied() {
            let changed = self.edit(id, |entry| {
                let before = (entry.source, entry.node);
                entry.source = entry.source.max(source);
                if entry.is_hearsay() && entry.met.is_none() && node != entry.node {
                    entry.node = None;
                }
                before != (entry.source, entry.node)
            });
            self.news += u64::from(changed == Some(true));
            return true;
        }
        let bucket = self.dice.new_bucket(&self.new, &by, &address, &Group::of(&address));
        if self.new.is_full(bucket) && !self.make_room(bucket, &by) {
            return false;
        }
        let id = self.insert(address, Place::New(bucket), by);
        self.new.put(bucket, id);
        self.edit(id, |entry| {
            entry.source = source;
            entry.node = node;
        });
        self.news += 1;
        true
    }

    /// A node came to us and says that it listens there, which is where it came from but for the
    /// port: that weighs more than what is heard, and less than what was found by dialling. It stays
    /// on the shelf of the new, but the store remembers it, one address of each node: after a start
    /// it is dialled like those that were reached.
    pub fn meet(&mut self, address: &PeerAddr, node: NodeId, by: Introducer, wall: UnixTime) {
        self.hear(address, Some(node), by);
        let known = place::canonical(address);
        let known = known.and_then(|known| self.index.by_address.get(&known).copied());
        let believes = |entry: &Entry| entry.is_hearsay() || entry.node == Some(node);
        let Some(id) = known.filter(|id| self.entries.get(id).is_some_and(believes)) else {
            return;
        };
        let others: Vec<EntryId> = self.index.of_node(node).filter(|other| *other != id).collect();
        for other in others {
            if self.edit(other, |entry| entry.met.take()).flatten().is_some() {
                self.note_unsaved(other);
            }
        }
        self.edit(id, |entry| {
            entry.is_of(node);
            entry.met = Some(wall);
        });
        self.note_unsaved(id);
    }

    /// Forgets an address that a person does not want any more; a link to it stays up, and is none of
    /// the book's any more. False if it is not known.
    pub fn remove(&mut self, address: &PeerAddr) -> bool {
        let known = place::canonical(address);
        let Some(id) = known.and_then(|known| self.index.by_address.get(&known).copied()) else {
            return false;
        };
        if self.place_of(id) == Some(Place::Given) {
            self.given = self.given.saturating_sub(1);
        }
        self.feeler = self.feeler.filter(|feeler| *feeler != id);
        self.forget(id);
        true
    }

    /// The node that is said or known to be at an address.
    pub fn node_at(&self, address: &PeerAddr) -> Option<NodeId> {
        let known = place::canonical(address)?;
        let id = self.index.by_address.get(&known)?;
        self.entries.get(id)?.node
    }

    /// What is remembered of an address from an earlier run.
    pub fn remember(
        &mut self,
        address: &PeerAddr,
        node: Option<NodeId>,
        last_seen: UnixTime,
        last_close: Option<(CloseCode, bool)>,
    ) {
        let spelled = place::canonical(address).filter(|spelled| spelled == address);
        let bucket = self.dice.tried_bucket(&self.tried, address, &Group::of(address));
        let known = self.index.by_address.contains_key(address);
        if spelled.is_none() || known || self.tried.is_full(bucket) {
            self.unsaved.insert(address.clone());
            return;
        }
        let id = self.insert(address.clone(), Place::Tried(bucket), Introducer::Me);
        self.tried.put(bucket, id);
        self.edit(id, |entry| {
            entry.source = Source::Tried;
            entry.node = node;
            entry.last_seen = Some(last_seen);
            entry.last_close = last_close;
            entry.stored = true;
        });
    }

    /// What is remembered from an earlier run of an address where nobody was reached, but whose node
    /// came to us.
    pub fn remember_met(
        &mut self,
        address: &PeerAddr,
        node: Option<NodeId>,
        by: Introducer,
        met: UnixTime,
    ) {
        let spelled = place::canonical(address).filter(|spelled| spelled == address);
        let is_news = spelled.is_some_and(|new| !self.index.by_address.contains_key(&new));
        if let Some(node) = node.filter(|_| is_news)
            && !self.of(node).any(|entry| entry.met.is_some())
        {
            self.meet(address, node, by, met);
        }
        match self.index.by_address.get(address).copied().filter(|_| is_news) {
            Some(id) => {
                self.edit(id, |entry| entry.stored = true);
                self.unsaved.remove(address);
            }
            None => {
                self.unsaved.insert(address.clone());
            }
        }
    }

    /// What is known of the addresses that a node is said or known to be at.
    fn of(&self, node: NodeId) -> impl Iterator<Item = &Entry> {
        self.index.of_node(node).filter_map(|id| self.entries.get(&id))
    }

    fn insert(&mut self, address: PeerAddr, place: Place, by: Introducer) -> EntryId {
        self.last_entry += 1;
        let id = EntryId(self.last_entry);
        let entry = Entry {
            source: Source::Heard,
            pin: None,
            node: None,
            last_seen: None,
            met: None,
            last_close: None,
            conn: None,
            group: Group::of(&address),
            place,
            by,
            rank: self.dice.rank(&address),
            dialing: None,
            failures: 0,
            attempts: 0,
            next_dial: Instant::default(),
            accepted: None,
            stored: false,
            address: address.clone(),
        };
        self.index.by_address.insert(address, id);
        self.index.add(id, &entry);
        self.entries.insert(id, entry);
        id
    }

    /// Changes an entry and all that depends on it.
    fn edit<R>(&mut self, id: EntryId, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let entry = self.entries.get_mut(&id)?;
        self.index.remove(id, entry);
        let result = change(entry);
        self.index.add(id, entry);
        Some(result)
    }

    fn place_of(&self, id: EntryId) -> Option<Place> {
        self.entries.get(&id).map(|entry| entry.place)
    }

    fn leave_shelf(&mut self, id: EntryId) {
        match self.place_of(id) {
            Some(Place::New(bucket)) => self.new.take(bucket, id),
            Some(Place::Tried(bucket)) => self.tried.take(bucket, id),
            Some(Place::Given) | None => {}
        }
        self.tests.remove(&id);
    }

    fn forget(&mut self, id: EntryId) {
        self.leave_shelf(id);
        self.tests.retain(|_, rival| *rival != id);
        if let Some(entry) = self.entries.remove(&id) {
            self.index.remove(id, &entry);
            self.index.by_address.remove(&entry.address);
            if entry.stored {
                self.unsaved.insert(entry.address);
            }
        }
    }

    /// Makes room in a bucket of the new: for anybody, an address that was dialled in vain goes; for
    /// who told of less, one of who told of more.
    fn make_room(&mut self, bucket: usize, by: &Introducer) -> bool {
        let told = |id: &EntryId| {
            let entry = self.entries.get(id).filter(|entry| entry.is_idle())?;
            Some((entry.is_worn(), self.index.told_by(&entry.by), entry.failures, entry.rank, *id))
        };
        let worst = self.new.bucket(bucket).iter().filter_map(told).max();
        let fair = self.index.told_by(by) + 1;
        match worst {
            Some((is_worn, told, .., id)) if is_worn || told > fair => {
                self.forget(id);
                true
            }
            _ => false,
        }
    }

    /// Gives an address that was reached a place among the tried. If there is none, the one there
    /// that was not linked for longest is tested first.
    fn promote(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get(&id).filter(|entry| entry.is_new()) else {
            return;
        };
        let bucket = self.dice.tried_bucket(&self.tried, &entry.address, &entry.group);
        if !self.tried.is_full(bucket) {
            self.leave_shelf(id);
            self.tried.put(bucket, id);
            self.edit(id, |entry| {
                entry.place = Place::Tried(bucket);
                entry.source = entry.source.max(Source::Tried);
            });
            return;
        }
        let rival = |other: &EntryId| {
            let entry = self.entries.get(other)?;
            let busy = !entry.is_idle() || self.index.is_linked(entry);
            let tested = self.tests.contains_key(other);
            (!busy && !tested).then_some((entry.last_seen, entry.rank, *other))
        };
        let oldest = self.tried.bucket(bucket).iter().filter_map(rival).min();
        if let Some((.., oldest)) = oldest.filter(|_| self.tests.len() < TESTS_MAX) {
            self.tests.insert(oldest, id);
        }
    }

    /// An address of the tried was dialled. If it was a test that it failed, it goes back among the
    /// new, and another one takes its place.
    fn tested(&mut self, id: EntryId, answered: bool) {
        let Some(rival) = self.tests.remove(&id).filter(|_| !answered) else {
            return;
        };
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let (by, address) = (entry.by, entry.address.clone());
        let bucket = self.dice.new_bucket(&self.new, &by, &address, &entry.group);
        if self.new.is_full(bucket) && !self.make_room(bucket, &by) {
            self.forget(id);
        } else {
            self.leave_shelf(id);
            self.new.put(bucket, id);
            self.edit(id, |entry| {
                entry.place = Place::New(bucket);
                entry.source = Source::Heard;
            });
            self.note_unsaved(id);
        }
        self.promote(rival);
        self.note_unsaved(rival);
    }

    /// Whether there is anybody to dial at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether some address has not failed twice since it was last reached, or learned. Unlike
    /// `is_dialing` that does not change back and forth while nobody answers.
    pub const fn is_hopeful(&self) -> bool {
        self.index.hopeful > 0
    }

    /// All addresses, those first that were learned first.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerAddr, &Entry)> {
        self.entries.values().map(|entry| (&entry.address, entry))
    }

    /// Addresses where a node was reached, for peer exchange: others at every call, at most `max`,
    /// and only as many of those that failed since as there is room for.
    pub fn shareable(&mut self, max: usize) -> Vec<(PeerAddr, NodeId)> {
        let start = self.backoff.random();
        let all = || self.index.reached_from(start).filter_map(|id| self.entries.get(&id));
        let good = all().filter(|entry| entry.failures < HOPELESS);
        let rest = all().filter(|entry| entry.failures >= HOPELESS);
        let told = good.chain(rest).filter_map(|e| Some((e.address.clone(), e.node?)));
        told.take(max).collect()
    }
}

#[cfg(test)]
mod tests;
