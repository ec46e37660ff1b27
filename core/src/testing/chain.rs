//! A chain with real authority seals, and what a peer that holds it answers. It need not be valid:
//! anything can be put on its end.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{TestLedger, ledger::sound};
use crate::block::Header;
use crate::codec;
use crate::fact::EncodedFact;
use crate::id::{BlockId, FactId, MeshId};
use crate::ledger::read::Read;
use crate::params::{Params, RULES_VERSION};
use crate::reconcile::{self, Fingerprints};
use crate::seal::authority;
use crate::signature::SigningKey;
use crate::time::UnixTime;
use crate::verified::Verified;
use crate::wire::{
    BlocksAnswer, BlocksRequest, Class, FactsAnswer, FactsRequest, HeadersAnswer, HeadersRequest,
    Hello, PROTOCOL_VERSION, PeersAnswer, ReconcileRequest, Run, SetSummary, Tip,
};
use crate::work::Work;

/// A peer's ledger.
#[derive(Debug, Clone)]
pub struct TestChain {
    /// The valid part.
    pub ledger: TestLedger,
    /// From genesis up.
    pub headers: Vec<Header>,
    /// What it serves as bodies.
    pub bodies: BTreeMap<BlockId, Vec<FactId>>,
    /// What it serves as facts, by the id that is asked for.
    pub facts: BTreeMap<FactId, Vec<u8>>,
}

impl TestChain {
    /// Genesis alone.
    pub fn new(params: Params) -> Self {
        let headers = Vec::from([crate::block::genesis(&params)]);
        let ledger = TestLedger::new(params);
        Self { ledger, headers, bodies: BTreeMap::new(), facts: BTreeMap::new() }
    }

    /// Its mesh.
    pub fn mesh(&self) -> MeshId {
        self.headers[0].id().into()
    }

    /// Takes facts into the set.
    pub fn add(&mut self, facts: &[Verified<EncodedFact>]) {
        self.ledger.arrive(facts);
        self.facts.extend(facts.iter().map(|fact| (fact.id(), fact.bytes().to_vec())));
    }

    /// A header on the tip that keeps every rule but that it is not sealed yet, at the earliest time
    /// that is the sealer's turn.
    pub fn draft(&self, key: &SigningKey, facts: &[FactId]) -> Header {
        let (parent, params) = (self.ledger.tip().header, &self.ledger.params);
        let sealers = sound(self.ledger.store.sealers(&parent.sealers_root)).unwrap_or_default();
        let distance = authority::distance(&sealers, &key.node_id(), parent.height.next());
        let UnixTime(time) =
            authority::earliest_time(parent.time, params.spacing, distance.unwrap_or(0));
        self.ledger.block(facts, Some(time)).header
    }

    /// Seals facts of the set that are permitted; the new tip.
    pub fn seal(&mut self, key: &SigningKey, facts: &[FactId]) -> BlockId {
        let header = authority::seal(self.draft(key, facts), key);
        let block = crate::block::Block { header: header.clone(), facts: facts.to_vec() };
        if let Err(reject) = self.ledger.connect(&block) {
            panic!("a test sealed what is not permitted: {reject}");
        }
        self.push(header, facts.to_vec())
    }

    /// Puts any block on the end of what is served, valid or not.
    pub fn push(&mut self, header: Header, facts: Vec<FactId>) -> BlockId {
        let id = header.id();
        self.headers.push(header);
        self.bodies.insert(id, facts);
        id
    }

    /// Id of the last header.
    pub fn last(&self) -> BlockId {
        self.headers.last().map_or(BlockId::ZERO, Header::id)
    }

    /// What it says its chain is worth.
    pub fn tip(&self) -> Tip {
        let height = crate::work::Height(self.headers.len() as u64 - 1);
        Tip { height, id: self.last(), work: Work::from_u64(2 * height.0) }
    }

    /// What it says its set is.
    pub fn set(&self) -> SetSummary {
        sound(self.ledger.store.set_row()).summary
    }

    /// What it says first, to somebody who knows it already.
    pub fn hello(&self, clock: UnixTime) -> Hello {
        Hello {
            protocol: (PROTOCOL_VERSION, PROTOCOL_VERSION),
            rules: RULES_VERSION,
            mesh: self.mesh(),
            tip: self.tip(),
            facts: self.set(),
            agent: "peer".into(),
            clock,
            port: 0,
            run: Run([0; 16]),
            introduction: Vec::new(),
        }
    }

    /// The answer to a request; none if the request is malformed.
    pub fn answer(&self, class: Class, bytes: &[u8]) -> Option<Vec<u8>> {
        let max = class.request_bytes_max();
        match class {
            Class::Headers => self.headers_after(&codec::decode(bytes, max).ok()?),
            Class::Blocks => {
                let request: BlocksRequest = codec::decode(bytes, max).ok()?;
                let held = |id: &BlockId| Some((*id, self.bodies.get(id)?.clone()));
                let bodies = request.ids.iter().filter_map(held).collect();
                Some(codec::encode(&BlocksAnswer { bodies }))
            }
            Class::Facts => {
                let request: FactsRequest = codec::decode(bytes, max).ok()?;
                let held = request.ids.iter().filter_map(|id| self.facts.get(id));
                let facts = held.map(|bytes| serde_bytes::Bytes::new(bytes)).collect();
                Some(codec::encode(&FactsAnswer { facts, more: false }))
            }
            Class::Reconcile => {
                let request: ReconcileRequest = codec::decode(bytes, max).ok()?;
                let last = crate::ledger::rows::Seq(self.set().count);
                let ours = sound(Fingerprints::load(&self.ledger.store, &self.mesh(), last));
                let answer = reconcile::answer(&ours, &self.ledger.store, &request);
                sound(answer).map(|answer| codec::encode(&answer))
            }
            Class::Peers => Some(codec::encode(&PeersAnswer { peers: Vec::new() })),
            Class::Control | Class::Announce => None,
        }
    }

    fn headers_after(&self, request: &HeadersRequest) -> Option<Vec<u8>> {
        let ids: Vec<BlockId> = self.headers.iter().map(Header::id).collect();
        let at = request.locator.iter().find_map(|id| ids.iter().position(|mine| mine == id))?;
        let (mut root, mut sealers) = (self.headers[at].sealers_root, Vec::new());
        let above = self.headers[at + 1..].iter();
        let headers: Vec<Header> = above.take(request.max.into()).cloned().collect();
        for header in &headers {
            if header.sealers_root != root {
                root = header.sealers_root;
                sealers.extend(sound(self.ledger.store.sealers(&root)));
            }
        }
        Some(codec::encode(&HeadersAnswer { from: ids[at], headers, sealers }))
    }
}
