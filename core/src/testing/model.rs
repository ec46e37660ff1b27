//! A naive ledger: whole histories in maps, written apart from the real one, to compare with.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::MemStore;
use super::ledger::sound;
use crate::fact::{Body, EncodedFact, Recover, Role};
use crate::id::{FactId, NodeId};
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::params::{Admission, Params, Recovery, ReleaseRule, SealRule};
use crate::store::Table;
use crate::time::UnixTime;

/// What is true after some facts.
#[derive(Debug, Clone)]
pub struct Model {
    by_holder_only: bool,
    open: bool,
    /// The last sealer stays.
    by_authority: bool,
    /// Every custody fact of an item and who held it then.
    items: BTreeMap<String, Vec<(FactId, Option<NodeId>)>>,
    roles: BTreeMap<NodeId, Role>,
    names: BTreeMap<NodeId, String>,
    /// By whom; none: the recovery keys.
    revoked: BTreeMap<NodeId, Option<NodeId>>,
    /// Keys that recoveries ended, and whose revocation by them counts all the same.
    recovered: BTreeMap<NodeId, BTreeSet<NodeId>>,
    recovery: Recovery,
    /// Members that would seal, but have no seat.
    unseated: BTreeSet<NodeId>,
    /// Role, uses left, last time, who made it.
    invites: BTreeMap<NodeId, (Role, u32, UnixTime, NodeId)>,
    /// Blocks that invites lend a membership for.
    lending: BTreeMap<NodeId, u32>,
    overlap: u64,
    /// Which key came after one, and the first height at which that one counts no more.
    heirs: BTreeMap<NodeId, (NodeId, u64)>,
    /// By the first key of a node: the first height at which it counts no more.
    leases: BTreeMap<NodeId, u64>,
    /// Of the block that facts are sealed in.
    height: u64,
}

impl Model {
    /// What is true before any fact.
    pub fn genesis(params: &Params) -> Self {
        Self {
            by_holder_only: params.release == ReleaseRule::Holder,
            open: params.admission == Admission::Open,
            by_authority: params.seal == SealRule::Authority,
            items: BTreeMap::new(),
            roles: params.roots.iter().map(|root| (*root, Role::Admin)).collect(),
            names: BTreeMap::new(),
            revoked: BTreeMap::new(),
            recovered: BTreeMap::new(),
            recovery: params.recovery.clone(),
            unseated: BTreeSet::new(),
            invites: BTreeMap::new(),
            lending: BTreeMap::new(),
            overlap: params.overlap,
            heirs: BTreeMap::new(),
            leases: BTreeMap::new(),
            height: 1,
        }
    }

    /// The block is full; what comes is in the next one. Who does not count there loses its seat,
    /// unless nobody would have one.
    pub fn next_block(&mut self) {
        self.height += 1;
        let (seats, over) = (self.sealers(), |key: &NodeId| self.is_lease_over(key));
        let leave: Vec<NodeId> = seats.iter().copied().filter(over).collect();
        if leave.len() < seats.len() {
            self.unseated.extend(leave);
        }
    }

    fn is_lease_over(&self, key: &NodeId) -> bool {
        self.leases.get(&self.line(key)[0]).is_some_and(|until| *until <= self.height)
    }

    fn has_lapsed(&self, key: &NodeId) -> bool {
        let seated = self.line(key).last().is_some_and(|newest| self.sealers().contains(newest));
        self.is_lease_over(key) && !seated
    }

    fn before(&self, key: &NodeId) -> Option<NodeId> {
        self.heirs.iter().find(|(_, (heir, _))| heir == key).map(|(before, _)| *before)
    }

    /// All keys of a node, in order.
    fn line(&self, key: &NodeId) -> Vec<NodeId> {
        let mut line = alloc::vec![*key];
        while let Some(before) = self.before(&line[0]) {
            line.insert(0, before);
        }
        while let Some((heir, _)) = line.last().and_then(|last| self.heirs.get(last)) {
            line.push(*heir);
        }
        line
    }

    fn is_gone(&self, key: &NodeId) -> bool {
        self.line(key).iter().any(|key| self.is_named(key))
    }

    /// Whether a revocation of this very key counts.
    fn is_named(&self, key: &NodeId) -> bool {
        let void = |by: &NodeId| self.recovered.get(by).is_some_and(|kept| !kept.contains(key));
        self.revoked.get(key).is_some_and(|by| by.as_ref().is_none_or(|by| !void(by)))
    }

