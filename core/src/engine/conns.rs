//! Live connections and how far each has got: opened, hello exchanged, accepted, closing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::conn::{ConnId, DialId, PeerAddr};
use crate::id::NodeId;
use crate::time::{Instant, Millis, UnixTime};
use crate::wire::{Class, Run, Tip};

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

/// So much per second and at once; a bucket that refills with time.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    /// In thousandths, so that slow rates refill evenly.
    milli_tokens: u64,
    filled: Instant,
}

impl TokenBucket {
    /// A full one.
    const fn new(now: Instant) -> Self {
        Self { milli_tokens: u64::MAX, filled: now }
    }

    fn take(&mut self, now: Instant, cost: u64, (rate, burst): (u32, u32)) -> bool {
        let refill = now.since(self.filled).saturating_mul(rate.into());
        let full = u64::from(burst) * 1_000;
        self.milli_tokens = self.milli_tokens.saturating_add(refill).min(full);
        self.filled = now;
        let cost = cost.saturating_mul(1_000);
        let ok = self.milli_tokens >= cost;
        self.milli_tokens -= if ok { cost } else { 0 };
        ok
    }
}

/// How long a peer takes to answer requests of one class: smoothed mean and deviation as TCP keeps
/// them of the round trip (RFC 6298, section 2).
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    mean: Option<Millis>,
    deviation: Millis,
}

impl Pace {
    fn note(&mut self, took: Millis) {
        (self.mean, self.deviation) = match self.mean {
            None => (Some(took), took / 2),
            Some(mean) => {
                let deviation = (3 * self.deviation + took.abs_diff(mean)) / 4;
                (Some((7 * mean + took) / 8), deviation)
            }
        };
    }

    /// How long to wait for the next answer; longer after each that was late, so that nobody is too
    /// slow for ever.
    fn patience(&self, stalls: u32, longest: Millis) -> Millis {
        let usual = |mean: Millis| mean.saturating_add(4 * self.deviation).max(PATIENCE_MIN);
        let patience = self.mean.map_or(longest, usual);
        patience.saturating_mul(1 << stalls.min(16)).min(longest)
    }
}

/// No answer is late before this.
const PATIENCE_MIN: Millis = 2_000;

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    /// Who is at the other end.
    pub(super) node: NodeId,
    /// Where.
    pub(super) address: PeerAddr,
    /// Our attempt, if we dialled.
    pub(super) dial: Option<DialId>,
    /// The key exchange that was agreed on.
    pub(super) key_exchange: &'static str,
    /// Since when it is up.
    pub(super) since: Instant,
    /// Whether it was ever accepted.
    pub(super) welcome: bool,
    /// How far it has got.
    pub(super) phase: Phase,
    /// Whether our hello was sent.
    pub(super) greeted: bool,
    /// UDP port the peer accepts connections on; 0 if none.
    pub(super) port: u16,
    /// Which start of the peer it is, as its hello said.
    pub(super) run: Run,
    /// The peer has a newer link: this one is closed then, unless something comes.
    pub(super) doubted: Option<Instant>,
    /// The tip the peer last told.
    pub(super) tip: Option<Tip>,
    /// The ping under way: its nonce and when it was sent.
    pub(super) ping: Option<(u64, Instant)>,
    /// When the next ping goes out.
    pub(super) next_ping: Instant,
    /// When it may be called back next.
    pub(super) next_call: Instant,
    /// Round trip of the last ping.
    pub(super) rtt: Option<Millis>,
    /// A request to it was in vain and nothing has come from it since: it may be gone without our
    /// knowing, so others are asked meanwhile.
    pub(super) silent: bool,
    /// Facts and headers it brought first.
    pub(super) useful: u32,
    /// Requests that it let expire, half of it forgiven with each answer.
    pub(super) stalls: u32,
    /// Its lease is over as far as we know, but it claims more of the chain: it is heard, not served,
    /// until we have seen that.
    pub(super) on_trial: bool,
    /// Its wall clock and when it told us.
    pub(super) clock: (UnixTime, Instant),
    /// What it may still do, by class.
    buckets: [TokenBucket; Class::ALL.len()],
    /// How fast it answers, by class.
    paces: [Pace; Class::ALL.len()],
}

