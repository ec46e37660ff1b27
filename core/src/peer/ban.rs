//! Who is kept out, and until when: nodes for what they provably did, nodes and addresses because a
//! person wants it.
//!
//! While the node runs a ban ends by the monotonic clock. Across a restart only the wall clock is
//! left, which may be wrong by decades, so after a start no ban lasts longer than it was made for.
//! A ban is remembered for a while after its end: whoever does it again is kept out longer.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Misbehavior;
use crate::codec;
use crate::conn::PeerAddr;
use crate::id::NodeId;
use crate::ledger::rows::BanRow;
use crate::store::{Batch, Table};
use crate::text::printable;
use crate::time::{Instant, Millis, Now, UnixTime};

/// Most bans that are remembered, those that are over included.
pub const BANS_MAX: usize = 1_024;
/// Most characters of a reason.
const REASON_CHARS_MAX: usize = 120;
/// Each further ban is this much longer.
const GROWTH: u64 = 4;

/// Who can be kept out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A node, wherever it is.
    Node(NodeId),
    /// Everybody at an address. Only a person asks for that: behind one address may be many.
    Host(IpAddr),
}

impl Subject {
    /// Everybody at an address, whichever way it is written.
    pub const fn at(ip: IpAddr) -> Self {
        Self::Host(ip.to_canonical())
    }

    /// As a key of `Table::Ban`.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Node(node) => [&[0], &node.0[..]].concat(),
            Self::Host(ip) => [&[1], ip.to_string().as_bytes()].concat(),
        }
    }

    /// The one with this key.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        match key.split_first()? {
            (0, node) => node.try_into().ok().map(|node| Self::Node(NodeId(node))),
            (1, ip) => core::str::from_utf8(ip).ok()?.parse().ok().map(Self::at),
            _ => None,
        }
    }

    /// Whether a node at an address is meant.
    pub fn fits(&self, node: Option<&NodeId>, address: &PeerAddr) -> bool {
        match self {
            Self::Node(banned) => node == Some(banned),
            Self::Host(ip) => address.ip() == Some(*ip),
        }
    }
}

#[derive(Debug, Clone)]
struct Ban {
    row: BanRow,
    ends: Instant,
}

/// All bans.
#[derive(Debug)]
pub struct Bans {
    all: BTreeMap<Subject, Ban>,
    /// First and longest of those that nobody asked for.
    spans: (Millis, Millis),
    /// What the store does not know yet.
    dirty: BTreeSet<Subject>,
}

impl Bans {
    /// How many are kept.
    #[cfg(any(test, feature = "testing"))]
    pub fn size(&self) -> usize {
        self.all.len()
    }

    /// As the store tells. `spans`: the first and the longest ban for misbehavior; none if they are
    /// 0. Rows of which the name cannot be read are dropped.
    pub fn load(rows: Vec<(Vec<u8>, BanRow)>, spans: (Millis, Millis), now: Now) -> Self {
        let mut bans = Self { all: BTreeMap::new(), spans, dirty: BTreeSet::new() };
        for (key, row) in rows {
            let Some(subject) = Subject::from_key(&key) else { continue };
            let over = row.until <= now.wall;
            if over && now.wall.since(row.until) >= spans.1 {
                bans.dirty.insert(subject);
                continue;
            }
            // On a clock that was set back it ends earlier than was written.
            let until = row.until.min(now.wall.after(row.length));
            let ends = now.instant.after(until.since(now.wall));
            bans.all.insert(subject, Ban { row: BanRow { until, ..row }, ends });
        }
        bans
    }

    /// The ban that keeps out a node at an address now.
    pub fn find(&self, now: Instant, node: Option<&NodeId>, address: &PeerAddr) -> Option<&BanRow> {
        let host = address.ip().map(Subject::at);
        let subjects = node.map(|node| Subject::Node(*node)).into_iter().chain(host);
        let mut bans = subjects.filter_map(|subject| self.all.get(&subject));
        bans.find(|ban| ban.ends > now).map(|ban| &ban.row)
    }

