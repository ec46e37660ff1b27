//! What can fail, one enum per operation. Failures of a live connection are not here: they end it
//! and are told as `TransportEvent::Closed`.

use std::net::SocketAddr;

use cairn_core::id::NodeId;

/// Why an endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program (or another node) has the port.
    #[error("UDP port is in use: {0}")]
    PortInUse(SocketAddr),
    /// The socket could not be opened for another reason.
    #[error("cannot open UDP socket {address}: {source}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The node's key could not be made into a TLS identity.
    #[error("cannot make a TLS identity from the node key: {0}")]
    Identity(String),
    /// The limits contradict each other.
    #[error("transport limits: {0}")]
    Limits(&'static str),
}

/// Why a dial ended without a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The address is not `host:port`, or the name is unknown.
    #[error("cannot resolve address: {0}")]
    Resolve(String),
    /// Nobody answered in time.
    #[error("no answer in time")]
    Timeout,
    /// The other side takes no connections now.
    #[error("refused: the other side is busy")]
    Refused,
    /// Somebody else answers at this address.
    #[error("wrong node: expected {expected}, got {got}")]
    WrongKey {
        /// The key that was dialled.
        expected: NodeId,
        /// The key that answered.
        got: NodeId,
    },
    /// The handshake failed: no common protocol, a bad certificate, or the network.
    #[error("handshake failed: {0}")]
    Handshake(String),
    /// This endpoint has as many dialled connections as it may have.
    #[error("too many dialled connections")]
    TooMany,
    /// This endpoint is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

/// Bytes that no correct peer sends; always the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte of a stream names no class.
    #[error("unknown class {0}")]
    UnknownClass(u8),
    /// The second byte of a stream is not our version.
    #[error("wire version {0} is not supported")]
    Version(u8),
    /// The class does not belong on such a stream, or its stream is open already.
    #[error("unexpected stream of class {0}")]
    UnexpectedStream(u8),
    /// The frame is longer than its class allows.
    #[error("frame of {got} bytes, at most {max} allowed")]
    Oversized {
        /// The class's limit.
        max: usize,
        /// What the prefix claims.
        got: usize,
    },
    /// The stream ended inside a frame or before it.
    #[error("frame truncated")]
    Truncated,
    /// The stream goes on after its only frame.
    #[error("bytes after the frame")]
    Trailing,
}

/// What a peer gave as a reason, made fit for logs and screens.
pub(crate) fn printable(text: &str) -> String {
    cairn_core::text::printable(text, 120)
}
