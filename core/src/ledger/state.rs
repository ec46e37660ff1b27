//! The part of the ledger's state that a group of facts touches, as it changes fact by fact.
//!
//! Blocks, drafts of blocks and waiting facts are all judged here, by the same rules. `load` reads
//! (may fault, cannot reject), `judge` decides (may reject, cannot fault), `take` changes.

mod keys;
mod leases;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;

use super::custody::{self, Claim, CustodyAction, Standing};
use super::membership::{self, Cut, Entrance, Voice};
use super::read::Read;
use super::reject::FactReject;
use super::rows::{Custody, FactState, InviteRow, Member};
use crate::block::Header;
use crate::fact::{Body, Fact};
use crate::id::{FactId, Hash, NodeId};
use crate::merkle;
use crate::params::{Admission, Params};
use crate::store::{StoreFault, Table, View};
use crate::time::UnixTime;
use crate::work::Height;

/// A row as it was loaded, and as facts changed it. No fact ever removes one.
#[derive(Debug, Clone)]
struct Slot<T> {
    before: Option<T>,
    after: Option<T>,
}

impl<T> Slot<T> {
    fn now(&self) -> Option<&T> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// A row that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<K, T> {
    /// Its key.
    pub key: K,
    /// What it was; none if it is new.
    pub before: Option<T>,
    /// What it is.
    pub after: T,
}

/// What one fact changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Nothing but that it is sealed.
    Nothing,
    /// Custody of an item.
    Custody(&'a str, Custody),
    /// A new invite under this key.
    Invite(NodeId, InviteRow),
    /// A new member, and what is left of the invite it came by.
    Admit(NodeId, Member, Option<(NodeId, InviteRow)>),
    /// A member with another name.
    Name(NodeId, Member),
    /// Keys of one node that begin or end.
    Line {
        /// Their rows.
        rows: Vec<(NodeId, Member)>,
        /// The next sealers.
        sealers: Vec<NodeId>,
    },
}

/// Rows that facts touch.
#[derive(Debug, Clone)]
pub struct State<'p> {
    params: &'p Params,
    height: Height,
    time: UnixTime,
    /// Whether revocations count that no block seals yet.
    ahead: bool,
    sealers_root: Hash,
    /// Ascending; loaded when a fact admits a sealer.
    sealers: Option<Vec<NodeId>>,
    sealers_changed: bool,
    items: BTreeMap<Box<str>, Slot<Custody>>,
    members: BTreeMap<NodeId, Slot<Member>>,
    invites: BTreeMap<NodeId, Slot<InviteRow>>,
    followed: BTreeMap<FactId, Standing>,
    /// How keys asked for so far are revoked by what is in the set; empty unless `ahead`.
    cut_off: BTreeMap<NodeId, Cut>,
}

fn load_slot<K: Ord, T>(
    slots: &mut BTreeMap<K, Slot<T>>,
    key: K,
    read: impl FnOnce(&K) -> Result<Option<T>, StoreFault>,
) -> Result<(), StoreFault> {
    if let Entry::Vacant(slot) = slots.entry(key) {
        let before = read(slot.key())?;
        let after = None;
        slot.insert(Slot { before, after });
    }
    Ok(())
}

fn change<K: Ord, T>(slots: &mut BTreeMap<K, Slot<T>>, key: K, after: T) {
    let empty = Slot { before: None, after: None };
    slots.entry(key).or_insert(empty).after = Some(after);
}

fn changed<K, T>(slots: BTreeMap<K, Slot<T>>) -> impl Iterator<Item = Changed<K, T>> {
    slots
        .into_iter()
        .filter_map(|(key, slot)| Some(Changed { key, before: slot.before, after: slot.after? }))
}

impl<'p> State<'p> {
    /// The state after `parent`, for judging a block on top of it that has this time.
    pub const fn new(params: &'p Params, parent: &Header, time: UnixTime) -> Self {
        Self {
            params,
            height: parent.height.next(),
            time,
            ahead: false,
            sealers_root: parent.sealers_root,
            sealers: None,
            sealers_changed: false,
            items: BTreeMap::new(),
            members: BTreeMap::new(),
            invites: BTreeMap::new(),
            followed: BTreeMap::new(),
            cut_off: BTreeMap::new(),
        }
    }

