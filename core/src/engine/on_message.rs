//! Announcements, and answers to what we asked.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{ActiveSession, Engine, Frame, Output};
use crate::block::BodyReject;
use crate::chain::locator;
use crate::codec;
use crate::conn::{ConnId, RequestTag};
use crate::id::{BlockId, FactId};
use crate::ledger::read::Read;
use crate::limits::{
    BLOCKS_ANSWER_BYTES, FACTS_PER_REQUEST, HEADERS_PER_ANSWER, IDS_PER_ANNOUNCE, LOCATOR_IDS,
};
use crate::peer::Misbehavior;
use crate::reconcile::{Purpose, Session, Step, holds};
use crate::store::{StoreFault, View};
use crate::sync::Turn;
use crate::time::{Instant, Millis};
use crate::wire::{
    Announce, BlocksAnswer, BlocksRequest, Class, FactsRequest, HeadersAnswer, HeadersRequest,
    PeersAnswer, ReconcileAnswer,
};

/// What an announcement costs of its rate besides its ids, in ids.
const ANNOUNCE_COST: u64 = 32;

/// Nothing new for this long means that gossip has stopped.
const QUIET: Millis = 2_000;

/// A reconciliation that waits this long for the facts it found is given up.
const STUCK: Millis = 30_000;

/// A reconciliation that is due waits at most this long for gossip to stop.
const PATIENCE: Millis = 10_000;

/// Bodies fetched towards the tip of each peer while the best chain cannot be followed to its end.
pub(super) const BODIES_BESIDE: usize = 8;

impl Engine {
    pub(super) fn on_announce(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        if !self.may(conn, Class::Announce, ANNOUNCE_COST + bytes.len() as u64 / 32) {
            return Ok(());
        }
        match codec::decode::<Announce>(bytes, Class::Announce.request_bytes_max()) {
            Ok(Announce::Block(tip)) => {
                if let Some(peer) = self.conns.get_mut(conn) {
                    peer.tip = Some(tip);
                }
                self.hear_tip(conn, tip);
            }
            Ok(Announce::Facts(ids)) if ids.len() <= IDS_PER_ANNOUNCE => {
                self.announces_received += 1;
                // Without room, what is missing is found by a reconciliation later.
                if !self.read_only {
                    self.want_missing(conn, &ids, view)?;
                }
            }
            _ => self.accuse(conn, Misbehavior::Message(Class::Announce)),
        }
        Ok(())
    }

    /// Wants those of a peer's facts that we lack. Returns how many.
    fn want_missing(
        &mut self,
        conn: ConnId,
        ids: &[FactId],
        view: &dyn View,
    ) -> Result<usize, StoreFault> {
        let mut missing = 0;
        for id in ids {
            let held = self.mempool.contains(id)
                || self.strangers.contains(id)
                || view.fact_row(id)?.is_some();
            if held {
                self.duplicates_dropped += 1;
            } else {
                missing += 1;
                self.wanted.want(*id, conn);
            }
        }
        Ok(missing)
    }

    pub(super) fn on_answer(
        &mut self,
        conn: ConnId,
        tag: RequestTag,
        bytes: &[u8],
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        let Some((class, sent)) = self.requests.close(conn, tag) else {
            return Ok(());
        };
        let took = self.now.instant.since(sent);
        if let Some(peer) = self.conns.get_mut(conn) {
            peer.answered(class, took);
        }
        let max = class.answer_bytes_max();
        let understood = match class {
            Class::Headers => match codec::decode::<HeadersAnswer>(bytes, max) {
                Ok(answer) => self.on_headers(conn, tag, answer, view)?,
                Err(_) => false,
            },
            Class::Blocks => match codec::decode::<BlocksAnswer>(bytes, max) {
                Ok(answer) => self.on_bodies(conn, tag, answer, view)?,
                Err(_) => false,
            },
            Class::Facts => {
                self.on_facts_answer(conn, tag, bytes);
                true
            }
            Class::Reconcile => match codec::decode::<ReconcileAnswer>(bytes, max) {
                Ok(answer) => self.on_reconcile(conn, answer, view)?,
                Err(_) => false,
            },
            Class::Peers => match codec::decode::<PeersAnswer>(bytes, max) {
                Ok(answer) => self.on_peers(conn, answer),
                Err(_) => false,
            },
            Class::Control | Class::Announce => true,
        };
        if !understood {
            self.no_answer(conn, tag, class);
            self.accuse(conn, Misbehavior::Answer(class));
        }
        Ok(())
    }

