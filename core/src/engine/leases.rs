//! What follows when a lease ends or is renewed: who is told what, whom to dial, and what to judge
//! again.

use alloc::vec::Vec;

use super::Engine;
use crate::conn::{ConnId, PeerAddr};
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
            let known = self.book.iter().filter(|(_, entry)| entry.node == Some(node));
            let known: Vec<PeerAddr> = known.map(|(address, _)| address.clone()).collect();
            known.iter().for_each(|address| self.book.hurry(address));
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
