//! How a world goes on: the next thing that happens, what the engine wants done, and the driver's
//! contract checked at every input.

use cairn_core::engine::{Engine, Frame, Job, Output, Published, Receipt};
use cairn_core::event::Event;
use cairn_core::fact::verify_batch;
use cairn_core::store::{StoreFault, Table};
use cairn_core::time::Millis;

use super::World;
use crate::checkers;
use crate::schedule::{Happening, Scheduled};

/// An engine that asks for this many ticks in a row and does nothing with them never stops. (A small
/// mempool that is filled again and again with what turns out to be void needs 20.)
const IDLE_TICKS_MAX: u32 = 32;

/// One input of so many after which every queue is measured.
const LOOK_EVERY: u64 = 4;

impl World {
    /// Lets `span` milliseconds pass.
    pub fn run(&mut self, span: Millis) {
        let end = self.now + span;
        while self.queue.peek().is_some_and(|next| next.at <= end) {
            self.step();
        }
        self.pass(end);
    }

    /// Lets time pass until the condition holds, at most `span`. Returns whether it does.
    pub fn run_until(&mut self, span: Millis, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if holds(self) {
                return true;
            }
            let Some(next) = self.queue.peek().map(|next| next.at) else {
                return false;
            };
            if next > end {
                self.pass(end);
                return holds(self);
            }
            // Conditions are about states, not instants: look at most every 20 ms.
            let until = (next + 20).min(end);
            while self.queue.peek().is_some_and(|next| next.at <= until) {
                self.step();
            }
        }
    }

    fn pass(&mut self, to: u64) {
        let span = to.saturating_sub(self.now);
        self.tally.node_ms += span * self.up;
        self.now += span;
    }

    fn step(&mut self) {
        let Some(mut next) = self.queue.pop() else { return };
        self.pass(next.at);
        let n = next.node;
        let node = &mut self.nodes[n];
        if next.life != node.life || node.engine.is_none() {
            return;
        }
        if node.asleep_until > self.now {
            let at = node.asleep_until;
            if matches!(next.what, Happening::Tick) && node.wake_at == Some(next.at) {
                node.wake_at = Some(at);
            }
            self.order += 1;
            self.queue.push(Scheduled { at, order: self.order, ..next });
            return;
        }
        match &next.what {
            Happening::Tick if node.wake_at != Some(next.at) => return,
            Happening::IdleOut(conn, pair, number) => {
                // The cut healed in time, or it is another one.
                if self.cut.get(pair) != Some(number) {
                    return;
                }
                let what = Happening::lost(*conn);
                return self.schedule(self.now, n, what);
            }
            Happening::Halt => return self.halt(n),
            Happening::Closed(conn, ..) if node.ends.remove(conn).is_none() => return,
            // It broke before the handshake was done.
            Happening::Opened { conn, dial, .. } if !node.ends.contains_key(conn) => match dial {
                Some(dial) => next.what = Happening::DialFailed(*dial),
                None => return,
            },
            _ => {}
        }
        self.tally.events += 1;
        node.traffic.inputs += 1;
        node.traffic.received += next.what.bytes().len() as u64;
        self.trace = next.what.digest(self.trace ^ self.now.rotate_left(20) ^ n as u64);
        if self.verbose {
            eprintln!("{:>9} ms  n{n}  {}", self.now, next.what);
        }
        if !self.intercepts(n, &next.what) {
            self.handle(n, next.what);
        }
    }

    /// Lets time pass until a node has written something that is not durable yet, at most `span`.
    pub fn run_until_it_writes(&mut self, n: usize, span: Millis) {
        let end = self.now + span;
        while self.nodes[n].disk.unsynced() == 0
            && self.queue.peek().is_some_and(|next| next.at <= end)
        {
            self.step();
        }
    }

    /// A tick that nobody asked for. It must bring nothing, or a wake-up was forgotten.
    pub fn poke(&mut self, n: usize) {
        let node = &self.nodes[n];
        if node.engine.is_none() || node.asleep_until > self.now {
            return;
        }
        let now = node.clocks.at(self.now).instant;
        if node.engine().and_then(Engine::poll_timeout).is_some_and(|at| at <= now) {
            return;
        }
        let Ok(outputs) = self.feed(n, &Happening::Tick) else {
            return self.replace_disk(n);
        };
        assert!(outputs.is_empty(), "node {n} at {} forgot to ask for this: {outputs:?}", self.now);
        self.schedule_tick(n);
    }

    fn handle(&mut self, n: usize, what: Happening) {
        let Ok(outputs) = self.feed(n, &what) else {
            return self.replace_disk(n);
        };
        let life = self.nodes[n].life;
        for output in outputs {
            if self.nodes[n].life != life {
                return;
            }
            self.carry_out(n, output);
        }
        self.schedule_tick(n);
    }

    /// One input; returns all outputs.
    fn feed(&mut self, n: usize, what: &Happening) -> Result<Vec<Output>, StoreFault> {
        let node = &mut self.nodes[n];
        let now = node.clocks.at(self.now);
        let is_tick = matches!(what, Happening::Tick);
        if is_tick {
            node.wake_at = None;
        }
        let Some(engine) = node.engine.as_mut() else {
            return Ok(Vec::new());
        };
        if let Happening::Durable(id) = &what {
            node.disk.sync(*id);
        }
        if let Happening::ReadOnly(on) = &what {
            node.read_only = *on;
        }
        engine.handle_input(now, what.input(), &node.disk)?;
        let mut outputs = Vec::new();
        while let Some(output) = engine.poll_output() {
            outputs.push(output);
        }
        let commits = outputs.iter().filter(|o| matches!(o, Output::Commit(..))).count();
        assert!(commits <= 1, "at most one commit per input");
        if self.tally.events.is_multiple_of(LOOK_EVERY) {
            checkers::within_limits(n, engine, &mut self.tally);
        }
        let again = engine.poll_timeout().is_some_and(|at| at <= now.instant);
        let idle = is_tick && again && outputs.is_empty();
        node.idle_ticks = if idle { node.idle_ticks + 1 } else { 0 };
        assert!(node.idle_ticks < IDLE_TICKS_MAX, "node {n} at {}: a busy loop", self.now);
        if node.traffic.inputs.is_multiple_of(LOOK_EVERY) {
            checkers::revoked_in_time(n, node, now.instant);
        }
        Ok(outputs)
    }

    fn schedule_tick(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(at) = node.engine.as_ref().and_then(Engine::poll_timeout) else {
            return;
        };
        let at = (at.0 + node.clocks.slept).max(self.now);
        if node.wake_at.is_none_or(|wake| wake > at) {
            self.tick_at(n, at);
        }
    }

    /// The next tick; any that was planned before is void.
    pub(super) fn tick_at(&mut self, n: usize, at: u64) {
        self.nodes[n].wake_at = Some(at);
        self.schedule(at, n, Happening::Tick);
    }

    fn carry_out(&mut self, n: usize, output: Output) {
        match output {
            Output::Commit(..) if self.nodes[n].read_only => {
                panic!("node {n} writes to a disk that has no room to spare");
            }
            Output::Commit(..) if self.nodes[n].disk.full => {
                self.fault("write to a full disk");
                self.kill(n);
            }
            Output::Commit(id, batch) => {
                self.nodes[n].disk.commit(id, &batch);
                let at = self.now + self.between(self.weather.fsync);
                // Batches become durable in order.
                self.schedule(at, n, Happening::Durable(id));
            }
            Output::Work(job, Job::Verify(facts)) => {
                let verdicts = verify_batch(&self.mesh(), facts, &[7; 32]);
                self.schedule(self.now + 1, n, Happening::Verified(job, verdicts));
            }
            Output::Work(job, Job::Grind(header)) => {
                let sealed = cairn_core::seal::pow::grind(&header, 0, u64::MAX).map(Box::new);
                let at = self.now + 1 + self.random.below(2 * self.params.spacing);
                self.schedule(at, n, Happening::Sealed(job, sealed));
            }
            Output::Work(_, Job::StopGrinding) => {}
            Output::Dial(dial, to, pin) => self.dial(n, dial, &to, pin),
            Output::CallBack(call, ..) => {
                self.schedule(self.now + 1, n, Happening::CalledBack(call));
            }
            Output::Send(_, Frame::Request { class, .. })
                if self.nodes[n].read_only && checkers::fills_the_disk(class) =>
            {
                panic!("node {n} has no room and asks for {class:?} all the same");
            }
            Output::Send(conn, frame) => self.send_from(n, conn, frame),
            Output::Close(conn, code, detail) => self.close(n, conn, code, &detail),
            Output::Reply(id, result) => {
                self.promise(n, &result);
                if self.nodes[n].stops.contains(&id) {
                    self.schedule(self.now + 1, n, Happening::Halt);
                }
                let old = self.nodes[n].replies.insert(id, result);
                assert!(old.is_none(), "exactly one reply per command");
            }
            Output::Event(event) => {
                if matches!(event, Event::Reorged(_)) {
                    checkers::nothing_above_the_tip(self.nodes[n].view());
                }
                let accusation = checkers::accusation(self, &event);
                assert!(
                    accusation.is_none() || !self.nodes[n].is_honest(),
                    "node {n} accuses: {accusation:?}"
                );
                self.nodes[n].events.push(event);
            }
        }
    }

    /// A reply is a promise: what it names is durable.
    fn promise(&mut self, n: usize, result: &Result<Receipt, cairn_core::engine::Refusal>) {
        let facts = match result {
            Ok(Receipt::Made(id)) => vec![*id],
            Ok(Receipt::Published(all)) => all
                .iter()
                .filter_map(|one| match one {
                    Published::Accepted(id) | Published::Duplicate(id) => Some(*id),
                    Published::Refused(..) => None,
                })
                .collect(),
            _ => return,
        };
        for id in facts {
            let kept = self.nodes[n].disk.keeps(&id);
            assert!(kept, "node {n} acknowledged {id}, which is not durable");
            self.nodes[n].acknowledged.insert(id);
        }
    }

    /// What was acknowledged is there.
    pub(super) fn check_promises(&self, n: usize) {
        let node = &self.nodes[n];
        for id in &node.acknowledged {
            assert!(node.disk.keeps(id), "node {n} forgot {id}, which it had acknowledged");
        }
    }

    /// A block that a node sealed itself and tells others is durable, else a power cut makes an
    /// equivocator of the node.
    pub(crate) fn check_own_block(&self, n: usize, tip: &cairn_core::wire::Tip) {
        use cairn_core::ledger::read::Read;
        let node = &self.nodes[n];
        let own = |row: &cairn_core::ledger::rows::HeaderRow| row.header.sealer == node.id();
        if node.view().header(&tip.id).is_ok_and(|row| row.as_ref().is_some_and(own)) {
            let kept = node.disk.keeps_row(Table::Header, tip.id.as_bytes());
            assert!(kept, "node {n} told of its block {} before it was durable", tip.id);
        }
    }
}
