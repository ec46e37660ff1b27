//! THE loop: one thread that owns the engine and feeds it one input at a time.
//!
//! The contract, which a test holds it to: one input, then outputs until there are none; time never
//! goes back; a batch is visible before the next output is looked at, and durable later, in order;
//! every command gets exactly one reply, every job exactly one answer. Nothing here decides
//! anything, and nothing here waits for the network: the pool, the transport and the durability
//! thread answer through the inbox.
//!
//! Any failure of the store ends the loop, and with it the node: what an engine believes after a
//! failed write is not what the disk holds.

mod gauge;
mod journal;
mod ports;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_core::engine::{
    BatchId, Command, CommandId, ConnInput, Input, Output, PeerAddr, PeerStatus, Receipt, Refusal,
    Status,
};
use cairn_core::ledger::rows::Seq;
use cairn_core::store::{Batch, Op, Table};
use cairn_core::time::{Instant, Millis, Now};
use cairn_transport_quic::{Inbox, TransportEvent};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::events::EventLog;
use crate::outbox::Outbox;
use crate::store::{Durability, Room, Store, StoreError, StoreView};
use crate::verify_pool::{Done, VerifyPool};

use gauge::Gauge;
pub use ports::{Machine, Transport};

/// Shortest time between two published states.
const STATUS_INTERVAL: Millis = 50;
/// Longest wait without an input; only bounds how late a wrong timeout would be noticed.
const WAIT_MAX: Millis = 60_000;

/// What becomes of a command.
pub type Answer = Result<Receipt, Refusal>;

/// What the driver is told.
#[derive(Debug)]
pub enum Told {
    /// By the transport.
    Net(TransportEvent),
    /// By the node's user.
    Command(Command, oneshot::Sender<Answer>),
    /// By the pool.
    Done(Done),
    /// By the durability thread.
    Durable(Result<BatchId, StoreError>),
    /// By the app: end the loop.
    Quit,
}

impl From<TransportEvent> for Told {
    fn from(event: TransportEvent) -> Self {
        Self::Net(event)
    }
}

/// The loop and all that it owns.
pub struct Driver<M, T> {
    /// The engine.
    pub machine: M,
    /// The network.
    pub transport: T,
    /// Where everything comes in.
    pub inbox: Inbox<Told>,
    /// The ledger on disk.
    pub store: Arc<Store>,
    /// How much of the disk it may take.
    pub room: Room,
    /// Where facts of our own are kept a second time.
    pub outbox: Arc<Outbox>,
    /// Syncs what was committed.
    pub durability: Durability,
    /// Checks signatures.
    pub pool: Arc<VerifyPool>,
    /// The clocks.
    pub clock: Clock,
    /// Where news goes.
    pub events: Arc<EventLog>,
    /// Where the engine's state is published.
    pub status: watch::Sender<Arc<Status>>,
    /// Where its peers are, when they changed.
    pub peers: watch::Sender<Arc<Vec<PeerStatus>>>,
}

/// What changes while the loop runs.
struct Running {
    view: StoreView,
    replies: HashMap<CommandId, oneshot::Sender<Answer>>,
    commands: u64,
    now: Now,
    gauge: Gauge,
    /// The input at hand is a command: what it brings in was not with any peer before.
    own: bool,
    /// When the state is looked at next, if an input came since it was published.
    publish_at: Option<Instant>,
    published_at: Instant,
}

impl<M: Machine, T: Transport> Driver<M, T> {
    /// Runs until it is told to quit; then everything visible is durable, and every command that
    /// still waited is refused.
    ///
    /// # Errors
    /// `StoreError` as soon as the store fails.
    pub fn run(mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut state = Running {
            view: self.store.view(),
            replies: HashMap::new(),
            commands: 0,
            now,
            gauge: Gauge::new(self.room),
            own: false,
            publish_at: None,
            published_at: now.instant,
        };
        let result = self.turn_until_quit(&mut state);
        for (_, reply) in state.replies.drain() {
            // The asker may have gone.
            let _ = reply.send(Err(Refusal::Stopping));
        }
        // Closed first: the threads of the node must not wait for room in it.
        drop(self.inbox);
        self.durability.stop();
        result.and_then(|()| self.store.persist())
    }

    fn turn_until_quit(&mut self, state: &mut Running) -> Result<(), StoreError> {
        // What the engine wanted before its first input.
        self.drain(state)?;
        let mut ticked = false;
        loop {
            state.now = self.clock.now();
            let timeout = self.machine.poll_timeout();
            let due = timeout.is_some_and(|at| at <= state.now.instant);
            // A busy inbox must not delay timers, nor the other way round.
            if due && !ticked {
                ticked = true;
                self.input(state, Input::Tick)?;
            } else {
                let look = state.gauge.due();
                let until = [timeout, state.publish_at, look].into_iter().flatten().min();
                let wait =
                    until.map_or(WAIT_MAX, |at| at.since(state.now.instant).clamp(1, WAIT_MAX));
                let told = self.inbox.recv_timeout(Duration::from_millis(wait));
                ticked = false;
                state.now = self.clock.now();
                self.look(state)?;
                match told {
                    Some(Told::Quit) => return Ok(()),
                    Some(told) => self.told(state, told)?,
                    None => {}
                }
            }
            if state.publish_at.is_some_and(|at| at <= state.now.instant) {
                self.publish(state);
            }
        }
    }

