//! When all places for inbound links are taken: who makes room, and where those go who find none.

use alloc::string::String;
use alloc::vec::Vec;

use super::Engine;
use super::addresses::introducer;
use super::on_conn::with_port;
use super::revoked::FAREWELL;
use crate::conn::{ConnId, PeerAddr};
use crate::id::NodeId;
use crate::limits::ADDRESSES_WHEN_FULL;
use crate::peer::{Candidate, Group, Introducer, evict, may_be_told};
use crate::time::{Instant, Millis};
use crate::wire::{CloseCode, Control};

/// Whoever was let in keeps its place so long: enough to catch up with a block or two.
const TURN: Millis = 60_000;

impl Engine {
    /// Whether there is a place for one more inbound link.
    pub(super) fn has_room_inbound(&self) -> bool {
        self.conns.count(false) < self.config.limits.inbound_max
    }

    /// Ends the inbound link that is worth least. False if all are worth more than a newcomer.
    pub(super) fn make_room(&mut self) -> bool {
        let inbound = self.conns.accepted().filter(|(_, conn)| conn.dial.is_none());
        let candidates = inbound.map(|(id, conn)| Candidate {
            conn: id,
            group: Group::of(&conn.address),
            since: conn.since,
            rtt: conn.rtt,
            useful: conn.useful,
        });
        let Some(conn) = evict(candidates.collect(), &self.config.seed) else {
            return false;
        };
        // Or those without a place would take it from each other without end.
        let turn_over = |since: Instant| since.after(TURN) <= self.now.instant;
        if !self.conns.get(conn).is_some_and(|conn| turn_over(conn.since)) {
            return false;
        }
        self.send_on(conn);
        true
    }

    /// Tells a peer for which there is no room where there may be some, and ends the connection a
    /// moment later.
    pub(super) fn send_on(&mut self, conn: ConnId) {
        let node = self.conns.get(conn).map(|conn| conn.node);
        let mut peers = self.known_addresses(ADDRESSES_WHEN_FULL + 1);
        peers.retain(|(_, other)| Some(*other) != node);
        peers.truncate(ADDRESSES_WHEN_FULL);
        self.send_control(conn, &Control::Full { peers });
        self.farewell(conn, FAREWELL, CloseCode::Full);
    }

    /// Places where others are or were reached, for whoever asks; at most `max`, in order.
    pub(super) fn known_addresses(&mut self, max: usize) -> Vec<(String, NodeId)> {
        let mut reached = self.book.shareable(max);
        let inbound = self.conns.accepted().filter(|(_, conn)| conn.dial.is_none());
        let inbound = inbound.filter_map(|(_, conn)| {
            let listens = with_port(&conn.address, conn.port)?;
            Some((listens.0, conn.node))
        });
        let mut peers: Vec<_> = inbound.take(max).collect();
        // Both kinds have half of the answer; what one does not need the other takes.
        reached.truncate((max / 2).max(max - peers.len()));
        peers.truncate(max - reached.len());
        peers.extend(reached.into_iter().map(|(address, node)| (address.0, node)));
        peers.sort();
        peers.dedup();
        peers
    }

    /// A peer told where others are.
    pub(super) fn hear_addresses(&mut self, conn: ConnId, peers: Vec<(String, NodeId)>) {
        let Some((by, from)) = self.conns.get(conn).map(|conn| (conn.node, conn.address.clone()))
        else {
            return;
        };
        // Before it is accepted its key may be one of as many as it likes.
        let introducer = if self.conns.is_accepted(conn) {
            introducer(&self.config.params, by, &from)
        } else {
            Introducer::Place(Group::of(&from))
        };
        let before = self.book.news();
        for (address, node) in peers {
            let address = PeerAddr(address);
            if node != self.me && may_be_told(&address, &from) {
                self.book.hear(&address, Some(node), introducer);
            }
        }
        if self.book.news() != before {
            self.touch_peers();
        }
    }
}
