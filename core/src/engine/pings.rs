//! Signs of life that the node's user asks for; each is answered once, by the peer's pong, by the
//! end of the connection or by time.

use alloc::vec::Vec;

use super::{CommandId, Engine, Output, Receipt, Refusal};
use crate::conn::ConnId;
use crate::id::NodeId;
use crate::store::{StoreFault, View};
use crate::time::{Instant, Millis};
use crate::wire::Control;

/// How long a peer may take.
const PATIENCE: Millis = 5_000;
/// Most that wait at a time; the node's user is told that the others got no answer.
const PINGS_MAX: usize = 64;

#[derive(Debug)]
struct Ping {
    command: CommandId,
    node: NodeId,
    conn: ConnId,
    nonce: u64,
    sent: Instant,
}

/// Those that wait for a pong.
#[derive(Debug, Default)]
pub(super) struct Pings {
    waiting: Vec<Ping>,
}

impl Pings {
    /// When the first of them has waited too long.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.waiting.first().map(|ping| ping.sent.after(PATIENCE))
    }
}

impl Engine {
    /// The user asks for a sign of life of a node; none if it is waited for.
    pub(super) fn ping_for(
        &mut self,
        command: CommandId,
        node: NodeId,
        view: &dyn View,
    ) -> Result<Option<Result<Receipt, Refusal>>, StoreFault> {
        let live = self.conns.accepted().find(|(_, conn)| conn.node == node).map(|(id, _)| id);
        let Some(conn) = live else {
            return Ok(Some(Err(Refusal::NotConnected(node))));
        };
        if self.pings.waiting.len() >= PINGS_MAX {
            return Ok(Some(Err(Refusal::NoAnswer(node))));
        }
        self.last_nonce += 1;
        let (nonce, sent) = (self.last_nonce, self.now.instant);
        let (tip, facts) = (self.public_tip(view)?, self.shared_set());
        self.send_control(conn, &Control::Ping { nonce, tip, facts });
        self.pings.waiting.push(Ping { command, node, conn, nonce, sent });
        Ok(None)
    }

    /// A pong came.
    pub(super) fn answer_ping(&mut self, conn: ConnId, nonce: u64) {
        let now = self.now.instant;
        self.end_pings(
            |ping| ping.conn == conn && ping.nonce == nonce,
            |ping| Ok(Receipt::Pong(now.since(ping.sent))),
        );
    }

    /// A connection is over.
    pub(super) fn fail_pings(&mut self, conn: ConnId) {
        self.end_pings(|ping| ping.conn == conn, |ping| Err(Refusal::NoAnswer(ping.node)));
    }

    /// Those that waited too long.
    pub(super) fn expire_pings(&mut self) {
        let now = self.now.instant;
        let late = |ping: &Ping| ping.sent.after(PATIENCE) <= now;
        self.end_pings(late, |ping| Err(Refusal::NoAnswer(ping.node)));
    }

    fn end_pings(
        &mut self,
        ends: impl Fn(&Ping) -> bool,
        answer: impl Fn(&Ping) -> Result<Receipt, Refusal>,
    ) {
        let outbox = &mut self.outbox;
        self.pings.waiting.retain(|ping| {
            let over = ends(ping);
            if over {
                outbox.push_back(Output::Reply(ping.command, answer(ping)));
            }
            !over
        });
    }
}
