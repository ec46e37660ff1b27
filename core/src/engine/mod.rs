//! The engine: everything a node decides, as one machine without I/O.
//!
//! Contract of the driver: one input, then `poll_output` until `None`; time never goes back; at
//! most one `Commit` per input, made visible before the next input and durable later, in order; a
//! promise (a `Reply`, a block this node sealed) comes out only after its `Durable`; every command
//! gets exactly one reply, every job exactly one answer; spurious inputs are harmless.
//!
//! An input changes the set or the chain, never both: what follows from it (a block that is
//! complete now) is done with the next input, which `poll_timeout` asks for at once. So every step
//! reads a store in which the step before is visible.

mod addresses;
mod boot;
mod chain;
mod config;
mod conns;
#[cfg(any(test, feature = "testing"))]
mod gauges;
mod granted;
mod input;
mod keep_out;
mod leases;
mod on_chain;
mod on_command;
mod on_conn;
mod on_facts;
mod on_message;
mod orphans;
mod output;
mod pings;
mod presync;
mod promises;
mod reach;
mod read_only;
mod recovered;
mod requests;
mod revoked;
mod room;
mod sealing;
mod serve;
mod status;
mod strangers;
mod twins;

pub use crate::conn::{CallId, ConnId, DialId, PeerAddr, RequestTag, StreamTag};
pub use config::Config;
#[cfg(any(test, feature = "testing"))]
pub use gauges::Gauge;
pub use input::{BatchId, Command, CommandId, ConnInput, CustodyAction, Input, JobId, Recovery};
pub use output::{Frame, Job, Output, Published, Receipt, Refusal};
pub use reach::Reach;
pub use status::{PeerStatus, State, Status};

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use chain::Chain;
use conns::Conns;
use orphans::Orphans;
use pings::Pings;
use promises::{Promise, Promises};
use reach::Reaching;
use requests::Requests;
use revoked::Revocations;
use sealing::Sealing;
use strangers::Strangers;
use twins::Twins;

use crate::fact::EncodedFact;
use crate::gossip::Gossip;
use crate::id::{MeshId, NodeId};
use crate::ledger::read::Read;
use crate::ledger::rows::SetRow;
use crate::mempool::Mempool;
use crate::peer::{BANS_MAX, Bans, Book, CLOSES_MAX, Closes};
use crate::reconcile::{Fingerprints, Schedule, Session};
use crate::store::{Batch, StoreFault, View};
use crate::sync::bodies::BodySync;
use crate::sync::facts::FactSync;
use crate::sync::headers::HeaderSync;
use crate::time::{Instant, Millis, Now};
use crate::verified::Verified;

/// Between two tries to find what no peer had: the longer in vain, the rarer.
const RETRY_INTERVAL: core::ops::RangeInclusive<Millis> = 1_000..=60_000;
/// Part of the time that was spent in vain after which a further try is made.
const RETRY_PART: u64 = 8;

/// Facts read from disk by one input when the mempool has room again.
const REFILL: usize = 4_096;

/// A reconciliation that runs.
struct ActiveSession {
    conn: ConnId,
    session: Session,
    /// Whether an answer is awaited.
    asked: bool,
    /// Facts it found that we lack.
    found: usize,
    /// When it last asked.
    since: Instant,
}

