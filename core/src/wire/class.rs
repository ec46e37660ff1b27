//! The message classes and what each may cost.

use crate::limits;

/// Version of the streams and messages.
pub const WIRE_VERSION: u8 = 1;

/// Bytes of a request for facts (32 each) that count once more.
const FACTS_COST_BYTES: u64 = 8 * 1024;

/// A class of messages: a kind of stream with its own priority and limits. The number is the first
/// byte of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Hello, ping, status, goodbye: one long-lived bidirectional stream, opened by the dialler.
    Control = 0,
    /// New blocks and fact ids: one long-lived unidirectional stream each way.
    Announce = 1,
    /// Locator → headers.
    Headers = 2,
    /// Block ids → lists of fact ids.
    Blocks = 3,
    /// Fact ids → facts.
    Facts = 4,
    /// A step of set reconciliation.
    Reconcile = 5,
    /// Peer exchange.
    Peers = 6,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Self; 7] = [
        Self::Control,
        Self::Announce,
        Self::Headers,
        Self::Blocks,
        Self::Facts,
        Self::Reconcile,
        Self::Peers,
    ];

    /// The class with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == byte)
    }

    /// Whether each message is a request on a stream of its own.
    pub const fn is_request(self) -> bool {
        !matches!(self, Self::Control | Self::Announce)
    }

    /// What a peer may send of this class: the burst, and how many more each second.
    pub const fn rate(self, rates: &limits::Rates) -> (u32, u32) {
        match self {
            Self::Control => rates.control,
            Self::Announce => rates.announce,
            Self::Headers => rates.headers,
            Self::Blocks => rates.blocks,
            Self::Facts => rates.facts,
            Self::Reconcile => rates.reconcile,
            Self::Peers => rates.peers,
        }
    }

    /// What a request of so many bytes counts for that rate. Each id of a fact that is asked for is a
    /// read or two, and the rate is for requests of a few hundred.
    pub const fn request_cost(self, bytes: usize) -> u64 {
        match self {
            Self::Facts => 1 + bytes as u64 / FACTS_COST_BYTES,
            _ => 1,
        }
    }

    /// Send priority; higher goes first.
    pub const fn priority(self) -> i32 {
        match self {
            Self::Control => 100,
            Self::Announce => 50,
            Self::Headers => 40,
            Self::Blocks => 10,
            Self::Facts => 0,
            Self::Reconcile => -10,
            Self::Peers => -20,
        }
    }

    /// Most bytes of a request frame (or of any frame, for the long-lived classes).
    pub const fn request_bytes_max(self) -> usize {
        match self {
            Self::Control => limits::CONTROL_FRAME_BYTES,
            Self::Announce => limits::ANNOUNCE_FRAME_BYTES,
            Self::Headers => 32 * limits::LOCATOR_IDS + 64,
            Self::Blocks => 32 * limits::BLOCKS_PER_REQUEST + 16,
            Self::Facts => 32 * limits::FACTS_PER_REQUEST + 16,
            Self::Reconcile => 16 * 1024,
            Self::Peers => 64,
        }
    }

    /// Most bytes of an answer frame; 0 for classes without answers.
    pub const fn answer_bytes_max(self) -> usize {
        match self {
            Self::Control | Self::Announce => 0,
            Self::Headers => 1024 * 1024,
            Self::Blocks => limits::BLOCKS_ANSWER_BYTES + 1024,
            Self::Facts => limits::FACTS_ANSWER_BYTES + 32 * 1024,
            Self::Reconcile => 256 * 1024,
            Self::Peers => 32 * 1024,
        }
    }

    /// Requests of this class that one peer may have open at a time.
    pub const fn inbound_max(self) -> usize {
        match self {
            Self::Control | Self::Announce => 1,
            Self::Headers | Self::Reconcile | Self::Peers => 2,
            Self::Blocks | Self::Facts => 4,
        }
    }
}
