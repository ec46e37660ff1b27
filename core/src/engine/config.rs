//! What an engine is told once, when it is made.

use alloc::string::String;
use alloc::vec::Vec;

use crate::limits::Limits;
use crate::params::Params;
use crate::signature::SigningKey;

use crate::conn::PeerAddr;
use crate::id::NodeId;

/// Everything that is fixed for the life of an engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The rules of the mesh.
    pub params: Params,
    /// This node's key.
    pub key: SigningKey,
    /// Local tuning.
    pub limits: Limits,
    /// Source of all choices that have to be unpredictable to others; never used twice.
    pub seed: [u8; 32],
    /// Whether to seal blocks when it is this node's turn.
    pub seal_blocks: bool,
    /// UDP port that connections are accepted on; told to peers. 0 if none.
    pub port: u16,
    /// Program and version; told to peers.
    pub agent: String,
    /// Places to dial always and at once, with the key expected there where it is known.
    pub dial: Vec<(PeerAddr, Option<NodeId>)>,
    /// Places to dial only when nothing else connects.
    pub seeds: Vec<PeerAddr>,
}
