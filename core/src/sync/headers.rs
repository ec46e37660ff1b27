//! Whom to ask for headers: peers whose tip we have not got, one request per peer and two in all.
//!
//! An answer that brings nothing new is no proof that nothing is to be had: the header's time may
//! be ahead of our clock, there may have been no room, the peer may have been busy. So a peer that
//! claims what we lack is asked again, less and less often.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;

use crate::conn::{ConnId, RequestTag};
use crate::id::BlockId;
use crate::time::{Instant, Millis};
use crate::wire::Tip;
use crate::work::Height;

/// Header requests in flight in all: one that may stall, one that gets on.
const FLIGHTS_MAX: usize = 2;
/// First and longest wait before a peer that was asked in vain is asked again.
const RETRY: (Millis, Millis) = (1_000, 60_000);

#[derive(Debug)]
struct PeerChain {
    /// What the peer last claimed; a hint only.
    tip: Tip,
    asked: Option<RequestTag>,
    /// How often asking was no use since it claimed this tip.
    in_vain: u32,
    /// Not asked again before this.
    from: Instant,
    /// Requests in a row that were of no use, whatever it claimed.
    fruitless: u32,
    /// The last header of its chain that it told.
    reached: Option<(Height, BlockId)>,
}

impl PeerChain {
    const fn new(tip: Tip, fruitless: u32) -> Self {
        Self { tip, asked: None, in_vain: 0, from: Instant(0), fruitless, reached: None }
    }

    /// What was asked for in vain may be had now.
    fn renew(&mut self, tip: Tip) {
        let (asked, reached) = (self.asked, self.reached);
        *self = Self { asked, reached, ..Self::new(tip, self.fruitless) };
    }
}

/// What the peers claim and what they were asked.
#[derive(Debug, Default)]
pub struct HeaderSync {
    peers: BTreeMap<ConnId, PeerChain>,
}

impl HeaderSync {
    /// A peer says that this is its tip.
    pub fn claim(&mut self, conn: ConnId, tip: Tip) {
        let peer = self.peers.entry(conn).or_insert(PeerChain::new(tip, 0));
        if peer.tip != tip {
            peer.renew(tip);
        }
    }

    /// Peers that claimed a tip.
    #[cfg(any(test, feature = "testing"))]
    #[allow(clippy::len_without_is_empty, reason = "for a gauge only")]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// A peer is gone.
    pub fn remove_conn(&mut self, conn: ConnId) {
        self.peers.remove(&conn);
    }

    /// What a peer last claimed.
    pub fn tip_of(&self, conn: ConnId) -> Option<Tip> {
        self.peers.get(&conn).map(|peer| peer.tip)
    }

    /// The last header that a peer told: where to ask it on.
    pub fn reached(&self, conn: ConnId) -> Option<(Height, BlockId)> {
        self.peers.get(&conn)?.reached
    }

    /// A peer's headers ended here. Returns whether that is further than before: what it told was
    /// of use though nothing of it is new, and it may be asked on.
    pub fn reach(&mut self, conn: ConnId, last: Option<(Height, BlockId)>) -> bool {
        let Some(peer) = self.peers.get_mut(&conn) else {
            return false;
        };
        let before = core::mem::replace(&mut peer.reached, last);
        let height = |reached: Option<(Height, BlockId)>| reached.map(|(height, _)| height);
        height(last) > height(before)
    }

    /// A peer to ask now: one whose tip is unknown (by `known`), the most claimed work first. Who
    /// kept us waiting for nothing comes after everybody else, whatever it claims.
    pub fn next(&self, now: Instant, known: impl Fn(&BlockId) -> bool) -> Option<ConnId> {
        if self.peers.values().filter(|peer| peer.asked.is_some()).count() >= FLIGHTS_MAX {
            return None;
        }
        self.peers
            .iter()
            .filter(|(_, peer)| peer.asked.is_none() && peer.from <= now && !known(&peer.tip.id))
            .max_by_key(|(_, peer)| (Reverse(peer.fruitless), peer.tip.work))
            .map(|(conn, _)| *conn)
    }

