//! Whom to ask for headers: peers whose tip we have not got, one request per peer and two in all.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;

use crate::conn::{ConnId, RequestTag};
use crate::id::BlockId;
use crate::wire::Tip;

/// Header requests in flight in all: one that may stall, one that gets on.
const FLIGHTS_MAX: usize = 2;

#[derive(Debug)]
struct PeerChain {
    /// What the peer last claimed; a hint only.
    tip: Tip,
    asked: Option<RequestTag>,
    /// Asking was no use: wait until it claims another tip.
    settled: bool,
    /// Requests in a row that were of no use.
    fruitless: u32,
    /// The last request got no answer (the peer may not have been ready): try again soon.
    failed: bool,
}

/// What the peers claim and what they were asked.
#[derive(Debug, Default)]
pub struct HeaderSync {
    peers: BTreeMap<ConnId, PeerChain>,
}

impl HeaderSync {
    /// A peer says that this is its tip.
    pub fn claim(&mut self, conn: ConnId, tip: Tip) {
        let new = PeerChain { tip, asked: None, settled: false, fruitless: 0, failed: false };
        let peer = self.peers.entry(conn).or_insert(new);
        if peer.tip != tip {
            peer.tip = tip;
            peer.settled = false;
        }
    }

    /// A peer is gone.
    pub fn remove_conn(&mut self, conn: ConnId) {
        self.peers.remove(&conn);
    }

    /// What a peer last claimed.
    pub fn tip_of(&self, conn: ConnId) -> Option<Tip> {
        self.peers.get(&conn).map(|peer| peer.tip)
    }

    /// A peer to ask now: one whose tip is unknown (by `known`), the most claimed work first. Who
    /// kept us waiting for nothing comes after everybody else, whatever it claims.
    pub fn next(&self, known: impl Fn(&BlockId) -> bool) -> Option<ConnId> {
        if self.peers.values().filter(|peer| peer.asked.is_some()).count() >= FLIGHTS_MAX {
            return None;
        }
        self.peers
            .iter()
            .filter(|(_, peer)| peer.asked.is_none() && !peer.settled && !peer.failed)
            .filter(|(_, peer)| !known(&peer.tip.id))
            .max_by_key(|(_, peer)| (Reverse(peer.fruitless), peer.tip.work))
            .map(|(conn, _)| *conn)
    }

    /// Whether any peer claims a tip that is unknown and worth asking for.
    pub fn behind(&self, known: impl Fn(&BlockId) -> bool) -> bool {
        self.peers.values().any(|peer| !peer.settled && !known(&peer.tip.id))
    }

    /// A request was sent.
    pub fn sent(&mut self, conn: ConnId, tag: RequestTag) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.asked = Some(tag);
        }
    }

    /// The request is over. `useful`: it brought new headers, so asking again may bring more.
    pub fn ended(&mut self, conn: ConnId, tag: RequestTag, useful: bool) {
        if let Some(peer) = self.peers.get_mut(&conn)
            && peer.asked == Some(tag)
        {
            peer.asked = None;
            peer.settled |= !useful;
            peer.fruitless = if useful { 0 } else { peer.fruitless.saturating_add(1) };
        }
    }

    /// The request got no answer. What the peer claims may be true all the same, so it is asked again
    /// after the next `retry`.
    pub fn failed(&mut self, conn: ConnId, tag: RequestTag) {
        if let Some(peer) = self.peers.get_mut(&conn)
            && peer.asked == Some(tag)
        {
            peer.asked = None;
            peer.failed = true;
            peer.fruitless = peer.fruitless.saturating_add(1);
        }
    }

    /// Those who gave no answer may be asked again. The engine calls this now and then.
    pub fn retry(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.failed = false);
    }

    /// Whether `retry` has something to do.
    pub fn is_stuck(&self) -> bool {
        self.peers.values().any(|peer| peer.failed)
    }

    /// Whether this request is the one the peer was asked.
    pub fn is_asked(&self, conn: ConnId, tag: RequestTag) -> bool {
        self.peers.get(&conn).is_some_and(|peer| peer.asked == Some(tag))
    }

    /// Every peer is worth asking again.
    pub fn unsettle(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.settled = false);
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
    fn a_peer_that_was_not_ready_is_asked_again_and_does_not_go_first() {
        let mut sync = HeaderSync::default();
        sync.claim(ConnId(1), tip(9));
        let unknown = |_: &BlockId| false;
        sync.sent(ConnId(1), RequestTag(1));
        sync.failed(ConnId(1), RequestTag(1));
        assert!(sync.is_stuck() && sync.behind(unknown));
        assert_eq!(sync.next(unknown), None, "not at once");
        sync.retry();
        assert_eq!(sync.next(unknown), Some(ConnId(1)));
        sync.claim(ConnId(2), tip(3));
        assert_eq!(sync.next(unknown), Some(ConnId(2)));
    }

    #[test]
    fn the_heaviest_unknown_claim_is_asked_first_and_a_liar_only_once() {
        let mut sync = HeaderSync::default();
        sync.claim(ConnId(1), tip(1));
        sync.claim(ConnId(2), tip(9));
        let unknown = |_: &BlockId| false;
        assert_eq!(sync.next(unknown), Some(ConnId(2)));
        sync.sent(ConnId(2), RequestTag(1));
        assert_eq!(sync.next(unknown), Some(ConnId(1)), "a stalled peer does not block others");
        sync.ended(ConnId(2), RequestTag(1), false);
        assert_eq!(sync.next(unknown), Some(ConnId(1)));
        sync.claim(ConnId(1), tip(3));
        assert_eq!(sync.next(|id| *id == tip(3).id), None);
        sync.claim(ConnId(2), tip(10));
        assert_eq!(sync.next(unknown), Some(ConnId(1)), "after those who kept nobody waiting");
        sync.sent(ConnId(1), RequestTag(2));
        assert_eq!(sync.next(unknown), Some(ConnId(2)), "a new claim is a new chance");
    }
}
