//! The simulated network: dialling, sending and closing.

use cairn_core::engine::{ConnId, DialId, Frame, PeerAddr, StreamTag};
use cairn_core::id::NodeId;
use cairn_core::time::Millis;
use cairn_core::wire::{Announce, Class, CloseCode, Control};

use crate::checkers;
use crate::schedule::Happening;
use crate::world::{End, IDLE_TIMEOUT, World, address};

/// Least time after which a lost packet is sent again.
const RETRANSMIT: Millis = 200;

/// The node that listens at an address.
fn listener(to: &PeerAddr) -> Option<usize> {
    to.0.strip_prefix('n')?.strip_suffix(":7071")?.parse().ok()
}

fn bytes_of(frame: &Frame) -> &[u8] {
    match frame {
        Frame::Control(bytes)
        | Frame::Announce(bytes)
        | Frame::Request { bytes, .. }
        | Frame::Answer { bytes, .. } => bytes,
        Frame::Refuse(_) | Frame::Forget(_) => &[],
    }
}

impl World {
    fn is_cut(&self, from: usize, to: usize) -> bool {
        !self.cut.is_empty() && self.cut.contains_key(&(from, to))
    }

    /// The time that a packet takes, with what it costs to lose it.
    fn delay(&mut self) -> Millis {
        let mut delay = self.between(self.weather.latency);
        let mut again = RETRANSMIT + 2 * self.weather.latency.1;
        while self.weather.loss > 0 && again < IDLE_TIMEOUT && self.random.chance(self.weather.loss)
        {
            self.fault("packet lost");
            delay += again;
            again *= 2;
        }
        delay
    }

    pub(crate) fn dial(&mut self, n: usize, dial: DialId, to: &PeerAddr, pin: Option<NodeId>) {
        let target = listener(to).filter(|m| *m < self.nodes.len() && address(*m) == *to);
        if let Some(m) = target {
            *self.dials.entry((n, m)).or_default() += 1;
        }
        let delay = self.delay() * 2;
        let reachable = target.filter(|m| {
            let node = &self.nodes[*m];
            node.engine.is_some()
                && node.asleep_until <= self.now
                && !self.is_cut(n, *m)
                && !self.is_cut(*m, n)
                && pin.is_none_or(|pin| pin == node.id())
        });
        let Some(m) = reachable else {
            return self.schedule(self.now + delay, n, Happening::DialFailed(dial));
        };
        let (mine, theirs) = (ConnId(self.next_conn + 1), ConnId(self.next_conn + 2));
        self.next_conn += 2;
        let at = self.now + delay;
        let end = |to, peer| End {
            to,
            peer,
            opened_at: at,
            control_at: at,
            announce_at: at,
            line_free: at,
            dismissed: false,
        };
        self.nodes[n].ends.insert(mine, end(m, theirs));
        self.nodes[m].ends.insert(theirs, end(n, mine));
        let (my_id, their_id) = (self.nodes[n].id(), self.nodes[m].id());
        let opened =
            Happening::Opened { conn: mine, node: their_id, address: to.clone(), dial: Some(dial) };
        self.schedule(at, n, opened);
        let from = PeerAddr(format!("n{n}:{}", 40_000 + mine.0 % 20_000));
        let opened = Happening::Opened { conn: theirs, node: my_id, address: from, dial: None };
        self.schedule(at, m, opened);
    }

