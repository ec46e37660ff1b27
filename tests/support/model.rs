//! The naive ledger of core's tests, replayed along a whole chain, with which facts it seals.

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::block::Block;
use cairn_core::fact::{Body, EncodedFact};
use cairn_core::id::FactId;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::reject::FactReject;
use cairn_core::ledger::rows::{FOR_GOOD, FactState, height_key};
use cairn_core::params::Params;
use cairn_core::store::{Table, View};
use cairn_core::testing::{self, MemStore};
use cairn_core::time::UnixTime;
use cairn_core::work::Height;

use crate::belonging::is_revoked;

/// The state after some blocks.
#[derive(Debug, Clone)]
pub struct Model {
    state: testing::Model,
    sealed: BTreeMap<FactId, Height>,
    time: UnixTime,
}

impl Model {
    /// The state that the best chain in a store leads to. Panics at the first fact that its place
    /// does not permit.
    pub fn replay(params: &Params, view: &MemStore) -> Self {
        let state = testing::Model::genesis(params);
        let mut model = Self { state, sealed: BTreeMap::new(), time: params.time };
        let top = view.tip_row().unwrap().unwrap().tip.height;
        model.assert_conflicts(view, Height(0));
        for height in (1..=top.0).map(Height) {
            let id = view.block_at(height).unwrap().unwrap();
            let header = view.header(&id).unwrap().unwrap().header;
            assert_eq!((header.id(), header.height), (id, height));
            model.time = header.time;
            for fact in view.body(&id).unwrap().unwrap() {
                let (_, encoded) = view.fact(&fact).unwrap().unwrap();
                let said = encoded.fact();
                assert!(model.take(&encoded), "against the rules at {height:?}: {said:?}");
                assert!(model.sealed.insert(fact, height).is_none(), "{fact} is sealed twice");
            }
            model.state.next_block();
            model.assert_conflicts(view, height);
        }
        model
    }

    /// Panics unless the rules forbid what a store calls a conflict since the block that has just
    /// been replayed: conflicts of a branch that lost are judged again.
    fn assert_conflicts(&self, view: &MemStore, since: Height) {
        let (from, to) = (height_key(since), height_key(Height(since.0 + 1)));
        for (_, id) in view.scan(Table::Conflict, &from, &to, usize::MAX).unwrap() {
            let (row, fact) = view.fact(&FactId::from_slice(&id).unwrap()).unwrap().unwrap();
            self.assert_barred(view, &row.state, &fact);
        }
    }

    fn assert_barred(&self, view: &MemStore, state: &FactState, fact: &EncodedFact) {
        let FactState::Conflict(since, reject) = state else { panic!("{state:?}") };
        // What the set knows of revocations counts before the chain has them.
        // Nor is a rotation that came too early tried again: there is a newer key by then.
        let ahead = ["revoked", "already-revoked", "invite-void", "rotated-lately"];
        let known_ahead = match reject {
            FactReject::ReceiverNotMember(to) => is_revoked(view, to),
            _ => ahead.contains(&reject.code()),
        };
        let barred = known_ahead || !self.clone().take(fact);
        assert!(barred, "since {since:?} {fact:?} could be sealed, but: {reject}");
    }

    /// Panics if somebody's revocation keeps a fact from the chain which a recovery made void.
    fn assert_still_barred(&self, view: &MemStore, fact: &EncodedFact) {
        let said = fact.fact();
        let named = match said.body {
            Body::Invite { key, .. } | Body::Rotate { key, .. } => Some(key),
            Body::Admit { node, .. } | Body::Name { node, .. } => Some(node),
            Body::Transfer { to, .. } => Some(to),
            _ => None,
        };
        let maker = view.invite(&said.author).unwrap().map(|invite| invite.by);
        let mut keys = [Some(said.author), named, maker].into_iter().flatten();
        let barred = keys.any(|key| is_revoked(view, &key)) || !self.clone().take(fact);
        assert!(barred, "no revocation counts any more, but in conflict: {said:?}");
    }

    /// Whether a block on top, of facts that a store holds, may be: each fact in its turn, and none
    /// that is sealed already.
    pub fn permits(&self, view: &MemStore, block: &Block) -> bool {
        let mut next = self.clone();
        next.time = block.header.time;
        block.facts.iter().all(|id| {
            let (_, fact) = view.fact(id).unwrap().unwrap();
            next.sealed.insert(*id, block.header.height).is_none() && next.take(&fact)
        })
    }

    fn take(&mut self, fact: &EncodedFact) -> bool {
        self.state.fact(fact, self.time)
    }

    /// Panics unless a store says the same of every item, member, invite and fact, and what it
    /// calls a conflict cannot be true.
    pub fn assert_is(&self, view: &MemStore) {
        self.state.assert_is(view);
        self.assert_facts(view);
    }

    fn assert_facts(&self, view: &MemStore) {
        let all = view.scan(Table::FactIndex, &[], &[0xff; 33], usize::MAX).unwrap();
        let (mut sealed, mut conflict) = (BTreeSet::new(), 0);
        for (key, _) in &all {
            let id = FactId(key[..].try_into().unwrap());
            let (row, fact) = view.fact(&id).unwrap().unwrap();
            match row.state {
                FactState::Sealed(height, _) => {
                    assert_eq!(self.sealed.get(&id), Some(&height));
                    sealed.insert(id);
                }
                FactState::Conflict(since, ref reject) => {
                    conflict += 1;
                    self.assert_barred(view, &row.state, &fact);
                    if reject.may_be_lifted() {
                        self.assert_still_barred(view, &fact);
                    }
                    let said = fact.fact();
                    let ended = !said.body.is_lasting() && is_revoked(view, &said.author);
                    assert_eq!(since == FOR_GOOD, ended, "{id}, by {}", said.author);
                }
                FactState::Pending => {}
            }
        }
        assert_eq!(sealed.len(), self.sealed.len());
        let (set, tip) = (view.set_row().unwrap(), view.tip_row().unwrap().unwrap());
        assert_eq!(set.summary.count, all.len() as u64);
        assert_eq!((tip.sealed, tip.conflict), (sealed.len() as u64, conflict));
        assert_eq!(view.len(Table::Pending), all.len() - sealed.len() - conflict as usize);
    }
}
