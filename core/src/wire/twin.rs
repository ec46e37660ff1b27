//! What nodes say when two of them run with one key. See `engine::twins` for who says what when.

use serde::{Deserialize, Serialize};

use crate::hash::Tag;
use crate::id::{MeshId, NodeId};
use crate::signature::{self, Signature, SigningKey};

/// The number of one start of a node, which nobody can foresee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run(pub [u8; 16]);

/// What is to be signed, made for this once.
pub type Challenge = [u8; 16];

/// Frames on the control stream about twins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Twin {
    /// Somebody else is, or was until a moment ago, linked to me with your key. Proves nothing.
    Met,
    /// Whoever runs with this key is to sign the challenge.
    Ask {
        /// The key.
        node: NodeId,
        /// What to sign.
        challenge: Challenge,
    },
    /// I run with this key.
    Here(Statement),
}

/// The proof that somebody runs with a key: signed after the challenge was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The key.
    pub node: NodeId,
    /// What was asked to be signed.
    pub challenge: Challenge,
    /// Which start of a node says so.
    pub run: Run,
    /// By the key.
    pub signature: Signature,
}

fn digest(mesh: &MeshId, challenge: &Challenge, run: Run) -> [u8; 32] {
    Tag::Twin.hasher().chain(&mesh.0).chain(challenge).chain(&run.0).finish()
}

impl Statement {
    /// Signs.
    pub fn sign(key: &SigningKey, mesh: &MeshId, challenge: Challenge, run: Run) -> Self {
        let signature = key.sign(Tag::TwinSignature, &digest(mesh, &challenge, run));
        Self { node: key.node_id(), challenge, run, signature }
    }

    /// Whether the key signed it.
    pub fn check(&self, mesh: &MeshId) -> bool {
        let digest = digest(mesh, &self.challenge, self.run);
        signature::check(&self.node, Tag::TwinSignature, &digest, &self.signature)
    }
}
