//! What an engine says about itself, without being asked.

use alloc::vec::Vec;

use crate::id::NodeId;
use crate::time::{Millis, UnixTime};
use crate::wire::{CloseCode, SetSummary, Tip};

use crate::conn::PeerAddr;

/// How the node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was tried yet.
    Starting,
    /// No peer, though the mesh has others.
    Isolated,
    /// Dialling, not connected yet.
    Connecting,
    /// Catching up.
    Syncing,
    /// Nothing is missing as far as the connected peers tell; or nobody else is in the mesh.
    Synced,
    /// Stopping.
    Stopping,
}

/// One peer, live or remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its key, if one ever answered at the address.
    pub node: Option<NodeId>,
    /// Where it is.
    pub address: PeerAddr,
    /// Whether we dialled.
    pub outbound: bool,
    /// Whether a connection is up and the hello was accepted.
    pub connected: bool,
    /// Round trip of the last ping.
    pub rtt: Option<Millis>,
    /// Usefulness; higher is better.
    pub score: i32,
    /// When it was last connected, by our wall clock.
    pub last_seen: Option<UnixTime>,
    /// Why the last connection ended, and whether the peer ended it.
    pub last_close: Option<(CloseCode, bool)>,
    /// The tip it last told.
    pub tip: Option<Tip>,
}

/// Everything that is shown of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How it is doing.
    pub state: State,
    /// End of the best chain.
    pub tip: Tip,
    /// The facts held.
    pub facts: SetSummary,
    /// Facts waiting to be sealed.
    pub pending: u64,
    /// Facts that lost against others.
    pub conflict: u64,
    /// Height of the best header chain known; above the tip's while catching up.
    pub target: u64,
    /// Facts known to be missing and being fetched.
    pub wanted: u64,
    /// Peers, connected ones first; bounded by the address limit.
    pub peers: Vec<PeerStatus>,
    /// Grows with every change of `peers`.
    pub peers_version: u64,
}
