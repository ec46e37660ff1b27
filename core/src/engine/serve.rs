//! Answering what peers ask. Every answer is bounded, costs what it returns and not what the ledger
//! holds, and comes from what is visible in the store (facts that still wait to be sealed come
//! from memory).

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::Bytes;

use super::{Engine, Frame, Output};
use crate::block::Header;
use crate::chain::find_fork;
use crate::codec;
use crate::conn::{ConnId, StreamTag};
use crate::id::BlockId;
use crate::ledger::read::Read;
use crate::limits::{
    BLOCKS_ANSWER_BYTES, BLOCKS_PER_REQUEST, FACTS_ANSWER_BYTES, FACTS_PER_REQUEST,
    HEADERS_PER_ANSWER, LOCATOR_IDS, PEERS_PER_ANSWER,
};
use crate::peer::Misbehavior;
use crate::reconcile;
use crate::store::{StoreFault, View};
use crate::wire::{
    BlocksAnswer, BlocksRequest, Class, FactsAnswer, FactsRequest, HeadersAnswer, HeadersRequest,
    PeersAnswer, PeersRequest,
};
use crate::work::Height;

/// Room left in a headers answer for one more list of sealers.
const HEADERS_ANSWER_BYTES: usize = Class::Headers.answer_bytes_max() - 64 * 1024;

/// A request, decoded; none if it is malformed or asks for too much.
fn parse<T: DeserializeOwned + Serialize>(class: Class, bytes: &[u8]) -> Option<T> {
    codec::decode(bytes, class.request_bytes_max()).ok()
}

impl Engine {
    pub(super) fn on_request(
        &mut self,
        conn: ConnId,
        stream: StreamTag,
        class: Class,
        bytes: &[u8],
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        // Too much, or too early: no answer, and no blame for what may be a race.
        let cost = class.request_cost(bytes.len());
        if self.is_on_trial(conn) || !self.may(conn, class, cost) {
            self.outbox.push_back(Output::Send(conn, Frame::Refuse(stream)));
            return Ok(());
        }
        let answer = match class {
            Class::Headers => self.serve_headers(bytes, view)?,
            Class::Blocks => self.serve_blocks(bytes, view)?,
            Class::Facts => self.serve_facts(bytes, view)?,
            Class::Reconcile => match parse(class, bytes) {
                Some(request) => reconcile::answer(&self.fingerprints, view, &request)?
                    .map(|answer| codec::encode(&answer)),
                None => None,
            },
            Class::Peers => self.serve_peers(bytes),
            Class::Control | Class::Announce => None,
        };
        match answer {
            Some(bytes) => {
                self.outbox.push_back(Output::Send(conn, Frame::Answer { stream, bytes }));
            }
            None => self.accuse(conn, Misbehavior::Request(class)),
        }
        Ok(())
    }

