//! When this node seals a block: facts wait, it is (or has become) its turn, it has caught up, and
//! its last block is on disk.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Config, Engine, Job, JobId, Output};
use crate::block::{Block, Header};
use crate::chain::NewHeader;
use crate::id::{BlockId, FactId, NodeId};
use crate::ledger::rows::Meta;
use crate::params::SealRule;
use crate::producer::{self, Slot};
use crate::seal::authority;
use crate::store::{Batch, StoreFault, Table, View};
use crate::time::{Instant, Millis, UnixTime};
use crate::verified::Unverified;
use crate::work::Height;

/// Before it has heard of anybody, a node that has peers to dial waits this long for them to tell
/// of a longer chain.
const PATIENCE: Millis = 5_000;

/// Bodies and facts of a better chain are waited for as long as so many requests may take.
const WITHHELD_TIMEOUTS: u64 = 3;

/// A block whose nonce the pool looks for.
struct Grinding {
    job: JobId,
    parent: BlockId,
    facts: Vec<FactId>,
    sealers: Option<Vec<NodeId>>,
}

/// What sealing is waiting for.
pub(super) struct Sealing {
    enabled: bool,
    /// Not before this, unless peers told that we have caught up.
    patient_until: Instant,
    /// Nothing that waits can be sealed; try again only when something changed.
    fruitless: bool,
    /// When it becomes our turn.
    at: Option<Instant>,
    grinding: Option<Grinding>,
    /// The `Recover` fact that lets us seal one block without a seat.
    pub(super) grant: Option<FactId>,
    /// Since when facts wait on the present tip.
    ready_since: Option<Instant>,
}

impl Sealing {
    /// `alone`: there is nobody to hear from.
    pub(super) fn load(
        config: &Config,
        alone: bool,
        now: Instant,
        view: &dyn View,
    ) -> Result<Self, StoreFault> {
        let patience = if alone { 0 } else { PATIENCE };
        let grant = view.get(Table::Meta, &Meta::Grant.key())?;
        Ok(Self {
            grant: grant.and_then(|id| FactId::from_slice(&id)),
            enabled: config.seal_blocks,
            patient_until: now.after(patience),
            fruitless: false,
            at: None,
            grinding: None,
            ready_since: None,
        })
    }

    /// Whether the last attempt came to nothing.
    pub(super) const fn is_fruitless(&self) -> bool {
        self.fruitless
    }

    /// Nothing before this.
    pub(super) const fn wait_until(&mut self, at: Instant) {
        self.at = Some(at);
    }

    /// Something changed: what could not be sealed may be now.
    pub(super) const fn retry(&mut self) {
        self.fruitless = false;
    }

    pub(super) const fn timeout(&self) -> Option<Instant> {
        self.at
    }
}

impl Engine {
    /// The time as far as blocks are concerned: our wall clock, but never behind what has passed
    /// since the tip, so that a board that boots in 1970 can seal.
    pub(super) fn chain_time(&self) -> UnixTime {
        let passed = self.now.instant.since(self.tip_since);
        let ahead = self.clock_ahead();
        let wall = UnixTime(self.now.wall.0.saturating_sub(ahead));
        wall.max(self.chain.tip_time().after(passed))
    }

    /// How far our wall clock is ahead of the peers', if that is so far that they would hold what
    /// we seal by it until theirs get there; else 0. The time of a block is a claim for people, so we
    /// then seal by the peers' clock.
    pub(super) fn clock_ahead(&self) -> Millis {
        self.clock_off().0
    }

    /// How far our wall clock is ahead of the peers', and how far behind; 0 for what is not too far.
    pub(super) fn clock_off(&self) -> (Millis, Millis) {
        let wall = self.now.wall;
        let median = self.conns.median_clock(self.now.instant, self.config.params.time);
        let median = median.unwrap_or(wall);
        let far = self.config.limits.clock_ahead_max / 2;
        let too_far = |off: Millis| if off > far { off } else { 0 };
        (too_far(wall.since(median)), too_far(median.since(wall)))
    }