/// The machine.
pub struct Engine {
    config: Config,
    me: NodeId,
    mesh: MeshId,
    now: Now,
    // What is known, mirrored from the store.
    set: SetRow,
    fingerprints: Fingerprints,
    chain: Chain,
    mempool: Mempool,
    orphans: Orphans,
    // The machines.
    strangers: Strangers,
    gossip: Gossip,
    wanted: FactSync,
    bodies: BodySync,
    headers: HeaderSync,
    schedule: Schedule,
    session: Option<ActiveSession>,
    book: Book,
    bans: Bans,
    closes: Closes,
    pings: Pings,
    sealing: Sealing,
    // The outside.
    conns: Conns,
    requests: Requests,
    promises: Promises,
    revocations: Revocations,
    reaching: Reaching,
    twins: Twins,
    /// Promises made by the input at hand; they wait for its batch.
    fresh: Vec<Promise>,
    outbox: VecDeque<Output>,
    /// Facts of strangers that became known, for the next input.
    released: Vec<Verified<EncodedFact>>,
    verifying: BTreeMap<JobId, (ConnId, Option<NodeId>, usize)>,
    verifying_facts: usize,
    last_job: u64,
    last_nonce: u64,
    last_arrival: Instant,
    side_branches_told: usize,
    /// When the tip last moved.
    tip_since: Instant,
    next_retry: Instant,
    /// When the best header chain was last followed to its end.
    behind_since: Instant,
    /// The same, or when the tip last moved towards that end, or a body or fact of the next block on
    /// the way came. What comes for later blocks does not count: there can always be more of those.
    progress: Instant,
    stopping: bool,
    /// The disk has no room to spare: nothing is written.
    read_only: bool,
    /// There is more to do at once.
    wake: bool,
    announces_received: u64,
    duplicates_dropped: u64,
    members_stale: bool,
    /// Whether other addresses may be worth dialling than at `next_dial`.
    dials_stale: bool,
    next_dial: Option<Instant>,
    /// When some peer is asked for addresses, and who was asked last.
    next_ask: Instant,
    last_asked: ConnId,
    /// From when on what changed in the book is written.
    next_save: Instant,
    /// Whether anybody else belongs to the mesh.
    has_others: bool,
    status: Status,
}

impl Engine {
    /// Rebuilds the engine from what is on disk. The store must hold at least the batch of
    /// `ledger::create::genesis_batch`.
    ///
    /// # Errors
    /// `StoreFault` if the view fails or contradicts itself.
    pub fn new(config: Config, view: &dyn View, now: Now) -> Result<Self, StoreFault> {
        let limits = config.limits.clone();
        let chain = Chain::load(&config.params, &limits, view)?;
        let (set, fingerprints) = boot::load_set(view, &chain.mesh())?;
        let mut mempool = Mempool::new(&limits);
        mempool.refill(view, REFILL)?;
        let book = boot::load_book(&config, view)?;
        let bans = Bans::load(view.ban_rows(BANS_MAX)?, limits.bans, now);
        let closes = Closes::load(view.close_rows(CLOSES_MAX)?);
        let status = status::initial(chain.tip(), fingerprints.set_of(&set.summary));
        let mut engine = Self {
            me: config.key.node_id(),
            mesh: chain.mesh(),
            now,
            set,
            fingerprints,
            sealing: Sealing::load(&config, book.is_empty(), now.instant, view)?,
            chain,
            mempool,
            orphans: Orphans::load(view)?,
            strangers: Strangers::new((limits.strangers_facts, limits.strangers_bytes)),
            gossip: Gossip::new(limits.announce_delay),
            wanted: FactSync::new(limits.wants),
            bodies: BodySync::default(),
            headers: HeaderSync::default(),
            schedule: Schedule::new(limits.reconcile_interval),
            session: None,
            book,
            bans,
            closes,
            pings: Pings::default(),
            conns: Conns::default(),
            requests: Requests::default(),
            promises: Promises::default(),
            revocations: Revocations::load(&config.key.node_id(), view)?,
            reaching: Reaching::default(),
            twins: Twins::new(config.seed, now.instant),
            fresh: Vec::new(),
            outbox: VecDeque::new(),
            released: Vec::new(),
            verifying: BTreeMap::new(),
            verifying_facts: 0,
            last_job: 0,
            last_nonce: 0,
            last_arrival: now.instant,
            side_branches_told: 0,
            tip_since: now.instant,
            next_retry: now.instant,
            behind_since: now.instant,
            progress: now.instant,
            stopping: false,
            read_only: false,
            wake: true,
            announces_received: 0,
            duplicates_dropped: 0,
            members_stale: true,
            dials_stale: true,
            next_dial: None,
            next_ask: now.instant.after(addresses::ASK_INTERVAL),
            last_asked: ConnId(0),
            next_save: now.instant.after(addresses::SAVE_DELAY),
            has_others: false,
            status,
            config,
        };
        engine.refresh_status(view)?;
        Ok(engine)
    }

