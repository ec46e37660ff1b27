//! Gossip: telling peers the ids of facts we hold since a moment ago.
//!
//! An announcement is a hint: it may be dropped at any point without harm, because reconciliation
//! finds what was missed. So the queues are short and a full one forgets its oldest ids.
//!
//! The first id after a pause goes out at once; those that follow gather for a moment, so that a
//! lone fact travels without delay and a stream of them costs few announcements.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::conn::ConnId;
use crate::id::FactId;
use crate::limits::IDS_PER_ANNOUNCE;
use crate::time::{Instant, Millis};

/// Ids waiting for one peer at most.
pub const QUEUE_MAX: usize = 16 * IDS_PER_ANNOUNCE;

/// Ids to be announced, per connection.
#[derive(Debug)]
pub struct Gossip {
    queues: BTreeMap<ConnId, VecDeque<FactId>>,
    /// When waiting ids go out though no announcement is full.
    due: Option<Instant>,
    /// Not due before this.
    quiet_until: Instant,
    delay: Millis,
}

impl Gossip {
    /// Leaves `delay` between announcements that are not full.
    pub const fn new(delay: Millis) -> Self {
        Self { queues: BTreeMap::new(), due: None, quiet_until: Instant(0), delay }
    }

    /// A peer that wants to hear.
    pub fn add_conn(&mut self, conn: ConnId) {
        self.queues.entry(conn).or_default();
    }

    /// A peer that is gone.
    pub fn remove_conn(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
    }

    /// We hold this fact; the peers in `except` told us so themselves.
    pub fn announce(&mut self, now: Instant, id: FactId, except: &[ConnId]) {
        for (_, queue) in self.queues.iter_mut().filter(|(conn, _)| !except.contains(conn)) {
            if queue.len() == QUEUE_MAX {
                queue.pop_front();
            }
            queue.push_back(id);
            self.due.get_or_insert(self.quiet_until.max(now));
        }
    }

    /// The next announcement that is due: a full one, or any once the delay is over. Call until
    /// `None`.
    pub fn poll(&mut self, now: Instant) -> Option<(ConnId, Vec<FactId>)> {
        let late = self.due.is_some_and(|due| due <= now);
        let enough = if late { 1 } else { IDS_PER_ANNOUNCE };
        let found = self.queues.iter_mut().find(|(_, queue)| queue.len() >= enough);
        let Some((conn, queue)) = found else {
            if late {
                self.due = None;
                self.quiet_until = now.after(self.delay);
            }
            return None;
        };
        let count = queue.len().min(IDS_PER_ANNOUNCE);
        Some((*conn, queue.drain(..count).collect()))
    }

    /// How many queues there are, and how many ids the longest has.
    #[cfg(any(test, feature = "testing"))]
    pub fn sizes(&self) -> (usize, usize) {
        let longest = self.queues.values().map(VecDeque::len).max();
        (self.queues.len(), longest.unwrap_or_default())
    }

    /// When `poll` should be called at the latest.
    pub const fn timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> FactId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        FactId(bytes)
    }

    #[test]
    fn the_first_id_goes_at_once_and_the_next_wait_for_company_and_skip_who_told_us() {
        let mut gossip = Gossip::new(50);
        gossip.add_conn(ConnId(1));
        gossip.add_conn(ConnId(2));
        gossip.announce(Instant(0), id(0), &[ConnId(2)]);
        assert_eq!(gossip.timeout(), Some(Instant(0)));
        assert_eq!(gossip.poll(Instant(0)), Some((ConnId(1), [id(0)].into())));
        assert_eq!(gossip.poll(Instant(0)), None);
        gossip.announce(Instant(1), id(1), &[ConnId(2)]);
        gossip.announce(Instant(10), id(2), &[]);
        assert_eq!(gossip.poll(Instant(49)), None);
        assert_eq!(gossip.timeout(), Some(Instant(50)));
        assert_eq!(gossip.poll(Instant(50)), Some((ConnId(1), [id(1), id(2)].into())));
        assert_eq!(gossip.poll(Instant(50)), Some((ConnId(2), [id(2)].into())));
        assert_eq!(gossip.poll(Instant(50)), None);
        assert_eq!(gossip.timeout(), None);
        gossip.announce(Instant(200), id(3), &[ConnId(2)]);
        assert_eq!(gossip.timeout(), Some(Instant(200)));
    }

    #[test]
    fn a_full_announcement_goes_at_once_and_a_full_queue_forgets_its_oldest() {
        let mut gossip = Gossip::new(50);
        gossip.add_conn(ConnId(1));
        for n in 0..=QUEUE_MAX {
            gossip.announce(Instant(0), id(n as u16), &[]);
        }
        let (_, ids) = gossip.poll(Instant(0)).unwrap();
        assert_eq!((ids.len(), ids[0]), (IDS_PER_ANNOUNCE, id(1)));
    }
}
