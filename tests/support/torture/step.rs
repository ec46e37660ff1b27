//! The steps of a scenario. Each names everything it needs, so that leaving one out changes no
//! other.

use cairn_core::store::Table;
use cairn_core::time::Millis;

use crate::attack::Attack;
use crate::world::Weather;

#[allow(missing_docs, reason = "each step says in words what its fields are")]
/// One thing that happens, or a span in which nothing else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Wait(Millis),
    /// A node writes records by an author, each with a text made of `serial`.
    Note { n: usize, author: usize, serial: u64, count: u64 },
    /// A node relates two facts: the first records of these authors and serials.
    Relate { n: usize, from: (usize, u64), to: (usize, u64) },
    /// A node asks for an item.
    Request { n: usize, item: usize },
    /// Several nodes ask for one item at the same moment.
    Race { who: Vec<usize>, item: usize },
    /// A node releases an item.
    Release { n: usize, item: usize },
    /// A node hands an item to another.
    Transfer { n: usize, item: usize, to: usize },
    /// A node makes an invite.
    Invite { n: usize, serial: u64 },
    /// A node names another.
    Name { n: usize, whom: usize, serial: u64 },
    /// A node revokes another, or itself.
    Revoke { n: usize, whom: usize },
    /// A node lends another's membership, for so many blocks or without end.
    Lease { n: usize, whom: usize, blocks: Option<u64> },
    /// Two nodes revoke each other at the same moment.
    Feud { a: usize, b: usize },
    /// A node takes back the invite of `serial`.
    RevokeInvite { n: usize, serial: u64 },
    /// Whoever stole the founder's key revokes everybody else with it, by way of a node.
    Theft { n: usize },
    /// The recovery key ends the founder's, and makes a node an admin; from that node's tip, if
    /// nobody is thought to be able to seal it.
    Recover { n: usize, from_tip: bool },
    /// A node pulls now.
    Sync { n: usize },
    /// A late node joins.
    Join { n: usize },
    /// The power fails, if `writing` as soon as something is not durable; so many batches that were
    /// not happen to survive.
    Crash { n: usize, kept: usize, writing: bool },
    /// The process is killed.
    Kill { n: usize },
    /// The user stops it in good order.
    Stop { n: usize },
    /// A node that is down starts.
    Start { n: usize },
    /// A node goes for ever.
    Leave { n: usize },
    /// The disk of a node that is down is replaced.
    Wipe { n: usize },
    /// A machine is suspended; its monotonic clock may stand still.
    Sleep { n: usize, span: Millis, stands_still: bool },
    /// A wall clock is set to this far from the right time.
    Clock { n: usize, skew: i64, unconfirmed: bool },
    /// Two nodes no longer reach each other.
    Cut { a: usize, b: usize },
    /// A node no longer reaches another.
    CutOneWay { a: usize, b: usize },
    /// These no longer reach the others.
    Split { left: Vec<usize> },
    /// Everybody reaches everybody.
    Heal,
    /// Connections between two nodes break.
    Sever { a: usize, b: usize },
    /// The network and the disks change.
    Weather(Weather),
    /// A node notices that its disk has little room left, or some again: it is read-only.
    ReadOnly { n: usize, on: bool },
    /// A disk is full and nobody noticed, or it is no longer.
    DiskFull { n: usize, full: bool },
    /// A bit flips on a disk.
    Rot { n: usize, table: Table, reads: u32 },
    /// A hostile node attacks.
    Attack { n: usize, attack: Attack },
}

impl Step {
    /// Its kind, for counting.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::Note { .. } => "records",
            Self::Relate { .. } => "relation",
            Self::Request { .. } => "item asked for",
            Self::Race { .. } => "item asked for by several at once",
            Self::Release { .. } => "item released",
            Self::Transfer { .. } => "item handed over",
            Self::Invite { .. } => "invite",
            Self::Name { .. } => "name",
            Self::Revoke { n, whom } if *n == *whom => "self-revocation",
            Self::Revoke { .. } => "revocation",
            Self::Lease { blocks: None, .. } => "lease without end",
            Self::Lease { .. } => "lease",
            Self::Feud { .. } => "two revoke each other",
            Self::RevokeInvite { .. } => "invite taken back",
            Self::Theft { .. } => "stolen key revokes all",
            Self::Recover { from_tip: true, .. } => "recovery from a block",
            Self::Recover { .. } => "recovery",
            Self::Sync { .. } => "pull",
            Self::Join { .. } => "late join",
            Self::Crash { writing: true, .. } => "power cut while writing",
            Self::Crash { .. } => "power cut",
            Self::Kill { .. } => "kill",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
            Self::Leave { .. } => "leave for ever",
            Self::Wipe { .. } => "new disk",
            Self::Sleep { .. } => "sleep",
            Self::Clock { .. } => "clock set",
            Self::Cut { .. } => "cut",
            Self::CutOneWay { .. } => "one-way cut",
            Self::Split { .. } => "split",
            Self::Heal => "heal",
            Self::Sever { .. } => "links broken",
            Self::Weather(_) => "weather",
            Self::ReadOnly { .. } => "read-only",
            Self::DiskFull { .. } => "disk full, unnoticed",
            Self::Rot { .. } => "flipped bit",
            Self::Attack { attack, .. } => attack.name(),
        }
    }

    /// Whether it is to take somebody's membership away.
    pub(super) const fn revokes(&self) -> bool {
        matches!(
            self,
            Self::Revoke { .. }
                | Self::Feud { .. }
                | Self::RevokeInvite { .. }
                | Self::Theft { .. }
                | Self::Recover { .. }
        )
    }
}
