//! The driver's one queue: events of all connections, and whatever else the driver is told.
//!
//! It is here because its fairness and its bounds belong to the transport. Connections take turns,
//! one event each, so a peer that talks much delays another by one event at a time; within a
//! connection control goes first. What the node's own threads send takes every other turn.
//!
//! Invariants: an event of a connection is queued only by whoever holds room for it (a permit that
//! comes back when the driver takes the event), so every connection's part is bounded; values of the
//! node's own are bounded by `capacity`. The driver is a plain thread, so this is std, not async.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_core::engine::ConnId;
use tokio::sync::OwnedSemaphorePermit;

use crate::event::TransportEvent;

/// A queue for one driver. `capacity` is the number of values from `InboxSender`s that may wait.
pub fn inbox<T>(capacity: usize) -> (InboxSender<T>, Inbox<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            own: VecDeque::new(),
            mailboxes: HashMap::new(),
            ready: VecDeque::new(),
            own_turn: true,
            closed: false,
        }),
        arrived: Condvar::new(),
        room: Condvar::new(),
        capacity,
    });
    (InboxSender(Arc::clone(&shared)), Inbox(shared))
}

/// The driver's end.
#[derive(Debug)]
pub struct Inbox<T>(Arc<Shared<T>>);

/// The end for everybody else in the node; the endpoint gets one too.
#[derive(Debug)]
pub struct InboxSender<T>(Arc<Shared<T>>);

impl<T> Clone for InboxSender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    room: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    own: VecDeque<T>,
    mailboxes: HashMap<ConnId, Mailbox>,
    /// Connections with a mailbox (which is never empty), in the order of their turns.
    ready: VecDeque<ConnId>,
    own_turn: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    urgent: VecDeque<Entry>,
    normal: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    event: TransportEvent,
    _room: Option<OwnedSemaphorePermit>,
}

/// How soon an event of a connection is told, among those of the same connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Urgent,
    Normal,
}

/// Where sessions put their events; hides the driver's type.
pub(crate) trait Sink: Send + Sync {
    /// Queues an event of a connection; `room` is given back when the driver takes it.
    fn put(
        &self,
        conn: ConnId,
        lane: Lane,
        event: TransportEvent,
        room: Option<OwnedSemaphorePermit>,
    );
    /// Queues an event of no connection; there is one for each thing that the driver asked for.
    fn put_own(&self, event: TransportEvent);
    /// Takes queued events of a connection back.
    fn discard(&self, conn: ConnId, unwanted: &dyn Fn(&TransportEvent) -> bool);
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: From<TransportEvent>> State<T> {
    fn pop(&mut self) -> Option<T> {
        if (self.own_turn || self.ready.is_empty())
            && let Some(value) = self.own.pop_front()
        {
            self.own_turn = false;
            return Some(value);
        }
        self.own_turn = true;
        let conn = self.ready.pop_front()?;
        let mailbox = self.mailboxes.get_mut(&conn)?;
        let entry = mailbox.urgent.pop_front().or_else(|| mailbox.normal.pop_front())?;
        if mailbox.urgent.is_empty() && mailbox.normal.is_empty() {
            self.mailboxes.remove(&conn);
        } else {
            self.ready.push_back(conn);
        }
        Some(T::from(entry.event))
    }
}

impl<T: From<TransportEvent>> Inbox<T> {
    /// What comes next, if something waits.
    pub fn try_recv(&self) -> Option<T> {
        let value = self.0.lock().pop();
        self.0.room.notify_one();
        value
    }

    /// What comes next; blocks the thread for at most `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<T> {
        let start = Instant::now();
        let mut state = self.0.lock();
        loop {
            if let Some(value) = state.pop() {
                drop(state);
                self.0.room.notify_one();
                return Some(value);
            }
            let left = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            let waited = self.0.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.room.notify_all();
    }
}

impl<T> InboxSender<T> {
    /// Queues a value of the node's own; gives it back if `capacity` values wait already or the
    /// driver is gone. For async code.
    pub fn try_send(&self, value: T) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.closed || state.own.len() >= self.0.capacity {
            return Err(value);
        }
        state.own.push_back(value);
        self.0.arrived.notify_one();
        Ok(())
    }