    /// When `next` may have somebody.
    pub fn timeout(&self, known: impl Fn(&BlockId) -> bool) -> Option<Instant> {
        if self.peers.values().filter(|peer| peer.asked.is_some()).count() >= FLIGHTS_MAX {
            return None;
        }
        let waiting = self.peers.values().filter(|p| p.asked.is_none() && !known(&p.tip.id));
        waiting.map(|peer| peer.from).min()
    }

    /// Whether any peer claims a tip that is unknown and was not asked for in vain.
    pub fn behind(&self, known: impl Fn(&BlockId) -> bool) -> bool {
        self.peers.values().any(|peer| peer.in_vain == 0 && !known(&peer.tip.id))
    }

    /// A request was sent.
    pub fn sent(&mut self, conn: ConnId, tag: RequestTag) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.asked = Some(tag);
        }
    }

    /// The request is over. `useful`: it brought new headers, so asking again may bring more.
    pub fn ended(&mut self, now: Instant, conn: ConnId, tag: RequestTag, useful: bool) {
        if let Some(peer) = self.peers.get_mut(&conn)
            && peer.asked == Some(tag)
        {
            peer.asked = None;
            peer.in_vain = if useful { 0 } else { peer.in_vain.saturating_add(1) };
            peer.fruitless = if useful { 0 } else { peer.fruitless.saturating_add(1) };
            let wait = RETRY.0 << peer.in_vain.saturating_sub(1).min(16);
            peer.from = if useful { now } else { now.after(wait.min(RETRY.1)) };
        }
    }

    /// Whether this request is the one the peer was asked.
    pub fn is_asked(&self, conn: ConnId, tag: RequestTag) -> bool {
        self.peers.get(&conn).is_some_and(|peer| peer.asked == Some(tag))
    }

    /// Every peer is worth asking again.
    pub fn unsettle(&mut self) {
        for peer in self.peers.values_mut() {
            peer.renew(peer.tip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Height, Work};

    fn tip(n: u8) -> Tip {
        Tip { height: Height(1), id: BlockId([n; 32]), work: Work::from_u64(n.into()) }
    }

    #[test]
    fn the_heaviest_unknown_claim_is_asked_first_and_a_liar_less_and_less() {
        let mut sync = HeaderSync::default();
        let now = Instant(0);
        sync.claim(ConnId(1), tip(1));
        sync.claim(ConnId(2), tip(9));
        let unknown = |_: &BlockId| false;
        assert_eq!(sync.next(now, unknown), Some(ConnId(2)));
        sync.sent(ConnId(2), RequestTag(1));
        assert_eq!(sync.next(now, unknown), Some(ConnId(1)), "a stalled peer blocks nobody");
        sync.ended(now, ConnId(2), RequestTag(1), false);
        assert_eq!(sync.next(now, unknown), Some(ConnId(1)));
        sync.claim(ConnId(1), tip(3));
        assert_eq!(sync.next(now, |id| *id == tip(3).id), None);
        sync.claim(ConnId(2), tip(10));
        assert_eq!(sync.next(now, unknown), Some(ConnId(1)), "who kept nobody waiting is first");
        sync.sent(ConnId(1), RequestTag(2));
        assert_eq!(sync.next(now, unknown), Some(ConnId(2)), "a new claim is a new chance");
    }

    #[test]
    fn what_was_asked_in_vain_is_asked_again_though_the_claim_stays() {
        let mut sync = HeaderSync::default();
        let (unknown, mut now) = (|_: &BlockId| false, Instant(0));
        let mut waits = alloc::vec::Vec::new();
        for n in 1..9 {
            sync.claim(ConnId(1), tip(1));
            sync.sent(ConnId(1), RequestTag(n));
            sync.ended(now, ConnId(1), RequestTag(n), false);
            assert!(sync.next(now, unknown).is_none() && !sync.behind(unknown));
            let at = sync.timeout(unknown).unwrap();
            waits.push(at.since(now));
            now = at;
            assert_eq!(sync.next(now, unknown), Some(ConnId(1)));
        }
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(sync.timeout(|_| true), None, "known by now");
    }
}
