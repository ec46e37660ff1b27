//! Connections: opening, hello, ping, closing. Membership is judged here, before anything else is
//! said: a peer whose key is not known is told nothing until it has shown the facts that admit it.

use alloc::vec::Vec;

use serde_bytes::ByteBuf;

use super::conns::Phase;
use super::{Engine, Frame, Output};
use crate::codec;
use crate::conn::{ConnId, DialId, PeerAddr};
use crate::event::Event;
use crate::fact::{Body, EncodedFact};
use crate::id::NodeId;
use crate::ledger::arrival::Arrival;
use crate::ledger::line;
use crate::ledger::read::Read;
use crate::ledger::rows::{Known, PeerRow};
use crate::limits::CONTROL_FRAME_BYTES;
use crate::params::RULES_VERSION;
use crate::store::{Batch, StoreFault, Table, View};
use crate::verified::Verified;
use crate::wire::{Class, CloseCode, Control, Hello, PROTOCOL_VERSION, Tip};

impl Engine {
    pub(super) fn on_opened(
        &mut self,
        conn: ConnId,
        node: NodeId,
        address: PeerAddr,
        dial: Option<DialId>,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        if let Some(dial) = dial {
            self.book.opened(dial, conn, node);
        }
        let timeout = self.config.limits.hello_timeout;
        self.conns.open(self.now.instant, conn, node, address, dial, timeout);
        if node == self.me || self.stopping {
            let code = if self.stopping { CloseCode::ShuttingDown } else { CloseCode::Myself };
            self.close(conn, code);
            return Ok(());
        }
        // The dialler speaks first: a person or a peer sent it there. The other side waits until
        // it knows the key, or for the facts that introduce it.
        match self.standing(&node, view)? {
            // It may show that those who revoked it had no say.
            Err(CloseCode::Revoked) if self.may_be_recovered() => {}
            Err(CloseCode::Revoked) => self.dismiss(conn, &node, view)?,
            Err(_) if dial.is_none() => {}
            _ => self.greet(conn, view)?,
        }
        Ok(())
    }

