//! Live connections and how far each has got: opened, hello exchanged, accepted, closing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::conn::{ConnId, DialId, PeerAddr};
use crate::id::NodeId;
use crate::time::{Instant, Millis};
use crate::wire::Tip;

/// How far a connection has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer has to say hello before this instant.
    Opened(Instant),
    /// Both said hello, and the peer may ask.
    Accepted,
    /// We asked the transport to close it; whatever still comes is ignored.
    Closing,
}

/// Requests per second and at once; a bucket that refills with time.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    /// In thousandths, so that slow rates refill evenly.
    milli_tokens: u64,
    filled: Instant,
}

impl TokenBucket {
    fn take(&mut self, now: Instant, (rate, burst): (u32, u32)) -> bool {
        let refill = now.since(self.filled).saturating_mul(rate.into());
        let full = u64::from(burst) * 1_000;
        self.milli_tokens = self.milli_tokens.saturating_add(refill).min(full);
        self.filled = now;
        let ok = self.milli_tokens >= 1_000;
        self.milli_tokens -= if ok { 1_000 } else { 0 };
        ok
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    /// Who is at the other end.
    pub(super) node: NodeId,
    /// Where.
    pub(super) address: PeerAddr,
    /// Our attempt, if we dialled.
    pub(super) dial: Option<DialId>,
    /// How far it has got.
    pub(super) phase: Phase,
    /// Whether our hello was sent.
    pub(super) greeted: bool,
    /// UDP port the peer accepts connections on; 0 if none.
    pub(super) port: u16,
    /// The tip the peer last told.
    pub(super) tip: Option<Tip>,
    /// The ping under way: its nonce and when it was sent.
    pub(super) ping: Option<(u64, Instant)>,
    /// When the next ping goes out.
    pub(super) next_ping: Instant,
    /// Round trip of the last ping.
    pub(super) rtt: Option<Millis>,
    /// A request to it was in vain and nothing has come from it since: it may be gone without our
    /// knowing, so others are asked meanwhile.
    pub(super) silent: bool,
    /// Facts and blocks it brought first.
    pub(super) useful: u32,
    /// Requests in a row that it let expire.
    pub(super) stalls: u32,
    requests: TokenBucket,
}

impl Conn {
    /// Whether the peer may ask once more now.
    pub(super) fn may_ask(&mut self, now: Instant, rate: (u32, u32)) -> bool {
        self.requests.take(now, rate)
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Conns {
    all: BTreeMap<ConnId, Conn>,
}

impl Conns {
    /// A new connection, in phase `Opened`.
    pub(super) fn open(
        &mut self,
        now: Instant,
        id: ConnId,
        node: NodeId,
        address: PeerAddr,
        dial: Option<DialId>,
        hello_timeout: Millis,
    ) {
        let conn = Conn {
            node,
            address,
            dial,
            phase: Phase::Opened(now.after(hello_timeout)),
            greeted: false,
            port: 0,
            tip: None,
            ping: None,
            next_ping: now,
            rtt: None,
            silent: false,
            useful: 0,
            stalls: 0,
            requests: TokenBucket { milli_tokens: 50_000, filled: now },
        };
        self.all.insert(id, conn);
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.all.remove(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.all.iter().map(|(id, conn)| (*id, conn))
    }

    /// The accepted connections, in order of their number.
    pub(super) fn accepted(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.iter().filter(|(_, conn)| conn.phase == Phase::Accepted)
    }

    pub(super) fn accepted_ids(&self) -> Vec<ConnId> {
        self.accepted().map(|(id, _)| id).collect()
    }

    /// Those whom it makes sense to ask for something, those first who answer in time.
    pub(super) fn by_promptness(&self) -> Vec<ConnId> {
        let heard = self.accepted().filter(|(_, conn)| !conn.silent);
        let mut conns: Vec<_> = heard.map(|(id, conn)| (conn.stalls, id)).collect();
        conns.sort_unstable();
        conns.into_iter().map(|(_, id)| id).collect()
    }

    pub(super) fn is_accepted(&self, id: ConnId) -> bool {
        self.get(id).is_some_and(|conn| conn.phase == Phase::Accepted)
    }

    /// Nodes there is an accepted connection to.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.accepted().map(|(_, conn)| conn.node).collect()
    }

    /// Accepted connections that we dialled, or that the peer dialled.
    pub(super) fn count(&self, outbound: bool) -> usize {
        self.accepted().filter(|(_, conn)| conn.dial.is_some() == outbound).count()
    }

    /// Connections whose peer has not said hello in time.
    pub(super) fn late(&self, now: Instant) -> Vec<ConnId> {
        let late = |phase| matches!(phase, Phase::Opened(deadline) if deadline <= now);
        self.iter().filter(|(_, conn)| late(conn.phase)).map(|(id, _)| id).collect()
    }

    /// When the next hello is late or the next ping due.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.all
            .values()
            .filter_map(|conn| match conn.phase {
                Phase::Opened(deadline) => Some(deadline),
                Phase::Accepted => Some(conn.next_ping),
                Phase::Closing => None,
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_a_burst_and_then_the_rate() {
        let mut bucket = TokenBucket { milli_tokens: 3_000, filled: Instant(0) };
        let mut taken = |at| (0..10).filter(|_| bucket.take(Instant(at), (2, 3))).count();
        assert_eq!(taken(0), 3);
        assert_eq!(taken(400), 0);
        assert_eq!(taken(500), 1);
        assert_eq!(taken(60_000), 3);
    }
}
