//! Who may begin a handshake: the cheap questions before the expensive cryptography.
//!
//! Whoever comes here has knocked. Every network (/24 or /48) and all together have a rate of
//! handshakes, charged only when the source address is proven, so that nobody can spend another's
//! rate with forged packets. Under load an address must first be proven by a Retry (RFC 9000, section
//! 8.1.2). Who the peer is, is not asked here; until somebody knows, he has a place that he may lose.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Handshakes of one network.
const OF_A_NETWORK: Rate = Rate { interval: Duration::from_millis(125), burst: 64 };
/// Handshakes of all networks: some milliseconds of a small processor each, so a part of it.
const OF_ALL: Rate = Rate { interval: Duration::from_millis(20), burst: 256 };
/// Networks remembered; further ones are not limited until some are idle.
const NETWORKS_MAX: usize = 1_024;

/// How often something may happen: once per interval in the long run, and so often at once.
struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    fn is_over(&self, due: Instant, now: Instant) -> bool {
        due.saturating_duration_since(now) > self.interval * self.burst
    }

    /// When the next would be due.
    fn after(&self, due: Instant, now: Instant) -> Instant {
        due.max(now) + self.interval
    }
}

/// What to do with a first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Retry,
    Ignore,
}

/// Places for those who may yet turn out to be nobody; whoever comes takes the place of the one who
/// has waited longest. So no number of others keeps one out who needs his place only for a moment.
#[derive(Debug)]
pub(crate) struct Newest<K, V> {
    max: usize,
    places: VecDeque<(K, V)>,
}

impl<K: PartialEq, V> Newest<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, places: VecDeque::new() }
    }

    /// How many places are taken.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Gives a place; who had to go.
    pub(crate) fn add(&mut self, key: K, value: V) -> Option<V> {
        self.places.push_back((key, value));
        let oldest = if self.places.len() > self.max { self.places.pop_front() } else { None };
        oldest.map(|(_, value)| value)
    }

    /// Frees a place.
    pub(crate) fn remove(&mut self, key: &K) {
        self.places.retain(|(other, _)| other != key);
    }
}

/// The rates of all networks; the generic cell rate algorithm (ITU-T I.371), one instant each.
#[derive(Debug)]
pub(crate) struct Gate {
    half_open_max: usize,
    /// When the handshakes counted so far would be due at the long-run rate.
    due: HashMap<IpAddr, Instant>,
    /// The same for all of them together.
    all_due: Instant,
}

impl Gate {
    pub(crate) fn new(half_open_max: usize, now: Instant) -> Self {
        Self { half_open_max, due: HashMap::new(), all_due: now }
    }

    /// Judges a first packet, with `half_open` handshakes under way.
    pub(crate) fn judge(
        &self,
        source: IpAddr,
        proven: bool,
        half_open: usize,
        now: Instant,
    ) -> Verdict {
        let theirs = self.due.get(&network(source));
        let over = OF_ALL.is_over(self.all_due, now)
            || theirs.is_some_and(|due| OF_A_NETWORK.is_over(*due, now));
        if over && !is_local(source) {
            Verdict::Ignore
        } else if !proven && half_open >= self.half_open_max / 4 {
            Verdict::Retry
        } else {
            Verdict::Accept
        }
    }

    /// Counts a handshake from an address that is proven; this machine's own are free.
    pub(crate) fn charge(&mut self, source: IpAddr, now: Instant) {
        if is_local(source) {
            return;
        }
        self.all_due = OF_ALL.after(self.all_due, now);
        if self.due.len() >= NETWORKS_MAX {
            self.due.retain(|_, due| *due > now);
        }
        let network = network(source);
        if self.due.len() < NETWORKS_MAX || self.due.contains_key(&network) {
            let due = self.due.entry(network).or_insert(now);
            *due = OF_A_NETWORK.after(*due, now);
        }
    }
}

fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The /24 or /48 of an address, as its first address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::from((u32::from(v4) & !0xff).to_be_bytes()),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn under_load_addresses_must_be_proven() {
        let now = Instant::now();
        let gate = Gate::new(16, now);
        let a = ip("192.0.2.1");
        assert_eq!(gate.judge(a, false, 3, now), Verdict::Accept);
        assert_eq!(gate.judge(a, false, 4, now), Verdict::Retry);
        assert_eq!(gate.judge(a, true, 16, now), Verdict::Accept);
    }

    #[test]
    fn the_one_who_waited_longest_makes_room() {
        let mut places = Newest::new(2);
        assert_eq!((places.add(1, 'a'), places.add(2, 'b')), (None, None));
        assert_eq!(places.add(3, 'c'), Some('a'));
        places.remove(&2);
        assert_eq!((places.add(4, 'd'), places.len()), (None, 2));
        assert_eq!(places.add(5, 'e'), Some('c'));
    }

    #[test]
    fn a_network_over_its_rate_is_ignored_until_time_passes() {
        let now = Instant::now();
        let mut gate = Gate::new(16, now);
        for _ in 0..=OF_A_NETWORK.burst {
            assert_eq!(gate.judge(ip("192.0.2.1"), true, 0, now), Verdict::Accept);
            gate.charge(ip("192.0.2.1"), now);
        }
        assert_eq!(gate.judge(ip("192.0.2.200"), true, 0, now), Verdict::Ignore);
        assert_eq!(gate.judge(ip("::ffff:192.0.2.7"), true, 0, now), Verdict::Ignore);
        assert_eq!(gate.judge(ip("192.0.3.1"), true, 0, now), Verdict::Accept);
        let later = now + OF_A_NETWORK.interval;
        assert_eq!(gate.judge(ip("192.0.2.1"), true, 0, later), Verdict::Accept);
    }

    #[test]
    fn many_networks_together_are_ignored_until_time_passes_and_this_machine_never() {
        let now = Instant::now();
        let mut gate = Gate::new(16, now);
        for i in 0..=OF_ALL.burst {
            let source = IpAddr::from((0x0a00_0000 | i << 8).to_be_bytes());
            assert_eq!(gate.judge(source, true, 0, now), Verdict::Accept);
            gate.charge(source, now);
        }
        let newcomer = ip("192.0.2.1");
        assert_eq!(gate.judge(newcomer, true, 0, now), Verdict::Ignore);
        assert_eq!(gate.judge(ip("127.0.0.1"), true, 0, now), Verdict::Accept);
        assert_eq!(gate.judge(newcomer, true, 0, now + OF_ALL.interval), Verdict::Accept);
    }

    #[test]
    fn networks_remembered_are_bounded() {
        let now = Instant::now();
        let mut gate = Gate::new(16, now);
        for i in 0..5_000u32 {
            gate.charge(IpAddr::from((0x0a00_0000 | i << 8).to_be_bytes()), now);
        }
        assert_eq!(gate.due.len(), NETWORKS_MAX);
        gate.charge(ip("2001:db8::1"), now + OF_A_NETWORK.interval * 2);
        assert_eq!(gate.due.len(), 1);
        gate.charge(ip("127.0.0.1"), now);
        assert_eq!(gate.due.len(), 1);
    }
}
