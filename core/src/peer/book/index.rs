//! Entries by whatever they are looked up by, so that nothing the engine asks at every input costs
//! more than a few steps however full the book is.
//!
//! The entries' fields decide all of it: `Book` takes an entry out, changes it and puts it back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::entry::{Entry, EntryId, HOPELESS, Source};
use super::place::Group;
use super::{Introducer, PLACES_LOOKED_AT};
use crate::conn::{ConnId, DialId, PeerAddr};
use crate::id::NodeId;
use crate::time::{Instant, UnixTime};

/// Whose turn it is among those that are due: fewest failures, seen last, then by the dice.
type Turn = (u32, Reverse<Option<UnixTime>>, u64);

/// The addresses of one source that could be dialled.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<(Instant, EntryId)>,
    due: BTreeSet<(Turn, EntryId)>,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) by_address: BTreeMap<PeerAddr, EntryId>,
    pub(super) by_dial: BTreeMap<DialId, EntryId>,
    pub(super) by_conn: BTreeMap<ConnId, EntryId>,
    by_node: BTreeSet<(NodeId, EntryId)>,
    queues: [Queue; 5],
    /// Nodes there is a link to, and this one: their addresses are not dialled.
    linked: BTreeSet<NodeId>,
    /// Addresses on the shelf of the new by who told of them.
    told: BTreeMap<Introducer, usize>,
    /// Links and dials by where they lead.
    busy: BTreeMap<Group, usize>,
    /// Where a node was reached, in an order that nobody else knows.
    reached: BTreeSet<(u64, EntryId)>,
    /// Addresses that are not hopeless.
    pub(super) hopeful: usize,
}

fn count<K: Ord + Copy>(counts: &mut BTreeMap<K, usize>, key: K, more: bool) {
    let n = counts.entry(key).or_default();
    *n = if more { *n + 1 } else { n.saturating_sub(1) };
    if *n == 0 {
        counts.remove(&key);
    }
}

fn turn(entry: &Entry) -> Turn {
    (entry.failures, Reverse(entry.seen()), entry.rank)
}

impl Index {
    pub(super) fn new(me: NodeId) -> Self {
        Self {
            by_address: BTreeMap::new(),
            by_dial: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            by_node: BTreeSet::new(),
            queues: Default::default(),
            linked: BTreeSet::from([me]),
            told: BTreeMap::new(),
            busy: BTreeMap::new(),
            reached: BTreeSet::new(),
            hopeful: 0,
        }
    }

    pub(super) fn add(&mut self, id: EntryId, entry: &Entry) {
        self.tally(entry, true);
        if let Some(dial) = entry.dialing {
            self.by_dial.insert(dial, id);
        }
        if let Some(conn) = entry.conn {
            self.by_conn.insert(conn, id);
        }
        if let Some(node) = entry.node {
            self.by_node.insert((node, id));
        }
        if entry.last_seen.is_some() && entry.node.is_some() {
            self.reached.insert((entry.rank, id));
        }
        self.enqueue(id, entry);
    }

    pub(super) fn remove(&mut self, id: EntryId, entry: &Entry) {
        self.tally(entry, false);
        if let Some(dial) = entry.dialing {
            self.by_dial.remove(&dial);
        }
        if let Some(conn) = entry.conn {
            self.by_conn.remove(&conn);
        }
        if let Some(node) = entry.node {
            self.by_node.remove(&(node, id));
        }
        self.reached.remove(&(entry.rank, id));
        self.dequeue(id, entry);
    }

    fn tally(&mut self, entry: &Entry, more: bool) {
        if entry.failures < HOPELESS {
            self.hopeful = if more { self.hopeful + 1 } else { self.hopeful.saturating_sub(1) };
        }
        if entry.is_new() {
            count(&mut self.told, entry.by, more);
        }
        if !entry.is_idle() {
            count(&mut self.busy, entry.group, more);
        }
    }

