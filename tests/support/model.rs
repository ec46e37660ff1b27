//! A naive ledger: replayed from genesis in maps, written apart from the real one, to compare with.

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::block::Block;
use cairn_core::fact::{Body, EncodedFact, Role};
use cairn_core::id::{FactId, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::FactState;
use cairn_core::params::{Params, ReleaseRule};
use cairn_core::store::{Table, View};
use cairn_core::testing::MemStore;
use cairn_core::time::UnixTime;
use cairn_core::work::Height;

/// The state after some blocks.
#[derive(Debug, Clone)]
pub struct Model {
    by_holder_only: bool,
    /// Every custody fact of an item and who held it then.
    items: BTreeMap<String, Vec<(FactId, Option<NodeId>)>>,
    roles: BTreeMap<NodeId, Role>,
    /// Role, uses left, last time.
    invites: BTreeMap<NodeId, (Role, u32, UnixTime)>,
    sealed: BTreeMap<FactId, Height>,
    time: UnixTime,
}

impl Model {
    /// The state that the best chain in a store leads to. Panics at the first fact that its place
    /// does not permit.
    pub fn replay(params: &Params, view: &MemStore) -> Self {
        let mut model = Self {
            by_holder_only: params.release == ReleaseRule::Holder,
            items: BTreeMap::new(),
            roles: params.roots.iter().map(|root| (*root, Role::Admin)).collect(),
            invites: BTreeMap::new(),
            sealed: BTreeMap::new(),
            time: params.time,
        };
        let top = view.tip_row().unwrap().unwrap().tip.height;
        for height in (1..=top.0).map(Height) {
            let id = view.block_at(height).unwrap().unwrap();
            let header = view.header(&id).unwrap().unwrap().header;
            assert_eq!((header.id(), header.height), (id, height));
            model.time = header.time;
            for fact in view.body(&id).unwrap().unwrap() {
                let (_, encoded) = view.fact(&fact).unwrap().unwrap();
                assert!(model.take(&encoded), "{fact} at {height:?} is against the rules");
                assert!(model.sealed.insert(fact, height).is_none(), "{fact} is sealed twice");
            }
        }
        model
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

    /// Makes a fact true if it may be; says whether.
    fn take(&mut self, encoded: &EncodedFact) -> bool {
        let (id, fact) = (encoded.id(), encoded.fact());
        let role = self.roles.get(&fact.author).copied();
        let writes = role.is_some_and(Role::writes);
        match fact.body {
            Body::Record { .. } | Body::Relation { .. } => writes,
            Body::Invite { key, role: gives, uses, expires } => {
                let ok = role == Some(Role::Admin) && !self.invites.contains_key(&key);
                if ok {
                    self.invites.insert(key, (gives, uses, expires));
                }
                ok
            }
            Body::Admit { node, role: gives, .. } => {
                let admin = role == Some(Role::Admin);
                let time = self.time;
                let invite = self.invites.get_mut(&fact.author).filter(|_| !admin);
                let invited = invite
                    .as_ref()
                    .is_some_and(|(role, left, last)| *role == gives && *left > 0 && time <= *last);
                let ok = (admin || invited) && !self.roles.contains_key(&node);
                if ok {
                    self.roles.insert(node, gives);
                    if let Some((_, left, _)) = invite {
                        *left -= 1;
                    }
                }
                ok
            }
            Body::Request { item, follows, .. } => {
                let free = self.holder(item).is_none();
                writes && free && self.pass(item, follows, id, Some(fact.author))
            }
            Body::Release { item, follows, .. } => {
                let holder = self.holder(item);
                let may = holder.is_some_and(|one| !self.by_holder_only || one == fact.author);
                writes && may && self.pass(item, Some(follows), id, None)
            }
            Body::Transfer { item, follows, to, .. } => {
                let may = self.holder(item) == Some(fact.author)
                    && self.roles.get(&to).copied().is_some_and(Role::writes);
                writes && may && self.pass(item, Some(follows), id, Some(to))
            }
        }
    }

    fn holder(&self, item: &str) -> Option<NodeId> {
        self.items.get(item)?.last()?.1
    }

    fn pass(
        &mut self,
        item: &str,
        follows: Option<FactId>,
        id: FactId,
        holder: Option<NodeId>,
    ) -> bool {
        let latest = self.items.get(item).and_then(|log| log.last()).map(|(id, _)| *id);
        if follows == latest {
            self.items.entry(item.into()).or_default().push((id, holder));
        }
        follows == latest
    }

    /// Panics unless a store says the same of every item, member, invite and fact, and what it
    /// calls a conflict cannot be true.
    pub fn assert_is(&self, view: &MemStore) {
        assert_eq!(view.len(Table::Item), self.items.len());
        for (item, log) in &self.items {
            let row = view.custody(item).unwrap().unwrap();
            assert_eq!(Some(&(row.latest, row.holder)), log.last(), "{item}");
        }
        assert_eq!(view.len(Table::Member), self.roles.len());
        for (node, role) in &self.roles {
            assert_eq!(view.member(node).unwrap().unwrap().role, *role);
        }
        assert_eq!(view.len(Table::Invite), self.invites.len());
        for (key, (role, left, expires)) in &self.invites {
            let row = view.invite(key).unwrap().unwrap();
            assert_eq!((row.role, row.uses_left, row.expires), (*role, *left, *expires));
        }
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
                FactState::Conflict(_, reject) => {
                    conflict += 1;
                    assert!(!self.clone().take(&fact), "{id} could be sealed, but: {reject}");
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
