//! The messages themselves. Lists are bounded by their class's frame limit before decoding; tighter
//! bounds are checked where a message is used.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::block::Header;
use crate::id::{BlockId, FactId, MeshId, NodeId};
use crate::time::UnixTime;
use crate::wire::{Run, SetSummary, Twin};
use crate::work::{Height, Work};

/// Version of the conversation; a hello names the range a node speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Height of the last block.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Cumulative work from genesis.
    pub work: Work,
}

/// First frame of both sides on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol versions spoken, lowest and highest.
    pub protocol: (u8, u8),
    /// `RULES_VERSION`.
    pub rules: u8,
    /// The mesh.
    pub mesh: MeshId,
    /// Where our chain ends.
    pub tip: Tip,
    /// Which facts we hold.
    pub facts: SetSummary,
    /// Program and version, for people.
    pub agent: String,
    /// Our wall clock.
    pub clock: UnixTime,
    /// UDP port we accept connections on; 0 if none.
    pub port: u16,
    /// Which start of this node it is.
    pub run: Run,
    /// Our own `Admit` fact and those above it back to a root, for a peer that does not know us
    /// yet; ≤ `INTRODUCTION_BYTES` in all.
    pub introduction: Vec<serde_bytes::ByteBuf>,
}

/// Frames on the control stream after the hellos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// First frame of both sides.
    Hello(Hello),
    /// Are you there? Carries our state, so that a lost announcement is noticed.
    Ping {
        /// Echoed in the answer.
        nonce: u64,
        /// Where our chain ends.
        tip: Tip,
        /// Which facts we hold.
        facts: SetSummary,
    },
    /// I am.
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// You were revoked; the connection is closed next. Whoever was cut off must be able to know
    /// that it was, and by whom.
    Revoked {
        /// The `Revoke`, and before it the facts that admit its author, back to a root; ≤
        /// `INTRODUCTION_BYTES` in all.
        proof: Vec<serde_bytes::ByteBuf>,
    },
    /// Can others connect to me? Dial the address that this connection comes from, at the port that
    /// my hello names, from a port of yours that I have not sent to.
    CallBack {
        /// Echoed in the answer.
        nonce: u64,
    },
    /// What became of a call back.
    CalledBack {
        /// From the question.
        nonce: u64,
        /// Whether it was reached.
        outcome: CallOutcome,
    },
    /// There is no room for this link; the connection is closed next. Others may have room.
    Full {
        /// `host:port` and the key that answered there; ≤ `ADDRESSES_WHEN_FULL`.
        peers: Vec<(String, NodeId)>,
    },
    /// Two nodes may run with one key.
    Twin(Twin),
}

/// What became of a call back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallOutcome {
    /// The handshake was made, with the key that asked.
    Reached,
    /// Nobody answered, or somebody else.
    Unreached,
    /// Not tried: too soon after the last one.
    Busy,
}

/// Frames on the announce stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Announce {
    /// Our best chain has a new tip.
    Block(Tip),
    /// We hold these facts since a moment ago.
    Facts(Vec<FactId>),
}

/// Asks for the headers after the first of these ids that the other side has on its best chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadersRequest {
    /// Ids on our best chain, newest first, exponentially sparser, ending with genesis.
    pub locator: Vec<BlockId>,
    /// How many headers are wanted at most.
    pub max: u16,
}

/// Headers in ascending order, each the parent of the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadersAnswer {
    /// The id from the locator that the first header builds on.
    pub from: BlockId,
    /// The headers.
    pub headers: Vec<Header>,
    /// For every header whose `sealers_root` differs from its parent's, the sealers, ascending.
    pub sealers: Vec<Vec<NodeId>>,
}

/// Asks for bodies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksRequest {
    /// The blocks.
    pub ids: Vec<BlockId>,
}

/// Bodies in the order asked for; those that are unknown or did not fit are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksAnswer {
    /// Each block with its list.
    pub bodies: Vec<(BlockId, Vec<FactId>)>,
}

/// Asks for facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsRequest {
    /// The facts.
    pub ids: Vec<FactId>,
}

/// Facts in the order asked for; those that are unknown or did not fit are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsAnswer<'a> {
    /// Canonical bytes of each.
    #[serde(borrow)]
    pub facts: Vec<&'a serde_bytes::Bytes>,
    /// Whether facts were left out for lack of room, so that asking again helps.
    pub more: bool,
}

/// Asks for addresses of other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeersRequest {
    /// How many at most.
    pub max: u16,
}

/// Addresses of nodes the sender is or was connected to; hearsay until dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeersAnswer {
    /// `host:port` and the key that answered there.
    pub peers: Vec<(String, NodeId)>,
}
