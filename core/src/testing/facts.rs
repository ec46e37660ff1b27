//! Keys, rules and signed facts.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::fact::{Body, EncodedFact, Fact, Keys, Recover, Role, sign_rotation};
use crate::id::{BlockId, FactId, MeshId, NodeId};
use crate::params::Params;
use crate::signature::SigningKey;
use crate::time::UnixTime;
use crate::verified::Verified;
use crate::work::Height;

/// Rules of a private mesh with these founders, founded at time 0.
pub fn params(roots: &[&TestNode]) -> Params {
    let mut ids = heapless::Vec::<NodeId, { crate::params::ROOTS_MAX }>::new();
    roots.iter().for_each(|root| {
        let _ = ids.push(root.id());
    });
    Params::private("test", &ids, UnixTime(0)).unwrap_or_else(|e| unreachable!("{e}"))
}

/// A key whose facts all carry time 0 unless they are made by `fact`.
#[derive(Debug, Clone)]
pub struct TestNode {
    /// The key.
    pub key: SigningKey,
    /// The mesh that its facts are for.
    pub mesh: MeshId,
}

impl TestNode {
    /// The node with a number, the same every time.
    pub fn new(number: u64, mesh: MeshId) -> Self {
        let mut seed = [0x5e; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Self { key: SigningKey::from_seed(seed), mesh }
    }

    /// The same key in another mesh.
    #[must_use]
    pub fn in_mesh(&self, mesh: MeshId) -> Self {
        Self { key: self.key.clone(), mesh }
    }

    /// Its public half.
    pub const fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// A signed fact with this time and body. Panics if the body breaks a bound.
    pub fn fact(&self, time: u64, body: Body<'_>) -> Verified<EncodedFact> {
        let fact = Fact { author: self.id(), time: UnixTime(time), body };
        let signed = EncodedFact::sign(fact, &self.mesh, &self.key);
        signed.unwrap_or_else(|e| panic!("a test made a bad fact: {e}"))
    }

    /// A record.
    pub fn record(&self, topic: &str, text: &str) -> Verified<EncodedFact> {
        let body = Body::Record { topic, media_type: "text/plain", bytes: text.as_bytes() };
        self.fact(0, body)
    }

    /// A relation between two facts.
    pub fn relate(&self, subject: FactId, object: FactId) -> Verified<EncodedFact> {
        let body = Body::Relation { subject, predicate: "corrects", object };
        self.fact(0, body)
    }

    /// A request for an item.
    pub fn request(&self, item: &str, follows: Option<FactId>) -> Verified<EncodedFact> {
        let note = "";
        self.fact(0, Body::Request { item, follows, note })
    }

    /// A release of an item.
    pub fn release(&self, item: &str, follows: FactId) -> Verified<EncodedFact> {
        let note = "";
        self.fact(0, Body::Release { item, follows, note })
    }

    /// A transfer of an item.
    pub fn transfer(&self, item: &str, follows: FactId, to: NodeId) -> Verified<EncodedFact> {
        let note = "";
        self.fact(0, Body::Transfer { item, follows, to, note })
    }

    /// An invite.
    pub fn invite(
        &self,
        key: NodeId,
        role: Role,
        uses: u32,
        expires: u64,
    ) -> Verified<EncodedFact> {
        let (expires, lease) = (UnixTime(expires), None);
        self.fact(0, Body::Invite { key, role, uses, expires, lease })
    }

    /// An invite without uses to count that lends a membership for so many blocks.
    pub fn invite_guests(&self, key: NodeId, role: Role, blocks: u32) -> Verified<EncodedFact> {
        let (uses, expires, lease) = (u32::MAX, UnixTime::MAX_VALID, Some(blocks));
        self.fact(0, Body::Invite { key, role, uses, expires, lease })
    }

    /// A revocation.
    pub fn revoke(&self, node: NodeId) -> Verified<EncodedFact> {
        self.fact(0, Body::Revoke { node })
    }

    /// A rotation to another key.
    pub fn rotate(&self, new: &Self, role: Role) -> Verified<EncodedFact> {
        let signature = sign_rotation(&self.mesh, &self.id(), &new.key);
        self.fact(0, Body::Rotate { key: new.id(), role, signature })
    }

    /// A recovery that these recovery keys sign: the author becomes an admin.
    pub fn recover(
        &self,
        by: &[&SigningKey],
        on: Option<BlockId>,
        ended: &[NodeId],
        kept: &[NodeId],
        seats: &[NodeId],
    ) -> Verified<EncodedFact> {
        let lists = [ended, kept, seats].map(|keys| {
            let keys: BTreeSet<NodeId> = keys.iter().copied().collect();
            keys.iter().flat_map(|key| key.0).collect::<Vec<u8>>()
        });
        let [ended, kept, seats] = [&lists[0], &lists[1], &lists[2]].map(|list| Keys(list));
        let unsigned = Recover { on, ended, kept, seats, signatures: &[] };
        let parts = by.iter().map(|key| unsigned.sign(&self.mesh, &self.id(), key));
        let parts: BTreeSet<[u8; 96]> = parts.collect();
        let signatures: Vec<u8> = parts.into_iter().flatten().collect();
        self.fact(0, Body::Recover(Recover { signatures: &signatures, ..unsigned }))
    }

    /// A new name.
    pub fn rename(&self, node: NodeId, name: &str) -> Verified<EncodedFact> {
        self.fact(0, Body::Name { node, name })
    }

    /// A lease until a height, or without end.
    pub fn lease(&self, node: NodeId, until: Option<u64>) -> Verified<EncodedFact> {
        self.fact(0, Body::Lease { node, until: until.map(Height) })
    }

    /// An admission.
    pub fn admit(&self, node: NodeId, role: Role) -> Verified<EncodedFact> {
        let name = "someone";
        self.fact(0, Body::Admit { node, role, name })
    }
}
