//! What an engine says about itself, without being asked.

use alloc::vec::Vec;

use crate::id::NodeId;
use crate::ledger::rows::Close;
use crate::peer::{Deeds, score};
use crate::time::{Millis, UnixTime};
use crate::wire::{CloseCode, SetSummary, Tip};

use super::{Engine, Output, Reach};
use crate::conn::PeerAddr;
use crate::event::Event;
use crate::store::{StoreFault, Table, View};

/// How the node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was tried yet.
    Starting,
    /// No peer, though the mesh has others, and every known address failed more than once since.
    Isolated,
    /// Dialling, not connected yet.
    Connecting,
    /// Catching up.
    Syncing,
    /// Nothing is missing as far as the connected peers tell; or nobody else is in the mesh.
    Synced,
    /// Another node runs with its key: it seals nothing, and goes on with all else.
    Degraded,
    /// The disk has no room to spare: reads and peers are served, nothing is written.
    ReadOnly,
    /// Its membership was revoked: it reads, and does nothing else.
    Revoked,
    /// Stopping.
    Stopping,
}

/// One peer, live or remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its key, if one ever answered at the address.
    pub node: Option<NodeId>,
    /// Where it is.
    pub address: PeerAddr,
    /// Whether we dialled.
    pub outbound: bool,
    /// Whether a connection is up and the hello was accepted.
    pub connected: bool,
    /// Round trip of the last ping.
    pub rtt: Option<Millis>,
    /// Usefulness; higher is better.
    pub score: i32,
    /// When it was last connected, by our wall clock.
    pub last_seen: Option<UnixTime>,
    /// Why the last connection ended, and whether the peer ended it.
    pub last_close: Option<(CloseCode, bool)>,
    /// The tip it last told.
    pub tip: Option<Tip>,
    /// The key exchange of the live connection, by its registered name.
    pub key_exchange: Option<&'static str>,
    /// A live peer or an address that may be dialled; of others no more is known than how a
    /// connection with them ended.
    pub listed: bool,
    /// How the last connection in each direction ended, if with a number; the newest first.
    pub closes: Vec<Close>,
}

/// Everything that is shown of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How it is doing.
    pub state: State,
    /// End of the best chain.
    pub tip: Tip,
    /// The facts held.
    pub facts: SetSummary,
    /// Facts waiting to be sealed.
    pub pending: u64,
    /// Facts that lost against others.
    pub conflict: u64,
    /// Height of the best header chain known; above the tip's while catching up.
    pub target: u64,
    /// Facts known to be missing and being fetched.
    pub wanted: u64,
    /// Announcements of facts received so far.
    pub announces_received: u64,
    /// Ids announced that we held already.
    pub duplicates_dropped: u64,
    /// How far our wall clock is ahead of the peers', if that is too far; else 0.
    pub clock_ahead: Millis,
    /// How far it is behind them, if that is too far; else 0.
    pub clock_behind: Millis,
    /// Whether peers could connect to us when they were last asked to try.
    pub reach: Reach,
    /// Grows with every change of what `Engine::peers` returns.
    pub peers_version: u64,
}

/// The status of an engine that has not done anything yet.
pub(super) const fn initial(tip: Tip, facts: SetSummary) -> Status {
    Status {
        state: State::Starting,
        tip,
        facts,
        pending: 0,
        conflict: 0,
        target: 0,
        wanted: 0,
        announces_received: 0,
        duplicates_dropped: 0,
        clock_ahead: 0,
        clock_behind: 0,
        reach: Reach { round: 0, waiting: 0, outcomes: Vec::new() },
        peers_version: 0,
    }
}

impl Engine {
    /// Peers came or went, or other addresses are known: others may be worth dialling.
    pub(super) const fn touch_peers(&mut self) {
        self.status.peers_version += 1;
        self.dials_stale = true;
    }

    /// Who belongs to the mesh may have changed.
    pub(super) const fn touch_members(&mut self) {
        self.members_stale = true;
    }