    /// The same, but blocks the thread until there is room; gives it back if the driver is gone.
    pub fn send(&self, value: T) -> Result<(), T> {
        let mut state = self.0.lock();
        while !state.closed && state.own.len() >= self.0.capacity {
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(value);
        }
        state.own.push_back(value);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl<T: From<TransportEvent> + Send> Sink for InboxSender<T> {
    fn put(
        &self,
        conn: ConnId,
        lane: Lane,
        event: TransportEvent,
        room: Option<OwnedSemaphorePermit>,
    ) {
        let mut guard = self.0.lock();
        let state = &mut *guard;
        if state.closed {
            return;
        }
        let mailbox = state.mailboxes.entry(conn).or_insert_with(|| {
            state.ready.push_back(conn);
            Mailbox::default()
        });
        let queue = match lane {
            Lane::Urgent => &mut mailbox.urgent,
            Lane::Normal => &mut mailbox.normal,
        };
        queue.push_back(Entry { event, _room: room });
        self.0.arrived.notify_one();
    }

    fn put_own(&self, event: TransportEvent) {
        let mut state = self.0.lock();
        if !state.closed {
            state.own.push_back(T::from(event));
            self.0.arrived.notify_one();
        }
    }

    fn discard(&self, conn: ConnId, unwanted: &dyn Fn(&TransportEvent) -> bool) {
        let mut state = self.0.lock();
        let Some(mailbox) = state.mailboxes.get_mut(&conn) else {
            return;
        };
        mailbox.urgent.retain(|entry| !unwanted(&entry.event));
        mailbox.normal.retain(|entry| !unwanted(&entry.event));
        if mailbox.urgent.is_empty() && mailbox.normal.is_empty() {
            state.mailboxes.remove(&conn);
            state.ready.retain(|ready| *ready != conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransportEvent::{Announce, Control};

    const NONE: Duration = Duration::ZERO;

    #[derive(Debug, PartialEq)]
    enum Told {
        Net(TransportEvent),
        Own(u8),
    }

    impl From<TransportEvent> for Told {
        fn from(event: TransportEvent) -> Self {
            Self::Net(event)
        }
    }

    fn announce(conn: u64, byte: u8) -> TransportEvent {
        Announce { conn: ConnId(conn), bytes: vec![byte] }
    }

    #[test]
    fn connections_take_turns_and_control_goes_first() {
        let (sender, inbox) = inbox::<Told>(1);
        for byte in 0..3 {
            sender.put(ConnId(1), Lane::Normal, announce(1, byte), None);
        }
        sender.put(ConnId(2), Lane::Normal, announce(2, 9), None);
        let control = || Control { conn: ConnId(1), bytes: vec![] };
        sender.put(ConnId(1), Lane::Urgent, control(), None);
        sender.try_send(Told::Own(5)).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| inbox.try_recv()).collect();
        let events = [control(), announce(2, 9), announce(1, 0), announce(1, 1), announce(1, 2)];
        assert_eq!(order[0], Told::Own(5));
        assert!(order[1..].iter().eq(events.map(Told::Net).iter()));
    }

    #[test]
    fn values_of_the_node_wait_for_room_and_every_other_turn_is_theirs() {
        let (sender, inbox) = inbox::<Told>(1);
        sender.try_send(Told::Own(1)).unwrap();
        assert_eq!(sender.try_send(Told::Own(2)), Err(Told::Own(2)));
        let blocked = std::thread::spawn({
            let sender = sender.clone();
            move || sender.send(Told::Own(2))
        });
        assert_eq!(inbox.recv_timeout(Duration::from_secs(10)), Some(Told::Own(1)));
        assert_eq!(inbox.recv_timeout(Duration::from_secs(10)), Some(Told::Own(2)));
        assert_eq!(blocked.join().unwrap(), Ok(()));
        assert_eq!(inbox.recv_timeout(NONE), None);
        drop(inbox);
        assert_eq!(sender.send(Told::Own(3)), Err(Told::Own(3)));
    }

    #[test]
    fn room_comes_back_when_an_event_is_taken_or_discarded() {
        let (sender, inbox) = inbox::<Told>(1);
        let room = Arc::new(tokio::sync::Semaphore::new(2));
        for byte in [1, 2] {
            let permit = Arc::clone(&room).try_acquire_owned().unwrap();
            sender.put(ConnId(1), Lane::Normal, announce(1, byte), Some(permit));
        }
        assert_eq!(room.available_permits(), 0);
        sender.discard(ConnId(1), &|event| *event == announce(1, 2));
        assert_eq!(room.available_permits(), 1);
        assert_eq!(inbox.try_recv(), Some(Told::Net(announce(1, 1))));
        assert_eq!(room.available_permits(), 2);
        assert_eq!(inbox.try_recv(), None);
    }
}