    /// When a better header chain no longer keeps us from sealing, because nobody has given us what
    /// it lacks for so long: its blocks are withheld or lost, and the mesh must go on without them.
    pub(super) fn withheld_at(&self) -> Instant {
        self.progress.after(self.missing_timeout())
    }

    /// How long nothing of what a better header chain lacks may come.
    const fn missing_timeout(&self) -> Millis {
        self.config.limits.request_timeout.saturating_mul(WITHHELD_TIMEOUTS)
    }

    /// When what the peers have is fetched too, though a better header chain is known: who serves
    /// that chain piece by piece must not keep us from agreeing with the others.
    pub(super) fn beside_at(&self) -> Instant {
        self.behind_since.after(self.missing_timeout())
    }

    /// Whether the best header chain could not be followed to its end for so long.
    pub(super) fn looks_beside(&self) -> bool {
        !self.chain.is_caught_up() && self.now.instant >= self.beside_at()
    }

    /// Whether the tip is the end of the best chain that anybody can be got to show.
    pub(super) fn is_caught_up(&self) -> bool {
        self.chain.is_caught_up() || self.now.instant >= self.withheld_at()
    }

    /// Whether the best header chain lacks something that nobody can be got to give.
    pub(super) fn has_given_up(&self) -> bool {
        self.is_caught_up() && !self.chain.is_caught_up()
    }

    /// Whether this node could seal on the tip now, were it its turn.
    fn may_seal(&self) -> bool {
        let sealing = &self.sealing;
        let busy = match &sealing.grinding {
            Some(_) => true,
            None => sealing.fruitless || self.own_block_waits(),
        };
        let heard = self.conns.accepted().next().is_some()
            && !self.headers.behind(|id| self.chain.agrees_with(id));
        let patient = heard || self.now.instant >= sealing.patient_until;
        sealing.enabled
            && !self.stopping
            && !self.revocations.me
            && !self.twins.is_known()
            && !busy
            && patient
            && self.mempool.has_ready()
            && self.is_caught_up()
    }

    /// Seals a block if it is time to, or notes when it will be. Returns whether anything was
    /// written.
    pub(super) fn seal_if_due(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        self.stop_stale_grinding();
        self.sealing.at = None;
        if !self.mempool.has_ready() {
            self.sealing.ready_since = None;
        }
        if !self.may_seal() {
            if self.sealing.enabled && self.sealing.patient_until > self.now.instant {
                self.sealing.at = Some(self.sealing.patient_until);
            } else if self.sealing.enabled && !self.is_caught_up() && self.mempool.has_ready() {
                self.sealing.at = Some(self.withheld_at());
            }
            return Ok(false);
        }
        if let Some(sealed) = self.seal_granted(view, batch)? {
            return Ok(sealed);
        }
        let tip = self.chain.tip().id;
        let (Some(end), Some(entry)) = (self.chain.tree.end(&tip), self.chain.tree.entry(&tip))
        else {
            return Ok(false);
        };
        let params = &self.config.params;
        let Some(mut earliest) = end.earliest_time(params, entry.sealers(), &self.me) else {
            return Ok(false);
        };
        if matches!(params.seal, SealRule::Pow { half_life: 0, .. }) {
            // Nothing slows a constant target down but our own restraint.
            earliest = earliest.max(end.header.time.after(params.spacing));
        }
        let time = self.chain_time();
        let polite = self.polite_wait(entry.sealers(), end.header.height.next());
        let ready_since = *self.sealing.ready_since.get_or_insert(self.now.instant);
        let wait = ready_since.max(self.tip_since).after(polite).since(self.now.instant);
        if time < earliest || wait > 0 {
            let wait = wait.max(earliest.since(time));
            self.sealing.at = Some(self.now.instant.after(wait));
            return Ok(false);
        }
        let slot = Slot::after(&end, params, time, self.me);
        let ready = self.mempool.ready().map(|(author, fact)| (author, fact.get()));
        let followers =
            |id: &FactId| self.mempool.followers(id).map(|(author, fact)| (author, fact.get()));
        let draft = producer::draft(params, &slot, view, ready, followers)?;
        for (id, _) in &draft.conflicts {
            self.mempool.conflicted(id);
        }
        if self.mark_conflicts(draft.conflicts, view, batch)? {
            // Drafted again on what is left.
            return Ok(true);
        }
        match draft.block {
            None => {
                self.sealing.fruitless = true;
                Ok(false)
            }
            Some(block) => self.seal(block, draft.sealers, view, batch),
        }
    }