    /// A request came to nothing; it is made again elsewhere or later.
    pub(super) fn no_answer(&mut self, conn: ConnId, tag: RequestTag, class: Class) {
        match class {
            Class::Headers => self.headers.ended(self.now.instant, conn, tag, false),
            Class::Blocks => self.bodies.failed(tag),
            Class::Facts => self.wanted.failed(tag),
            Class::Reconcile if self.session_asks(conn) => {
                self.session = None;
                self.schedule.failed(self.now.instant);
            }
            Class::Reconcile => {}
            Class::Peers => self.ask_again(),
            Class::Control | Class::Announce => {}
        }
    }

    fn on_bodies(
        &mut self,
        conn: ConnId,
        tag: RequestTag,
        answer: BlocksAnswer,
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        let ids: Vec<BlockId> = answer.bodies.iter().map(|(id, _)| *id).collect();
        let mut came = self.bodies.answered(tag, &ids);
        for (id, facts) in answer.bodies {
            // Not asked for, no longer of interest, or here twice: dropped.
            let Some(at) = came.iter().position(|asked| *asked == id) else {
                continue;
            };
            came.swap_remove(at);
            match self.chain.judge_body(&id, &facts) {
                // Given up since it was asked for: nobody is to blame.
                None => continue,
                Some(Ok(())) => {}
                Some(Err(BodyReject::FactsRoot)) => {
                    self.bodies.bad(id, conn);
                    return Ok(false);
                }
                // Before any of its facts is fetched: how many may be wanted depends on it.
                Some(Err(reject)) => {
                    self.refuse_block(&id, reject.to_string());
                    return Ok(false);
                }
            }
            let mut missing = Vec::new();
            for fact in &facts {
                if !self.mempool.contains(fact) && view.fact_row(fact)?.is_none() {
                    missing.push(*fact);
                }
            }
            missing.iter().for_each(|fact| self.wanted.need(*fact, Some(conn)));
            self.bodies.got(id, facts.into(), &missing, Some(conn));
            if self.chain.is_awaited(&id) {
                self.progress = self.now.instant;
            }
            if missing.is_empty() {
                self.chain.mark_held(&id);
                self.wake = true;
            }
        }
        Ok(true)
    }

    fn on_headers(
        &mut self,
        conn: ConnId,
        tag: RequestTag,
        answer: HeadersAnswer,
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        if answer.headers.len() > HEADERS_PER_ANSWER {
            return Ok(false);
        }
        let outcome = self.chain.take_headers(conn, &answer, &self.now, view, &self.config.seed)?;
        let taken = outcome.unwrap_or_default();
        // Whoever's tip we know tells of branches beside its chain, which lead nowhere further.
        let known = self.headers.tip_of(conn).is_some_and(|tip| self.chain.knows(&tip.id));
        let further = taken.last.is_some() && !known && self.headers.reach(conn, taken.last);
        self.headers.ended(self.now.instant, conn, tag, further || taken.new > 0);
        if taken.new > 0 {
            self.wake = true;
            if let Some(peer) = self.conns.get_mut(conn) {
                peer.useful = peer.useful.saturating_add(1);
            }
        }
        Ok(outcome.is_ok())
    }

