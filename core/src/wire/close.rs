//! Why a connection ends, as a number that travels in the QUIC application close.

use core::fmt;

#[cfg(feature = "alloc")]
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

/// How the words begin that tell a peer why it is `NotMember`: its membership was lent. A height
/// follows.
pub const LEASE_OVER: &str = "its lease ended at height";

/// The numbered reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum CloseCode {
    /// The peer belongs to another mesh.
    WrongMesh = 0x10,
    /// The same mesh under rules this program does not know.
    RulesVersion = 0x11,
    /// No protocol version in common.
    Protocol = 0x12,
    /// The peer's key was never admitted.
    NotMember = 0x13,
    /// The peer's membership was revoked.
    Revoked = 0x14,
    /// No room for another connection.
    Full = 0x15,
    /// The peer is this node itself.
    Myself = 0x16,
    /// Provable misbehaviour, or far over a rate limit.
    Misbehavior = 0x17,
    /// The hello is missing, late or malformed.
    BadHello = 0x18,
    /// The node is stopping.
    ShuttingDown = 0x19,
    /// There is a better connection between the same two nodes.
    Duplicate = 0x1A,
    /// The invite has expired or has no uses left.
    InviteSpent = 0x1B,
    /// The invite was taken back, or its maker was revoked.
    InviteRevoked = 0x1C,
}

impl CloseCode {
    /// All codes.
    pub const ALL: [Self; 13] = [
        Self::WrongMesh,
        Self::RulesVersion,
        Self::Protocol,
        Self::NotMember,
        Self::Revoked,
        Self::Full,
        Self::Myself,
        Self::Misbehavior,
        Self::BadHello,
        Self::ShuttingDown,
        Self::Duplicate,
        Self::InviteSpent,
        Self::InviteRevoked,
    ];

    /// The code with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u64 == number)
    }

    /// The words that go with the number: what it means, and `detail` if there is any.
    #[cfg(feature = "alloc")]
    pub fn text(self, detail: &str) -> String {
        if detail.is_empty() { self.to_string() } else { alloc::format!("{self}: {detail}") }
    }
}

impl From<CloseCode> for u8 {
    fn from(code: CloseCode) -> Self {
        code as Self
    }
}

impl TryFrom<u8> for CloseCode {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::from_number(number.into()).ok_or("no close code")
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongMesh => "wrong mesh",
            Self::RulesVersion => "rules version not supported",
            Self::Protocol => "protocol version not supported",
            Self::NotMember => "not a member",
            Self::Revoked => "membership revoked",
            Self::Full => "full",
            Self::Myself => "that is me",
            Self::Misbehavior => "misbehaviour or rate limit",
            Self::BadHello => "hello invalid",
            Self::ShuttingDown => "shutting down",
            Self::Duplicate => "duplicate connection",
            Self::InviteSpent => "invite expired or used",
            Self::InviteRevoked => "invite taken back",
        })
    }
}