impl Conn {
    /// In phase `Opened`: the peer has so long to say hello.
    pub(super) fn opened(
        now: Instant,
        node: NodeId,
        address: PeerAddr,
        dial: Option<DialId>,
        key_exchange: &'static str,
        hello_timeout: Millis,
    ) -> Self {
        Self {
            node,
            address,
            dial,
            key_exchange,
            since: now,
            welcome: false,
            phase: Phase::Opened(now.after(hello_timeout)),
            greeted: false,
            port: 0,
            run: Run([0; 16]),
            doubted: None,
            tip: None,
            ping: None,
            next_ping: now,
            next_call: now,
            rtt: None,
            silent: false,
            useful: 0,
            stalls: 0,
            on_trial: false,
            clock: (UnixTime::default(), now),
            buckets: [TokenBucket::new(now); Class::ALL.len()],
            paces: [Pace::default(); Class::ALL.len()],
        }
    }

    /// Whether the peer may do something of this cost now.
    pub(super) fn may(&mut self, now: Instant, class: Class, cost: u64, rate: (u32, u32)) -> bool {
        self.buckets[class as usize].take(now, cost, rate)
    }

    /// It answered a request after so long.
    pub(super) fn answered(&mut self, class: Class, took: Millis) {
        self.stalls /= 2;
        self.paces[class as usize].note(took);
    }

    /// How long to wait for an answer.
    pub(super) fn patience(&self, class: Class, longest: Millis) -> Millis {
        self.paces[class as usize].patience(self.stalls, longest)
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Conns {
    all: BTreeMap<ConnId, Conn>,
}

impl Conns {
    /// A new connection.
    pub(super) fn open(&mut self, id: ConnId, conn: Conn) {
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

    /// How many there are, in any phase.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The accepted connections, in order of their number.
    pub(super) fn accepted(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.iter().filter(|(_, conn)| conn.phase == Phase::Accepted)
    }

    pub(super) fn accepted_ids(&self) -> Vec<ConnId> {
        self.accepted().map(|(id, _)| id).collect()
    }

    /// Those whom it makes sense to ask for something, those first who answer in time: how many
    /// requests they let expire, and who.
    pub(super) fn by_promptness(&self) -> Vec<(u32, ConnId)> {
        let heard = self.accepted().filter(|(_, conn)| !conn.silent);
        let mut conns: Vec<_> = heard.map(|(id, conn)| (conn.stalls, id)).collect();
        conns.sort_unstable();
        conns
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

    /// What the clock shows that is in the middle among the peers' (the lower of two), each as it
    /// was told and the time since. A clock that shows less than `earliest` is none.
    pub(super) fn median_clock(&self, now: Instant, earliest: UnixTime) -> Option<UnixTime> {
        let clocks = self.accepted().map(|(_, conn)| conn.clock.0.after(now.since(conn.clock.1)));
        let mut clocks: Vec<UnixTime> = clocks.filter(|clock| *clock >= earliest).collect();
        clocks.sort_unstable();
        clocks.get(clocks.len().checked_sub(1)? / 2).copied()
    }

    /// Connections whose peer has not said hello in time.
    pub(super) fn late(&self, now: Instant) -> Vec<ConnId> {
        let late = |phase| matches!(phase, Phase::Opened(deadline) if deadline <= now);
        self.iter().filter(|(_, conn)| late(conn.phase)).map(|(id, _)| id).collect()
    }

    /// When the next hello is late, the next ping due, or the next doubted link to be closed.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.all
            .values()
            .filter_map(|conn| match conn.phase {
                Phase::Opened(deadline) => Some(deadline),
                Phase::Accepted => {
                    Some(conn.doubted.map_or(conn.next_ping, |at| at.min(conn.next_ping)))
                }
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
        let mut bucket = TokenBucket::new(Instant(0));
        let mut taken = |at| (0..10).filter(|_| bucket.take(Instant(at), 1, (2, 3))).count();
        assert_eq!(taken(0), 3);
        assert_eq!(taken(400), 0);
        assert_eq!(taken(500), 1);
        assert_eq!(taken(60_000), 3);
        assert!(!bucket.take(Instant(61_000), 4, (2, 3)), "more than it ever holds");
        assert!(bucket.take(Instant(61_000), 2, (2, 3)));
    }

    #[test]
    fn patience_follows_the_peers_pace_and_grows_until_it_is_the_longest() {
        let mut pace = Pace::default();
        assert_eq!(pace.patience(0, 10_000), 10_000, "nothing is known of it yet");
        pace.note(40);
        assert_eq!(pace.patience(0, 10_000), PATIENCE_MIN);
        let waits = [1, 2, 3, 40].map(|stalls| pace.patience(stalls, 10_000));
        assert_eq!(waits, [4_000, 8_000, 10_000, 10_000]);
        (0..40).for_each(|_| pace.note(3_000));
        let patience = pace.patience(0, 10_000);
        assert!((3_000..4_000).contains(&patience), "{patience}");
        assert_eq!(pace.patience(0, 500), 500);
    }
}
