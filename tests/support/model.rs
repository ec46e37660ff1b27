//! A naive ledger: replayed from genesis in maps, written apart from the real one, to compare with.

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::block::Block;
use cairn_core::fact::{Body, EncodedFact, Role};
use cairn_core::id::{FactId, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::FactState;
use cairn_core::params::{Admission, Params, ReleaseRule};
use cairn_core::store::{Table, View};
use cairn_core::testing::MemStore;
use cairn_core::time::UnixTime;
use cairn_core::work::Height;

/// The state after some blocks.
#[derive(Debug, Clone)]
pub struct Model {
    by_holder_only: bool,
    open: bool,
    /// Every custody fact of an item and who held it then.
    items: BTreeMap<String, Vec<(FactId, Option<NodeId>)>>,
    roles: BTreeMap<NodeId, Role>,
    names: BTreeMap<NodeId, String>,
    revoked: BTreeSet<NodeId>,
    /// Role, uses left, last time, who made it.
    invites: BTreeMap<NodeId, (Role, u32, UnixTime, NodeId)>,
    sealed: BTreeMap<FactId, Height>,
    time: UnixTime,
}

impl Model {
    /// The state that the best chain in a store leads to. Panics at the first fact that its place
    /// does not permit.
    pub fn replay(params: &Params, view: &MemStore) -> Self {
        let mut model = Self {
            by_holder_only: params.release == ReleaseRule::Holder,
            open: params.admission == Admission::Open,
            items: BTreeMap::new(),
            roles: params.roots.iter().map(|root| (*root, Role::Admin)).collect(),
            names: BTreeMap::new(),
            revoked: BTreeSet::new(),
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

    /// The role of a key that was not revoked.
    fn role(&self, node: &NodeId) -> Option<Role> {
        self.roles.get(node).copied().filter(|_| !self.revoked.contains(node))
    }

    fn is_last_sealer(&self, node: &NodeId) -> bool {
        let seals = |node: &NodeId| self.role(node).is_some_and(Role::seals);
        seals(node) && self.roles.keys().filter(|other| seals(other)).count() == 1
    }

    /// Makes a fact about who belongs true if it may be; says whether.
    fn take_membership(&mut self, author: NodeId, role: Option<Role>, body: &Body<'_>) -> bool {
        let admin = role == Some(Role::Admin);
        let gone = |key: &NodeId| self.revoked.contains(key);
        match *body {
            Body::Invite { key, role: gives, uses, expires } => {
                let ok = admin && !self.invites.contains_key(&key) && !gone(&key);
                if ok {
                    self.invites.insert(key, (gives, uses, expires, author));
                }
                ok
            }
            Body::Admit { node, role: gives, .. } => {
                let new = !gone(&node) && !gone(&author) && !self.roles.contains_key(&node);
                let invite = self.invites.get(&author).filter(|_| !admin);
                let invited = invite.is_some_and(|(role, left, last, by)| {
                    *role == gives && *left > 0 && self.time <= *last && !gone(by)
                });
                let ok = (admin || invited) && new;
                if ok {
                    self.roles.insert(node, gives);
                }
                if ok
                    && invited
                    && let Some((_, left, ..)) = self.invites.get_mut(&author)
                {
                    *left -= 1;
                }
                ok
            }
            Body::Revoke { node } => {
                let may = admin || (role.is_some() && author == node);
                let ok = may && !gone(&node) && !self.is_last_sealer(&node);
                if ok {
                    self.revoked.insert(node);
                }
                ok
            }
            Body::Name { node, name } => {
                let own = author == node && role.is_some_and(Role::writes);
                let ok = (admin || own) && self.role(&node).is_some();
                if ok {
                    self.names.insert(node, name.into());
                }
                ok
            }
            _ => false,
        }
    }

    /// Makes a fact true if it may be; says whether.
    fn take(&mut self, encoded: &EncodedFact) -> bool {
        let (id, fact) = (encoded.id(), encoded.fact());
        let role = self.role(&fact.author);
        let writes = self.open || role.is_some_and(Role::writes);
        match fact.body {
            Body::Record { .. } | Body::Relation { .. } => writes,
            Body::Invite { .. } | Body::Admit { .. } | Body::Revoke { .. } | Body::Name { .. } => {
                self.take_membership(fact.author, role, &fact.body)
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
                    && (self.open || self.role(&to).is_some_and(Role::writes));
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
        let keys: BTreeSet<_> = self.roles.keys().chain(&self.revoked).collect();
        assert_eq!(view.len(Table::Member), keys.len());
        for node in keys {
            let row = view.member(node).unwrap().unwrap();
            assert_eq!(row.role, self.roles.get(node).copied().unwrap_or(Role::Reader));
            assert_eq!(row.in_force(), !self.revoked.contains(node));
            assert!(self.names.get(node).is_none_or(|name| *name == row.name));
        }
        assert_eq!(view.len(Table::Invite), self.invites.len());
        for (key, (role, left, expires, _)) in &self.invites {
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
                    // What the set knows of revocations counts before the chain has them.
                    let ahead = ["revoked", "already-revoked", "invite-void"];
                    let barred = ahead.contains(&reject.code()) || !self.clone().take(&fact);
                    assert!(barred, "{id} could be sealed, but: {reject}");
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