    fn on_reconcile(
        &mut self,
        conn: ConnId,
        answer: ReconcileAnswer,
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        // An answer to a session that is over says nothing to the next one.
        if !self.session_asks(conn) {
            return Ok(true);
        }
        let Some(active) = self.session.as_mut() else { return Ok(true) };
        active.asked = false;
        match active.session.answered(&self.fingerprints, answer) {
            Step::Ask(_) => {}
            Step::Done => self.end_session(),
            Step::Look { after, theirs } => {
                self.schedule.swept(theirs.last);
                if holds(view, after, &theirs)? {
                    self.end_session();
                } else {
                    active.session.swept(after, &theirs);
                }
            }
            Step::Nonsense => return Ok(false),
            Step::Compare(ids) => {
                let found = self.want_missing(conn, &ids, view)?;
                let max = self.config.limits.wants;
                let full = self.session.as_mut().is_some_and(|active| {
                    active.found += found;
                    active.found >= max
                });
                // Others get their turn; the rest is found by the next session.
                if full {
                    self.end_session();
                }
            }
        }
        Ok(true)
    }

    /// Whether the session that runs waits for an answer of this peer.
    fn session_asks(&self, conn: ConnId) -> bool {
        self.session.as_ref().is_some_and(|active| active.conn == conn && active.asked)
    }

    /// When the session that runs is over because its peer does not serve what it lists.
    pub(super) fn session_timeout(&self) -> Option<Instant> {
        let waits = |active: &&ActiveSession| !active.asked && !self.wanted.has_room(active.conn);
        self.session.as_ref().filter(waits).map(|active| active.since.after(STUCK))
    }

    pub(super) fn end_session(&mut self) {
        if let Some(active) = self.session.take() {
            self.schedule.ended(self.now.instant, active.found);
        }
    }

    /// Sends a request; what came of it is told by its tag.
    pub(super) fn ask(&mut self, conn: ConnId, class: Class, bytes: Vec<u8>) {
        let (tag, now) = (self.requests.next_tag(), self.now.instant);
        let longest = self.config.limits.request_timeout;
        let patience = self.conns.get(conn).map_or(longest, |peer| peer.patience(class, longest));
        self.requests.open(conn, class, now, now.after(patience));
        self.outbox.push_back(Output::Send(conn, Frame::Request { tag, class, bytes }));
    }

    /// Asks for whatever is missing and can be asked for now.
    pub(super) fn ask_for_missing(&mut self, view: &dyn View) -> Result<(), StoreFault> {
        self.ask_for_headers(view)?;
        if self.read_only {
            return Ok(());
        }
        let order = self.bodies_to_ask();
        self.bodies.focus(&order);
        let per_peer = self.config.limits.requests_per_peer;
        let conns = self.conns.by_promptness();
        let prompt = conns.iter().take_while(|(stalls, _)| *stalls == 0);
        let prompt: Vec<ConnId> = prompt.map(|(_, conn)| *conn).collect();
        for (stalls, conn) in conns {
            // Whoever let us wait is asked for little, and while others are prompt only for what
            // they could not give.
            let (most, before) = if stalls == 0 { (per_peer, &[][..]) } else { (1, &prompt[..]) };
            let turn = if before.is_empty() { Turn::First } else { Turn::Last };
            self.ask_for_bodies(conn, &order, most, turn);
            self.ask_for_facts(conn, most, before);
        }
        self.reconcile();
        Ok(())
    }

    fn bodies_to_ask(&self) -> Vec<BlockId> {
        let mut order = self.chain.bodies_wanted(self.config.limits.bodies_ahead);
        if self.looks_beside() {
            for tip in self.conns.accepted().filter_map(|(_, conn)| conn.tip) {
                let mut bodies = self.chain.bodies_beside(&tip.id, BODIES_BESIDE);
                bodies.retain(|id| !order.contains(id));
                order.extend(bodies);
            }
        }
        order
    }

    fn ask_for_headers(&mut self, view: &dyn View) -> Result<(), StoreFault> {
        // Headers are not fetched faster than bodies follow, so that memory stays bounded.
        if !self.chain.has_room_for_headers() {
            return Ok(());
        }
        while let Some(conn) = self.headers.next(self.now.instant, |id| self.chain.agrees_with(id))
        {
            let tag = self.requests.next_tag();
            let locator = self.locator_for(conn, view)?;
            let request = HeadersRequest { locator, max: HEADERS_PER_ANSWER as u16 };
            self.headers.sent(conn, tag);
            self.ask(conn, Class::Headers, codec::encode(&request));
        }
        Ok(())
    }

