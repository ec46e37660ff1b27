//! Keys that begin and end: revocations, rotations, and how far a key counts.

use alloc::string::String;

use super::{Change, State, load_slot};
use crate::fact::Role;
use crate::id::{FactId, NodeId};
use crate::ledger::line;
use crate::ledger::membership::{self, Cut, Rotation};
use crate::ledger::read::Read;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::Member;
use crate::params::SealRule;
use crate::store::{StoreFault, View};
use crate::work::Height;

impl State<'_> {
    pub(super) fn load_member<V: View + ?Sized>(
        &mut self,
        view: &V,
        node: NodeId,
    ) -> Result<(), StoreFault> {
        load_slot(&mut self.members, node, |node| view.member(node))?;
        let row = self.members.get(&node).and_then(|slot| slot.before.as_ref());
        if self.ahead && !self.cut_off.contains_key(&node) {
            let cut = match row {
                _ if view.revoked(&node)?.is_some() => Cut::Named,
                Some(row) if line::cut_off_by_line(view, &node, row)?.is_some() => Cut::Line,
                _ => Cut::No,
            };
            self.cut_off.insert(node, cut);
        }
        if let Some(line) = row.and_then(|row| row.line) {
            load_slot(&mut self.members, line.first, |node| view.member(node))?;
            load_slot(&mut self.members, line.before, |node| view.member(node))?;
        }
        Ok(())
    }

    /// The first key of a loaded key's line.
    pub(super) fn first(&self, key: &NodeId) -> NodeId {
        self.member(key).and_then(|member| member.line).map_or(*key, |line| line.first)
    }

    /// Whether the chain revokes a loaded key, or another of its line.
    pub(super) fn is_revoked_in_chain(&self, key: &NodeId) -> bool {
        let revoked = |key: &NodeId| self.member(key).is_some_and(|member| !member.in_force());
        revoked(key) || revoked(&self.first(key))
    }

    /// How a loaded key is revoked, by the set where that counts.
    pub(super) fn cut(&self, key: &NodeId) -> Cut {
        let named = self.member(key).is_some_and(|member| !member.in_force());
        match self.cut_off.get(key) {
            Some(cut) => *cut,
            None if named => Cut::Named,
            None => Cut::No,
        }
    }

    /// Whether a loaded key is revoked, or another of its line.
    pub(super) fn is_revoked(&self, key: &NodeId) -> bool {
        self.cut(key) != Cut::No || self.is_revoked_in_chain(key)
    }

    /// Whether another key has replaced a loaded one.
    pub(super) fn is_past(&self, key: &NodeId) -> bool {
        self.member(key).is_some_and(|member| member.is_past(self.height))
    }

    /// A revoked key is never admitted, invited by or named again.
    pub(super) fn require_fresh(&self, key: &NodeId) -> Result<(), FactReject> {
        if self.is_revoked(key) { Err(FactReject::AlreadyRevoked(*key)) } else { Ok(()) }
    }

    /// Judges a `Revoke`. That the set knows of it already is no reason against it.
    pub(super) fn judge_revoke<'a>(
        &self,
        author: NodeId,
        key: NodeId,
    ) -> Result<Change<'a>, FactReject> {
        let already = self.is_revoked_in_chain(&key);
        membership::judge_revoke(self.member(&author), author, key, already)?;
        let first = self.first(&key);
        let newest = self.member(&first).and_then(|row| row.newest).unwrap_or(key);
        let by_authority = self.params.seal == SealRule::Authority;
        if by_authority && self.sealers.as_deref() == Some(&[newest]) {
            return Err(FactReject::LastSealer);
        }
        let unknown = || Member::new(Role::Reader, String::new(), None, self.height);
        let revoked = |key: NodeId| {
            let row = self.member(&key).cloned().unwrap_or_else(unknown);
            (key, Member { revoked: Some(self.height), ..row })
        };
        let mut rows = alloc::vec![revoked(key)];
        rows.extend((first != key).then(|| revoked(first)));
        Ok(Change::Line { rows, leaves: newest, enters: None })
    }

    /// Judges a `Rotate`.
    pub(super) fn judge_rotate<'a>(
        &self,
        id: FactId,
        old: NodeId,
        to: NodeId,
        role: Role,
    ) -> Result<Change<'a>, FactReject> {
        self.require_fresh(&to)?;
        let author = self.member(&old);
        let before = author.and_then(|row| row.line).map(|line| self.is_past(&line.before));
        let new = self.member(&to);
        let row = membership::judge_rotate(&Rotation { old, author, before, to, new, role })?;
        let row = Member { admit: Some(id), since: self.height, ..row };
        let author = author.ok_or(FactReject::NotMember)?;
        let first = self.first(&old);
        let until = Some(Height(self.height.0.saturating_add(self.params.overlap + 1)));
        let newest = (first == old).then_some(to);
        let mut rows = alloc::vec![(old, Member { until, newest, ..author.clone() }), (to, row)];
        if let Some(row) = self.member(&first).filter(|_| first != old) {
            rows.push((first, Member { newest: Some(to), ..row.clone() }));
        }
        Ok(Change::Line { rows, leaves: old, enters: Some(to) })
    }
}
