//! What the tables hold: keys and values as types. Keys are ordered bytes (numbers big-endian, so
//! that a scan is in numeric order), values are postcard.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::block::Header;
use crate::fact::Role;
use crate::id::{FactId, NodeId};
use crate::ledger::reject::FactReject;
use crate::seal::pow::EffectiveTime;
use crate::store::KEY_BYTES_MAX;
use crate::time::{Millis, UnixTime};
use crate::wire::{CloseCode, SetSummary, Tip};
use crate::work::{Height, Work};

/// A key built from parts, without an allocation.
pub type Key = heapless::Vec<u8, KEY_BYTES_MAX>;

/// Joins parts to a key.
pub fn key(parts: &[&[u8]]) -> Key {
    let mut key = Key::new();
    for part in parts {
        // The longest key is a label and a number, well below the bound.
        let _ = key.extend_from_slice(part);
    }
    key
}

/// The number of a fact in this node's order of arrival; from 1, without gaps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// As a key.
    pub const fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// From the last eight bytes of a key.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        key.last_chunk().map(|bytes| Self(u64::from_be_bytes(*bytes)))
    }
}

/// Where a fact stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactState {
    /// Not in the best chain yet.
    Pending,
    /// In the block of the best chain at this height, at this place in its list.
    Sealed(Height, u32),
    /// Not permitted since the tip had this height; judged again only after a reorg below it.
    Conflict(Height, FactReject),
}

/// The height of conflicts that no reorg reopens.
pub const FOR_GOOD: Height = Height(u64::MAX);

impl FactState {
    /// Whether the fact is held outside the set that nodes compare: its author was revoked, and no
    /// block of the best chain seals it.
    pub const fn is_outside(&self) -> bool {
        matches!(self, Self::Conflict(_, FactReject::Revoked))
    }
}

/// `Table::FactIndex`: where a fact is and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactRow {
    /// Its number.
    pub seq: Seq,
    /// How it stands.
    pub state: FactState,
}

/// `Table::Header`: a header whose block has been connected at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderRow {
    /// The header.
    pub header: Header,
    /// Work from genesis to here.
    pub work: Work,
    /// Σ min(Δt, 6 × spacing) from genesis to here, for ASERT.
    pub effective_time: EffectiveTime,
}

/// `Table::Item`: custody of an item at the tip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// Who holds it; none if it is free.
    pub holder: Option<NodeId>,
    /// Its latest custody fact.
    pub latest: FactId,
    /// Height of the block that sealed that fact.
    pub since: Height,
}

/// `Table::Member`: membership at the tip. Founders have rows from genesis on; a key that was
/// revoked has one for good, member or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it may do.
    pub role: Role,
    /// What people call it.
    pub name: String,
    /// The fact that admitted it; none for founders.
    pub admit: Option<FactId>,
    /// Height of the block that sealed that fact.
    pub since: Height,
    /// How the chain revoked it; in the row of a line's first key, any key of the line.
    pub revoked: Option<Revocation>,
    /// Recovery keys ended it: the keys that its revocations count for all the same.
    pub recovered: Option<Vec<NodeId>>,
    /// Its place among the keys that this node had; none for a first key.
    pub line: Option<Line>,
    /// The newest key of the line, if this is the first of several.
    pub newest: Option<NodeId>,
    /// It was rotated: the first height at which it counts no more.
    pub until: Option<Height>,
    /// The first height at which no key of the line counts, unless an admin renews it; only in the
    /// row of a line's first key.
    pub lease: Option<Height>,
}

/// A revocation that a block sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Height of that block.
    pub since: Height,
    /// The key that it names.
    pub key: NodeId,
    /// Who made it; none: the recovery keys.
    pub by: Option<NodeId>,
}

impl Revocation {
    /// Whether it counts, as who made it has this row.
    pub fn counts(&self, by: Option<&Member>) -> bool {
        let recovered = by.and_then(|by| by.recovered.as_ref()).filter(|_| self.by.is_some());
        recovered.is_none_or(|kept| kept.contains(&self.key))
    }
}

/// `Table::Recovered`: what is said of a key that recovery keys ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The least of the facts that say it.
    pub by: FactId,
    /// The keys that its revocations count for all the same: by all of them.
    pub kept: Vec<NodeId>,
}

/// How a key came after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The first key of the node.
    pub first: NodeId,
    /// The key before this one.
    pub before: NodeId,
}

impl Member {
    /// A member with a first key.
    pub const fn new(role: Role, name: String, admit: Option<FactId>, since: Height) -> Self {
        let (revoked, recovered, line, newest) = (None, None, None, None);
        let (until, lease) = (None, None);
        Self { role, name, admit, since, revoked, recovered, line, newest, until, lease }
    }

    /// Whether any fact let it in: a key can be revoked that nobody admitted, in vain if a recovery
    /// says so.
    pub fn was_admitted(&self) -> bool {
        self.admit.is_some() || self.role > Role::Reader
    }

