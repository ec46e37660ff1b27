//! When to reconcile with whom: with one peer at a time, where summaries differ, less often the
//! less it brings.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;

use crate::conn::ConnId;
use crate::id::FactId;
use crate::time::{Instant, Millis};
use crate::wire::SetSummary;

/// The wait after a session that brought nothing doubles up to this many times.
const DOUBLINGS_MAX: u32 = 5;
/// Between two spans of a sweep, in intervals.
const SWEEP_INTERVALS: u64 = 5;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The summaries differ.
    Differ,
    /// They do not: the span after this id is looked at all the same.
    Sweep(Option<FactId>),
}

#[derive(Debug)]
struct PeerSet {
    /// What the peer last claimed to hold.
    summary: SetSummary,
    /// Not before this.
    from: Instant,
    fruitless: u32,
    /// Whether it was compared with ours since it changed.
    compared: bool,
    /// Number of the last session with it; 0 if there was none.
    last: u64,
    /// Where the sweep of its set has got to, and when it goes on.
    swept: (Option<FactId>, Instant),
}

/// The peers' sets and when to compare.
#[derive(Debug)]
pub struct Schedule {
    peers: BTreeMap<ConnId, PeerSet>,
    active: Option<ConnId>,
    /// Whether the active session began though the summaries agree.
    sweeping: bool,
    interval: Millis,
    sessions: u64,
}

impl Schedule {
    /// After a session that brought nothing, waits `interval` before the next with that peer.
    pub const fn new(interval: Millis) -> Self {
        Self { peers: BTreeMap::new(), active: None, sweeping: false, interval, sessions: 0 }
    }

    /// A peer says that it holds this set.
    pub fn claim(&mut self, now: Instant, conn: ConnId, summary: SetSummary) {
        let swept = (None, now.after(SWEEP_INTERVALS * self.interval));
        let new = PeerSet { summary, from: now, fruitless: 0, compared: false, last: 0, swept };
        let soon = now.after(self.interval / 16);
        let peer = self.peers.entry(conn).or_insert(new);
        if peer.summary != summary {
            // It has something new: that earlier sessions brought nothing says little about it.
            peer.summary = summary;
            peer.compared = false;
            peer.from = peer.from.min(soon);
            peer.fruitless = peer.fruitless.min(1);
        }
    }

    /// Peers that claimed a set.
    #[cfg(any(test, feature = "testing"))]
    #[allow(clippy::len_without_is_empty, reason = "for a gauge only")]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// A peer is gone.
    pub fn remove_conn(&mut self, conn: ConnId) {
        self.peers.remove(&conn);
        if self.active == Some(conn) {
            self.active = None;
        }
    }

    /// Whether some peer's set may hold what ours does not. (One that grows and is smaller than
    /// ours is most likely just behind.)
    pub fn differs(&self, ours: &SetSummary) -> bool {
        self.peers.values().any(|peer| {
            let larger = !peer.compared && peer.summary.count > ours.count;
            peer.summary != *ours && (peer.fruitless == 0 || larger)
        })
    }