    pub(super) fn refresh_status(&mut self, view: &dyn View) -> Result<(), StoreFault> {
        if self.members_stale {
            self.members_stale = false;
            let two = view.scan(Table::Member, &[], &[0xff; 33], 2)?;
            self.has_others = two.iter().any(|(key, _)| key[..] != self.me.0);
        }
        let (clock_ahead, clock_behind) = self.clock_off();
        let facts = self.shared_set();
        let row = &self.chain.row;
        let status = &mut self.status;
        status.tip = row.tip;
        status.facts = facts;
        status.conflict = row.conflict;
        status.pending = self.set.summary.count.saturating_sub(row.sealed + row.conflict);
        status.target = self.chain.best_header_height().0;
        status.wanted = self.wanted.len() as u64;
        status.announces_received = self.announces_received;
        status.duplicates_dropped = self.duplicates_dropped;
        status.clock_ahead = clock_ahead;
        status.clock_behind = clock_behind;
        let state = self.state();
        if state == State::Synced && self.status.state != State::Synced {
            self.outbox.push_back(Output::Event(Event::Synced(self.status.tip)));
        }
        self.status.state = state;
        Ok(())
    }

    fn state(&self) -> State {
        if self.stopping {
            return State::Stopping;
        }
        if self.revocations.me {
            return State::Revoked;
        }
        if self.twins.is_known() {
            return State::Degraded;
        }
        if self.read_only {
            return State::ReadOnly;
        }
        if self.conns.accepted().next().is_none() {
            let others = self.has_others || !self.book.is_empty();
            return match (others, self.book.is_hopeful()) {
                (false, _) => State::Synced,
                (true, true) => State::Connecting,
                (true, false) => State::Isolated,
            };
        }
        let behind = !self.is_caught_up()
            || self.headers.behind(|id| self.chain.agrees_with(id))
            || (!self.wanted.is_empty() && !self.has_given_up())
            || !self.verifying.is_empty()
            || self.schedule.differs(&self.shared_set());
        if behind { State::Syncing } else { State::Synced }
    }

    /// Peers, connected ones first; bounded by the limits of links and addresses. Made anew at each
    /// call, at a cost that grows with both: `Status::peers_version` tells when to.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let live = self.conns.accepted().map(|(_, conn)| PeerStatus {
            outbound: conn.dial.is_some(),
            connected: true,
            rtt: conn.rtt,
            score: score(&Deeds {
                useful: conn.useful,
                rtt: conn.rtt,
                stalls: conn.stalls,
                strikes: self.bans.strikes(&conn.node),
            }),
            last_seen: Some(self.now.wall),
            tip: conn.tip,
            key_exchange: Some(conn.key_exchange),
            ..self.not_connected(Some(conn.node), conn.address.clone())
        });
        // A node there is a link to is listed once, whatever other addresses it was heard at.
        let linked = self.conns.nodes();
        let known = self
            .book
            .iter()
            .filter(|(_, entry)| !entry.node.is_some_and(|node| linked.contains(&node)));
        let remembered = known.map(|(address, entry)| {
            let peer = self.not_connected(entry.node, address.clone());
            // What ended before the last link came about explains nothing any more.
            let ended = peer.closes.first().filter(|close| Some(close.at) >= entry.seen());
            let last_close = ended.map(|close| (close.code, close.by_peer)).or(entry.last_close);
            PeerStatus { last_seen: entry.seen(), last_close, ..peer }
        });
        live.chain(remembered).chain(self.turned_away(&linked)).collect()
    }

    /// Those of whom nothing is known but how a connection with them ended.
    fn turned_away(&self, linked: &[NodeId]) -> Vec<PeerStatus> {
        let mut nodes = self.closes.nodes();
        let listed = linked.iter().copied().chain(self.book.iter().filter_map(|(_, e)| e.node));
        for node in listed {
            nodes.remove(&node);
        }
        let shown = nodes.into_iter().filter_map(|node| {
            let address = self.closes.of(&node).first()?.address.clone();
            let peer = self.not_connected(Some(node), PeerAddr(address));
            let outbound = peer.closes.first()?.outbound;
            Some(PeerStatus { outbound, listed: false, ..peer })
        });
        shown.collect()
    }

    fn not_connected(&self, node: Option<NodeId>, address: PeerAddr) -> PeerStatus {
        let closes = node.map_or_else(Vec::new, |node| self.closes.of(&node));
        let strikes = node.map_or(0, |node| self.bans.strikes(&node));
        PeerStatus {
            node,
            address,
            outbound: true,
            connected: false,
            rtt: None,
            score: score(&Deeds { strikes, ..Deeds::default() }),
            last_seen: None,
            last_close: closes.first().map(|close| (close.code, close.by_peer)),
            tip: None,
            key_exchange: None,
            listed: true,
            closes,
        }
    }
}