    /// Where a peer's headers may begin: with its tip if we know that (it then tells of branches
    /// beside its chain), else where it stopped last time, and our best header chain.
    fn locator_for(&self, conn: ConnId, view: &dyn View) -> Result<Vec<BlockId>, StoreFault> {
        let mut heights = Vec::new();
        let mut ids = locator(self.chain.best_header_height(), |height| {
            let id = self.chain.best_header_at(height, view)?;
            heights.extend(id.map(|_| height));
            Ok(id)
        })?;
        let tip = self.headers.tip_of(conn).map(|tip| tip.id);
        if let Some(theirs) = tip.filter(|id| self.chain.knows(id)) {
            ids.insert(0, theirs);
        } else if let Some((height, id)) = self.headers.reached(conn) {
            // One of our chain takes its place in it, one of another is tried first.
            let ours = self.chain.best_header_at(height, view)? == Some(id);
            let higher = heights.iter().take_while(|above| ours && **above > height).count();
            ids.insert(higher, id);
        }
        if ids.len() > LOCATOR_IDS {
            // Not the last: that is genesis, which all have in common.
            ids.remove(ids.len() - 2);
        }
        Ok(ids)
    }

    fn ask_for_bodies(&mut self, conn: ConnId, order: &[BlockId], most: usize, turn: Turn) {
        while self.requests.count(conn, Class::Blocks) < most {
            let tag = self.requests.next_tag();
            let ids = self.bodies.next_request(conn, tag, order, turn);
            if ids.is_empty() {
                break;
            }
            debug_assert!(ids.len() * 32 < BLOCKS_ANSWER_BYTES);
            self.ask(conn, Class::Blocks, codec::encode(&BlocksRequest { ids }));
        }
    }

    fn ask_for_facts(&mut self, conn: ConnId, most: usize, before: &[ConnId]) {
        let verifying_max = self.config.limits.verifying_facts;
        while self.requests.count(conn, Class::Facts) < most && self.verifying_facts < verifying_max
        {
            let tag = self.requests.next_tag();
            let ids = self.wanted.next_request(conn, tag, FACTS_PER_REQUEST, before);
            if ids.is_empty() {
                break;
            }
            self.ask(conn, Class::Facts, codec::encode(&FactsRequest { ids }));
        }
    }

    /// When gossip will have stopped, if nothing comes any more. While it flows, sets differ by
    /// what is under way; that needs no reconciliation.
    pub(super) fn quiet_from(&self) -> Instant {
        if self.wanted.is_empty() && self.verifying.is_empty() {
            return Instant(0);
        }
        let idle = self.last_arrival.after(QUIET);
        let due = self.schedule.timeout(&self.shared_set());
        due.map_or(idle, |due| idle.min(due.after(PATIENCE)))
    }

    /// Begins a reconciliation if one is due, and goes on with the one that runs.
    fn reconcile(&mut self) {
        if self.quiet_from() <= self.now.instant
            && let Some((conn, purpose)) = self.schedule.begin(self.now.instant, &self.shared_set())
        {
            let session = match purpose {
                Purpose::Differ => Session::default(),
                Purpose::Sweep(after) => Session::sweep(after),
            };
            let since = self.now.instant;
            let active = ActiveSession { conn, session, asked: false, found: 0, since };
            self.session = Some(active);
        }
        let Some(active) = self.session.as_mut().filter(|active| !active.asked) else {
            return;
        };
        // Facts found are fetched before more are looked for.
        if !self.wanted.has_room(active.conn) {
            // A peer that does not serve what it lists must not keep the others waiting.
            if self.now.instant.since(active.since) >= STUCK {
                self.end_session();
            }
            return;
        }
        // What an earlier session asked is answered first, so that no answer can be taken for another.
        if self.requests.count(active.conn, Class::Reconcile) > 0 {
            return;
        }
        active.since = self.now.instant;
        match active.session.ask() {
            Step::Ask(request) => {
                active.asked = true;
                let conn = active.conn;
                self.ask(conn, Class::Reconcile, codec::encode(&request));
            }
            _ => self.end_session(),
        }
    }
}
