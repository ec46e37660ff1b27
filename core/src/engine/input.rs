//! What can happen to an engine.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::block::Header;
use crate::conn::{CallId, ConnId, DialId, PeerAddr, RequestTag, StreamTag};
use crate::fact::{EncodedFact, FactVerdict, Keys, Recover, Role};
use crate::id::{BlockId, NodeId};
pub use crate::ledger::custody::CustodyAction;
use crate::peer::Subject;
use crate::signature::Signature;
use crate::time::{Millis, UnixTime};
use crate::verified::Verified;
use crate::wire::{Class, CloseCode};
use crate::work::Height;

/// Work given to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A batch given to the store; they become durable in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// A command of the node's user; numbered by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What can happen on a connection. All bytes are hostile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnInput<'a> {
    /// The handshake is done: the peer holds this key.
    Opened {
        /// The peer.
        node: NodeId,
        /// Where it is seen, `ip:port`.
        address: PeerAddr,
        /// Our attempt, if we dialled.
        dial: Option<DialId>,
        /// The key exchange that the transport agreed on, by its registered name.
        key_exchange: &'static str,
    },
    /// A frame on the control stream.
    Control(&'a [u8]),
    /// A frame on the announce stream.
    Announce(&'a [u8]),
    /// The peer asks; answer with `Frame::Answer` or `Frame::Refuse` on the same stream.
    Request {
        /// The stream to answer on.
        stream: StreamTag,
        /// What kind of request.
        class: Class,
        /// The request frame.
        bytes: &'a [u8],
    },
    /// The peer answered.
    Answer {
        /// Our request.
        tag: RequestTag,
        /// The answer frame.
        bytes: &'a [u8],
    },
    /// No answer will come: the stream was reset, or no stream could be opened in time.
    NoAnswer(RequestTag),
    /// The connection is over. Nothing more comes from it.
    Closed {
        /// The numbered reason, if there was one.
        code: Option<CloseCode>,
        /// Whether the peer closed it.
        by_peer: bool,
        /// What was said with it.
        reason: &'a str,
    },
}

/// What a `Recover` fact says, as its lists (`fact::Recover`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// The block to go on from, if nobody honest can seal.
    pub on: Option<BlockId>,
    /// Keys that end.
    pub ended: Vec<u8>,
    /// Keys that stay revoked.
    pub kept: Vec<u8>,
    /// Members that seal again.
    pub seats: Vec<u8>,
    /// Recovery keys and their signatures.
    pub signatures: Vec<u8>,
}

impl Recovery {
    /// As a fact has it.
    pub fn statement(&self) -> Recover<'_> {
        Recover {
            on: self.on,
            ended: Keys(&self.ended),
            kept: Keys(&self.kept),
            seats: Keys(&self.seats),
            signatures: &self.signatures,
        }
    }
}

/// What the node's user can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Takes facts into the ledger that are signed already, by this node or another.
    Publish(Vec<Verified<EncodedFact>>),
    /// Makes a custody fact: the engine knows what it has to follow.
    Custody {
        /// Name of the item.
        item: String,
        /// What to do with it.
        action: CustodyAction,
        /// For people.
        note: String,
    },
    /// Makes an `Invite` fact for this key.
    Invite {
        /// Public half of the invite.
        key: NodeId,
        /// What those admitted become.
        role: Role,
        /// How many.
        uses: u32,
        /// Until when.
        expires: UnixTime,
        /// For how many blocks they are lent a membership; none: for good.
        lease: Option<u32>,
    },
    /// Makes a `Revoke` fact.
    Revoke {
        /// A member, or the public half of an invite.
        key: NodeId,
    },
    /// Makes a `Name` fact.
    Name {
        /// A member.
        node: NodeId,
        /// What people shall call it.
        name: String,
    },
    /// Makes a `Lease` fact.
    Lease {
        /// A member.
        node: NodeId,
        /// The first height at which it counts no more; none: it does not lapse.
        until: Option<Height>,
    },
    /// Makes a `Rotate` fact: this node goes on under another key. If the set has one for that key
    /// already, that one counts.
    Rotate {
        /// The new key.
        key: NodeId,
        /// By which it agrees (`fact::sign_rotation`).
        signature: Signature,
    },
    /// Makes a `Recover` fact: its author, this node, becomes an admin.
    Recover(Recovery),
    /// Asks every peer for what we miss, now.
    Sync,
    /// Remembers an address and dials it at once; pins the key if it is known.
    AddPeer(PeerAddr, Option<NodeId>),
    /// A node of this mesh may be at this address; it was heard on the local network.
    Hear(PeerAddr),
    /// Asks some peers to call back; what they find is in `Status::reach`.
    CheckReach,
    /// Forgets an address; a link to it stays up.
    RemovePeer(PeerAddr),
    /// Asks a connected node for a sign of life, now.
    PingPeer(NodeId),
    /// Ends the links with somebody and takes none for so long.
    Ban {
        /// Who.
        subject: Subject,
        /// How long, in milliseconds.
        length: Millis,
        /// Why; shown here, told to nobody.
        reason: String,
    },
    /// Lifts a ban.
    Unban(Subject),
    /// Says goodbye to every peer.
    Stop,
}

impl Command {
    /// Whether it writes to the ledger; the rest concerns this node and its peers alone.
    pub(super) const fn writes(&self) -> bool {
        match self {
            Self::Publish(_)
            | Self::Custody { .. }
            | Self::Invite { .. }
            | Self::Revoke { .. }
            | Self::Rotate { .. }
            | Self::Recover(_)
            | Self::Lease { .. }
            | Self::Name { .. } => true,
            Self::Sync
            | Self::CheckReach
            | Self::Hear(_)
            | Self::AddPeer(..)
            | Self::RemovePeer(_)
            | Self::PingPeer(_)
            | Self::Ban { .. }
            | Self::Unban(_)
            | Self::Stop => false,
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// Time passed: the instant of `poll_timeout` has come.
    Tick,
    /// Something on a connection.
    Conn(ConnId, ConnInput<'a>),
    /// An attempt to connect failed before `Opened`.
    DialFailed(DialId),
    /// What became of a call back: whether the node that asked for it was reached.
    CalledBack(CallId, bool),
    /// The user asks.
    Command(CommandId, Command),
    /// Verdicts on the facts of a job, in their order.
    Verified(JobId, Vec<FactVerdict>),
    /// The pool found a seal for a proof-of-work header, or gave up when told to.
    Sealed(JobId, Option<Box<Header>>),
    /// This batch and all before it survive a power cut.
    Durable(BatchId),
    /// The disk has no room to spare (nothing is to be written), or has it again.
    ReadOnly(bool),
}
