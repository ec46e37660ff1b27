//! Whom to dial, and what came of it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Book;
use super::entry::{Entry, EntryId, HOPELESS, Source};
use crate::conn::{ConnId, DialId, PeerAddr};
use crate::id::NodeId;
use crate::time::{Instant, Millis, Now};
use crate::wire::CloseCode;

/// Between two addresses that are only looked at, about.
const FEELER_INTERVAL: Millis = 120_000;
/// Who had no link for this long dials seeds though other dials are under way.
const SEED_PATIENCE: Millis = 30_000;
/// A link that lasted this long was a good one: the next wait is the shortest again.
const LASTING: Millis = 60_000;

/// A dial to make: its number, where to, and the key to expect there.
pub type Dial = (DialId, PeerAddr, Option<NodeId>);

impl Book {
    /// The next address to dial. `wanted`: how many further connections are wanted besides the given
    /// addresses; `connected`: nodes there is a connection to.
    pub fn next_dial(&mut self, now: Instant, wanted: usize, connected: &[NodeId]) -> Option<Dial> {
        let mut linked: BTreeSet<NodeId> = connected.iter().copied().collect();
        linked.insert(self.me);
        self.index.link(&self.entries, linked);
        if !connected.is_empty() || self.linked_at.is_none() {
            self.linked_at = Some(now);
        }
        self.index.advance(&self.entries, now);
        let next = |source| self.index.next(&self.entries, source);
        let mut id = next(Source::Given);
        if wanted > 0 {
            let alone_for = self.linked_at.map_or(0, |at| now.since(at));
            if connected.is_empty() && alone_for >= SEED_PATIENCE {
                // However many others there are to dial.
                id = id.or_else(|| next(Source::Seed));
            }
            let others = [Source::Tried, Source::Lan, Source::Heard];
            id = id.or_else(|| others.into_iter().find_map(next));
            if self.seeds_from(connected).is_some_and(|at| at <= now) {
                id = id.or_else(|| next(Source::Seed));
            }
        } else if id.is_none() && !connected.is_empty() {
            id = self.next_feeler(now);
        }
        self.start(id?)
    }

    fn start(&mut self, id: EntryId) -> Option<Dial> {
        self.last_dial += 1;
        let dial = DialId(self.last_dial);
        self.edit(id, |entry| {
            entry.dialing = Some(dial);
            (dial, entry.address.clone(), entry.pin)
        })
    }

    /// From when on seeds are dialled: at once if nothing else is under way.
    fn seeds_from(&self, connected: &[NodeId]) -> Option<Instant> {
        let under_way = self.is_dialing() || !self.index.by_conn.is_empty();
        let patience = if under_way { SEED_PATIENCE } else { 0 };
        let since = self.linked_at.filter(|_| connected.is_empty())?;
        Some(since.after(patience))
    }

    /// An address to look at, if it is time: one that has to prove that it deserves its place, or
    /// one where nobody was reached yet.
    fn next_feeler(&mut self, now: Instant) -> Option<EntryId> {
        let due = self.next_feeler.is_some_and(|at| at <= now);
        if !due && self.next_feeler.is_some() {
            return None;
        }
        self.next_feeler = Some(now.after(self.backoff.about(FEELER_INTERVAL)));
        if !due || self.feeler.is_some() {
            return None;
        }
        // Whoever is linked has proved itself.
        let linked =
            |id: &EntryId| self.entries.get(id).is_some_and(|entry| self.index.is_linked(entry));
        self.tests.retain(|id, _| !linked(id));
        let is_idle = |id: &&EntryId| self.entries.get(id).is_some_and(Entry::is_idle);
        let test = self.tests.keys().find(is_idle).copied();
        let next = |source| self.index.next(&self.entries, source);
        self.feeler = test.or_else(|| next(Source::Lan)).or_else(|| next(Source::Heard));
        self.feeler
    }

    /// When `next_dial`, which just had nothing to dial, will have something, if nothing else
    /// changes.
    pub fn timeout(&self, wanted: usize, connected: &[NodeId]) -> Option<Instant> {
        let next = |source| self.index.next_due(source);
        let given = next(Source::Given);
        if wanted == 0 {
            let curious = !connected.is_empty()
                && (!self.tests.is_empty()
                    || self.index.has(Source::Lan)
                    || self.index.has(Source::Heard));
            let feeler = self.next_feeler.filter(|_| curious);
            return [given, feeler].into_iter().flatten().min();
        }
        let seed = self.seeds_from(connected).filter(|_| self.index.has(Source::Seed));
        let seed = seed.map(|at| self.index.first(Source::Seed).map_or(at, |first| first.max(at)));
        let others = [Source::Tried, Source::Lan, Source::Heard].map(next);
        others.into_iter().chain([given, seed]).flatten().min()
    }

