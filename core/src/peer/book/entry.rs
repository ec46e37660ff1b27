//! One address and what is known of it.

use super::place::Group;
use crate::conn::{ConnId, DialId, PeerAddr};
use crate::id::NodeId;
use crate::time::{Instant, UnixTime};
use crate::wire::CloseCode;

/// An address that failed so often in a row may be gone. (A connection that ends counts as one.)
pub(super) const HOPELESS: u32 = 2;

/// Names an entry while the book lives; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId(pub(super) u64);

/// How we know an address, the weightiest last: what is learned again keeps the weightier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Another node told us, and nobody was reached there yet.
    Heard,
    /// The local network told us, and nobody was reached there yet.
    Lan,
    /// We were connected to it before.
    Tried,
    /// A fallback that a person gave, dialled only when nothing else connects.
    Seed,
    /// A person gave it.
    Given,
}

/// Who told of an address. Each reaches a small part of the shelf of the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Introducer {
    /// This node knew it before.
    Me,
    /// Discovery on the local network.
    Lan,
    /// A member of a mesh that is by invitation: keys are scarce.
    Member(NodeId),
    /// Somebody in a mesh that is open: keys cost nothing there, networks do.
    Place(Group),
}

impl Introducer {
    pub(super) fn bytes(&self) -> [u8; 33] {
        let (kind, id): (u8, &[u8]) = match self {
            Self::Me => (0, &[]),
            Self::Lan => (1, &[]),
            Self::Member(node) => (2, &node.0),
            Self::Place(group) => (3, group.as_bytes()),
        };
        let mut bytes = [0; 33];
        bytes[0] = kind;
        bytes[1..].iter_mut().zip(id).for_each(|(to, from)| *to = *from);
        bytes
    }
}

/// Where an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Apart: a person gave it.
    Given,
    /// In this bucket of those never reached.
    New(usize),
    /// In this bucket of those reached.
    Tried(usize),
}

/// What is known of one address.
#[derive(Debug, Clone)]
pub struct Entry {
    /// How we know it.
    pub source: Source,
    /// The only key to accept there.
    pub pin: Option<NodeId>,
    /// Who last answered there, or is said to.
    pub node: Option<NodeId>,
    /// When there was last a link to it.
    pub last_seen: Option<UnixTime>,
    /// When `node` last came to us and said that it listens there.
    pub met: Option<UnixTime>,
    /// Why the last connection ended, and whether the peer ended it.
    pub last_close: Option<(CloseCode, bool)>,
    /// The live connection.
    pub conn: Option<ConnId>,
    pub(super) address: PeerAddr,
    pub(super) group: Group,
    pub(super) place: Place,
    pub(super) by: Introducer,
    /// The dice's order among equals.
    pub(super) rank: u64,
    pub(super) dialing: Option<DialId>,
    /// Failures since it was last reached.
    pub(super) failures: u32,
    /// Failures since a link to it lasted: what the wait grows by.
    pub(super) attempts: u32,
    pub(super) next_dial: Instant,
    /// Since when the peer at the other end of the connection is accepted.
    pub(super) accepted: Option<Instant>,
    /// Whether the store has a row of it.
    pub(super) stored: bool,
}

impl Entry {
    pub(super) const fn is_idle(&self) -> bool {
        self.conn.is_none() && self.dialing.is_none()
    }

    pub(super) const fn is_new(&self) -> bool {
        matches!(self.place, Place::New(_))
    }

    /// Whether nobody was found there and no person says who is.
    pub(super) const fn is_hearsay(&self) -> bool {
        self.last_seen.is_none() && self.pin.is_none()
    }

    /// Whose it is from now on. If another one came to us from there, that says nothing any more.
    pub(super) fn is_of(&mut self, node: NodeId) {
        if self.node.replace(node) != Some(node) {
            self.met = None;
        }
    }

    /// Whether it was dialled in vain and never reached.
    pub(super) const fn is_worn(&self) -> bool {
        self.last_seen.is_none() && self.failures >= HOPELESS
    }

    /// When there was last a link, whoever dialled.
    pub fn seen(&self) -> Option<UnixTime> {
        self.last_seen.max(self.met)
    }

    /// Whether somebody was reached, and it has not lost its place since.
    pub const fn is_reached(&self) -> bool {
        self.last_seen.is_some() && !self.is_new()
    }

    /// Whether it belongs in the store.
    pub(super) const fn is_kept(&self) -> bool {
        self.is_reached() || self.met.is_some()
    }
}