    /// Compare with everybody now.
    pub fn hurry(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.from = now;
            peer.fruitless = 0;
        }
    }

    /// With whom a session runs.
    pub const fn active(&self) -> Option<ConnId> {
        self.active
    }

    /// Begins a session if one is due and none runs.
    pub fn begin(&mut self, now: Instant, ours: &SetSummary) -> Option<(ConnId, Purpose)> {
        if self.active.is_some() {
            return None;
        }
        let differ = self.begin_differing(now, ours).map(|conn| (conn, Purpose::Differ));
        differ.or_else(|| self.begin_sweep(now, ours))
    }

    fn begin_sweep(&mut self, now: Instant, ours: &SetSummary) -> Option<(ConnId, Purpose)> {
        let same = self.peers.iter_mut().filter(|(_, peer)| peer.summary == *ours);
        let (conn, peer) = same.min_by_key(|(_, peer)| peer.swept.1)?;
        if peer.swept.1 > now {
            return None;
        }
        peer.swept.1 = now.after(SWEEP_INTERVALS * self.interval);
        self.active = Some(*conn);
        self.sweeping = true;
        Some((*conn, Purpose::Sweep(peer.swept.0)))
    }

    /// The active peer's set was looked at up to this id; from the start again after the end.
    pub fn swept(&mut self, last: Option<FactId>) {
        if let Some(peer) = self.active.and_then(|conn| self.peers.get_mut(&conn)) {
            peer.swept.0 = last;
        }
    }

    fn begin_differing(&mut self, now: Instant, ours: &SetSummary) -> Option<ConnId> {
        // In turn, so that nobody keeps the others waiting by what it claims; of those who have
        // not had one the largest set first, as most likely to bring something.
        let (conn, peer) = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| peer.summary != *ours && peer.from <= now)
            .max_by_key(|(_, peer)| {
                (Reverse(peer.fruitless), Reverse(peer.last), peer.summary.count)
            })?;
        self.sessions += 1;
        peer.last = self.sessions;
        self.active = Some(*conn);
        self.sweeping = false;
        self.active
    }

    /// The session is over; `found` facts that we lacked.
    pub fn ended(&mut self, now: Instant, found: usize) {
        let Some(peer) = self.active.take().and_then(|conn| self.peers.get_mut(&conn)) else {
            return;
        };
        // That a sweep found nothing is what it should do.
        if self.sweeping && found == 0 {
            return;
        }
        peer.compared = true;
        peer.fruitless = if found > 0 { 0 } else { (peer.fruitless + 1).min(DOUBLINGS_MAX + 1) };
        let wait = match peer.fruitless {
            // What was found is still on its way; look again when it is here.
            0 => self.interval / 16,
            n => self.interval << (n - 1),
        };
        peer.from = now.after(wait);
    }

    /// The session ended without an answer. The first time it is tried again soon, because a peer
    /// that is just being greeted may not have been ready.
    pub fn failed(&mut self, now: Instant) {
        let conn = self.active;
        let first = conn
            .and_then(|conn| self.peers.get(&conn))
            .is_some_and(|peer| peer.fruitless == 0 && !self.sweeping);
        self.ended(now, 0);
        if let Some(peer) = conn.and_then(|conn| self.peers.get_mut(&conn)).filter(|_| first) {
            peer.from = now.after(self.interval / 16);
        }
    }

    /// When `begin` may have something to do.
    pub fn timeout(&self, ours: &SetSummary) -> Option<Instant> {
        if self.active.is_some() {
            return None;
        }
        let due = |peer: &PeerSet| {
            if peer.summary == *ours { peer.swept.1 } else { peer.from }
        };
        self.peers.values().map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: u64) -> SetSummary {
        SetSummary { count, sum: [0; 32] }
    }

    /// With whom a session begins because its set differs.
    fn begin(schedule: &mut Schedule, now: u64, ours: u64) -> Option<u64> {
        match schedule.begin(Instant(now), &set(ours)) {
            Some((conn, Purpose::Differ)) => Some(conn.0),
            Some((_, Purpose::Sweep(_))) => panic!("no sweep is due yet"),
            None => None,
        }
    }

    #[test]
    fn equal_sets_are_swept_span_by_span_and_round_again() {
        let (mut schedule, ours) = (Schedule::new(1_000), set(5));
        schedule.claim(Instant(0), ConnId(1), ours);
        let mut at = Instant(0);
        for last in [Some(FactId([3; 32])), Some(FactId([9; 32])), None, Some(FactId([3; 32]))] {
            at = at.after(5_000);
            assert_eq!(schedule.timeout(&ours), Some(at));
            let before = schedule.peers[&ConnId(1)].swept.0;
            let begun = schedule.begin(at, &ours);
            assert_eq!(begun, Some((ConnId(1), Purpose::Sweep(before))));
            schedule.swept(last);
            schedule.ended(at, 0);
            assert_eq!(schedule.begin(at, &ours), None);
            assert!(!schedule.differs(&ours));
        }
        schedule.claim(at, ConnId(1), set(6));
        assert!(schedule.differs(&ours), "sweeps say nothing of sums that differ");
    }

    #[test]
    fn equal_sets_are_left_alone_and_the_largest_goes_first() {
        let mut schedule = Schedule::new(1_000);
        schedule.claim(Instant(0), ConnId(1), set(5));
        schedule.claim(Instant(0), ConnId(2), set(3));
        schedule.claim(Instant(0), ConnId(3), set(9));
        assert_eq!(begin(&mut schedule, 0, 5), Some(3));
        assert_eq!(begin(&mut schedule, 0, 5), None, "one at a time");
        schedule.ended(Instant(0), 4);
        assert_eq!(begin(&mut schedule, 0, 5), Some(2));
        schedule.remove_conn(ConnId(2));
        assert_eq!(begin(&mut schedule, 0, 5), None);
        assert_eq!(schedule.timeout(&set(5)), Some(Instant(62)));
    }

    #[test]
    fn a_peer_that_was_not_ready_is_asked_again_soon_but_not_for_ever() {
        let mut schedule = Schedule::new(1_600);
        schedule.claim(Instant(0), ConnId(1), set(5));
        for (at, next) in [(0, 100), (100, 3_300)] {
            begin(&mut schedule, at, 1).unwrap();
            schedule.failed(Instant(at));
            assert_eq!(schedule.timeout(&set(1)), Some(Instant(next)));
        }
    }

    #[test]
    fn a_peer_that_brings_nothing_is_asked_less_and_less() {
        let mut schedule = Schedule::new(1_000);
        schedule.claim(Instant(0), ConnId(1), set(5));
        let mut waits = alloc::vec::Vec::new();
        let mut now = Instant(0);
        for _ in 0..8 {
            begin(&mut schedule, now.0, 1).unwrap();
            schedule.ended(now, 0);
            let next = schedule.timeout(&set(1)).unwrap();
            waits.push(next.since(now));
            now = next;
        }
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000]);
        begin(&mut schedule, now.0, 1).unwrap();
        schedule.ended(now, 0);
        assert!(!schedule.differs(&set(1)));
        schedule.claim(now, ConnId(1), set(6));
        assert!(schedule.differs(&set(1)) && !schedule.differs(&set(7)));
        assert_eq!(schedule.timeout(&set(1)), Some(now.after(62)), "news is worth another look");
        schedule.hurry(now);
        assert_eq!(schedule.timeout(&set(1)), Some(now));
    }
}
