//! Can others connect to this node? Only others can tell: some peers are asked to call back, from a
//! port of theirs that no packet of ours has opened a way for.
//!
//! A call back goes only to the address that the asker's connection comes from (which its handshake
//! proved), at the port that its hello names, and expects the asker's key there. So nobody can be
//! sent to a third party; and calls are few, so that nobody can be made busy by them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::on_conn::with_port;
use super::{Engine, Output};
use crate::conn::{CallId, ConnId, PeerAddr};
use crate::time::{Instant, Millis};
use crate::wire::{CallOutcome, Control};

/// Peers asked at a time.
const ASKED_MAX: usize = 3;
/// Between two calls back, whoever asked.
const CALL_INTERVAL: Millis = 1_000;
/// Between two calls back for one connection.
const CALL_INTERVAL_OF_ONE: Millis = 10_000;
/// Calls back under way.
const CALLS_MAX: usize = 8;

/// What peers found that were asked to call back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Grows with each time that peers are asked.
    pub round: u64,
    /// Peers that were asked and have not answered yet.
    pub waiting: usize,
    /// What the others found: where they called, as far as their connection shows it, and what came
    /// of it.
    pub outcomes: Vec<(PeerAddr, CallOutcome)>,
}

/// Both sides of calling back.
#[derive(Debug, Default)]
pub(super) struct Reaching {
    /// Peers asked in this round, with what they echo.
    asked: BTreeMap<ConnId, u64>,
    round: u64,
    outcomes: Vec<(PeerAddr, CallOutcome)>,
    /// Calls under way for others, with what to echo.
    calls: BTreeMap<CallId, (ConnId, u64)>,
    last_call: u64,
    next_call: Instant,
}

impl Reaching {
    /// What is shown of it.
    pub(super) fn shown(&self) -> Reach {
        let (round, waiting) = (self.round, self.asked.len());
        Reach { round, waiting, outcomes: self.outcomes.clone() }
    }
}

impl Engine {
    /// Asks some peers to call back, those first that this node dialled: they are elsewhere.
    pub(super) fn check_reach(&mut self) {
        let mut conns: Vec<(bool, ConnId)> =
            self.conns.accepted().map(|(id, conn)| (conn.dial.is_none(), id)).collect();
        conns.sort_unstable();
        self.reaching.round += 1;
        self.reaching.asked.clear();
        self.reaching.outcomes.clear();
        for (_, conn) in conns.into_iter().take(ASKED_MAX) {
            self.last_nonce += 1;
            let nonce = self.last_nonce;
            self.reaching.asked.insert(conn, nonce);
            self.send_control(conn, &Control::CallBack { nonce });
        }
        self.status.reach = self.reaching.shown();
    }

    /// A peer says what came of calling back. Whatever was not asked for is of no interest.
    pub(super) fn on_called_back(&mut self, conn: ConnId, nonce: u64, outcome: CallOutcome) {
        if self.reaching.asked.get(&conn) == Some(&nonce)
            && let Some(peer) = self.conns.get(conn)
        {
            self.reaching.outcomes.push((peer.address.clone(), outcome));
            self.forget_asked(conn);
        }
    }

    /// A peer that was asked has answered, or its connection is gone.
    pub(super) fn forget_asked(&mut self, conn: ConnId) {
        if self.reaching.asked.remove(&conn).is_some() {
            self.status.reach = self.reaching.shown();
        }
    }

    /// A peer wants to be called back.
    pub(super) fn on_call_back(&mut self, id: ConnId, nonce: u64) {
        let now = self.now.instant;
        let idle = now >= self.reaching.next_call && self.reaching.calls.len() < CALLS_MAX;
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let Some(address) = with_port(&conn.address, conn.port) else {
            let outcome = CallOutcome::Unreached;
            return self.send_control(id, &Control::CalledBack { nonce, outcome });
        };
        if !idle || now < conn.next_call {
            let outcome = CallOutcome::Busy;
            return self.send_control(id, &Control::CalledBack { nonce, outcome });
        }
        conn.next_call = now.after(CALL_INTERVAL_OF_ONE);
        let node = conn.node;
        self.reaching.next_call = now.after(CALL_INTERVAL);
        self.reaching.last_call += 1;
        let call = CallId(self.reaching.last_call);
        self.reaching.calls.insert(call, (id, nonce));
        self.outbox.push_back(Output::CallBack(call, address, node));
    }

    /// What came of a call of ours.
    pub(super) fn on_call_over(&mut self, call: CallId, reached: bool) {
        if let Some((conn, nonce)) = self.reaching.calls.remove(&call)
            && self.conns.is_accepted(conn)
        {
            let outcome = if reached { CallOutcome::Reached } else { CallOutcome::Unreached };
            self.send_control(conn, &Control::CalledBack { nonce, outcome });
        }
    }
}
