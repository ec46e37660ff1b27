//! Who is kept out: accusations of what a peer provably did, and what a person orders. Also what is
//! noted of the end of every connection.

use alloc::string::String;
use alloc::vec::Vec;

use super::conns::{Conn, Phase};
use super::{Engine, Output, Receipt, Refusal};
use crate::conn::{ConnId, PeerAddr};
use crate::event::Event;
use crate::id::NodeId;
use crate::ledger::rows::{BanRow, Close};
use crate::peer::{Misbehavior, Subject};
use crate::time::Millis;
use crate::wire::CloseCode;

/// What a peer is told that is kept out. What a person wrote is nobody else's business.
fn until(row: &BanRow) -> String {
    if row.by_person {
        alloc::format!("until {}", row.until)
    } else {
        alloc::format!("until {}: {}", row.until, row.reason)
    }
}

impl Engine {
    /// A peer provably misbehaved: its connection ends, and it is kept out for a time.
    pub(super) fn accuse(&mut self, conn: ConnId, deed: Misbehavior) {
        let node = self.conns.get(conn).map(|conn| conn.node);
        self.accuse_of(conn, node, deed);
    }

    /// The same, if the connection may be over by now.
    pub(super) fn accuse_of(&mut self, conn: ConnId, node: Option<NodeId>, deed: Misbehavior) {
        let (now, nowhere) = (self.now.instant, PeerAddr(String::new()));
        let news = node.filter(|node| self.bans.find(now, Some(node), &nowhere).is_none());
        let ends = node.and_then(|node| self.bans.accuse(self.now, node, deed));
        if let (Some(node), Some(until)) = (news, ends) {
            let reason = alloc::format!("{deed}");
            self.outbox.push_back(Output::Event(Event::PeerBanned { node, until, reason }));
        }
        let detail = self.kept_out(conn).unwrap_or_else(|| alloc::format!("{deed}"));
        self.close_saying(conn, CloseCode::Misbehavior, detail);
        if let Some(node) = news.filter(|_| ends.is_some()) {
            self.expel(&Subject::Node(node));
        }
    }

    /// Why the peer behind a connection is kept out, if it is.
    pub(super) fn kept_out(&self, conn: ConnId) -> Option<String> {
        let conn = self.conns.get(conn)?;
        let found = self.bans.find(self.now.instant, Some(&conn.node), &conn.address);
        found.map(until)
    }

    /// Whether an address is not to be dialled: it, or the node expected there, is kept out.
    pub(super) fn is_kept_out(&self, address: &PeerAddr, pin: Option<NodeId>) -> bool {
        let node = pin.or_else(|| self.book.node_at(address));
        self.bans.find(self.now.instant, node.as_ref(), address).is_some()
    }

    /// Ends all links with somebody who is kept out.
    fn expel(&mut self, subject: &Subject) {
        let meant = self.conns.iter().filter(|(_, conn)| {
            conn.phase != Phase::Closing && subject.fits(Some(&conn.node), &conn.address)
        });
        let meant: Vec<ConnId> = meant.map(|(id, _)| id).collect();
        for conn in meant {
            let detail = self.kept_out(conn).unwrap_or_default();
            self.close_saying(conn, CloseCode::Misbehavior, detail);
        }
        self.touch_peers();
    }

    /// A person wants somebody kept out.
    pub(super) fn ban(
        &mut self,
        subject: Subject,
        length: Millis,
        reason: &str,
    ) -> Result<Receipt, Refusal> {
        if subject == Subject::Node(self.me) {
            return Err(Refusal::Malformed("that is this node itself".into()));
        }
        if !self.bans.ban(self.now, subject.clone(), length, reason) {
            let full = "too many are banned already; lift a ban first: cairn peer unban";
            return Err(Refusal::Malformed(full.into()));
        }
        self.expel(&subject);
        Ok(Receipt::Done)
    }

    /// A person lets somebody in again; addresses it is known at are dialled at once.
    pub(super) fn unban(&mut self, subject: &Subject) -> Result<Receipt, Refusal> {
        if !self.bans.unban(self.now.instant, subject) {
            return Err(Refusal::NotBanned);
        }
        let meant =
            |(address, node): &(PeerAddr, Option<NodeId>)| subject.fits(node.as_ref(), address);
        let known = self.book.iter().map(|(address, entry)| (address.clone(), entry.node));
        let known: Vec<_> = known.filter(meant).collect();
        known.iter().for_each(|(address, _)| self.book.hurry(address));
        self.touch_peers();
        Ok(Receipt::Done)
    }

    /// A person wants an address forgotten.
    pub(super) fn forget_address(&mut self, address: PeerAddr) -> Result<Receipt, Refusal> {
        if !self.book.remove(&address) {
            return Err(Refusal::UnknownAddress(address));
        }
        self.touch_peers();
        Ok(Receipt::Done)
    }

    /// Keeps in mind how a connection ended, if anything was said.
    pub(super) fn note_close(
        &mut self,
        conn: &Conn,
        code: Option<CloseCode>,
        by_peer: bool,
        reason: &str,
    ) {
        let Some(code) = code else { return };
        let outbound = conn.dial.is_some();
        let close = Close {
            code,
            by_peer,
            outbound,
            at: self.now.wall,
            address: conn.address.0.clone(),
            reason: if reason.is_empty() { code.text("") } else { reason.into() },
        };
        self.closes.note(conn.node, close, outbound || conn.welcome);
    }
}
