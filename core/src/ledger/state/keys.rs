//! Keys that begin and end: revocations, rotations, recoveries, and how far a key counts.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Change, State, change, load_slot};
use crate::fact::{Recover, Role};
use crate::id::{FactId, NodeId};
use crate::ledger::line;
use crate::ledger::membership::{self, Cut, Rotation};
use crate::ledger::read::Read;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::{Member, Revocation};
use crate::params::{SEALERS_MAX, SealRule};
use crate::store::{StoreFault, View};
use crate::work::Height;

/// What people call an admin whom nobody admitted but the recovery keys.
const RECOVERED: &str = "recovered";

impl State<'_> {
    pub(super) fn load_member<V: View + ?Sized>(
        &mut self,
        view: &V,
        node: NodeId,
    ) -> Result<(), StoreFault> {
        load_slot(&mut self.members, node, |node| view.member(node))?;
        let row = self.members.get(&node).and_then(|slot| slot.before.clone());
        if self.ahead && !self.cut_off.contains_key(&node) {
            let cut = match &row {
                _ if view.revoked(&node)?.is_some() => Cut::Named,
                Some(row) if line::cut_off_by_line(view, &node, row)?.is_some() => Cut::Line,
                _ => Cut::No,
            };
            self.cut_off.insert(node, cut);
        }
        if let Some(line) = row.as_ref().and_then(|row| row.line) {
            load_slot(&mut self.members, line.first, |node| view.member(node))?;
            load_slot(&mut self.members, line.before, |node| view.member(node))?;
            self.load_revoker(view, &line.first)?;
        }
        if self.is_lease_over(&node) {
            self.load_sealers(view)?;
        }
        self.load_revoker(view, &node)
    }

    /// Whoever revoked a loaded key.
    pub(super) fn load_revoker<V: View + ?Sized>(
        &mut self,
        view: &V,
        key: &NodeId,
    ) -> Result<(), StoreFault> {
        match self.member(key).and_then(|row| row.revoked).and_then(|revocation| revocation.by) {
            Some(by) => load_slot(&mut self.members, by, |node| view.member(node)),
            None => Ok(()),
        }
    }

    /// The first key of a loaded key's line.
    pub(super) fn first(&self, key: &NodeId) -> NodeId {
        self.member(key).and_then(|member| member.line).map_or(*key, |line| line.first)
    }

    /// Whether the chain revokes a loaded key, or another of its line.
    pub(super) fn is_revoked_in_chain(&self, key: &NodeId) -> bool {
        self.is_named_in_chain(key) || self.is_named_in_chain(&self.first(key))
    }

    /// Whether the row of a loaded key says that it is revoked.
    pub(super) fn is_named_in_chain(&self, key: &NodeId) -> bool {
        let revocation = self.member(key).and_then(|member| member.revoked);
        revocation.is_some_and(|revocation| {
            let by = revocation.by.and_then(|by| self.member(&by));
            revocation.counts(by)
        })
    }

    /// How a loaded key is revoked, by the set where that counts.
    pub(super) fn cut(&self, key: &NodeId) -> Cut {
        match self.cut_off.get(key) {
            Some(cut) => *cut,
            None if self.is_named_in_chain(key) => Cut::Named,
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
        membership::judge_revoke(self.admitted(&author), author, key, already)?;
        let first = self.first(&key);
        let newest = self.member(&first).and_then(|row| row.newest).unwrap_or(key);
        let by_authority = self.params.seal == SealRule::Authority;
        if by_authority && self.sealers.as_deref() == Some(&[newest]) {
            return Err(FactReject::LastSealer);
        }
        let revoked = Some(Revocation { since: self.height, key, by: Some(author) });
        let revoke = |key: NodeId| {
            let row = self.member(&key).cloned().unwrap_or_else(|| self.nobody());
            (key, Member { revoked, ..row })
        };
        let mut rows = alloc::vec![revoke(key)];
        rows.extend((first != key).then(|| revoke(first)));
        Ok(Change::Line { rows, sealers: self.seats(&[newest], &[]) })
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
        let author = self.admitted(&old);
        let before = author.and_then(|row| row.line).map(|line| self.is_past(&line.before));
        let new = self.admitted(&to);
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
        let seated = self.sealers.as_ref().is_some_and(|all| all.binary_search(&old).is_ok());
        let enters = if seated { alloc::vec![to] } else { Vec::new() };
        Ok(Change::Line { rows, sealers: self.seats(&[old], &enters) })
    }

    /// The sealers without these and with those.
    pub(super) fn seats(&self, leave: &[NodeId], enter: &[NodeId]) -> Vec<NodeId> {
        let before = self.sealers.as_deref().unwrap_or_default();
        let stay = before.iter().filter(|key| !leave.contains(key));
        let mut sealers: Vec<NodeId> = stay.chain(enter).copied().collect();
        sealers.sort_unstable();
        sealers.dedup();
        sealers
    }

    /// Judges a `Recover`. Whatever its author was, it becomes an admin.
    pub(super) fn judge_recover<'a>(
        &self,
        id: FactId,
        author: NodeId,
        recover: &Recover<'_>,
    ) -> Result<Change<'a>, FactReject> {
        if !recover.is_by(&self.params.recovery) {
            return Err(FactReject::NoQuorum);
        }
        // What holds once the keys are ended, for the other questions.
        let mut after = self.clone();
        let mut leave = Vec::with_capacity(recover.ended.iter().count());
        let mut rows = BTreeMap::new();
        for key in recover.ended.iter() {
            let first = self.first(&key);
            leave.push(after.member(&first).and_then(|row| row.newest).unwrap_or(first));
            for ended in [first, key] {
                let row = after.member(&ended).cloned();
                let row = row.unwrap_or_else(|| self.nobody());
                let mut kept = row.recovered.clone();
                if ended == key {
                    let all = || recover.kept.iter().collect::<Vec<_>>();
                    kept = Some(kept.map_or_else(all, |kept| {
                        kept.into_iter().filter(|key| recover.kept.contains(key)).collect()
                    }));
                }
                let revoked = Some(Revocation { since: self.height, key, by: None });
                let row = Member { revoked, recovered: kept, ..row };
                change(&mut after.members, ended, row.clone());
                rows.insert(ended, row);
            }
        }
        after.cut_off.clear();
        after.require_fresh(&author)?;
        let known = after.member(&author);
        if known.is_some_and(|row| row.until.is_some()) {
            return Err(FactReject::Replaced(author));
        }
        let new = || Member::new(Role::Admin, RECOVERED.into(), Some(id), self.height);
        let row = known.cloned().map_or_else(new, |row| Member { role: Role::Admin, ..row });
        // An admin's membership is not lent.
        let first = after.first(&author);
        let other = after.member(&first).filter(|row| first != author && row.lease.is_some());
        if let Some(other) = other {
            rows.insert(first, Member { lease: None, ..other.clone() });
        }
        rows.insert(author, Member { lease: None, ..row });
        let seated = |key: &NodeId| {
            let row = after.member(key);
            !after.is_revoked_in_chain(key)
                && row.is_some_and(|row| row.role.seals() && row.until.is_none())
        };
        let mut enter: Vec<NodeId> = recover.seats.iter().filter(seated).collect();
        enter.push(author);
        let sealers = self.seats(&leave, &enter);
        if sealers.len() > SEALERS_MAX {
            return Err(FactReject::TooManySealers);
        }
        Ok(Change::Line { rows: rows.into_iter().collect(), sealers })
    }

    /// The row of a key that nobody admitted.
    pub(super) fn nobody(&self) -> Member {
        Member::new(Role::Reader, String::new(), None, self.height)
    }
}
