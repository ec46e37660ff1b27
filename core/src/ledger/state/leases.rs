//! Memberships that are lent: until when they count, and the seats that end with them.

use alloc::vec::Vec;

use super::{Change, State, load_slot};
use crate::fact::{Body, Fact};
use crate::id::NodeId;
use crate::ledger::membership;
use crate::ledger::read::Read;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::Member;
use crate::params::SEALERS_MAX;
use crate::store::{StoreFault, View};
use crate::work::Height;

impl State<'_> {
    /// Reads until when the memberships of all sealers are lent, which `end_seats` asks.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn load_seats<V: View + ?Sized>(&mut self, view: &V) -> Result<(), StoreFault> {
        self.load_sealers(view)?;
        for key in self.sealers.clone().unwrap_or_default() {
            load_slot(&mut self.members, key, |key| view.member(key))?;
            let first = self.first(&key);
            load_slot(&mut self.members, first, |key| view.member(key))?;
        }
        Ok(())
    }

    /// Takes the seats of those who do not count in the next block any more, once all facts are in.
    /// If nobody would be left, all stay: else the chain would end, and with it all renewals.
    pub fn end_seats(&mut self) {
        let next = self.height.next();
        let sealers = self.sealers.as_deref().unwrap_or_default();
        let stays = |key: &&NodeId| self.lease(key).is_none_or(|until| until > next);
        let stay: Vec<NodeId> = sealers.iter().filter(stays).copied().collect();
        if !stay.is_empty() && stay.len() < sealers.len() {
            self.sealers = Some(stay);
            self.sealers_changed = true;
        }
    }

    /// Until when the membership of a loaded key's line is lent.
    fn lease(&self, key: &NodeId) -> Option<Height> {
        self.member(&self.first(key)).and_then(|row| row.lease)
    }

    /// Whether the lease of a loaded key is over, whoever has a seat.
    pub(super) fn is_lease_over(&self, key: &NodeId) -> bool {
        self.lease(key).is_some_and(|until| until <= self.height)
    }

    /// Since which height a loaded key counts no more, because its lease is over and it has no seat.
    pub(super) fn lapsed(&self, key: &NodeId) -> Option<Height> {
        let first = self.first(key);
        let newest = self.member(&first).and_then(|row| row.newest).unwrap_or(first);
        let seated = self.sealers.as_ref().is_some_and(|all| all.binary_search(&newest).is_ok());
        self.lease(key).filter(|_| self.is_lease_over(key) && !seated)
    }

    /// Judges a `Lease`. A sealer that comes back has its seat again.
    pub(super) fn judge_lease<'a>(
        &self,
        author: NodeId,
        node: NodeId,
        until: Option<Height>,
    ) -> Result<Change<'a>, FactReject> {
        self.require_fresh(&node)?;
        let (by, first) = (self.admitted(&author), self.first(&node));
        membership::judge_lease(by, node, self.admitted(&node), until, self.height)?;
        let row = self.member(&first).ok_or(FactReject::NoSuchMember(node))?;
        let seals = self.member(&node).is_some_and(|row| row.role.seals());
        let returns = seals && self.lapsed(&node).is_some();
        let sealers = self.seats(&[], returns.then_some(node).as_slice());
        if sealers.len() > SEALERS_MAX {
            return Err(FactReject::TooManySealers);
        }
        let rows = alloc::vec![(first, Member { lease: until, ..row.clone() })];
        Ok(Change::Line { rows, sealers })
    }

    /// The first height at which a permitted fact is judged otherwise though no block says anything
    /// of it: a key that it depends on is past then.
    pub fn holds_until(&self, fact: &Fact<'_>) -> Option<Height> {
        let ends = |key: &NodeId| [self.member(key).and_then(|row| row.until), self.lease(key)];
        let others = match fact.body {
            Body::Transfer { to, .. } => ends(&to),
            Body::Lease { until, .. } => [until, None],
            _ => [None, None],
        };
        others.into_iter().chain(ends(&fact.author)).flatten().min()
    }
}