    /// One thing happened.
    ///
    /// # Errors
    /// Only if `view` fails; then the engine must be dropped and rebuilt from disk.
    pub fn handle_input(
        &mut self,
        now: Now,
        input: Input<'_>,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        if self.chain.is_caught_up() {
            (self.progress, self.behind_since) = (now.instant, now.instant);
        }
        self.now = now;
        self.wake = false;
        let mut batch = Batch::new();
        match input {
            Input::Tick => {}
            Input::Conn(conn, input) => self.on_conn(conn, input, view, &mut batch)?,
            Input::DialFailed(dial) => {
                self.book.dial_failed(now.instant, dial);
                self.touch_peers();
            }
            Input::CalledBack(call, reached) => self.on_call_over(call, reached),
            Input::Command(id, command) => self.on_command(id, command, view, &mut batch)?,
            Input::Verified(job, verdicts) if self.read_only => self.postpone(job, verdicts),
            Input::Verified(job, verdicts) => self.on_verified(job, verdicts, view, &mut batch)?,
            Input::Sealed(job, header) => self.on_sealed(job, header, view, &mut batch)?,
            Input::ReadOnly(read_only) => self.on_read_only(read_only),
            Input::Durable(id) => {
                for promise in self.promises.durable(id) {
                    self.fulfil(promise);
                }
            }
        }
        if self.read_only {
            debug_assert!(batch.is_empty(), "a write without room");
            batch = Batch::new();
            // Closing links needs no room.
            self.enforce_revocations(view)?;
        } else if batch.is_empty() {
            self.advance(view, &mut batch)?;
        } else {
            self.wake = true;
        }
        self.pump(view)?;
        if !self.read_only {
            self.bans.save(&mut batch);
        }
        self.commit(batch);
        self.refresh_status(view)
    }

    /// One thing to do. Call until `None` before the next `handle_input`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call `handle_input` with `Input::Tick` at the latest, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.wake {
            return Some(self.now.instant);
        }
        let writes = !self.read_only;
        let stuck = (self.wanted.is_stuck() || !self.bodies.is_idle()).then_some(self.next_retry);
        let session = self.schedule.timeout(&self.shared_set());
        let headers = self.headers.timeout(|id| self.chain.agrees_with(id));
        // Without room, what makes some is an input.
        let headers = headers.filter(|_| self.chain.has_room_for_headers());
        let sealing = self.sealing.timeout();
        [
            self.conns.timeout(),
            self.requests.timeout(),
            self.gossip.timeout(),
            session.filter(|_| writes).map(|at| at.max(self.quiet_from())),
            self.session_timeout().filter(|_| writes).map(|at| at.max(self.now.instant)),
            self.next_dial,
            self.save_due().filter(|_| writes),
            self.conns.accepted().next().map(|_| self.next_ask),
            headers,
            // What is shown changes when a withheld branch is not waited for any more.
            (!self.is_caught_up()).then(|| self.withheld_at()),
            (!self.chain.is_caught_up() && !self.looks_beside()).then(|| self.beside_at()),
            sealing.filter(|_| writes),
            stuck.filter(|_| writes),
            self.orphans.timeout().filter(|_| writes).map(|at| at.max(self.now.instant)),
            self.revocations.timeout(),
            self.pings.timeout(),
            self.twins.timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is shown of the engine.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    fn on_conn(
        &mut self,
        conn: ConnId,
        input: ConnInput<'_>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let speaks = !matches!(input, ConnInput::NoAnswer(_) | ConnInput::Closed { .. });
        if speaks && let Some(conn) = self.conns.get_mut(conn) {
            conn.silent = false;
            conn.doubted = None;
        }
        match input {
            ConnInput::Opened { node, address, dial, key_exchange } => {
                self.on_opened(conn, node, address, dial, key_exchange, view)
            }
            ConnInput::Control(bytes) => self.on_control(conn, bytes, view, batch),
            ConnInput::Announce(bytes) => self.on_announce(conn, bytes, view),
            ConnInput::Request { stream, class, bytes } => {
                self.on_request(conn, stream, class, bytes, view)
            }
            ConnInput::Answer { tag, bytes } => self.on_answer(conn, tag, bytes, view),
            ConnInput::NoAnswer(tag) => {
                if let Some((class, _)) = self.requests.close(conn, tag) {
                    self.no_answer(conn, tag, class);
                }
                Ok(())
            }
            ConnInput::Closed { code, by_peer, reason } => {
                self.on_closed(conn, code, by_peer, reason);
                Ok(())
            }
        }
    }

    /// What follows from earlier inputs: at most one change of the store.
    fn advance(&mut self, view: &dyn View, batch: &mut Batch) -> Result<(), StoreFault> {
        if self.enforce_revocations(view)? {
            // Who goes, goes by this state: a block that is sealed now might bring it back.
            self.wake = true;
        } else if !self.released.is_empty() {
            let released = core::mem::take(&mut self.released);
            self.arrive(released, None, view, batch)?;
            // They may all have been there; the rest of what is to do is done next.
            self.wake = true;
        } else if !self.advance_chain(view, batch)?
            && !self.judge_pending(view, batch)?
            && !self.review_orphans(view, batch)?
            && !self.sweep_revoked(view, batch)?
            && !self.reopen_recovered(view, batch)?
            && !self.seal_if_due(view, batch)?
        {
            let more = self.mempool.refill(view, REFILL)?;
            // What came in from disk is judged at once.
            self.wake |= more || self.mempool.has_fresh();
            let last = crate::ledger::rows::Seq(self.set.summary.count);
            self.fingerprints.save(last, self.stopping, batch);
            self.save_book(batch);
            self.spill_bodies(batch);
        }
        self.wake |= !batch.is_empty();
        Ok(())
    }

    /// Everything that is due by now and changes no store.
    fn pump(&mut self, view: &dyn View) -> Result<(), StoreFault> {
        let now = self.now.instant;
        for conn in self.conns.late(now) {
            self.close(conn, crate::wire::CloseCode::BadHello);
        }
        self.end_farewells();
        self.expire_pings();
        self.review_twins();
        // Before requests expire: whoever let one expire must not be the first to be asked again.
        if self.next_retry <= now {
            let wait = now.since(self.progress) / RETRY_PART;
            self.next_retry = now.after(wait.clamp(*RETRY_INTERVAL.start(), *RETRY_INTERVAL.end()));
            let bodies = &self.bodies;
            self.wanted.review_needed(|fact| bodies.needs(fact));
            self.wanted.retry_needed();
            self.bodies.retry();
        }
        while let Some((conn, tag)) = self.requests.expired(now) {
            self.outbox.push_back(Output::Send(conn, Frame::Forget(tag)));
            // A ping at once finds out whether it is merely slow.
            if let Some(peer) = self.conns.get_mut(conn) {
                peer.stalls = peer.stalls.saturating_add(1);
                peer.silent = true;
                peer.next_ping = now;
            }
            if let Some((class, _)) = self.requests.close(conn, tag) {
                self.no_answer(conn, tag, class);
            }
            self.wanted.shun(conn);
        }
        self.ask_for_missing(view)?;
        while let Some((conn, ids)) = self.gossip.poll(now) {
            let announce = crate::wire::Announce::Facts(ids);
            let frame = Frame::Announce(crate::codec::encode(&announce));
            self.outbox.push_back(Output::Send(conn, frame));
        }
        self.ping_due(view)?;
        self.ask_around();
        self.dial_due(view)
    }

    /// The set as it is compared with others'.
    fn shared_set(&self) -> crate::wire::SetSummary {
        self.fingerprints.set_of(&self.set.summary)
    }
}

#[cfg(test)]
mod tests;