    fn back_off(&mut self, now: Instant, id: EntryId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        // Somebody waits for a given address.
        let given = entry.source == Source::Given;
        let longest = if given { self.given_wait_max } else { Millis::MAX };
        let wait = self.backoff.wait(entry.attempts, longest);
        self.edit(id, |entry| {
            entry.failures = entry.failures.saturating_add(1);
            entry.attempts = entry.attempts.saturating_add(1);
            entry.next_dial = now.after(wait);
        });
    }

    /// A dial failed.
    pub fn dial_failed(&mut self, now: Instant, dial: DialId) {
        let Some(id) = self.index.by_dial.get(&dial).copied() else {
            return;
        };
        self.edit(id, |entry| entry.dialing = None);
        self.feeler = self.feeler.filter(|feeler| *feeler != id);
        self.back_off(now, id);
        self.tested(id, false);
    }

    /// A dial reached somebody; whether it is a peer will be seen.
    pub fn opened(&mut self, dial: DialId, conn: ConnId, node: NodeId) {
        if let Some(id) = self.index.by_dial.get(&dial).copied() {
            self.edit(id, |entry| {
                entry.dialing = None;
                entry.conn = Some(conn);
                entry.is_of(node);
            });
            self.note_unsaved(id);
        }
    }

    /// The peer behind a connection is accepted.
    pub fn accepted(&mut self, conn: ConnId, now: Now) {
        let Some(id) = self.index.by_conn.get(&conn).copied() else { return };
        self.edit(id, |entry| {
            entry.failures = 0;
            entry.last_seen = entry.last_seen.max(Some(now.wall));
            entry.accepted = Some(now.instant);
        });
        self.tested(id, true);
        self.promote(id);
        self.note_unsaved(id);
    }

    /// Whether a connection was made only to see whether anybody answers.
    pub fn is_feeler(&self, conn: ConnId) -> bool {
        self.feeler.is_some_and(|id| self.index.by_conn.get(&conn) == Some(&id))
    }

    /// A connection that was made only to see whether anybody answers is kept.
    pub fn keep(&mut self, conn: ConnId) {
        if self.is_feeler(conn) {
            self.feeler = None;
        }
    }

    /// A connection ended; the address behind it, if we dialled it, is dialled again later.
    pub fn closed(&mut self, now: Now, conn: ConnId, close: Option<(CloseCode, bool)>) {
        let Some(id) = self.index.by_conn.get(&conn).copied() else {
            return;
        };
        let felt = self.is_feeler(conn);
        self.feeler = self.feeler.filter(|_| !felt);
        let accepted = self.edit(id, |entry| {
            entry.conn = None;
            let accepted = entry.accepted.take();
            let lasted = accepted.map_or(0, |since| now.instant.since(since));
            if lasted >= LASTING || (felt && accepted.is_some()) {
                entry.attempts = 0;
            }
            if accepted.is_some() {
                entry.last_seen = entry.last_seen.max(Some(now.wall));
            }
            if accepted.is_none() || !felt {
                entry.last_close = close;
            }
            accepted.is_some()
        });
        self.back_off(now.instant, id);
        let code = close.map(|(code, _)| code);
        if code == Some(CloseCode::Myself) {
            // Our own address: there is nobody to hope for.
            self.edit(id, |entry| entry.failures = entry.failures.max(HOPELESS));
        }
        use CloseCode::{Duplicate, Full, ShuttingDown};
        if accepted == Some(false) {
            self.tested(id, matches!(code, Some(Duplicate | Full | ShuttingDown)));
        }
        self.note_unsaved(id);
    }

    /// Dial this address at once, whatever failed before.
    pub fn hurry(&mut self, address: &PeerAddr) {
        let spelled = super::place::canonical(address);
        let known = spelled.and_then(|spelled| self.index.by_address.get(&spelled).copied());
        known.into_iter().for_each(|id| self.hurry_entry(id));
    }

    /// The same for where a node is said or known to be.
    pub fn hurry_node(&mut self, node: NodeId) {
        let ids: Vec<EntryId> = self.index.of_node(node).collect();
        ids.into_iter().for_each(|id| self.hurry_entry(id));
    }

    /// The same for all addresses.
    pub fn hurry_all(&mut self) {
        let ids: Vec<EntryId> = self.entries.keys().copied().collect();
        ids.into_iter().for_each(|id| self.hurry_entry(id));
    }

    fn hurry_entry(&mut self, id: EntryId) {
        let me = self.me;
        self.edit(id, |entry| {
            entry.next_dial = Instant::default();
            entry.failures = 0;
            entry.attempts = 0;
            if entry.node == Some(me) {
                entry.node = entry.pin;
            }
        });
    }

    /// Whether any dial is under way.
    pub fn is_dialing(&self) -> bool {
        !self.index.by_dial.is_empty()
    }

    /// Addresses being dialled, or reached but not accepted yet.
    pub fn reaching(&self, accepted: impl Fn(ConnId) -> bool) -> usize {
        let waiting = self.index.by_conn.keys().filter(|conn| !accepted(**conn)).count();
        self.index.by_dial.len() + waiting
    }
}
