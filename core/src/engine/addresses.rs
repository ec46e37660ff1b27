//! The address book's part in the engine: whom to dial, whom to ask for addresses, what is heard of
//! them, and what of it the store remembers.

use super::{Engine, Output};
use crate::codec;
use crate::conn::{ConnId, PeerAddr};
use crate::event::Event;
use crate::id::NodeId;
use crate::ledger::line;
use crate::ledger::rows::PeerRow;
use crate::limits::PEERS_PER_ANSWER;
use crate::params::{Admission, Params};
use crate::peer::{Group, Introducer};
use crate::store::{Batch, StoreFault, Table, View};
use crate::time::{Instant, Millis};
use crate::wire::{Class, PeersAnswer, PeersRequest};

/// Between two questions to peers, each to the next one, for addresses.
pub(super) const ASK_INTERVAL: Millis = 600_000;

/// After a question that came to nothing; a node with one link may depend on the answer.
pub(super) const ASK_AGAIN: Millis = 5_000;

/// What a node learns of peers when it starts is written after this long, and so long is between two
/// writes at least.
pub(super) const SAVE_DELAY: Millis = 30_000;

/// The first address of a member is written after this long: should this node be killed, it may be the
/// one that has to dial.
const SAVE_SOON: Millis = 1_000;

/// Whom to count for what a peer tells of other places.
pub(super) fn introducer(params: &Params, node: NodeId, address: &PeerAddr) -> Introducer {
    match params.admission {
        Admission::Invite => Introducer::Member(node),
        Admission::Open => Introducer::Place(Group::of(address)),
    }
}

impl Engine {
    /// Asks the next peer for addresses, now and then: whoever came after us is heard of, and who
    /// moved is found again.
    pub(super) fn ask_around(&mut self) {
        if self.next_ask > self.now.instant {
            return;
        }
        self.next_ask = self.now.instant.after(ASK_INTERVAL);
        let peers = self.conns.accepted_ids();
        let next = peers.iter().find(|id| **id > self.last_asked).or(peers.first());
        if let Some(next) = next.copied() {
            self.last_asked = next;
            self.ask_for_peers(next);
        }
    }

    /// A question for addresses was not answered.
    pub(super) fn ask_again(&mut self) {
        self.next_ask = self.next_ask.min(self.now.instant.after(ASK_AGAIN));
    }

    pub(super) fn save_due(&self) -> Option<Instant> {
        (self.book.is_unsaved() || self.closes.is_unsaved()).then_some(self.next_save)
    }

    /// A peer was accepted; if it came to us, it says where it listens.
    pub(super) fn meet(&mut self, node: NodeId, listens: Option<&PeerAddr>) {
        let (now, params) = (self.now, &self.config.params);
        if let Some(listens) = listens {
            self.book.meet(listens, node, introducer(params, node, listens), now.wall);
        }
        // Where keys cost nothing, writes would.
        if params.admission == Admission::Invite && self.book.is_first_of(node) {
            let saved = self.next_save.0.checked_sub(self.config.limits.book_save_interval);
            let soon = saved.map_or(Instant(0), |saved| Instant(saved).after(SAVE_DELAY));
            self.next_save = self.next_save.min(soon.max(now.instant.after(SAVE_SOON)));
        }
    }

    /// Writes what is to be remembered of addresses and of how links ended, rarely.
    pub(super) fn save_book(&mut self, batch: &mut Batch) {
        let now = self.now;
        if self.save_due().is_none_or(|at| at > now.instant) {
            return;
        }
        self.next_save = now.instant.after(self.config.limits.book_save_interval);
        self.closes.save(batch);
        for (address, entry) in self.book.take_unsaved(now.wall) {
            let key = address.0.as_bytes();
            match entry.and_then(|entry| Some((entry.seen()?, entry))) {
                Some((last_seen, entry)) => {
                    let last_close = entry.last_close.map(|(code, by)| (code as u8, by));
                    let (node, reached) = (entry.node, entry.is_reached());
                    let row = PeerRow { node, last_seen, last_close, reached };
                    batch.put(Table::Peer, key, &codec::encode(&row));
                }
                None => batch.delete(Table::Peer, key),
            }
        }
    }

    /// Dials what is due, and notes when the next address will be.
    pub(super) fn dial_due(&mut self, view: &dyn View) -> Result<(), StoreFault> {
        let now = self.now.instant;
        if !self.dials_stale && self.next_dial.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.dials_stale = false;
        self.next_dial = None;
        let connected = self.conns.nodes();
        let mut skipped = 0;
        loop {
            // Those under way count: else one pass would dial the whole book.
            let outbound =
                self.conns.count(true) + self.book.reaching(|c| self.conns.is_accepted(c));
            let limits = &self.config.limits;
            if self.stopping || self.revocations.me || outbound >= limits.outbound_max {
                return Ok(());
            }
            let wanted = limits.outbound_wanted.saturating_sub(outbound);
            let Some((dial, address, pin)) = self.book.next_dial(now, wanted, &connected) else {
                self.next_dial = self.book.timeout(wanted, &connected);
                return Ok(());
            };
            // Who is expected there may have another key by now.
            let pin = match pin {
                Some(pin) => Some(line::current(view, &pin)?),
                None => None,
            };
            if self.is_kept_out(&address, pin) {
                // Looked at again when it would be dialled again.
                self.book.dial_failed(now, dial);
                skipped += 1;
                if skipped > limits.addresses_in_all() {
                    self.next_dial = self.book.timeout(wanted, &connected);
                    return Ok(());
                }
                continue;
            }
            self.outbox.push_back(Output::Dial(dial, address, pin));
        }
    }

    pub(super) fn on_peers(&mut self, conn: ConnId, answer: PeersAnswer) -> bool {
        if answer.peers.len() > PEERS_PER_ANSWER {
            return false;
        }
        if let Some(node) = self.conns.get(conn).map(|conn| conn.node) {
            let heard = Event::PeersHeard { node, count: answer.peers.len() as u32 };
            self.outbox.push_back(Output::Event(heard));
        }
        self.hear_addresses(conn, answer.peers);
        true
    }

    pub(super) fn ask_for_peers(&mut self, conn: ConnId) {
        let max = PEERS_PER_ANSWER as u16;
        self.ask(conn, Class::Peers, codec::encode(&PeersRequest { max }));
    }
}