    fn enqueue(&mut self, id: EntryId, entry: &Entry) {
        if entry.is_idle() && !self.is_linked(entry) {
            self.queues[entry.source as usize].waiting.insert((entry.next_dial, id));
        }
    }

    fn dequeue(&mut self, id: EntryId, entry: &Entry) {
        let queue = &mut self.queues[entry.source as usize];
        queue.waiting.remove(&(entry.next_dial, id));
        queue.due.remove(&(turn(entry), id));
    }

    /// Whether there is a link to the node that is said to be there, or it is this node.
    pub(super) fn is_linked(&self, entry: &Entry) -> bool {
        entry.node.is_some_and(|node| self.linked.contains(&node))
    }

    /// The addresses that a node is said or known to be at.
    pub(super) fn of_node(&self, node: NodeId) -> impl Iterator<Item = EntryId> {
        let all = (node, EntryId(0))..=(node, EntryId(u64::MAX));
        self.by_node.range(all).map(|(_, id)| *id)
    }

    /// How many addresses on the shelf of the new an introducer told of.
    pub(super) fn told_by(&self, by: &Introducer) -> usize {
        self.told.get(by).copied().unwrap_or(0)
    }

    /// From now on there are links to these nodes, and to no others.
    pub(super) fn link(&mut self, entries: &BTreeMap<EntryId, Entry>, linked: BTreeSet<NodeId>) {
        let changed: Vec<_> = self.linked.symmetric_difference(&linked).copied().collect();
        self.linked = linked;
        for node in changed {
            let ids: Vec<_> = self.of_node(node).collect();
            for (id, entry) in ids.iter().filter_map(|id| Some((*id, entries.get(id)?))) {
                self.dequeue(id, entry);
                self.enqueue(id, entry);
            }
        }
    }

    /// Sorts those whose wait is over by whose turn it is.
    pub(super) fn advance(&mut self, entries: &BTreeMap<EntryId, Entry>, now: Instant) {
        for queue in &mut self.queues {
            while let Some((at, id)) = queue.waiting.first().copied().filter(|(at, _)| *at <= now) {
                queue.waiting.remove(&(at, id));
                if let Some(entry) = entries.get(&id) {
                    queue.due.insert((turn(entry), id));
                }
            }
        }
    }

    /// Whose turn it is among the addresses of a source; of the first few rather one that leads
    /// where no link or dial leads yet.
    pub(super) fn next(
        &self,
        entries: &BTreeMap<EntryId, Entry>,
        source: Source,
    ) -> Option<EntryId> {
        let due = || self.queues[source as usize].due.iter().map(|(_, id)| *id);
        let leads_elsewhere = |id: &EntryId| {
            entries.get(id).is_some_and(|entry| !self.busy.contains_key(&entry.group))
        };
        let elsewhere = due().take(PLACES_LOOKED_AT).find(leads_elsewhere);
        elsewhere.filter(|_| source != Source::Given).or_else(|| due().next())
    }

    /// When the wait of the first address of a source that is not due is over.
    pub(super) fn next_due(&self, source: Source) -> Option<Instant> {
        self.queues[source as usize].waiting.first().map(|(at, _)| *at)
    }

    /// The earliest instant at which an address of a source could or could have been dialled.
    pub(super) fn first(&self, source: Source) -> Option<Instant> {
        let queue = &self.queues[source as usize];
        if queue.due.is_empty() { self.next_due(source) } else { Some(Instant::default()) }
    }

    /// Whether any address of a source could be dialled, now or later.
    pub(super) fn has(&self, source: Source) -> bool {
        let queue = &self.queues[source as usize];
        !queue.waiting.is_empty() || !queue.due.is_empty()
    }

    /// Addresses where a node was reached, all of them once, from a place in their order on.
    pub(super) fn reached_from(&self, rank: u64) -> impl Iterator<Item = EntryId> + '_ {
        let start = (rank, EntryId(0));
        self.reached.range(start..).chain(self.reached.range(..start)).map(|(_, id)| *id)
    }
}
