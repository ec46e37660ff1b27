//! What follows when a lease ends or is renewed: who is told what, whom to dial, and what to judge
//! again.

use super::Engine;
use crate::conn::ConnId;
use crate::id::{BlockId, NodeId};
use crate::ledger::apply::Effects;
use crate::ledger::line::{self, Standing};
use crate::ledger::overlay::Overlay;
use crate::ledger::rows::{Meta, height_key};
use crate::store::{StoreFault, Table, View};
use crate::wire::{CloseCode, LEASE_OVER, Tip};
use crate::work::Height;

impl Engine {
    /// Since which height a node's lease is over, at our tip.
    pub(super) fn lapsed(
        &self,
        node: &NodeId,
        view: &dyn View,
    ) -> Result<Option<Height>, StoreFault> {
        Ok(match line::standing(view, node)? {
            Standing::Lapsed(since) => Some(since),
            _ => None,
        })
    }

    /// Whether somebody whose lease is over at our tip may have seen a block that renews it: it claims
    /// more work than ours has. Whoever is far behind could else be kept so by the one node it knows.
    pub(super) fn may_know_of_a_renewal(
        &self,
        node: &NodeId,
        claimed: &Tip,
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        Ok(claimed.work > self.chain.tip().work && self.lapsed(node, view)?.is_some())
    }

    /// A peer is listened to until it is known whether it belongs.
    pub(super) fn try_out(&mut self, conn: ConnId) {
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.on_trial = true;
            self.revocations.review();
        }
    }

    pub(super) fn end_trial(&mut self, conn: ConnId) {
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.on_trial = false;
        }
    }

    pub(super) fn is_on_trial(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|conn| conn.on_trial)
    }

    /// A peer told its tip. Who is on trial has one claim: with ever new ones it would stay.
    pub(super) fn hear_tip(&mut self, conn: ConnId, tip: Tip) {
        if !self.is_on_trial(conn) || self.headers.tip_of(conn).is_none() {
            self.headers.claim(conn, tip);
        }
    }

    /// Ends a connection with somebody who is not let in. Whose lease is over is told what to ask for.
    pub(super) fn turn_away(
        &mut self,
        conn: ConnId,
        code: CloseCode,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        let node = self.conns.get(conn).map(|conn| conn.node);
        let node = node.filter(|_| code == CloseCode::NotMember);
        let since = node.map(|node| self.lapsed(&node, view)).transpose()?.flatten();
        let detail = since.map(|since| {
            let renew = "an admin renews it: cairn member lease NODE --blocks N";
            alloc::format!("{LEASE_OVER} {}; {renew}", since.0)
        });
        self.close_saying(conn, code, detail.unwrap_or_default());
        Ok(())
    }

    /// Blocks renewed leases, perhaps some that were over: what those wrote is judged again, and they
    /// are dialed at once, for they dial seldom whoever turned them away.
    pub(super) fn on_renewed(
        &mut self,
        tip: &Tip,
        connected: &[(BlockId, Effects)],
        overlay: &mut Overlay<'_>,
    ) -> Result<(), StoreFault> {
        let renewed = connected.iter().flat_map(|(_, effects)| effects.changes.renewed());
        for (node, over) in renewed.filter(|(_, over)| *over <= tip.height) {
            // The tip below the first block that it did not count for.
            let since = Height(over.0.saturating_sub(1));
            self.reopen_from(&height_key(since), overlay)?;
            self.book.hurry_node(node);
            self.touch_peers();
        }
        Ok(())
    }

    /// What is in conflict because somebody did not belong is judged again, from this key of
    /// `Table::Conflict` on.
    pub(super) fn reopen_from(
        &mut self,
        from: &[u8],
        overlay: &mut Overlay<'_>,
    ) -> Result<(), StoreFault> {
        let before = overlay.get(Table::Meta, &Meta::Reopen.key())?;
        if before.is_none_or(|before| *from < before[..]) {
            overlay.put(Table::Meta, &Meta::Reopen.key(), from);
        }
        self.revocations.reopen = true;
        Ok(())
    }
}
