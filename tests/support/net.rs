//! The simulated network: dialling, sending and closing.

use cairn_core::engine::{ConnId, DialId, Frame, PeerAddr, StreamTag};
use cairn_core::id::NodeId;
use cairn_core::wire::CloseCode;

use crate::schedule::Happening;
use crate::world::{End, IDLE_TIMEOUT, World, address};

impl World {
    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    pub(crate) fn dial(&mut self, n: usize, dial: DialId, to: &PeerAddr, pin: Option<NodeId>) {
        let target = (0..self.nodes.len()).find(|m| address(*m) == *to);
        let delay = self.between(self.weather.latency) * 2;
        let reachable = target.filter(|m| {
            self.nodes[*m].engine.is_some()
                && !self.is_cut(n, *m)
                && !self.is_cut(*m, n)
                && pin.is_none_or(|pin| pin == self.nodes[*m].key.node_id())
        });
        let Some(m) = reachable else {
            return self.schedule(self.now + delay, n, Happening::DialFailed(dial));
        };
        let (mine, theirs) = (ConnId(self.next_conn + 1), ConnId(self.next_conn + 2));
        self.next_conn += 2;
        let at = self.now + delay;
        self.nodes[n].ends.insert(mine, End { to: m, peer: theirs, busy_until: at });
        self.nodes[m].ends.insert(theirs, End { to: n, peer: mine, busy_until: at });
        let (my_id, their_id) = (self.nodes[n].key.node_id(), self.nodes[m].key.node_id());
        let opened =
            Happening::Opened { conn: mine, node: their_id, address: to.clone(), dial: Some(dial) };
        self.schedule(at, n, opened);
        let from = PeerAddr(format!("n{n}:{}", 40_000 + mine.0 % 20_000));
        let opened = Happening::Opened { conn: theirs, node: my_id, address: from, dial: None };
        self.schedule(at, m, opened);
    }

    pub(crate) fn send(&mut self, n: usize, conn: ConnId, frame: Frame) {
        let Some(end) = self.nodes[n].ends.get(&conn).copied() else {
            return;
        };
        if self.is_cut(n, end.to) {
            return;
        }
        let delay = self.between(self.weather.latency);
        let at = end.busy_until.max(self.now + delay);
        if let Some(end) = self.nodes[n].ends.get_mut(&conn) {
            end.busy_until = at;
        }
        let (m, peer) = (end.to, end.peer);
        let what = match frame {
            Frame::Control(bytes) => Happening::Control(peer, bytes),
            Frame::Announce(_) if self.random.chance(self.weather.announce_loss) => return,
            Frame::Announce(bytes) => Happening::Announce(peer, bytes),
            Frame::Request { tag, class, bytes } => {
                assert!(bytes.len() <= class.request_bytes_max(), "{class:?} request too long");
                let stream = StreamTag(self.nodes[m].next_stream);
                self.nodes[m].next_stream += 1;
                self.nodes[m].streams.insert((peer, stream), tag);
                Happening::Request(peer, stream, class, bytes)
            }
            Frame::Answer { stream, bytes } => {
                let Some(tag) = self.nodes[n].streams.remove(&(conn, stream)) else {
                    return;
                };
                Happening::Answer(peer, tag, bytes)
            }
            Frame::Refuse(stream) => {
                let Some(tag) = self.nodes[n].streams.remove(&(conn, stream)) else {
                    return;
                };
                Happening::NoAnswer(peer, tag)
            }
            Frame::Forget(_) => return,
        };
        self.schedule(at, m, what);
    }

    pub(crate) fn close(&mut self, n: usize, conn: ConnId, code: CloseCode) {
        let Some(end) = self.nodes[n].ends.get(&conn).copied() else {
            return;
        };
        self.schedule(self.now, n, Happening::Closed(conn, Some(code), false));
        let delay = if self.is_cut(n, end.to) { IDLE_TIMEOUT } else { 30 };
        let at = end.busy_until.max(self.now + delay);
        self.schedule(at, end.to, Happening::Closed(end.peer, Some(code), true));
    }
}
