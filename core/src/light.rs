//! A client that follows the chain by headers alone, in fixed memory and without an allocator: it
//! starts at a checkpoint it was given, checks every further header, and can then be shown that a
//! fact is in a block, or a block in the past.
//!
//! It follows one chain. It does not choose between forks, fetch anything, or compare header times
//! with a clock (`block::is_early` does). That a header names the right sealers for its successor
//! it takes from the sealers before: it trusts them not to agree on a lie.

use core::fmt;

use heapless::{Deque, Vec};

use crate::block::{ChainEnd, Header, HeaderReject, sealers_root};
use crate::id::{BlockId, FactId, NodeId};
use crate::merkle;
use crate::params::Params;
use crate::verified::{Unverified, Verified};
use crate::work::Height;

/// Why a light client does not take a header or checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LightReject {
    /// The header breaks a rule.
    Header(HeaderReject),
    /// More sealers than this client has room for: room, needed.
    TooManySealers(usize, usize),
    /// The checkpoint came with other sealers than it commits to.
    Checkpoint,
}

impl fmt::Display for LightReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(reject) => reject.fmt(f),
            Self::TooManySealers(room, got) => write!(f, "{got} sealers, room for {room}"),
            Self::Checkpoint => f.write_str("the sealers are not those of the checkpoint"),
        }
    }
}

impl core::error::Error for LightReject {}

/// Follows one chain; keeps the newest `HEADERS` headers and up to `SEALERS` sealers.
#[derive(Debug, Clone)]
pub struct LightClient<const HEADERS: usize, const SEALERS: usize> {
    params: Params,
    end: ChainEnd,
    sealers: Vec<NodeId, SEALERS>,
    recent: Deque<(BlockId, Header), HEADERS>,
}

impl<const HEADERS: usize, const SEALERS: usize> LightClient<HEADERS, SEALERS> {
    /// Starts at a trusted checkpoint (`ChainEnd::genesis` is one that needs no trust) with the
    /// sealers it commits to.
    ///
    /// # Errors
    /// `Checkpoint` or `TooManySealers`.
    pub fn new(
        params: Params,
        checkpoint: ChainEnd,
        sealers: &[NodeId],
    ) -> Result<Self, LightReject> {
        if sealers_root(sealers) != checkpoint.header.sealers_root {
            return Err(LightReject::Checkpoint);
        }
        let mut client =
            Self { params, sealers: room_for(sealers)?, end: checkpoint, recent: Deque::new() };
        client.keep_last();
        Ok(client)
    }

    /// The newest header and all that the next one is judged by.
    pub const fn end(&self) -> &ChainEnd {
        &self.end
    }

    /// Who may seal the next block.
    pub fn sealers(&self) -> &[NodeId] {
        &self.sealers
    }

    /// Takes the next header; `next_sealers` is needed where the list changes. Nothing changes on
    /// error.
    ///
    /// # Errors
    /// `Header` with the broken rule, or `TooManySealers`.
    pub fn accept(
        &mut self,
        header: Unverified<Header>,
        next_sealers: Option<&[NodeId]>,
    ) -> Result<(), LightReject> {
        let header = self
            .end
            .verify_next(&self.params, &self.sealers, header, next_sealers)
            .map_err(LightReject::Header)?;
        let changed = header.sealers_root != self.end.header.sealers_root;
        let next = match next_sealers.filter(|_| changed) {
            Some(next) => Some(room_for(next)?),
            None => None,
        };
        self.advance(header, next);
        Ok(())
    }

    fn advance(&mut self, header: Verified<Header>, next: Option<Vec<NodeId, SEALERS>>) {
        let id = header.id();
        self.end.advance(&self.params, &self.sealers, header.into_inner(), id);
        if let Some(next) = next {
            self.sealers = next;
        }
        self.keep_last();
    }

    fn keep_last(&mut self) {
        if self.recent.is_full() {
            self.recent.pop_front();
        }
        // With no room at all only the end is known.
        let _ = self.recent.push_back((self.end.id, self.end.header.clone()));
    }

    /// A header that is still kept, by height.
    pub fn header(&self, height: Height) -> Option<&(BlockId, Header)> {
        self.recent.iter().find(|(_, header)| header.height == height)
    }

