//! Facts on their way in: asked for, answered, verified by the pool, taken into the set.
//!
//! Everything that enters the set passes `arrive`, whoever made it.

use alloc::vec::Vec;

use super::{Engine, Job, JobId, Output};
use crate::codec;
use crate::conn::{ConnId, RequestTag};
use crate::event::Event;
use crate::fact::{EncodedFact, FactVerdict};
use crate::id::{FactId, NodeId};
use crate::ledger::arrival::{Arrival, Arrived};
use crate::peer::Misbehavior;
use crate::store::{Batch, StoreFault, View};
use crate::verified::Verified;
use crate::wire::{Class, FactsAnswer};

impl Engine {
    /// A peer answered a request for facts: form is checked here, signatures by the pool.
    pub(super) fn on_facts_answer(&mut self, conn: ConnId, tag: RequestTag, bytes: &[u8]) {
        let Ok(answer) = codec::decode::<FactsAnswer<'_>>(bytes, Class::Facts.answer_bytes_max())
        else {
            self.wanted.failed(tag);
            return self.accuse(conn, Misbehavior::Answer(Class::Facts));
        };
        let mut facts = Vec::with_capacity(answer.facts.len());
        for bytes in &answer.facts {
            match EncodedFact::parse(&self.mesh, bytes) {
                Ok(fact) => facts.push(fact),
                Err(_) => {
                    self.wanted.failed(tag);
                    return self.accuse(conn, Misbehavior::Answer(Class::Facts));
                }
            }
        }
        let ids: Vec<FactId> = facts.iter().map(|fact| fact.0.id()).collect();
        let mut asked = self.wanted.answered(tag, &ids, answer.more);
        asked.sort_unstable();
        // What was not asked for is dropped unread; that it came is no crime worth proving.
        facts.retain(|fact| asked.binary_search(&fact.0.id()).is_ok());
        if facts.is_empty() {
            return;
        }
        self.last_job += 1;
        let job = JobId(self.last_job);
        self.verifying_facts += facts.len();
        let node = self.conns.get(conn).map(|peer| peer.node);
        self.verifying.insert(job, (conn, node, facts.len()));
        self.outbox.push_back(Output::Work(job, Job::Verify(facts)));
    }

    /// The pool's verdicts.
    pub(super) fn on_verified(
        &mut self,
        job: JobId,
        verdicts: Vec<FactVerdict>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let Some((conn, node, count)) = self.verifying.remove(&job) else {
            return Ok(());
        };
        self.verifying_facts -= count;
        let mut good = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            match verdict {
                Ok(fact) => good.push(fact),
                Err(id) => {
                    // The id itself is not to blame: a true signature may still come.
                    self.wanted.retry_elsewhere(&id, conn);
                    self.accuse_of(conn, node, Misbehavior::Signature);
                }
            }
        }
        if let Some(peer) = self.conns.get_mut(conn) {
            peer.useful = peer.useful.saturating_add(good.len() as u32);
        }
        self.arrive(good, Some(conn), view, batch)?;
        Ok(())
    }

    /// Takes verified facts into the set, tells the peers, and sees what waited for them.
    pub(super) fn arrive(
        &mut self,
        facts: Vec<Verified<EncodedFact>>,
        from: Option<ConnId>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Vec<Arrived>, StoreFault> {
        let mut arrival = Arrival::new(&self.config.params, view)?;
        let bytes = facts.iter().map(|fact| fact.bytes().len()).sum();
        arrival.reserve(facts.len(), bytes);
        let mut outcomes = Vec::with_capacity(facts.len());
        let mut lost = Vec::new();
        for fact in facts {
            let id = fact.id();
            let named = self.bodies.needs(&id);
            let outcome = if named { arrival.add_named(&fact)? } else { arrival.add(&fact)? };
            match outcome {
                Arrived::Entered(seq) => {
                    self.note_grant(&fact, batch);
                    self.fingerprints.insert(&id);
                    self.tell(id, from);
                    self.mempool.admit(seq, fact);
                    self.orphans.arrived(&id);
                    self.complete_bodies(&id);
                }
                Arrived::Duplicate => self.complete_bodies(&id),
                Arrived::Revoked(_) => {}
                Arrived::Stranger(author) => lost.extend(self.strangers.keep(author, fact)),
            }
            self.wanted.done(&id);
            outcomes.push(outcome);
        }
        // A block that was waiting for one of those has to have it again.
        for id in lost.iter().filter(|id| self.bodies.needs(id)) {
            self.wanted.need(*id, None);
        }
        let entry = arrival.finish();
        if entry.set != self.set {
            self.set = entry.set;
            self.last_arrival = self.now.instant;
            self.ping_soon();
            self.sealing.retry();
        }
        batch.append(entry.batch);
        self.on_revoked(&entry.fallen);
        if entry.recovered {
            self.on_recovered();
        }
        self.release_strangers(&entry.risen);
        Ok(outcomes)
    }

    fn tell(&mut self, id: FactId, from: Option<ConnId>) {
        let mut except: Vec<ConnId> = self.wanted.holders(&id).to_vec();
        except.extend(from);
        self.gossip.announce(self.now.instant, id, &except);
        self.outbox.push_back(Output::Event(Event::FactAdded(id)));
    }

    /// Blocks that lack nothing any more may compete.
    fn complete_bodies(&mut self, fact: &FactId) {
        let mut blocks = self.bodies.waiting_for(fact).iter();
        if blocks.any(|block| self.chain.is_awaited(block)) {
            self.progress = self.now.instant;
        }
        for block in self.bodies.fact_arrived(fact) {
            self.chain.mark_held(&block);
            self.wake = true;
        }
    }

    /// Facts that waited outside for these keys come in with the next input.
    fn release_strangers(&mut self, risen: &[NodeId]) {
        if !risen.is_empty() {
            self.released.extend(self.strangers.release(risen));
            self.wake |= !self.released.is_empty();
        }
    }
}
