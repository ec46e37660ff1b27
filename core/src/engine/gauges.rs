//! How full everything is that must stay bounded, for the simulator: feature `testing`.
//!
//! A bound that nobody looks at is a hope. Each gauge names one structure of the engine, what it
//! holds now and the most it may; who reads them after every input sees the first that is wrong.
//! The outbox is not among them: it is drained after every input. Nor are connections that have not
//! said hello yet (the transport's to bound) and what waits for the disk (the driver's).

use super::{Engine, on_message, orphans};
use crate::chain::EVIDENCE_MAX;
use crate::peer::{BANS_MAX, CLOSES_MAX};
use crate::wire::Class;

/// One bounded structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// What it is.
    pub name: &'static str,
    /// How much it holds: entries, or bytes where the name says so.
    pub held: usize,
    /// The most it may hold.
    pub most: usize,
}

const fn gauge(name: &'static str, held: usize, most: usize) -> Gauge {
    Gauge { name, held, most }
}

impl Engine {
    /// All gauges, handed to `see` one after another.
    pub fn gauges(&self, mut see: impl FnMut(Gauge)) {
        self.gauge_facts(&mut see);
        self.gauge_chain(&mut see);
        self.gauge_peers(&mut see);
    }

    fn gauge_facts(&self, see: &mut impl FnMut(Gauge)) {
        let limits = &self.config.limits;
        see(gauge("mempool facts", self.mempool.len(), limits.mempool_facts));
        see(gauge("mempool bytes", self.mempool.bytes(), limits.mempool_bytes));
        let (facts, bytes) = self.strangers.size();
        see(gauge("strangers facts", facts, limits.strangers_facts));
        see(gauge("strangers bytes", bytes, limits.strangers_bytes));
        see(gauge("strangers released", self.released.len(), limits.strangers_facts));
        let (waiting, given_up, reopened) = self.orphans.sizes();
        // What one input judged is on top until the next input, which is asked for at once.
        let judged = limits.mempool_facts;
        see(gauge("orphans waiting", waiting, orphans::WAITING_MAX + judged));
        see(gauge("orphans given up", given_up, orphans::GIVEN_UP_MAX));
        see(gauge("orphans reopened", reopened, orphans::GIVEN_UP_MAX));
        // What blocks need is remembered always, and bounded by the blocks.
        let needed = self.bodies_most() * self.config.params.block_facts_max as usize;
        let (wants, queue) = self.wanted.sizes();
        see(gauge("wants", wants, limits.wants + needed));
        see(gauge("wants of one peer", queue, limits.wants + needed));
        see(gauge("facts being verified", self.verifying_facts, limits.wants + needed));
        let listed: usize = self.verifying.values().map(|(_, _, count)| count).sum();
        see(gauge("facts being verified, listed", listed, self.verifying_facts));
    }

    /// Bodies asked for at a time; those of peers that are gone since may still be on their way.
    const fn bodies_most(&self) -> usize {
        let limits = &self.config.limits;
        let peers = limits.inbound_max + limits.outbound_max;
        limits.bodies_ahead + on_message::BODIES_BESIDE * peers
    }

    fn gauge_chain(&self, see: &mut impl FnMut(Gauge)) {
        let limits = &self.config.limits;
        // A window that was extended down on purpose holds half as much again.
        let headers = limits.headers_in_memory + limits.headers_in_memory / 2 + 1;
        see(gauge("headers", self.chain.tree.len(), headers));
        see(gauge("equivocations", self.chain.tree.evidence().len(), EVIDENCE_MAX));
        let (bodies, complete, ids) = self.bodies.sizes();
        see(gauge("bodies", bodies, self.bodies_most()));
        see(gauge("complete bodies", complete, headers));
        let one_answer = self.bodies_most() * self.config.params.block_facts_max as usize;
        see(gauge("ids of complete bodies", ids, limits.body_ids_in_memory + one_answer));
    }

    fn gauge_peers(&self, see: &mut impl FnMut(Gauge)) {
        let limits = &self.config.limits;
        let (addresses, unsaved) = self.book.sizes();
        see(gauge("addresses", addresses, limits.addresses_in_all()));
        see(gauge("addresses to be written", unsaved, 2 * limits.addresses_in_all()));
        see(gauge("bans", self.bans.size(), BANS_MAX));
        see(gauge("links that ended", self.closes.size(), CLOSES_MAX));
        see(gauge("links from others", self.conns.count(false), limits.inbound_max));
        see(gauge("links to others", self.conns.count(true), limits.outbound_max));
        let open = self.requests.most_open(Class::Headers);
        see(gauge("requests for headers to one peer", open, 1));
        for class in [Class::Blocks, Class::Facts] {
            let open = self.requests.most_open(class);
            see(gauge("requests of one class to one peer", open, limits.requests_per_peer));
        }
        see(gauge("reconciliations asked", self.requests.most_open(Class::Reconcile), 1));
        // Nothing is remembered of a connection that is gone.
        let conns = self.conns.len();
        let (queues, longest) = self.gossip.sizes();
        see(gauge("announcements for one peer", longest, crate::gossip::QUEUE_MAX));
        see(gauge("queues of announcements", queues, conns));
        see(gauge("sources of facts", self.wanted.sources(), conns));
        see(gauge("peers' chains", self.headers.len(), conns));
        see(gauge("peers' sets", self.schedule.len(), conns));
        see(gauge("branches from below the window", self.chain.branches(), conns));
        see(gauge("farewells", self.revocations.farewells(), conns));
    }
}
