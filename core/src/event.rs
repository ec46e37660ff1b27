//! What happened, for people and programs that watch. Events are hints: losing one loses nothing
//! but the news.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::id::{BlockId, FactId, NodeId};
use crate::time::UnixTime;
use crate::wire::{CloseCode, Tip};

/// A change of the best chain that disconnected blocks. Kept for ever, in `Table::Reorg`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reorg {
    /// When, by our wall clock.
    pub time: UnixTime,
    /// Blocks disconnected.
    pub depth: u64,
    /// The tip before.
    pub from: Tip,
    /// The tip after.
    pub to: Tip,
    /// Facts of the disconnected blocks that the new branch had sealed as well.
    pub moved: u64,
    /// Facts of the disconnected blocks that went back to pending.
    pub requeued: u64,
    /// Facts of the disconnected blocks that are in neither place. Always 0; counted, not assumed.
    pub lost: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A fact entered the set.
    FactAdded(FactId),
    /// A block became the tip by extending it.
    BlockConnected {
        /// The new tip.
        tip: Tip,
        /// Facts it seals.
        facts: u32,
        /// Who sealed it.
        sealer: NodeId,
    },
    /// The best chain changed by more than extension.
    Reorged(Reorg),
    /// A fact lost against another.
    Conflicted {
        /// The fact.
        fact: FactId,
        /// Why, in words.
        reason: String,
    },
    /// A block was refused.
    BlockRefused {
        /// The block.
        block: BlockId,
        /// The rule it breaks, in words.
        reason: String,
    },
    /// A key was revoked by a fact in the set, whether or not a block seals it yet.
    Revoked {
        /// The key of a node or an invite.
        node: NodeId,
    },
    /// A peer said hello and was accepted.
    PeerConnected {
        /// The peer.
        node: NodeId,
        /// Whether we dialled.
        outbound: bool,
    },
    /// A peer told addresses of others.
    PeersHeard {
        /// The peer.
        node: NodeId,
        /// How many.
        count: u32,
    },
    /// A connection ended.
    PeerClosed {
        /// The peer.
        node: NodeId,
        /// The numbered reason, if one was given.
        code: Option<CloseCode>,
        /// Whether the peer ended it.
        by_peer: bool,
        /// What was said with it; printable.
        reason: String,
    },
    /// A peer provably misbehaved and is kept out for a time.
    PeerBanned {
        /// The peer.
        node: NodeId,
        /// Until when, by our wall clock.
        until: UnixTime,
        /// What it did, in words.
        reason: String,
    },
    /// Nothing is missing any more, as far as the connected peers tell.
    Synced(Tip),
    /// The disk has no room to spare, so nothing is written; or it has room again.
    ReadOnly(bool),
    /// Another node runs with our key; or it has not been heard of for a while.
    Twin(bool),
}