    /// The same for facts that no block seals yet. For them a revocation counts as soon as it is in
    /// the set, whatever the chain says; only other revocations are still taken from its subject.
    pub const fn ahead(params: &'p Params, parent: &Header, time: UnixTime) -> Self {
        let mut state = Self::new(params, parent, time);
        state.ahead = true;
        state
    }

    /// The rules of the mesh.
    pub const fn params(&self) -> &'p Params {
        self.params
    }

    /// Reads every row that decides about a fact, unless it is here already. `view` shows the
    /// state at the parent.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn load<V: View + ?Sized>(&mut self, view: &V, fact: &Fact<'_>) -> Result<(), StoreFault> {
        // In an open mesh nothing decides about records and relations, and about custody only whose
        // key holds the item.
        let closed = self.params.admission == Admission::Invite;
        if closed || fact.body.is_membership() || fact.body.custody().is_some() {
            self.load_member(view, fact.author)?;
        }
        if let Some((item, follows)) = fact.body.custody() {
            self.load_custody(view, item, follows)?;
        }
        match fact.body {
            Body::Transfer { to, .. } => self.load_member(view, to)?,
            Body::Invite { key, .. } => {
                self.load_member(view, key)?;
                self.load_invite(view, key)?;
            }
            Body::Admit { node, role, .. } => {
                self.load_member(view, node)?;
                self.load_invite(view, fact.author)?;
                // An inviter that is not in the view is an author beside this fact.
                if let Some(by) = self.invite(&fact.author).map(|invite| invite.by) {
                    self.load_member(view, by)?;
                }
                if role.seals() {
                    self.load_sealers(view)?;
                }
            }
            Body::Recover(recover) => {
                for key in recover.ended.iter().chain(recover.seats.iter()) {
                    self.load_member(view, key)?;
                }
                self.load_sealers(view)?;
            }
            Body::Revoke { node: key }
            | Body::Rotate { key, .. }
            | Body::Lease { node: key, .. } => {
                self.load_member(view, key)?;
                self.load_sealers(view)?;
            }
            Body::Name { node, .. } => self.load_member(view, node)?,
            _ => {}
        }
        Ok(())
    }

    fn load_sealers<V: View + ?Sized>(&mut self, view: &V) -> Result<(), StoreFault> {
        if self.sealers.is_none() {
            self.sealers = Some(sealers(view, &self.sealers_root)?);
        }
        Ok(())
    }

    fn load_invite<V: View + ?Sized>(&mut self, view: &V, key: NodeId) -> Result<(), StoreFault> {
        load_slot(&mut self.invites, key, |key| view.invite(key))
    }

    fn load_custody<V: View + ?Sized>(
        &mut self,
        view: &V,
        item: &str,
        follows: Option<FactId>,
    ) -> Result<(), StoreFault> {
        if !self.items.contains_key(item) {
            load_slot(&mut self.items, item.into(), |item| view.custody(item))?;
        }
        if let Some(holder) = self.custody(item).and_then(|custody| custody.holder) {
            self.load_member(view, holder)?;
        }
        let Some(follows) = follows else {
            return Ok(());
        };
        let latest = self.custody(item).map(|custody| custody.latest);
        if latest != Some(follows) && !self.followed.contains_key(&follows) {
            let standing = match view.fact_row(&follows)?.map(|row| row.state) {
                None | Some(FactState::Pending) => Standing::Ahead,
                Some(FactState::Sealed(..) | FactState::Conflict(..)) => Standing::Behind,
            };
            self.followed.insert(follows, standing);
        }
        Ok(())
    }

    /// Custody of an item that was loaded.
    pub fn custody(&self, item: &str) -> Option<&Custody> {
        self.items.get(item)?.now()
    }

    fn member(&self, node: &NodeId) -> Option<&Member> {
        self.members.get(node)?.now()
    }

    /// Membership, unless a key merely has a row because it was revoked before it was ever admitted.
    fn admitted(&self, node: &NodeId) -> Option<&Member> {
        self.member(node).filter(|row| row.was_admitted())
    }

    fn invite(&self, key: &NodeId) -> Option<&InviteRow> {
        self.invites.get(key)?.now()
    }

    /// Judges a loaded fact in the state as it is now.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn judge<'a>(&self, id: FactId, fact: &Fact<'a>) -> Result<Change<'a>, FactReject> {
        let author = self.admitted(&fact.author);
        self.judge_speaker(fact)?;
        if !fact.body.is_membership() {
            membership::may_write(self.params.admission, author)?;
        }
        match fact.body {
            Body::Recover(recover) => self.judge_recover(id, fact.author, &recover),
            Body::Record { .. } | Body::Relation { .. } => Ok(Change::Nothing),
            Body::Invite { key, role, uses, expires, lease } => {
                membership::judge_invite(author, self.invite(&key))?;
                self.require_fresh(&key)?;
                let (by, uses_left) = (fact.author, uses);
                let row = InviteRow { fact: id, by, role, uses_left, expires, lease };
                Ok(Change::Invite(key, row))
            }
            Body::Admit { node, role, name } => {
                self.require_fresh(&node)?;
                let invite = self.invite(&fact.author);
                let used = membership::judge_admit(&Entrance {
                    author,
                    invite,
                    void: invite.is_some_and(|invite| self.is_revoked(&invite.by)),
                    node,
                    member: self.admitted(&node),
                    role,
                    sealers: self.sealers.as_ref().map_or(0, Vec::len),
                    time: self.time,
                })?;
                let name = name.into();
                // The next block is the first after this one.
                let lent = used.as_ref().and_then(|invite| invite.lease);
                let end = |blocks: u32| self.height.0.saturating_add(1 + u64::from(blocks));
                let lease = lent.map(|blocks| Height(end(blocks)));
                let new = Member::new(role, name, Some(id), self.height);
                let member = Member { lease, ..new };
                let used = used.map(|row| (fact.author, row));
                Ok(Change::Admit(node, member, used))
            }
            Body::Revoke { node } => self.judge_revoke(fact.author, node),
            Body::Rotate { key, role, .. } => self.judge_rotate(id, fact.author, key, role),
            Body::Lease { node, until } => self.judge_lease(fact.author, node, until),
            Body::Name { node, name } => {
                self.require_fresh(&node)?;
                let named = self.admitted(&node);
                let member = membership::judge_name(author, fact.author, node, named)?;
                Ok(Change::Name(node, Member { name: name.into(), ..member }))
            }
            Body::Request { item, .. }
            | Body::Release { item, .. }
            | Body::Transfer { item, .. } => self.judge_custody(id, fact, item),
        }
    }

    /// In an open mesh a revocation takes away what a key was admitted to and nothing else, whatever
    /// rows happen to be loaded; and it is undone with its block, so that nothing is lost for good.
    fn judge_speaker(&self, fact: &Fact<'_>) -> Result<(), FactReject> {
        let open = self.params.admission == Admission::Open;
        if open && !fact.body.is_membership() {
            return Ok(());
        }
        let voice = Voice {
            cut: self.cut(&fact.author),
            in_chain: self.is_revoked_in_chain(&fact.author),
            is_past: self.is_past(&fact.author),
            lapsed: self.lapsed(&fact.author),
        };
        let spoken = membership::may_speak(fact.author, voice, &fact.body);
        spoken.map_err(|reject| match reject {
            FactReject::Revoked | FactReject::Replaced(_) if open => FactReject::Deposed,
            reject => reject,
        })
    }

    fn judge_custody<'a>(
        &self,
        id: FactId,
        fact: &Fact<'a>,
        item: &'a str,
    ) -> Result<Change<'a>, FactReject> {
        let Some(action) = CustodyAction::of(&fact.body) else {
            return Ok(Change::Nothing);
        };
        let follows = fact.body.custody().and_then(|(_, follows)| follows);
        let standing = follows.and_then(|follows| self.followed.get(&follows));
        let receiver_holds = match action {
            // Whoever may ask for an item may be handed it.
            CustodyAction::Transfer(_) if self.params.admission == Admission::Open => true,
            CustodyAction::Transfer(to) => {
                !self.is_revoked(&to)
                    && !self.is_past(&to)
                    && self.lapsed(&to).is_none()
                    && membership::may_write(self.params.admission, self.admitted(&to)).is_ok()
            }
            _ => false,
        };
        let holder = self.custody(item).and_then(|custody| custody.holder);
        let claim = Claim {
            author: fact.author,
            is_holder: holder.is_some_and(|one| self.first(&one) == self.first(&fact.author)),
            item,
            action,
            follows,
            standing: standing.copied().unwrap_or(Standing::Ahead),
            custody: self.custody(item),
            receiver_holds,
        };
        let holder = custody::judge(&claim, self.params.release)?;
        let custody = Custody { holder, latest: id, since: self.height };
        Ok(Change::Custody(item, custody))
    }

    /// Makes what `judge` returned for a fact the state that later facts see.
    pub fn take(&mut self, id: FactId, what: Change<'_>) {
        match what {
            Change::Nothing => {}
            Change::Custody(item, custody) => {
                self.pass(id);
                match self.items.get_mut(item) {
                    Some(slot) => slot.after = Some(custody),
                    None => change(&mut self.items, item.into(), custody),
                }
            }
            Change::Invite(key, row) => change(&mut self.invites, key, row),
            Change::Name(node, member) => change(&mut self.members, node, member),
            Change::Line { rows, sealers } => {
                if self.sealers.as_ref() != Some(&sealers) {
                    self.sealers = Some(sealers);
                    self.sealers_changed = true;
                }
                for (key, member) in rows {
                    change(&mut self.members, key, member);
                }
            }
            Change::Admit(node, member, used) => {
                if let (true, Some(sealers)) = (member.role.seals(), &mut self.sealers)
                    && let Err(at) = sealers.binary_search(&node)
                {
                    sealers.insert(at, node);
                    self.sealers_changed = true;
                }
                change(&mut self.members, node, member);
                if let Some((key, row)) = used {
                    change(&mut self.invites, key, row);
                }
            }
        }
    }

    /// From now on nothing can follow this fact, unless it is an item's latest.
    pub fn pass(&mut self, id: FactId) {
        self.followed.insert(id, Standing::Behind);
    }

    /// What a header on top must say about the next sealers.
    pub fn sealers_root(&self) -> Hash {
        match &self.sealers {
            Some(sealers) if self.sealers_changed => merkle::root(sealers),
            _ => self.sealers_root,
        }
    }

    /// Everything that changed, ordered by key.
    pub fn into_changes(self) -> Changes {
        let items = changed(self.items).map(|item| Changed {
            key: String::from(item.key),
            before: item.before,
            after: item.after,
        });
        Changes {
            items: items.collect(),
            members: changed(self.members).collect(),
            invites: changed(self.invites).collect(),
            sealers: self.sealers.filter(|_| self.sealers_changed),
        }
    }
}