    fn told(&mut self, state: &mut Running, told: Told) -> Result<(), StoreError> {
        match told {
            Told::Net(event) => self.net(state, &event),
            Told::Command(command, reply) => {
                state.commands += 1;
                let id = CommandId(state.commands);
                state.replies.insert(id, reply);
                state.own = true;
                let handled = self.input(state, Input::Command(id, command));
                state.own = false;
                handled
            }
            Told::Done(Done::Verified(job, verdicts)) => {
                self.input(state, Input::Verified(job, verdicts))
            }
            Told::Done(Done::Sealed(job, header)) => self.input(state, Input::Sealed(job, header)),
            Told::Durable(Ok(batch)) => self.input(state, Input::Durable(batch)),
            Told::Durable(Err(error)) => Err(error),
            Told::Quit => Ok(()),
        }
    }

    fn net(&mut self, state: &mut Running, event: &TransportEvent) -> Result<(), StoreError> {
        use TransportEvent as Event;
        let (conn, input) = match event {
            Event::DialFailed { dial, error } => {
                tracing::debug!(dial = dial.0, %error, "dial failed");
                return self.input(state, Input::DialFailed(*dial));
            }
            Event::CalledBack { call, result } => {
                tracing::debug!(call = call.0, ?result, "called back");
                return self.input(state, Input::CalledBack(*call, result.is_ok()));
            }
            Event::Opened { conn, node, address, dial, key_exchange } => {
                let (node, dial) = (*node, *dial);
                let address = PeerAddr(address.to_string());
                let opened = ConnInput::Opened { node, address, dial, key_exchange };
                (conn, opened)
            }
            Event::Control { conn, bytes } => (conn, ConnInput::Control(bytes)),
            Event::Announce { conn, bytes } => (conn, ConnInput::Announce(bytes)),
            Event::Request { conn, stream, class, bytes } => {
                let (stream, class) = (*stream, *class);
                let request = ConnInput::Request { stream, class, bytes };
                (conn, request)
            }
            Event::Answer { conn, tag, bytes } => (conn, ConnInput::Answer { tag: *tag, bytes }),
            Event::NoAnswer { conn, tag } => (conn, ConnInput::NoAnswer(*tag)),
            Event::Closed { conn, code, by_peer, detail } => {
                tracing::debug!(conn = conn.0, ?code, by_peer, detail, "connection closed");
                let (code, by_peer) = (*code, *by_peer);
                (conn, ConnInput::Closed { code, by_peer, reason: detail })
            }
        };
        self.input(state, Input::Conn(*conn, input))
    }

    /// Tells the engine if the room on the disk went or came back.
    fn look(&mut self, state: &mut Running) -> Result<(), StoreError> {
        match state.gauge.look(state.now.instant, &self.store)? {
            Some(short) => self.input(state, Input::ReadOnly(short)),
            None => Ok(()),
        }
    }

    fn input(&mut self, state: &mut Running, input: Input<'_>) -> Result<(), StoreError> {
        let handled = self.machine.handle_input(state.now, input, &state.view);
        handled.map_err(|fault| StoreError::fault(self.store.path(), &fault))?;
        self.drain(state)?;
        let soonest = state.published_at.after(STATUS_INTERVAL);
        state.publish_at.get_or_insert(soonest);
        Ok(())
    }

    fn drain(&mut self, state: &mut Running) -> Result<(), StoreError> {
        let mut published = false;
        let mut news = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Commit(id, batch) => self.commit(state, id, &batch)?,
                Output::Work(job, work) => self.pool.submit(job, work),
                Output::Dial(dial, address, node) => {
                    journal::dialing(&address.0);
                    self.transport.dial(dial, &address, node);
                }
                Output::CallBack(call, address, node) => {
                    self.transport.call_back(call, &address, node);
                }
                Output::Send(conn, frame) => self.transport.send(conn, frame),
                Output::Close(conn, code, detail) => self.transport.close(conn, code, &detail),
                Output::Reply(id, answer) => {
                    // Whoever is answered finds what it did in the state that it looks at next.
                    if !published {
                        published = true;
                        self.publish(state);
                    }
                    if let Some(reply) = state.replies.remove(&id) {
                        // The asker may have gone.
                        let _ = reply.send(answer);
                    }
                }
                Output::Event(event) => {
                    journal::tell(&event);
                    news.push(event);
                }
            }
        }
        self.events.push(state.now.wall, news);
        Ok(())
    }

    fn commit(&self, state: &mut Running, id: BatchId, batch: &Batch) -> Result<(), StoreError> {
        self.store.commit(batch)?;
        state.view = self.store.view();
        if state.own {
            self.keep_twice(batch)?;
        }
        self.durability.want(id, !state.replies.is_empty());
        Ok(())
    }

    /// Facts that no peer can give back go to the outbox as well.
    fn keep_twice(&self, batch: &Batch) -> Result<(), StoreError> {
        let facts = batch.iter().filter_map(|op| match op {
            Op::Put(Table::Fact, key, value) => Some((Seq::from_key(key)?, value)),
            _ => None,
        });
        let kept = self.outbox.append(facts);
        kept.map_err(|e| StoreError::io(self.outbox.directory(), e))
    }

    fn publish(&self, state: &mut Running) {
        state.publish_at = None;
        state.published_at = state.now.instant;
        let status = self.machine.status();
        if status.peers_version != self.status.borrow().peers_version {
            self.peers.send_replace(Arc::new(self.machine.peers()));
        }
        self.status.send_if_modified(|published| {
            let changed = **published != *status;
            if changed {
                *published = Arc::new(status.clone());
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests;