    /// How long to leave it to those whose turn is nearer, counted from when facts began to wait.
    /// After a long silence every sealer's turn has come; if all sealed at once, the first fact
    /// would always end in a fork.
    fn polite_wait(&self, sealers: &[NodeId], height: Height) -> Millis {
        let distance = authority::distance(sealers, &self.me, height).unwrap_or(0);
        match self.config.params.seal {
            SealRule::Authority => self.config.params.spacing.saturating_mul(distance),
            SealRule::Pow { .. } => 0,
        }
    }

    fn seal(
        &mut self,
        block: Block,
        sealers: Option<Vec<NodeId>>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        match self.config.params.seal {
            SealRule::Authority => {
                let header = authority::seal(block.header, &self.config.key);
                self.take_own_block(header, block.facts, sealers, view, batch)
            }
            SealRule::Pow { .. } => {
                self.last_job += 1;
                let job = JobId(self.last_job);
                let header = Box::new(block.header);
                let (parent, facts) = (header.parent, block.facts);
                self.sealing.grinding = Some(Grinding { job, parent, facts, sealers });
                self.outbox.push_back(Output::Work(job, Job::Grind(header)));
                Ok(false)
            }
        }
    }

    /// The tip moved on, or a twin was noticed: what is being ground is of no use.
    fn stop_stale_grinding(&mut self) {
        let (tip, twin) = (self.chain.tip().id, self.twins.is_known());
        // Its answer finds nobody who waits for it.
        if self.sealing.grinding.take_if(|grinding| twin || grinding.parent != tip).is_some() {
            self.last_job += 1;
            let job = JobId(self.last_job);
            self.outbox.push_back(Output::Work(job, Job::StopGrinding));
        }
    }

    /// The pool found a nonce, or gave up.
    pub(super) fn on_sealed(
        &mut self,
        job: JobId,
        header: Option<Box<Header>>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let grinding = self.sealing.grinding.take_if(|grinding| grinding.job == job);
        let (Some(grinding), Some(header)) = (grinding, header) else {
            return Ok(());
        };
        let free = !self.stopping && !self.read_only && !self.twins.is_known();
        // Our clock was set back meanwhile: nobody would take it, and it is drafted again.
        let latest = self.chain_time().after(self.config.limits.clock_ahead_max);
        if free && header.parent == self.chain.tip().id && header.time <= latest {
            self.take_own_block(*header, grinding.facts, grinding.sealers, view, batch)?;
        }
        Ok(())
    }

    /// A block of our own goes the way of all blocks.
    pub(super) fn take_own_block(
        &mut self,
        header: Header,
        facts: Vec<FactId>,
        sealers: Option<Vec<NodeId>>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        let id = header.id();
        let sealers = sealers.map(Into::into);
        let new = NewHeader { header: Unverified(header), sealers };
        let ahead_max = self.config.limits.clock_ahead_max;
        if self.chain.tree.insert(new, &self.now, ahead_max).is_err() {
            // Only when our clock is ahead of the rule that we judge others by.
            self.sealing.fruitless = true;
            return Ok(false);
        }
        self.bodies.got(id, facts.into(), &[], None);
        self.chain.mark_held(&id);
        self.advance_chain(view, batch)
    }
}
