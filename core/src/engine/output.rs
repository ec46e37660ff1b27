//! What an engine wants done.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::block::Header;
use crate::event::Event;
use crate::fact::EncodedFact;
use crate::id::{FactId, NodeId};
use crate::store::Batch;
use crate::time::Millis;
use crate::verified::Unverified;
use crate::wire::{Class, CloseCode};
use crate::work::Height;

use super::input::{BatchId, CommandId, JobId};
use crate::conn::{CallId, ConnId, DialId, PeerAddr, RequestTag, StreamTag};

/// A frame for one connection. A full queue drops announcements and fails requests
/// (`ConnInput::NoAnswer`). A peer that leaves too much unread loses the answers that do not fit, and
/// the connection if it is control frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// On the control stream.
    Control(Vec<u8>),
    /// On the announce stream.
    Announce(Vec<u8>),
    /// Opens a stream and asks; exactly one `Answer` or `NoAnswer` follows while the connection
    /// lives.
    Request {
        /// Our name for it.
        tag: RequestTag,
        /// What kind of request.
        class: Class,
        /// The request frame.
        bytes: Vec<u8>,
    },
    /// Answers a request of the peer and ends its stream.
    Answer {
        /// The peer's request.
        stream: StreamTag,
        /// The answer frame.
        bytes: Vec<u8>,
    },
    /// Ends the stream of a request without an answer.
    Refuse(StreamTag),
    /// Gives up on a request of ours; no answer is wanted any more and none is reported.
    Forget(RequestTag),
}

/// What became of one fact that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It entered the set.
    Accepted(FactId),
    /// It was there already.
    Duplicate(FactId),
    /// The set does not take it.
    Refused(FactId, Refusal),
}

/// Why a command was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The author was never admitted to this mesh.
    UnknownAuthor(NodeId),
    /// A field breaks its bound.
    Malformed(String),
    /// The item is held by somebody else (or by the asker).
    Held {
        /// The item.
        item: String,
        /// Who holds it.
        holder: NodeId,
        /// What people call the holder.
        name: String,
    },
    /// The item is free, so there is nothing to release or hand over.
    Free {
        /// The item.
        item: String,
    },
    /// Only the holder may do this.
    NotHolder {
        /// The item.
        item: String,
        /// Who holds it.
        holder: NodeId,
        /// What people call the holder.
        name: String,
    },
    /// Another rule forbids it, in words.
    Rule(String),
    /// This node may not write facts (yet).
    NotMember,
    /// Only admins may do this.
    NotAdmin,
    /// The disk has no room to spare.
    ReadOnly,
    /// This node may only read.
    Reader,
    /// This node was revoked.
    Revoked,
    /// This node's membership was lent, and counts no more from this height on.
    Lapsed(Height),
    /// The author was revoked.
    AuthorRevoked(NodeId),
    /// Nobody is kept out under this name.
    NotBanned,
    /// The address is not remembered.
    UnknownAddress(PeerAddr),
    /// There is no link to this node.
    NotConnected(NodeId),
    /// The node did not answer in time.
    NoAnswer(NodeId),
    /// The node is stopping.
    Stopping,
}

/// What a command did, told once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// For `Publish`, in the order given.
    Published(Vec<Published>),
    /// For `Custody`, `Invite`, `Revoke`, `Rotate`, `Lease` and `Name`: the fact that was made.
    Made(FactId),
    /// For `PingPeer`: the round trip.
    Pong(Millis),
    /// For the rest.
    Done,
}

/// Heavy pure work for all cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Check these signatures; answered by `Input::Verified`.
    Verify(Vec<Unverified<EncodedFact>>),
    /// Find a nonce; answered by `Input::Sealed`. A newer `Grind` replaces an older one, which is
    /// then answered with `None`.
    Grind(Box<Header>),
    /// Stop grinding; the job is answered with `None`.
    StopGrinding,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Output {
    /// Make these changes visible now, durable soon, then say `Input::Durable`.
    Commit(BatchId, Batch),
    /// Work for the pool.
    Work(JobId, Job),
    /// Connect; `ConnInput::Opened` or `Input::DialFailed` follows. With a key, to nobody else.
    Dial(DialId, PeerAddr, Option<NodeId>),
    /// Find out whether this node can be reached there, from another port than the usual one, and
    /// hang up; `Input::CalledBack` follows within a few seconds.
    CallBack(CallId, PeerAddr, NodeId),
    /// Send a frame.
    Send(ConnId, Frame),
    /// End a connection and say why: the number and what there is to say besides (see
    /// `CloseCode::text`). `ConnInput::Closed` follows.
    Close(ConnId, CloseCode, String),
    /// Answer a command. Exactly one per command.
    Reply(CommandId, Result<Receipt, Refusal>),
    /// News.
    Event(Event),
}
