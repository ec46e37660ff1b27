//! The news of this node: the newest events, numbered, for whoever follows them.
//!
//! Numbers grow by one and start at the wall clock's milliseconds, so that a follower who comes
//! back after a restart sees a gap instead of old numbers with new meanings.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_core::event::Event;
use cairn_core::time::UnixTime;
use tokio::sync::watch;

/// Events kept.
pub const EVENTS_KEPT: usize = 10_000;

/// An event and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its number.
    pub number: u64,
    /// When, by our wall clock.
    pub time: UnixTime,
    /// What happened.
    pub event: Event,
}

/// Some events in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Arc<Numbered>>,
    /// Whether some between the number asked for and the first of these are not kept any more.
    pub gap: bool,
}

#[derive(Debug)]
struct Ring {
    next: u64,
    kept: VecDeque<Arc<Numbered>>,
}

/// The newest events.
#[derive(Debug)]
pub struct EventLog {
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
}

impl EventLog {
    /// Nothing happened yet.
    pub fn new(now: UnixTime) -> Self {
        let next = now.0.max(1);
        let kept = VecDeque::new();
        Self { ring: Mutex::new(Ring { next, kept }), last: watch::Sender::new(next - 1) }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events that happened together and wakes the followers once; the oldest go when there
    /// are more than `EVENTS_KEPT`.
    pub(crate) fn push(&self, time: UnixTime, events: impl IntoIterator<Item = Event>) {
        let mut ring = self.lock();
        let before = ring.next;
        for event in events {
            let number = ring.next;
            ring.next += 1;
            if ring.kept.len() == EVENTS_KEPT {
                ring.kept.pop_front();
            }
            ring.kept.push_back(Arc::new(Numbered { number, time, event }));
        }
        let next = ring.next;
        drop(ring);
        if next > before {
            self.last.send_replace(next - 1);
        }
    }

    /// Up to `max` events with numbers above `after`; all that are kept for 0.
    pub fn since(&self, after: u64, max: usize) -> Page {
        let ring = self.lock();
        let first = ring.kept.front().map_or(ring.next, |event| event.number);
        // A number that was never given is from a run whose clock was ahead.
        let unknown = after >= ring.next;
        let gap = after > 0 && (unknown || after + 1 < first);
        let skip = if gap { 0 } else { (after + 1).saturating_sub(first) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let events = ring.kept.iter().skip(skip).take(max).cloned().collect();
        Page { events, gap }
    }

    /// The number of the newest event; changes wake whoever waits on it.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_core::id::FactId;

    fn log(events: usize) -> EventLog {
        let log = EventLog::new(UnixTime(100));
        for _ in 0..events {
            log.push(UnixTime(5), [Event::FactAdded(FactId::ZERO)]);
        }
        log
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn a_follower_gets_each_event_once_and_in_order() {
        let log = log(5);
        assert_eq!(numbers(&log.since(0, 2)), [100, 101]);
        assert_eq!(numbers(&log.since(101, 9)), [102, 103, 104]);
        assert_eq!(log.since(104, 9), Page { events: vec![], gap: false });
        assert_eq!(*log.last().borrow(), 104);
    }

    #[test]
    fn what_is_not_kept_any_more_is_a_gap() {
        let log = log(EVENTS_KEPT + 3);
        let page = log.since(100, 1);
        assert_eq!((numbers(&page), page.gap), (vec![103], true));
        assert!(!log.since(102, 1).gap);
        assert!(!log.since(0, 1).gap);
    }

    #[test]
    fn numbers_of_another_run_are_a_gap() {
        let log = log(2);
        for other in [50, 102, u64::MAX] {
            let page = log.since(other, 9);
            assert_eq!((numbers(&page), page.gap), (vec![100, 101], true), "{other}");
        }
    }
}