    fn greet(&mut self, conn: ConnId, view: &dyn View) -> Result<(), StoreFault> {
        let hello = Hello {
            protocol: (PROTOCOL_VERSION, PROTOCOL_VERSION),
            rules: RULES_VERSION,
            mesh: self.mesh,
            tip: self.public_tip(view)?,
            facts: self.shared_set(),
            agent: self.config.agent.clone(),
            clock: self.now.wall,
            port: self.config.port,
            introduction: self.introduction(view)?,
        };
        self.send_control(conn, &Control::Hello(hello));
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.greeted = true;
        }
        Ok(())
    }

    pub(super) fn on_control(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let Some(phase) = self.conns.get(conn).map(|conn| conn.phase) else {
            return Ok(());
        };
        if phase == Phase::Closing
            || (phase == Phase::Accepted && !self.may(conn, Class::Control, 1))
        {
            return Ok(());
        }
        match (phase, codec::decode::<Control>(bytes, CONTROL_FRAME_BYTES)) {
            (Phase::Closing, _) => {}
            (_, Ok(Control::Revoked { proof })) => {
                self.on_told_revoked(conn, &proof, view, batch)?;
            }
            (Phase::Opened(_), Ok(Control::Hello(hello))) => {
                match self.judge_hello(conn, &hello, view, batch)? {
                    Ok(()) => self.accept(conn, hello, view, batch)?,
                    Err(code) => self.close(conn, code),
                }
            }
            (Phase::Opened(_), _) => self.close(conn, CloseCode::BadHello),
            (Phase::Accepted, Ok(Control::Ping { nonce, tip, facts })) => {
                self.send_control(conn, &Control::Pong { nonce });
                self.hear_state(conn, tip, facts);
            }
            (Phase::Accepted, Ok(Control::Pong { nonce })) => self.on_pong(conn, nonce),
            (Phase::Accepted, _) => self.close(conn, CloseCode::Misbehavior),
        }
        Ok(())
    }

    /// Whether a connection is accepted and its peer within its rate for what it does now.
    pub(super) fn may(&mut self, conn: ConnId, class: Class, cost: u64) -> bool {
        let (now, rate) = (self.now.instant, class.rate(&self.config.limits.rates));
        let peer = self.conns.get_mut(conn).filter(|peer| peer.phase == Phase::Accepted);
        peer.is_some_and(|peer| peer.may(now, class, cost, rate))
    }

    fn judge_hello(
        &mut self,
        conn: ConnId,
        hello: &Hello,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<(), CloseCode>, StoreFault> {
        let (lowest, highest) = hello.protocol;
        if !(lowest..=highest).contains(&PROTOCOL_VERSION) {
            return Ok(Err(CloseCode::Protocol));
        }
        if hello.mesh != self.mesh {
            return Ok(Err(CloseCode::WrongMesh));
        }
        if hello.rules != RULES_VERSION {
            return Ok(Err(CloseCode::RulesVersion));
        }
        let Some((node, dialled)) = self.conns.get(conn).map(|c| (c.node, c.dial.is_some())) else {
            return Ok(Err(CloseCode::BadHello));
        };
        // Who was revoked for good has heard so when the connection opened.
        if self.standing(&node, view)? == Err(CloseCode::Revoked) {
            if !self.hear_recovery(&node, &hello.introduction, view, batch)? {
                self.dismiss(conn, &node, view)?;
                return Ok(Err(CloseCode::Revoked));
            }
        } else if self.standing(&node, view)?.is_err()
            && let Err(code) = self.hear_introduction(&node, &hello.introduction, view, batch)?
        {
            return Ok(Err(code));
        }
        if !dialled && self.conns.count(false) >= self.config.limits.inbound_max {
            return Ok(Err(CloseCode::Full));
        }
        Ok(self.prefer_link(conn, node, dialled))
    }

    /// Keeps one link to a node: the one that the node with the lower id dialled. Of two in the
    /// same direction the new one stays, because the old one may be dead without our knowing.
    fn prefer_link(&mut self, new: ConnId, node: NodeId, dialled: bool) -> Result<(), CloseCode> {
        let other = self.conns.accepted().find(|(id, conn)| *id != new && conn.node == node);
        let Some((old, old_dialled)) = other.map(|(id, conn)| (id, conn.dial.is_some())) else {
            return Ok(());
        };
        let preferred = self.me < node;
        if dialled != old_dialled && dialled != preferred {
            return Err(CloseCode::Duplicate);
        }
        self.close(old, CloseCode::Duplicate);
        Ok(())
    }

    /// A stranger shows the facts that admit it. They enter the set only if all of them do.
    fn hear_introduction(
        &mut self,
        node: &NodeId,
        introduction: &[ByteBuf],
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<(), CloseCode>, StoreFault> {
        let Some(facts) = self.read_membership_facts(introduction) else {
            return Ok(Err(CloseCode::BadHello));
        };
        let admits = |fact: &Verified<EncodedFact>| {
            let said = fact.fact();
            match said.body {
                Body::Admit { node: key, .. } | Body::Rotate { key, .. } => key == *node,
                Body::Recover(_) => said.author == *node,
                _ => false,
            }
        };
        let Some(admit) = facts.iter().find(|fact| admits(fact)) else {
            return Ok(Err(CloseCode::NotMember));
        };
        if let Some(code) = self.is_over(&admit.fact().author, view)? {
            return Ok(Err(code));
        }
        if self.hangs_on_revoked(&facts, view)? || !self.would_admit(&facts, node, view)? {
            return Ok(Err(CloseCode::NotMember));
        }
        if self.read_only {
            // Others may have room for the facts that admit it.
            return Ok(Err(CloseCode::Full));
        }
        self.arrive(facts, None, view, batch)?;
        Ok(Ok(()))
    }

    /// Why an invite's key can admit nobody any more, at our tip; none for keys of nodes.
    pub(super) fn is_over(
        &self,
        key: &NodeId,
        view: &dyn View,
    ) -> Result<Option<CloseCode>, StoreFault> {
        let tip_time = self.chain.tip_time();
        if matches!(view.known(key)?, Some(Known::Node { .. })) {
            return Ok(None);
        }
        if view.revoked(key)?.is_some() {
            return Ok(Some(CloseCode::InviteRevoked));
        }
        let Some(row) = view.invite(key)? else {
            return Ok(None);
        };
        let void = line::cut_off(view, &row.by)?.is_some().then_some(CloseCode::InviteRevoked);
        let spent = row.uses_left == 0 || row.expires < tip_time;
        Ok(void.or(spent.then_some(CloseCode::InviteSpent)))
    }

    /// Whether these facts, on top of our set, admit a node.
    fn would_admit(
        &self,
        facts: &[Verified<EncodedFact>],
        node: &NodeId,
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        let mut trial = Arrival::new(&self.config.params, view)?;
        for fact in facts {
            trial.add(fact)?;
        }
        Ok(trial.finish().risen.contains(node))
    }

    fn accept(
        &mut self,
        id: ConnId,
        hello: Hello,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let now = self.now;
        let interval = self.config.limits.ping_interval;
        let Some(conn) = self.conns.get_mut(id) else {
            return Ok(());
        };
        conn.phase = Phase::Accepted;
        conn.port = hello.port;
        conn.clock = (hello.clock, now.instant);
        conn.next_ping = now.instant.after(interval);
        let (node, greeted, inbound) = (conn.node, conn.greeted, conn.dial.is_none());
        let address = conn.address.clone();
        if !greeted {
            self.greet(id, view)?;
        }
        self.gossip.add_conn(id);
        self.wanted.add_conn(id);
        self.hear_state(id, hello.tip, hello.facts);
        for address in self.book.take_forgotten() {
            batch.delete(Table::Peer, address.0.as_bytes());
        }
        if let Some(address) = self.book.accepted(id, now.wall) {
            let row = PeerRow { node: Some(node), last_seen: now.wall, last_close: None };
            batch.put(Table::Peer, address.0.as_bytes(), &codec::encode(&row));
        } else if inbound && let Some(listens) = with_port(&address, hello.port) {
            self.book.hear(listens, node);
        }
        self.ask_for_peers(id);
        let connected = Event::PeerConnected { node, outbound: !inbound };
        self.outbox.push_back(Output::Event(connected));
        self.touch_peers();
        Ok(())
    }

    /// A peer told its tip and set.
    pub(super) fn hear_state(&mut self, id: ConnId, tip: Tip, facts: crate::wire::SetSummary) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.tip = Some(tip);
        }
        self.headers.claim(id, tip);
        self.schedule.claim(self.now.instant, id, facts);
    }

    fn on_pong(&mut self, id: ConnId, nonce: u64) {
        let now = self.now.instant;
        if let Some(conn) = self.conns.get_mut(id)
            && let Some((sent_nonce, sent)) = conn.ping
            && sent_nonce == nonce
        {
            conn.ping = None;
            conn.rtt = Some(now.since(sent));
            self.touch_peers();
        }
    }

    /// Pings whoever is due. Our state in a ping is what finds a lost announcement.
    pub(super) fn ping_due(&mut self, view: &dyn View) -> Result<(), StoreFault> {
        let now = self.now.instant;
        let due: Vec<ConnId> = self
            .conns
            .accepted()
            .filter(|(_, conn)| conn.next_ping <= now)
            .map(|(id, _)| id)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let (tip, facts) = (self.public_tip(view)?, self.shared_set());
        for id in due {
            self.last_nonce += 1;
            let nonce = self.last_nonce;
            // Membership also ends by height: the key was rotated a while ago.
            self.review_standing(id, view)?;
            if let Some(conn) = self.conns.get_mut(id) {
                conn.ping = Some((nonce, now));
                conn.next_ping = now.after(self.config.limits.ping_interval);
            }
            self.send_control(id, &Control::Ping { nonce, tip, facts });
        }
        Ok(())
    }

    /// Our tip or set changed: everybody hears it in a ping soon, should the announcement be lost.
    pub(super) fn ping_soon(&mut self) {
        let soon = self.now.instant.after(self.config.limits.ping_after_change);
        for id in self.conns.accepted_ids() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.next_ping = conn.next_ping.min(soon);
            }
        }
    }

    pub(super) fn send_control(&mut self, conn: ConnId, message: &Control) {
        let frame = Frame::Control(codec::encode(message));
        self.outbox.push_back(Output::Send(conn, frame));
    }

    /// Ends a connection; nothing more is heard from it.
    pub(super) fn close(&mut self, id: ConnId, code: CloseCode) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if conn.phase != Phase::Closing {
            conn.phase = Phase::Closing;
            self.forget_conn(id);
            self.outbox.push_back(Output::Close(id, code));
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnId, code: Option<CloseCode>, by_peer: bool) {
        self.forget_conn(id);
        self.revocations.forget(id);
        let Some(conn) = self.conns.remove(id) else {
            return;
        };
        self.book.closed(self.now.instant, id, code.map(|code| (code, by_peer)));
        let event = Event::PeerClosed { node: conn.node, code, by_peer };
        self.outbox.push_back(Output::Event(event));
        self.touch_peers();
    }

    /// No machine counts on this connection any more.
    pub(super) fn forget_conn(&mut self, id: ConnId) {
        for tag in self.requests.remove_conn(id) {
            self.wanted.failed(tag);
            self.bodies.failed(tag);
        }
        self.gossip.remove_conn(id);
        self.wanted.remove_conn(id);
        self.bodies.remove_conn(id);
        self.headers.remove_conn(id);
        self.chain.forget_branch(id);
        if self.schedule.active() == Some(id) {
            self.session = None;
        }
        self.schedule.remove_conn(id);
    }
}

/// The place where a peer that came from `address` accepts connections.
pub(super) fn with_port(address: &PeerAddr, port: u16) -> Option<PeerAddr> {
    let (host, _) = address.0.rsplit_once(':')?;
    (port > 0).then(|| PeerAddr(alloc::format!("{host}:{port}")))
}