    /// How often a node was kept out for what it did.
    pub fn strikes(&self, node: &NodeId) -> u32 {
        self.all.get(&Subject::Node(*node)).map_or(0, |ban| ban.row.strikes)
    }

    /// Keeps a node out for what it provably did: each time longer, until the time is forgotten.
    /// What it did before it was thrown out counts once. Until when; none if nobody is kept out.
    pub fn accuse(&mut self, now: Now, node: NodeId, deed: Misbehavior) -> Option<UnixTime> {
        let (first, longest) = self.spans;
        if first == 0 {
            return None;
        }
        let subject = Subject::Node(node);
        let (strikes, ends) = self.all.get(&subject).map_or((0, None), |ban| {
            let forgotten = ban.ends.after(longest) <= now.instant;
            (if forgotten { 0 } else { ban.row.strikes }, Some(ban.ends))
        });
        let running = ends.is_some_and(|ends| ends > now.instant);
        if running && strikes > 0 {
            return self.all.get(&subject).map(|ban| ban.row.until);
        }
        let length = first.saturating_mul(GROWTH.saturating_pow(strikes)).min(longest);
        let wanted = now.instant.after(length);
        if let Some(ban) = self.all.get_mut(&subject).filter(|ban| ban.ends >= wanted) {
            // A person keeps it out for longer already.
            ban.row.strikes = strikes.saturating_add(1);
            let until = ban.row.until;
            self.dirty.insert(subject);
            return Some(until);
        }
        let row = BanRow {
            until: now.wall.after(length),
            length,
            strikes: strikes.saturating_add(1),
            by_person: false,
            reason: deed.to_string(),
        };
        let until = row.until;
        // If everybody in the list was put there by a person, it is thrown out and may come back.
        self.insert(now.instant, subject, row).then_some(until)
    }

    /// A person keeps somebody out for a time. False if there is no room for one more.
    pub fn ban(&mut self, now: Now, subject: Subject, length: Millis, reason: &str) -> bool {
        let strikes = self.all.get(&subject).map_or(0, |ban| ban.row.strikes);
        let row = BanRow {
            until: now.wall.after(length),
            length,
            strikes,
            by_person: true,
            reason: printable(reason, REASON_CHARS_MAX),
        };
        self.insert(now.instant, subject, row)
    }

    /// Lifts a ban, and forgets why there was one. False if there is none.
    pub fn unban(&mut self, now: Instant, subject: &Subject) -> bool {
        let Some(ban) = self.all.remove(subject) else { return false };
        self.dirty.insert(subject.clone());
        ban.ends > now
    }

    /// Writes what changed since the last call.
    pub fn save(&mut self, batch: &mut Batch) {
        for subject in core::mem::take(&mut self.dirty) {
            match self.all.get(&subject) {
                Some(ban) => batch.put(Table::Ban, &subject.key(), &codec::encode(&ban.row)),
                None => batch.delete(Table::Ban, &subject.key()),
            }
        }
    }

    fn insert(&mut self, now: Instant, subject: Subject, row: BanRow) -> bool {
        if !self.all.contains_key(&subject) && self.all.len() >= BANS_MAX && !self.make_room(now) {
            return false;
        }
        let ends = now.after(row.length);
        self.all.insert(subject.clone(), Ban { row, ends });
        self.dirty.insert(subject);
        true
    }

    /// Forgets the ban that is over for longest, or else the one of the node's own that ends first.
    fn make_room(&mut self, now: Instant) -> bool {
        let over = |ban: &Ban| ban.ends <= now;
        let spare = self.all.iter().filter(|(_, ban)| over(ban) || !ban.row.by_person);
        let Some(subject) = spare.min_by_key(|(_, ban)| ban.ends).map(|(subject, _)| subject)
        else {
            return false;
        };
        let subject = subject.clone();
        self.all.remove(&subject);
        self.dirty.insert(subject)
    }
}

#[cfg(test)]
mod tests;
