//! Requests in flight: who was asked for what kind of thing, and until when.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::conn::{ConnId, RequestTag};
use crate::time::Instant;
use crate::wire::Class;

#[derive(Debug)]
struct Open {
    conn: ConnId,
    class: Class,
    sent: Instant,
    deadline: Instant,
}

/// Our requests that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: BTreeMap<RequestTag, Open>,
    last: u64,
}

impl Requests {
    /// The tag that the next request will have.
    pub(super) const fn next_tag(&self) -> RequestTag {
        RequestTag(self.last + 1)
    }

    /// A request is sent under `next_tag`.
    pub(super) fn open(&mut self, conn: ConnId, class: Class, sent: Instant, deadline: Instant) {
        self.last += 1;
        self.open.insert(RequestTag(self.last), Open { conn, class, sent, deadline });
    }

    /// A request is over: its class and when it was sent. None if there is no such request on this
    /// connection.
    pub(super) fn close(&mut self, conn: ConnId, tag: RequestTag) -> Option<(Class, Instant)> {
        let open = self.open.get(&tag)?;
        if open.conn != conn {
            return None;
        }
        self.open.remove(&tag).map(|open| (open.class, open.sent))
    }

    /// Requests of a class in flight to one peer.
    pub(super) fn count(&self, conn: ConnId, class: Class) -> usize {
        self.open.values().filter(|open| open.conn == conn && open.class == class).count()
    }

    /// Requests of a class in flight to the peer that has most of them.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn most_open(&self, class: Class) -> usize {
        let conns = self.open.values().map(|open| self.count(open.conn, class));
        conns.max().unwrap_or_default()
    }

    /// A request whose time is up.
    pub(super) fn expired(&self, now: Instant) -> Option<(ConnId, RequestTag)> {
        let late = self.open.iter().find(|(_, open)| open.deadline <= now);
        late.map(|(tag, open)| (open.conn, *tag))
    }

    /// The connection is gone, and its requests with it. Returns them.
    pub(super) fn remove_conn(&mut self, conn: ConnId) -> Vec<RequestTag> {
        let mut gone = Vec::new();
        self.open.retain(|tag, open| {
            if open.conn == conn {
                gone.push(*tag);
            }
            open.conn != conn
        });
        gone
    }

    /// When the first request's time is up.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.open.values().map(|open| open.deadline).min()
    }
}
