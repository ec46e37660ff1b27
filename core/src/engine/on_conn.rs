//! Connections: opening, hello, ping, closing. Membership is judged here, before anything else is
//! said: a peer whose key is not known is told nothing until it has shown the facts that admit it.

use alloc::string::String;
use alloc::vec::Vec;

use serde_bytes::ByteBuf;

use super::conns::{Conn, Phase};
use super::{Engine, Frame, Output};
use crate::codec;
use crate::conn::{ConnId, DialId, PeerAddr};
use crate::event::Event;
use crate::fact::{Body, EncodedFact};
use crate::id::NodeId;
use crate::ledger::arrival::Arrival;
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::ledger::rows::Known;
use crate::limits::{ADDRESSES_WHEN_FULL, CONTROL_FRAME_BYTES};
use crate::params::RULES_VERSION;
use crate::peer::Misbehavior;
use crate::store::{Batch, StoreFault, View};
use crate::text::printable;
use crate::verified::Verified;
use crate::wire::{Class, CloseCode, Control, Hello, PROTOCOL_VERSION, Tip};

/// Most characters that are kept of what was said at the end of a connection.
const REASON_CHARS_MAX: usize = 200;

impl Engine {
    pub(super) fn on_opened(
        &mut self,
        conn: ConnId,
        node: NodeId,
        address: PeerAddr,
        dial: Option<DialId>,
        key_exchange: &'static str,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        if let Some(dial) = dial {
            self.book.opened(dial, conn, node);
        }
        let timeout = self.config.limits.hello_timeout;
        let now = self.now.instant;
        let opened = Conn::opened(now, node, address, dial, key_exchange, timeout);
        self.conns.open(conn, opened);
        if self.stopping {
            self.close(conn, CloseCode::ShuttingDown);
            return Ok(());
        }
        // The dialler speaks first: a person or a peer sent it there. The other side waits until
        // it knows the key, or for the facts that introduce it.
        match (self.standing(&node, view)?, self.kept_out(conn)) {
            (Err(CloseCode::Revoked), _) => self.dismiss(conn, &node, view)?,
            (_, Some(until)) => self.close_saying(conn, CloseCode::Misbehavior, until),
            (Err(_), None) if dial.is_none() => {}
            _ => self.greet(conn, view)?,
        }
        Ok(())
    }

    fn is_dialled(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|conn| conn.dial.is_some())
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
            run: self.twins.run,
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
        let deaf = phase == Phase::Closing && !self.revocations.hears_once_more(conn);
        if deaf || (phase == Phase::Accepted && !self.may(conn, Class::Control, 1)) {
            return Ok(());
        }
        match (phase, codec::decode::<Control>(bytes, CONTROL_FRAME_BYTES)) {
            (_, Ok(Control::Revoked { proof })) => {
                self.on_told_revoked(conn, &proof, view, batch)?;
            }
            // Who was dismissed may show that those who revoked it had no say: for the next time.
            (Phase::Closing, Ok(Control::Hello(hello))) if self.may_be_recovered() => {
                if let Some(node) = self.conns.get(conn).map(|conn| conn.node) {
                    self.hear_recovery(&node, &hello.introduction, view, batch)?;
                }
            }
            (Phase::Closing, _) => {}
            (_, Ok(Control::Full { peers }))
                if peers.len() <= ADDRESSES_WHEN_FULL && self.is_dialled(conn) =>
            {
                self.hear_addresses(conn, peers);
            }
            (Phase::Opened(_), Ok(Control::Hello(hello))) => {
                match self.judge_hello(conn, &hello, view, batch)? {
                    Ok(()) => self.accept(conn, hello, view)?,
                    Err(CloseCode::Full) if !self.read_only => self.send_on(conn),
                    Err(CloseCode::Protocol) => {
                        let range = alloc::format!("{PROTOCOL_VERSION} to {PROTOCOL_VERSION}");
                        self.close_saying(conn, CloseCode::Protocol, range);
                    }
                    Err(code) => self.turn_away(conn, code, view)?,
                }
            }
            (Phase::Opened(_), _) => self.close(conn, CloseCode::BadHello),
            (Phase::Accepted, Ok(Control::Ping { nonce, tip, facts })) => {
                self.send_control(conn, &Control::Pong { nonce });
                self.hear_state(conn, tip, facts);
            }
            (Phase::Accepted, Ok(Control::Pong { nonce })) => self.on_pong(conn, nonce),
            (Phase::Accepted, Ok(Control::Twin(message))) => self.on_twin(conn, message),
            (Phase::Accepted, Ok(Control::CallBack { nonce })) => self.on_call_back(conn, nonce),
            (Phase::Accepted, Ok(Control::CalledBack { nonce, outcome })) => {
                self.on_called_back(conn, nonce, outcome);
            }
            (Phase::Accepted, _) => self.accuse(conn, Misbehavior::Message(Class::Control)),
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
        if node == self.me && hello.run == self.twins.run {
            return Ok(Err(CloseCode::Myself));
        }
        // Who was revoked for good has heard so when the connection opened.
        match self.standing(&node, view)? {
            Ok(()) => {}
            Err(CloseCode::Revoked) => {
                if !self.hear_recovery(&node, &hello.introduction, view, batch)? {
                    self.dismiss(conn, &node, view)?;
                    return Ok(Err(CloseCode::Revoked));
                }
            }
            Err(_) if self.may_know_of_a_renewal(&node, &hello.tip, view)? => self.try_out(conn),
            Err(_) => {
                let heard = self.hear_introduction(&node, &hello.introduction, view, batch)?;
                if let Err(code) = heard {
                    let was = line::standing(view, &node)?;
                    // What became of the invite by which it once came says nothing of it.
                    let was = matches!(was, Standing::Replaced | Standing::Lapsed(_));
                    return Ok(Err(if was { CloseCode::NotMember } else { code }));
                }
            }
        }
        if let Err(code) = self.prefer_link(conn, hello.run) {
            return Ok(Err(code));
        }
        let room = dialled || self.has_room_inbound() || self.make_room();
        Ok(if room { Ok(()) } else { Err(CloseCode::Full) })
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
            self.take_recoveries(facts, view, batch)?;
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

    fn accept(&mut self, id: ConnId, hello: Hello, view: &dyn View) -> Result<(), StoreFault> {
        let now = self.now;
        let interval = self.config.limits.ping_interval;
        let Some(conn) = self.conns.get_mut(id) else {
            return Ok(());
        };
        conn.phase = Phase::Accepted;
        conn.welcome = true;
        conn.port = hello.port;
        conn.run = hello.run;
        conn.clock = (hello.clock, now.instant);
        conn.next_ping = now.instant.after(interval);
        let (node, greeted, inbound) = (conn.node, conn.greeted, conn.dial.is_none());
        let address = conn.address.clone();
        self.book.accepted(id, now);
        if self.book.is_feeler(id) && self.conns.count(true) > self.config.limits.outbound_wanted {
            self.close_saying(id, CloseCode::Full, "only to see whether anybody is here".into());
            return Ok(());
        }
        self.book.keep(id);
        if !greeted {
            self.greet(id, view)?;
        }
        self.gossip.add_conn(id);
        self.wanted.add_conn(id);
        self.hear_state(id, hello.tip, hello.facts);
        let listens = with_port(&address, hello.port).filter(|_| inbound);
        self.meet(node, listens.as_ref());
        self.look_for_twins(id, node);
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
        self.hear_tip(id, tip);
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
            self.status.peers_version += 1;
        }
        self.answer_ping(id, nonce);
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
        self.close_saying(id, code, String::new());
    }

    /// The same, with more to say than the number does.
    pub(super) fn close_saying(&mut self, id: ConnId, code: CloseCode, detail: String) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if conn.phase != Phase::Closing {
            conn.phase = Phase::Closing;
            self.forget_conn(id);
            self.outbox.push_back(Output::Close(id, code, detail));
        }
    }

    pub(super) fn on_closed(
        &mut self,
        id: ConnId,
        code: Option<CloseCode>,
        by_peer: bool,
        reason: &str,
    ) {
        self.forget_conn(id);
        self.revocations.forget(id);
        self.forget_asked(id);
        let Some(conn) = self.conns.remove(id) else {
            return;
        };
        self.book.closed(self.now, id, code.map(|code| (code, by_peer)));
        // The transport found what no correct program sends, before it came to us.
        if code == Some(CloseCode::Misbehavior) && !by_peer && conn.phase != Phase::Closing {
            self.accuse_of(id, Some(conn.node), Misbehavior::Frame);
        }
        let reason = printable(reason, REASON_CHARS_MAX);
        self.note_close(&conn, code, by_peer, &reason);
        if self.stopping {
            // There is no later.
            self.next_save = self.now.instant;
        }
        let event = Event::PeerClosed { node: conn.node, code, by_peer, reason };
        self.outbox.push_back(Output::Event(event));
        self.touch_peers();
    }

    /// No machine counts on this connection any more.
    pub(super) fn forget_conn(&mut self, id: ConnId) {
        for tag in self.requests.remove_conn(id) {
            self.wanted.failed(tag);
            self.bodies.failed(tag);
        }
        self.fail_pings(id);
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
