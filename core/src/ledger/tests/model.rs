//! A naive ledger: whole histories in maps, replayed from genesis, written apart from the real one.

use std::collections::{HashMap, HashSet};
use std::string::String;

use super::*;
use crate::fact::Body;
use crate::id::NodeId;
use crate::ledger::read::Read;
use crate::store::Table;
use crate::time::UnixTime;

#[derive(Clone)]
pub(super) struct Model {
    by_holder_only: bool,
    /// Every custody fact of an item and who held it then.
    custody: HashMap<String, Vec<(FactId, Option<NodeId>)>>,
    roles: HashMap<NodeId, Role>,
    names: HashMap<NodeId, String>,
    revoked: HashSet<NodeId>,
    /// Role, uses left, last time, who made it.
    invites: HashMap<NodeId, (Role, u32, UnixTime, NodeId)>,
}

impl Model {
    pub(super) fn genesis(params: &Params) -> Self {
        Self {
            by_holder_only: params.release == ReleaseRule::Holder,
            custody: HashMap::new(),
            roles: params.roots.iter().map(|root| (*root, Role::Admin)).collect(),
            names: HashMap::new(),
            revoked: HashSet::new(),
            invites: HashMap::new(),
        }
    }

    /// The role of a key that was not revoked.
    fn role(&self, node: &NodeId) -> Option<Role> {
        self.roles.get(node).copied().filter(|_| !self.revoked.contains(node))
    }

    fn sealers(&self) -> Vec<NodeId> {
        let seals = |node: &&NodeId| self.role(node).is_some_and(Role::seals);
        let mut sealers: Vec<_> = self.roles.keys().filter(seals).copied().collect();
        sealers.sort_unstable();
        sealers
    }

    /// Makes a fact true if it may be; says whether.
    pub(super) fn fact(&mut self, encoded: &EncodedFact, time: UnixTime) -> bool {
        let (id, fact) = (encoded.id(), encoded.fact());
        let role = self.role(&fact.author);
        let gone = |key: &NodeId| self.revoked.contains(key);
        match fact.body {
            Body::Record { .. } | Body::Relation { .. } => role.is_some_and(Role::writes),
            Body::Invite { key, role: gives, uses, expires } => {
                let new = !self.invites.contains_key(&key) && !gone(&key);
                let ok = role == Some(Role::Admin) && new;
                if ok {
                    self.invites.insert(key, (gives, uses, expires, fact.author));
                }
                ok
            }
            Body::Revoke { node } => {
                let may = role == Some(Role::Admin) || (role.is_some() && fact.author == node);
                let ok = may && !gone(&node) && self.sealers() != [node];
                if ok {
                    self.revoked.insert(node);
                }
                ok
            }
            Body::Name { node, name } => {
                let own = fact.author == node && role.is_some_and(Role::writes);
                let ok = (role == Some(Role::Admin) || own) && self.role(&node).is_some();
                if ok {
                    self.names.insert(node, name.into());
                }
                ok
            }
            Body::Admit { node, role: gives, .. } => {
                let admin = role == Some(Role::Admin);
                let new = !gone(&node) && !gone(&fact.author) && !self.roles.contains_key(&node);
                let void = self.invites.get(&fact.author).is_some_and(|invite| gone(&invite.3));
                let invite = self.invites.get_mut(&fact.author).filter(|_| !admin);
                let invited = invite.as_ref().is_some_and(|(role, left, last, _)| {
                    *role == gives && *left > 0 && time <= *last
                });
                let ok = (admin || (invited && !void)) && new;
                if ok {
                    self.roles.insert(node, gives);
                    if let Some((_, left, ..)) = invite {
                        *left -= 1;
                    }
                }
                ok
            }
            Body::Request { item, follows, .. } => {
                let ok = |holder: Option<NodeId>, _: &Self| holder.is_none();
                role.is_some_and(Role::writes)
                    && self.custody(item, follows, id, Some(fact.author), ok)
            }
            Body::Release { item, follows, .. } => {
                let strict = self.by_holder_only;
                let ok = |holder: Option<NodeId>, _: &Self| {
                    holder.is_some() && (!strict || holder == Some(fact.author))
                };
                role.is_some_and(Role::writes) && self.custody(item, Some(follows), id, None, ok)
            }
            Body::Transfer { item, follows, to, .. } => {
                let ok = |holder: Option<NodeId>, model: &Self| {
                    holder == Some(fact.author) && model.role(&to).is_some_and(Role::writes)
                };
                role.is_some_and(Role::writes)
                    && self.custody(item, Some(follows), id, Some(to), ok)
            }
        }
    }

    fn custody(
        &mut self,
        item: &str,
        follows: Option<FactId>,
        id: FactId,
        holder: Option<NodeId>,
        ok: impl Fn(Option<NodeId>, &Self) -> bool,
    ) -> bool {
        let last = self.custody.get(item).and_then(|log| log.last()).copied();
        let ok = follows == last.map(|(id, _)| id) && ok(last.and_then(|(_, h)| h), self);
        if ok {
            self.custody.entry(item.into()).or_default().push((id, holder));
        }
        ok
    }

    /// Asserts that a store's tables say the same.
    pub(super) fn assert_is(&self, store: &crate::testing::MemStore) {
        assert_eq!(store.len(Table::Item), self.custody.len());
        for (item, log) in &self.custody {
            let row = store.custody(item).unwrap().unwrap();
            assert_eq!(Some(&(row.latest, row.holder)), log.last());
        }
        let keys: HashSet<_> = self.roles.keys().chain(&self.revoked).collect();
        assert_eq!(store.len(Table::Member), keys.len());
        for node in keys {
            let row = store.member(node).unwrap().unwrap();
            assert_eq!(row.role, self.roles.get(node).copied().unwrap_or(Role::Reader));
            assert_eq!(row.in_force(), !self.revoked.contains(node));
            let name = self.names.get(node);
            assert!(name.is_none_or(|name| *name == row.name));
        }
        assert_eq!(store.len(Table::Invite), self.invites.len());
        for (key, (role, left, expires, _)) in &self.invites {
            let row = store.invite(key).unwrap().unwrap();
            assert_eq!((row.role, row.uses_left, row.expires), (*role, *left, *expires));
        }
        let tip = store.tip_row().unwrap().unwrap().tip;
        let root = store.header(&tip.id).unwrap().unwrap().header.sealers_root;
        assert_eq!(store.sealers(&root).unwrap(), Some(self.sealers()));
    }
}