    fn recover(&mut self, author: NodeId, recover: &Recover<'_>) -> bool {
        let mut after = self.clone();
        for key in recover.ended.iter() {
            after.revoked.insert(key, None);
            let kept: BTreeSet<_> = recover.kept.iter().collect();
            let both = after.recovered.get(&key).map(|before| before & &kept);
            after.recovered.insert(key, both.unwrap_or(kept));
        }
        let sealers = self.sealers();
        let ok = recover.is_by(&self.recovery)
            && !after.is_gone(&author)
            && !after.heirs.contains_key(&author);
        if ok {
            after.roles.insert(author, Role::Admin);
            let first = after.line(&author)[0];
            after.leases.remove(&first);
            let returns = after.sealers().into_iter().filter(|key| !sealers.contains(key));
            after.unseated.extend(returns);
            after.unseated.retain(|key| *key != author && !recover.seats.contains(key));
            *self = after;
        }
        ok
    }

    fn is_past(&self, key: &NodeId) -> bool {
        self.heirs.get(key).is_some_and(|(_, until)| *until <= self.height)
    }

    /// The role of a key that counts.
    fn role(&self, node: &NodeId) -> Option<Role> {
        self.lent_role(node).filter(|_| !self.has_lapsed(node))
    }

    /// The same, whether or not its lease is over.
    fn lent_role(&self, node: &NodeId) -> Option<Role> {
        self.roles.get(node).copied().filter(|_| !self.is_gone(node) && !self.is_past(node))
    }

    fn sealers(&self) -> Vec<NodeId> {
        let seals = |node: &&NodeId| {
            !self.heirs.contains_key(*node)
                && !self.unseated.contains(*node)
                && self.lent_role(node).is_some_and(Role::seals)
        };
        self.roles.keys().filter(seals).copied().collect()
    }