    /// A frame of an honest node leaves it.
    pub(crate) fn send(&mut self, n: usize, conn: ConnId, frame: Frame) {
        let Some(mut end) = self.nodes[n].ends.get(&conn).copied() else {
            return;
        };
        if self.is_cut(n, end.to) {
            return self.stalled.push((n, conn, frame));
        }
        if let Frame::Announce(_) = frame
            && self.random.chance(self.weather.announce_loss)
        {
            return self.fault("announcement dropped");
        }
        let length = bytes_of(&frame).len() as u64;
        self.nodes[n].traffic.sent += length;
        // What is sent before the other end knows of the connection arrives right after.
        end.line_free = end.line_free.max(self.now);
        end.line_free += length.checked_div(self.weather.bandwidth).unwrap_or(0);
        let mut at = end.line_free + self.delay();
        match frame {
            Frame::Control(_) => {
                at = at.max(end.control_at);
                end.control_at = at;
            }
            Frame::Announce(_) => {
                at = at.max(end.announce_at);
                end.announce_at = at;
            }
            _ => {}
        }
        self.nodes[n].ends.insert(conn, end);
        if let Some(what) = self.carry(n, conn, end, frame) {
            let to = if matches!(what, Happening::NoAnswer(mine, _) if mine == conn) {
                n
            } else {
                end.to
            };
            self.schedule(at, to, what);
        }
    }

    /// What a frame becomes at the other end, or at this one if it cannot be sent.
    fn carry(&mut self, n: usize, conn: ConnId, end: End, frame: Frame) -> Option<Happening> {
        let (m, peer) = (end.to, end.peer);
        match frame {
            Frame::Control(bytes) => {
                if let Ok(Control::Revoked { .. }) = cairn_core::codec::decode(&bytes, bytes.len())
                    && let Some(end) = self.nodes[m].ends.get_mut(&peer)
                {
                    end.dismissed = true;
                }
                Some(Happening::Control(peer, bytes))
            }
            Frame::Announce(bytes) => {
                if let Ok(Announce::Block(tip)) = cairn_core::codec::decode(&bytes, bytes.len()) {
                    self.check_own_block(n, &tip);
                }
                Some(Happening::Announce(peer, bytes))
            }
            Frame::Request { tag, class, bytes } => {
                assert!(bytes.len() <= class.request_bytes_max(), "{class:?} request too long");
                if self.random.chance(self.weather.request_loss) {
                    self.fault("request failed");
                    return Some(Happening::NoAnswer(conn, tag));
                }
                let stream = StreamTag(self.nodes[m].next_stream);
                self.nodes[m].next_stream += 1;
                self.nodes[m].streams.insert((peer, stream), (tag, class));
                Some(Happening::Request(peer, stream, class, bytes))
            }
            Frame::Answer { stream, bytes } => {
                let (tag, class) = self.nodes[n].streams.remove(&(conn, stream))?;
                assert!(bytes.len() <= class.answer_bytes_max(), "{class:?} answer too long");
                Some(Happening::Answer(peer, tag, bytes))
            }
            Frame::Refuse(stream) => {
                let (tag, _) = self.nodes[n].streams.remove(&(conn, stream))?;
                Some(Happening::NoAnswer(peer, tag))
            }
            Frame::Forget(_) => None,
        }
    }

    /// Requests of one class that a peer has open on a connection of this node.
    pub(crate) fn open_streams(&self, n: usize, conn: ConnId, class: Class) -> usize {
        let all = (conn, StreamTag(0))..=(conn, StreamTag(u64::MAX));
        self.nodes[n].streams.range(all).filter(|(_, (_, other))| *other == class).count()
    }

    pub(crate) fn close(&mut self, n: usize, conn: ConnId, code: CloseCode, detail: &str) {
        let Some(end) = self.nodes[n].ends.get(&conn).copied() else {
            return;
        };
        let wrong = checkers::wrong_close(self, n, &end, code);
        assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
        let text = code.text(detail);
        let closed = Happening::Closed(conn, Some(code), false, text.clone());
        self.schedule(self.now, n, closed);
        let what = if self.is_cut(n, end.to) {
            (IDLE_TIMEOUT, Happening::lost(end.peer))
        } else {
            (self.delay(), Happening::Closed(end.peer, Some(code), true, text))
        };
        let at = end.line_free.max(self.now) + what.0;
        self.schedule(at, end.to, what.1);
    }
}
