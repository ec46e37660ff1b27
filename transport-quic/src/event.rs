//! What happens on the network, as the driver hears it. Maps one to one onto core's inputs.

use std::net::SocketAddr;

use cairn_core::engine::{CallId, ConnId, DialId, RequestTag, StreamTag};
use cairn_core::id::NodeId;
use cairn_core::wire::{Class, CloseCode};

use crate::error::DialError;

/// One thing that happened. All `bytes` are hostile; their length is within the class's limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// A handshake is done: the peer holds the key `node`.
    Opened {
        /// The new connection.
        conn: ConnId,
        /// The peer's key.
        node: NodeId,
        /// Where the peer is seen.
        address: SocketAddr,
        /// Our attempt, if we dialled.
        dial: Option<DialId>,
        /// The key exchange that was agreed on, by its name in the IANA registry.
        key_exchange: &'static str,
    },
    /// An attempt ended without a connection.
    DialFailed {
        /// The attempt.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// What became of a call back.
    CalledBack {
        /// The call.
        call: CallId,
        /// Whether the node was reached, and why not.
        result: Result<(), DialError>,
    },
    /// A frame on the control stream.
    Control {
        /// From where.
        conn: ConnId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A frame on the announce stream.
    Announce {
        /// From where.
        conn: ConnId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// The peer asks; answered by `Frame::Answer` or `Frame::Refuse`.
    Request {
        /// From where.
        conn: ConnId,
        /// The stream to answer on.
        stream: StreamTag,
        /// What kind of request; never control or announce.
        class: Class,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// The peer answered.
    Answer {
        /// From where.
        conn: ConnId,
        /// Our request.
        tag: RequestTag,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// No answer will come.
    NoAnswer {
        /// The connection.
        conn: ConnId,
        /// Our request.
        tag: RequestTag,
    },
    /// The connection is over; nothing more comes from it.
    Closed {
        /// The connection.
        conn: ConnId,
        /// The numbered reason, if there was one.
        code: Option<CloseCode>,
        /// Whether the peer closed it.
        by_peer: bool,
        /// The reason for people; printable, at most 120 characters.
        detail: String,
    },
}