    /// Whether the proof shows that the fact is the one at `index` among the `count` facts of the
    /// block at `height`, whose header must still be kept.
    pub fn proves_fact(
        &self,
        fact: &FactId,
        height: Height,
        (index, count): (u64, u64),
        proof: &[crate::id::Hash],
    ) -> bool {
        self.header(height).is_some_and(|(_, header)| {
            merkle::verify_inclusion(fact.as_bytes(), index, count, proof, &header.facts_root)
        })
    }

    /// Whether the proof shows that the block is the ancestor at `height` of the newest header.
    pub fn proves_block(&self, block: &BlockId, height: Height, proof: &[crate::id::Hash]) -> bool {
        let tip = &self.end.header;
        merkle::verify_inclusion(block.as_bytes(), height.0, tip.height.0, proof, &tip.history_root)
    }
}

fn room_for<const N: usize>(sealers: &[NodeId]) -> Result<Vec<NodeId, N>, LightReject> {
    Vec::from_slice(sealers).map_err(|_| LightReject::TooManySealers(N, sealers.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::facts_root;
    use crate::id::Hash;
    use crate::seal::authority;
    use crate::signature::SigningKey;
    use crate::time::UnixTime;

    fn next(end: &ChainEnd, key: &SigningKey, params: &Params, sealers: &[NodeId]) -> Header {
        let header = Header {
            version: 1,
            height: end.header.height.next(),
            parent: end.id,
            facts_root: facts_root(&[FactId([1; 32]), FactId([2; 32])]),
            history_root: end.history.root(),
            sealers_root: sealers_root(sealers),
            state_root: Hash::ZERO,
            time: end.header.time.after(2 * params.spacing),
            ..end.header.clone()
        };
        authority::seal(header, key)
    }

    #[test]
    fn a_client_follows_headers_and_is_shown_facts_and_blocks() {
        let key = SigningKey::from_seed([1; 32]);
        let params = Params::private("test", &[key.node_id()], UnixTime(0)).unwrap();
        let start = ChainEnd::genesis(&params);
        let mut ids = alloc::vec![start.id];
        let mut client = LightClient::<4, 1>::new(params.clone(), start, &[key.node_id()]).unwrap();
        for _ in 0..9 {
            let header = next(client.end(), &key, &params, &[key.node_id()]);
            client.accept(Unverified(header), None).unwrap();
            ids.push(client.end().id);
        }
        assert!(client.header(Height(5)).is_none());
        let facts = [FactId([1; 32]), FactId([2; 32])];
        let proof = merkle::inclusion_proof(1, 2, merkle::nodes_of(&facts)).unwrap();
        assert!(client.proves_fact(&facts[1], Height(6), (1, 2), &proof));
        assert!(!client.proves_fact(&facts[0], Height(6), (1, 2), &proof));
        assert!(!client.proves_fact(&facts[1], Height(5), (1, 2), &proof));
        let proof = merkle::inclusion_proof(3, 9, merkle::nodes_of(&ids[..9])).unwrap();
        assert!(client.proves_block(&ids[3], Height(3), &proof));
        assert!(!client.proves_block(&ids[4], Height(3), &proof));
    }

    #[test]
    fn headers_that_break_a_rule_or_need_more_room_change_nothing() {
        let keys = [SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32])];
        let params = Params::private("test", &[keys[0].node_id()], UnixTime(0)).unwrap();
        let start = ChainEnd::genesis(&params);
        let wrong = LightClient::<4, 1>::new(params.clone(), start.clone(), &[]);
        assert_eq!(wrong.unwrap_err(), LightReject::Checkpoint);
        let mut client =
            LightClient::<4, 1>::new(params.clone(), start.clone(), &params.roots).unwrap();
        let mut both = keys.each_ref().map(SigningKey::node_id);
        both.sort_unstable();
        let wide = Unverified(next(&start, &keys[0], &params, &both));
        assert_eq!(client.accept(wide, Some(&both)), Err(LightReject::TooManySealers(1, 2)));
        let foreign = next(&start, &keys[1], &params, &params.roots);
        assert_eq!(
            client.accept(Unverified(foreign), None),
            Err(LightReject::Header(HeaderReject::NotASealer(keys[1].node_id())))
        );
        assert_eq!(client.end(), &start);
        let other = [keys[1].node_id()];
        let handover = Unverified(next(&start, &keys[0], &params, &other));
        client.accept(handover, Some(&other)).unwrap();
        assert_eq!(client.sealers(), other);
    }
}