    /// Makes a fact about who belongs true if it may be; says whether.
    fn membership(
        &mut self,
        author: NodeId,
        role: Option<Role>,
        body: &Body<'_>,
        time: UnixTime,
    ) -> bool {
        let admin = role == Some(Role::Admin);
        let gone = |key: &NodeId| self.is_gone(key);
        match *body {
            Body::Invite { key, role: gives, uses, expires, lease } => {
                let ok = admin && !self.invites.contains_key(&key) && !gone(&key);
                if ok {
                    self.invites.insert(key, (gives, uses, expires, author));
                    self.lending.extend(lease.map(|blocks| (key, blocks)));
                }
                ok
            }
            Body::Admit { node, role: gives, .. } => {
                let new = !gone(&node)
                    && !gone(&author)
                    && !self.is_past(&author)
                    && !self.has_lapsed(&author)
                    && !self.roles.contains_key(&node);
                let invite = self.invites.get(&author).filter(|_| !admin);
                let invited = invite.is_some_and(|(role, left, last, by)| {
                    *role == gives && *left > 0 && time <= *last && !gone(by)
                });
                let ok = (admin || invited) && new;
                if ok {
                    self.roles.insert(node, gives);
                }
                let lent = self.lending.get(&author).filter(|_| ok && invited);
                if let Some(blocks) = lent {
                    self.leases.insert(node, self.height + 1 + u64::from(*blocks));
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
                let may = admin || (self.lent_role(&author).is_some() && author == node);
                let newest = self.line(&node).last().copied();
                let last = self.by_authority && self.sealers().as_slice() == newest.as_slice();
                let ok = may && !gone(&node) && !last;
                if ok {
                    self.revoked.insert(node, Some(author));
                }
                ok
            }
            Body::Name { node, name } => {
                let own = author == node && role.is_some_and(Role::writes);
                let ok = admin || own;
                let ok = ok && self.lent_role(&node).is_some() && !self.heirs.contains_key(&node);
                if ok {
                    self.names.insert(node, name.into());
                }
                ok
            }
            Body::Lease { node, until } => {
                let ok = admin
                    && self.lent_role(&node).is_some_and(|role| role != Role::Admin)
                    && !self.heirs.contains_key(&node)
                    && until.is_none_or(|until| until.0 > self.height);
                if ok && self.has_lapsed(&node) {
                    self.unseated.remove(&node);
                }
                if ok {
                    let first = self.line(&node)[0];
                    self.leases.remove(&first);
                    self.leases.extend(until.map(|until| (first, until.0)));
                }
                ok
            }
            Body::Rotate { key, role: named, .. } => {
                let ok = role == Some(named)
                    && !self.heirs.contains_key(&author)
                    && self.before(&author).is_none_or(|before| self.is_past(&before))
                    && !gone(&key)
                    && !self.roles.contains_key(&key);
                if ok {
                    self.heirs.insert(author, (key, self.height + self.overlap + 1));
                    self.roles.insert(key, named);
                    let unseated = self.unseated.contains(&author);
                    self.unseated.extend(unseated.then_some(key));
                    let name = self.names.get(&author).cloned();
                    self.names.extend(name.map(|name| (key, name)));
                }
                ok
            }
            _ => false,
        }
    }

    /// Makes a fact true if it may be, in a block of this time; says whether.
    pub fn fact(&mut self, encoded: &EncodedFact, time: UnixTime) -> bool {
        let (id, fact) = (encoded.id(), encoded.fact());
        let role = self.role(&fact.author);
        let writes = self.open || role.is_some_and(Role::writes);
        match fact.body {
            Body::Record { .. } | Body::Relation { .. } => writes,
            Body::Recover(recover) => self.recover(fact.author, &recover),
            body if body.is_membership() => self.membership(fact.author, role, &fact.body, time),
            Body::Request { item, follows, .. } => {
                let free = self.holder(item).is_none();
                writes && free && self.pass(item, follows, id, Some(fact.author))
            }
            Body::Release { item, follows, .. } => {
                let holder = self.holder(item);
                let own = |holder| self.line(&fact.author).contains(&holder);
                let may = holder.is_some_and(|one| !self.by_holder_only || own(one));
                writes && may && self.pass(item, Some(follows), id, None)
            }
            Body::Transfer { item, follows, to, .. } => {
                let own = |holder| self.line(&fact.author).contains(&holder);
                let may = self.holder(item).is_some_and(own)
                    && (self.open || self.role(&to).is_some_and(Role::writes));
                writes && may && self.pass(item, Some(follows), id, Some(to))
            }
            _ => false,
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

    /// Panics unless a store says the same of every item, member and invite, and of the sealers.
    pub fn assert_is(&self, store: &MemStore) {
        assert_eq!(store.len(Table::Item), self.items.len());
        for (item, log) in &self.items {
            let row = sound(store.custody(item)).map(|row| (row.latest, row.holder));
            assert_eq!(row.as_ref(), log.last(), "{item}");
        }
        let keys: BTreeSet<_> = self.roles.keys().chain(self.revoked.keys()).collect();
        assert_eq!(store.len(Table::Member), keys.len());
        for node in keys {
            let Some(row) = sound(store.member(node)) else { panic!("{node} is no member") };
            assert_eq!(row.role, self.roles.get(node).copied().unwrap_or(Role::Reader));
            let line = self.line(node);
            let standing = sound(line::standing(store, node));
            assert_eq!(standing == Standing::Revoked, self.is_gone(node), "{node}");
            let lapsed = self.lent_role(node).is_some() && self.has_lapsed(node);
            assert_eq!(matches!(standing, Standing::Lapsed(_)), lapsed, "{node}");
            assert_eq!(row.lease.map(|height| height.0), self.leases.get(node).copied());
            let until = self.heirs.get(node).map(|(_, until)| *until);
            assert_eq!(row.until.map(|height| height.0), until);
            assert_eq!(Some(&sound(line::current(store, node))), line.last());
            assert!(self.names.get(node).is_none_or(|name| *name == row.name));
        }
        assert_eq!(store.len(Table::Invite), self.invites.len());
        for (key, (role, left, expires, _)) in &self.invites {
            let row = sound(store.invite(key)).map(|row| (row.role, row.uses_left, row.expires));
            assert_eq!(row, Some((*role, *left, *expires)), "{key}");
        }
        let tip = sound(store.tip_row()).map(|row| sound(store.header(&row.tip.id)));
        let root = tip.flatten().map(|row| row.header.sealers_root);
        assert_eq!(root.and_then(|root| sound(store.sealers(&root))), Some(self.sealers()));
    }
}