/// The rows that a group of facts changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Custody.
    pub items: Vec<Changed<String, Custody>>,
    /// Members.
    pub members: Vec<Changed<NodeId, Member>>,
    /// Invites.
    pub invites: Vec<Changed<NodeId, InviteRow>>,
    /// The next sealers, ascending, if they are others than before.
    pub sealers: Option<Vec<NodeId>>,
}

impl Changes {
    /// Nodes, by their newest keys, whose leases are longer than before, and when those would have
    /// ended.
    pub fn renewed(&self) -> impl Iterator<Item = (NodeId, Height)> {
        self.members.iter().filter_map(|row| {
            let before = row.before.as_ref().and_then(|row| row.lease)?;
            let longer = row.after.lease.is_none_or(|until| until > before);
            longer.then_some((row.after.newest.unwrap_or(row.key), before))
        })
    }

    /// Whether some key counts for a longer or shorter time than before.
    pub fn moves_an_end(&self) -> bool {
        let ends = |row: &Member| (row.until, row.lease);
        let moved = |row: &Changed<NodeId, Member>| {
            row.before.as_ref().is_some_and(|before| ends(before) != ends(&row.after))
        };
        self.members.iter().any(moved)
    }

    /// Whether recovery keys said something new of a key: of its revocations others count.
    pub fn recovers(&self) -> bool {
        let recovered = |row: &Member| row.recovered.clone();
        self.members
            .iter()
            .any(|row| row.before.as_ref().and_then(recovered) != row.after.recovered)
    }
}

fn sealers<V: View + ?Sized>(view: &V, root: &Hash) -> Result<Vec<NodeId>, StoreFault> {
    view.sealers(root)?.ok_or(StoreFault {
        table: Table::Sealers,
        what: "the sealers that a connected header commits to are missing",
    })
}
