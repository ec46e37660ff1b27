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
    /// A node relates the first record of `serial` to itself.
    Relate { n: usize, serial: u64 },
    /// A node asks for an item.
    Request { n: usize, item: usize },
    /// A node releases an item.
    Release { n: usize, item: usize },
    /// A node hands an item to another.
    Transfer { n: usize, item: usize, to: usize },
    /// A node makes an invite.
    Invite { n: usize, serial: u64 },
    /// A node pulls now.
    Sync { n: usize },
    /// A late node joins.
    Join { n: usize },
    /// The power fails; so many batches that were not durable happen to survive.
    Crash { n: usize, kept: usize },
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
    /// A disk is full, or no longer.
    DiskFull { n: usize, full: bool },
    /// A bit flips on a disk.
    Rot { n: usize, table: Table, reads: u32 },
    /// A hostile node attacks.
    Attack { n: usize, attack: Attack },
}
