//! Local tuning: how much a node keeps, sends and waits for. Nothing here decides validity (that is
//! `params.rs`), so two nodes may differ in all of it. Every queue, cache and window of the engine
//! is bounded by a number in this file.

use crate::params::{BLOCK_FACTS_MAX, FACT_BYTES_MAX, SEALERS_MAX};
use crate::time::Millis;

/// Most bytes of a frame on the control stream; an introduction (≤ 4 KiB of facts) is the largest.
pub const CONTROL_FRAME_BYTES: usize = 8 * 1024;
/// Most bytes of a frame on the announce stream.
pub const ANNOUNCE_FRAME_BYTES: usize = 64 * 1024;
/// Most headers in one answer.
pub const HEADERS_PER_ANSWER: usize = 2_000;
/// Most fact ids in one announcement.
pub const IDS_PER_ANNOUNCE: usize = 1_024;
/// Most fact ids in one request.
pub const FACTS_PER_REQUEST: usize = 1_024;
/// Most bytes of encoded facts in one answer; at least one fact always fits.
pub const FACTS_ANSWER_BYTES: usize = 1024 * 1024;
/// Most block ids in one request.
pub const BLOCKS_PER_REQUEST: usize = 64;
/// Most bytes of bodies in one answer; at least one full block always fits.
pub const BLOCKS_ANSWER_BYTES: usize = 1024 * 1024;
/// Most addresses in one peer exchange.
pub const PEERS_PER_ANSWER: usize = 64;
/// Most addresses told to a peer for which there is no room.
pub const ADDRESSES_WHEN_FULL: usize = 16;
/// Most ids in a locator.
pub const LOCATOR_IDS: usize = 32;
/// Most bytes of membership facts that a stranger may show before it is trusted.
pub const INTRODUCTION_BYTES: usize = 4 * 1024;

const _: () = assert!(FACTS_ANSWER_BYTES >= 4 * FACT_BYTES_MAX);
const _: () = assert!(BLOCKS_ANSWER_BYTES >= 2 * 32 * BLOCK_FACTS_MAX as usize);
const _: () = assert!(ANNOUNCE_FRAME_BYTES >= 32 * IDS_PER_ANNOUNCE + 16);
const _: () = assert!(CONTROL_FRAME_BYTES >= INTRODUCTION_BYTES + 1_024);
const _: () = assert!(CONTROL_FRAME_BYTES >= ADDRESSES_WHEN_FULL * (255 + 40) + 16);
const _: () = assert!(SEALERS_MAX * 32 < BLOCKS_ANSWER_BYTES / 8);

/// The tunable limits of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Facts waiting to be sealed that are kept in memory; the rest waits on disk.
    pub mempool_facts: usize,
    /// Bytes of the same.
    pub mempool_bytes: usize,
    /// Facts of authors not yet admitted that are kept in memory, and their bytes.
    pub strangers_facts: usize,
    /// Bytes of the same.
    pub strangers_bytes: usize,
    /// Fact ids wanted from peers at one time.
    pub wants: usize,
    /// Facts being verified at one time.
    pub verifying_facts: usize,
    /// Headers kept in memory below the tip.
    pub headers_kept: u64,
    /// Headers kept in memory in all: ahead of the tip, and on branches.
    pub headers_in_memory: usize,
    /// Blocks ahead of the tip whose bodies are fetched.
    pub bodies_ahead: usize,
    /// Fact ids of blocks that wait to be connected; more of them wait on disk.
    pub body_ids_in_memory: usize,
    /// Requests of one class in flight to one peer.
    pub requests_per_peer: usize,
    /// How long a request may take.
    pub request_timeout: Millis,
    /// How long a peer may take to say hello.
    pub hello_timeout: Millis,
    /// Between two announcements of fact ids that are not full.
    pub announce_delay: Millis,
    /// Between pings.
    pub ping_interval: Millis,
    /// A ping follows a change of our tip or set after this long, so that a lost announcement is
    /// noticed.
    pub ping_after_change: Millis,
    /// Between two reconciliations with one peer, when nothing suggests a difference.
    pub reconcile_interval: Millis,
    /// Connections wanted from us to others.
    pub outbound_wanted: usize,
    /// Connections to others at most.
    pub outbound_max: usize,
    /// Connections from others at most.
    pub inbound_max: usize,
    /// First and longest time that a peer is kept out for what it provably did wrong; no time at all
    /// means that it is only disconnected.
    pub bans: (Millis, Millis),
    /// Longest wait before an address that a person gave is dialled again.
    pub dial_interval: Millis,
    /// First and longest wait after a failed dial.
    pub backoff: (Millis, Millis),
    /// Addresses of which others told and where nobody was reached yet.
    pub addresses: usize,
    /// Addresses where a node was reached.
    pub addresses_tried: usize,
    /// Addresses that people give, seeds included.
    pub addresses_given: usize,
    /// Between two writes of what is remembered of addresses.
    pub book_save_interval: Millis,
    /// How far a header's time may be ahead of a confirmed clock.
    pub clock_ahead_max: Millis,
    /// What one peer may do per second, and how much of it at once.
    pub rates: Rates,
}

/// How much of each class one peer may cost us: per second, and at once. What is more is dropped or
/// refused, and no crime. Far above what a correct peer needs, so that only a flood is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Frames.
    pub control: (u32, u32),
    /// Ids; an announcement costs some more than it carries.
    pub announce: (u32, u32),
    /// Requests, each of up to `HEADERS_PER_ANSWER` headers.
    pub headers: (u32, u32),
    /// Requests.
    pub blocks: (u32, u32),
    /// Requests, one more for every 256 facts that are asked for.
    pub facts: (u32, u32),
    /// Requests.
    pub reconcile: (u32, u32),
    /// Requests.
    pub peers: (u32, u32),
}

impl Limits {
    /// Addresses in the book at most.
    pub const fn addresses_in_all(&self) -> usize {
        self.addresses + self.addresses_tried + self.addresses_given
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Four full blocks; about 700 bytes each with what is kept of them.
            mempool_facts: 32_768,
            mempool_bytes: 16 * 1024 * 1024,
            strangers_facts: 1_024,
            strangers_bytes: 1024 * 1024,
            wants: 65_536,
            verifying_facts: 8_192,
            headers_kept: 2_000,
            headers_in_memory: 40_000,
            bodies_ahead: 64,
            body_ids_in_memory: 65_536,
            requests_per_peer: 4,
            request_timeout: 10_000,
            hello_timeout: 10_000,
            announce_delay: 50,
            // An idle link is to cost less than a megabyte a day.
            ping_interval: 120_000,
            ping_after_change: 2_000,
            reconcile_interval: 60_000,
            outbound_wanted: 8,
            outbound_max: 16,
            inbound_max: 64,
            bans: (10 * 60_000, 7 * 24 * 3_600_000),
            dial_interval: 30_000,
            backoff: (1_000, 600_000),
            addresses: 1_024,
            addresses_tried: 256,
            addresses_given: 256,
            book_save_interval: 600_000,
            clock_ahead_max: 120_000,
            rates: Rates {
                control: (20, 200),
                announce: (32_768, 262_144),
                headers: (50, 500),
                blocks: (500, 2_000),
                facts: (500, 2_000),
                reconcile: (100, 1_000),
                peers: (2, 20),
            },
        }
    }
}