    /// Headers of our best chain after the first id of the locator that is on it.
    fn serve_headers(
        &mut self,
        bytes: &[u8],
        view: &dyn View,
    ) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some(request) = parse::<HeadersRequest>(Class::Headers, bytes) else {
            return Ok(None);
        };
        if request.locator.is_empty() || request.locator.len() > LOCATOR_IDS {
            return Ok(None);
        }
        let on_best_chain = |id: &BlockId| {
            let Some(row) = view.header(id)? else {
                return Ok(None);
            };
            let height = row.header.height;
            Ok(view.on_best_chain(id, height)?.then_some(height))
        };
        let fork = find_fork(&request.locator, on_best_chain)?;
        // Not even genesis in common: not a locator of this mesh.
        let Some((from, mut height)) = fork else {
            return Ok(None);
        };
        let last = self.public_tip(view)?.height;
        let max = usize::from(request.max).min(HEADERS_PER_ANSWER);
        if height == last && request.locator.first() == Some(&from) {
            return Ok(Some(codec::encode(&self.side_branch(from, max))));
        }
        let mut answer = HeadersAnswer { from, headers: Vec::new(), sealers: Vec::new() };
        let mut sealers_root = match view.header(&from)? {
            Some(row) => row.header.sealers_root,
            None => return Ok(None),
        };
        let mut size = 0;
        while height < last && answer.headers.len() < max && size < HEADERS_ANSWER_BYTES {
            height = height.next();
            let Some(id) = view.block_at(height)? else {
                break;
            };
            let Some(row) = view.header(&id)? else { break };
            if row.header.sealers_root != sealers_root {
                sealers_root = row.header.sealers_root;
                let list = view.sealers(&sealers_root)?.unwrap_or_default();
                size += 32 * list.len();
                answer.sealers.push(list);
            }
            size += row.header.bytes_max();
            answer.headers.push(row.header);
        }
        Ok(Some(codec::encode(&answer)))
    }

    /// Headers beside our chain, for a peer that knows all of it and prefers another.
    fn side_branch(&mut self, tip: BlockId, max: usize) -> HeadersAnswer {
        self.side_branches_told = self.side_branches_told.wrapping_add(1);
        let secret = |id: &BlockId| self.promises.waiting().any(|one| one.is_own_block(id));
        let branch = self.chain.side_branch(self.side_branches_told, max, secret);
        let fits = |answer: &HeadersAnswer| {
            let lists: usize = answer.sealers.iter().map(|list| 32 * list.len()).sum();
            let headers: usize = answer.headers.iter().map(Header::bytes_max).sum();
            lists + headers < HEADERS_ANSWER_BYTES
        };
        let nothing = HeadersAnswer { from: tip, headers: Vec::new(), sealers: Vec::new() };
        branch.filter(fits).unwrap_or(nothing)
    }

    fn serve_blocks(&self, bytes: &[u8], view: &dyn View) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some(request) = parse::<BlocksRequest>(Class::Blocks, bytes) else {
            return Ok(None);
        };
        if request.ids.len() > BLOCKS_PER_REQUEST {
            return Ok(None);
        }
        let mut answer = BlocksAnswer { bodies: Vec::new() };
        let mut size = 0;
        for id in request.ids {
            // A block of ours that is not durable yet is nobody's business.
            if self.own_block_waits() && id == self.chain.tip().id {
                continue;
            }
            // Bodies without a header in the store were never connected: not ours to vouch for.
            let connected = view.header(&id)?.is_some();
            let Some(body) = view.body(&id)?.filter(|_| connected) else {
                continue;
            };
            size += 32 * body.len() + 48;
            if size > BLOCKS_ANSWER_BYTES {
                break;
            }
            answer.bodies.push((id, body));
        }
        Ok(Some(codec::encode(&answer)))
    }

    fn serve_facts(&self, bytes: &[u8], view: &dyn View) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some(request) = parse::<FactsRequest>(Class::Facts, bytes) else {
            return Ok(None);
        };
        if request.ids.len() > FACTS_PER_REQUEST {
            return Ok(None);
        }
        let mut found: Vec<Arc<[u8]>> = Vec::with_capacity(request.ids.len());
        let mut size = 0;
        let mut more = false;
        for id in &request.ids {
            let bytes = match self.mempool.get(id) {
                Some((_, fact)) => fact.shared_bytes(),
                None => match view.fact_row(id)? {
                    Some(row) => view.fact_bytes(row.seq)?,
                    None => continue,
                },
            };
            if size + bytes.len() > FACTS_ANSWER_BYTES {
                more = true;
                break;
            }
            size += bytes.len();
            found.push(bytes);
        }
        let facts = found.iter().map(|bytes| Bytes::new(bytes)).collect();
        Ok(Some(codec::encode(&FactsAnswer { facts, more })))
    }

    fn serve_peers(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let request: PeersRequest = parse(Class::Peers, bytes)?;
        let max = usize::from(request.max).min(PEERS_PER_ANSWER);
        let peers = self.known_addresses(max);
        Some(codec::encode(&PeersAnswer { peers }))
    }

    /// Our tip as others may know it: a block we sealed is not told before it is durable.
    pub(super) fn public_tip(&self, view: &dyn View) -> Result<crate::wire::Tip, StoreFault> {
        let tip = self.chain.tip();
        if !self.own_block_waits() {
            return Ok(tip);
        }
        let parent_height = tip.height.previous().unwrap_or(Height::GENESIS);
        let fault = StoreFault { table: crate::store::Table::Chain, what: "no parent of the tip" };
        let id = view.block_at(parent_height)?.ok_or(fault.clone())?;
        let row = view.header(&id)?.ok_or(fault)?;
        Ok(crate::wire::Tip { height: parent_height, id, work: row.work })
    }
}