    /// Whether another key has replaced it, and it counts no more in a block at this height.
    pub fn is_past(&self, height: Height) -> bool {
        self.until.is_some_and(|until| until <= height)
    }
}

/// `Table::Invite`: an invite at the tip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRow {
    /// The fact that made it.
    pub fact: FactId,
    /// Who made it.
    pub by: NodeId,
    /// What those admitted become.
    pub role: Role,
    /// How many more may be admitted.
    pub uses_left: u32,
    /// No later block may admit by it.
    pub expires: UnixTime,
    /// For how many blocks those admitted are lent their membership.
    pub lease: Option<u32>,
}

/// `Table::Known`: why facts by a key enter the set. Depends on the set only, never on the tip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// A node that some permitted `Admit` in the set names, in the highest role any of them gives.
    Node {
        /// That role.
        role: Role,
        /// That fact; none for founders.
        admit: Option<FactId>,
        /// It is a `Recover` by the node itself: the least, for they need nobody else to hold.
        recovered: bool,
        /// The highest role that invites with the same key give, if there are any.
        invite: Option<Role>,
    },
    /// The key of an invite in the set by an admin.
    Invite {
        /// The invite.
        fact: FactId,
        /// The role it gives; the highest, if invites share the key.
        role: Role,
    },
}

/// Singletons in `Table::Meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Meta {
    /// `STORE_FORMAT`.
    Format = 0,
    /// The mesh's `Params`.
    Params = 1,
    /// `TipRow`.
    Tip = 2,
    /// `SetRow`.
    Set = 3,
    /// The sequence number up to which `Table::Fingerprint` is written.
    FingerprintSeq = 4,
    /// Nothing but a changing value, so that no part of the store stays idle.
    Heartbeat = 5,
    /// The key in `Table::Conflict` from which facts of revoked authors are still looked for.
    Sweep = 6,
    /// The key in `Table::Conflict` from which facts are looked for that a recovery lets in again.
    Reopen = 7,
    /// The `Recover` fact that lets this node seal one block without a seat.
    Grant = 8,
}

impl Meta {
    /// As a key.
    pub const fn key(self) -> [u8; 1] {
        [self as u8]
    }
}

/// `Meta::Tip`: what changes with every block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TipRow {
    /// The tip.
    pub tip: Tip,
    /// Facts in blocks of the best chain.
    pub sealed: u64,
    /// Facts in conflict.
    pub conflict: u64,
    /// Number of reorgs so far.
    pub reorgs: u64,
}

/// `Meta::Set`: what changes with every fact.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SetRow {
    /// The set; `count` is also the last sequence number.
    pub summary: SetSummary,
    /// Bytes of all encoded facts.
    pub bytes: u64,
}

/// `Table::Peer`, keyed by address: what is remembered about a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Who answered there, or says that it listens there.
    pub node: Option<NodeId>,
    /// When there was last a link to it.
    pub last_seen: UnixTime,
    /// Number and side of the last close.
    pub last_close: Option<(u8, bool)>,
    /// Whether anybody was ever reached there: else its node came to us.
    pub reached: bool,
}

/// `Table::Ban`, keyed by `peer::Subject`: somebody who is kept out, or was until lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    /// Until when, by our wall clock.
    pub until: UnixTime,
    /// How long that was when the ban was made.
    pub length: Millis,
    /// How often it was banned for what it provably did, and not forgotten since.
    pub strikes: u32,
    /// A person wanted it; else the node decided.
    pub by_person: bool,
    /// Why, for people.
    pub reason: String,
}

/// `Table::Close`, keyed by direction and node: how the last connection with a node ended, if it
/// ended with a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The number.
    pub code: CloseCode,
    /// Whether the peer ended it.
    pub by_peer: bool,
    /// Whether we had dialled.
    pub outbound: bool,
    /// When, by our wall clock.
    pub at: UnixTime,
    /// Where the peer was seen.
    pub address: String,
    /// What was said with the number, by whoever ended it.
    pub reason: String,
}

/// Value rows of lists.
pub type Ids = Vec<FactId>;

/// First half of a 32-byte id: enough to index by, since rows are checked against the fact itself.
pub fn half(id: &[u8; 32]) -> &[u8] {
    &id[..16]
}

/// Key in `Table::Topic` and `Table::ItemFacts`: text, a zero (which no label contains), a number.
pub fn text_key(text: &str, seq: Seq) -> Key {
    key(&[text.as_bytes(), &[0], &seq.key()])
}

/// Key in `Table::History`.
pub fn history_key(level: u8, index: u64) -> Key {
    key(&[&[level], &index.to_be_bytes()])
}

/// Key in `Table::Chain`.
pub const fn height_key(height: Height) -> [u8; 8] {
    height.0.to_be_bytes()
}
