//! Whatever happens in whatever order, no wanted fact is lost.

use alloc::collections::VecDeque;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;

/// So many peers and facts, and so few announced at a time, that limits are reached.
const CONNS: u64 = 7;
const FACTS: u8 = 24;
const MAX: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    Open(ConnId),
    Close(ConnId),
    Announce(FactId, ConnId),
    Need(FactId, ConnId),
    /// Of so many at most; whose bits are set is slow.
    Ask(ConnId, usize, u8),
    /// The oldest request is answered with the facts whose bits are set.
    Answer(u32, bool),
    Expire,
    /// The oldest fact that came is taken in, is bad, or finds no room.
    Verified,
    Bad,
    Postpone,
    Shun(ConnId),
    Retry,
    /// Blocks need those whose bits are set, and no others.
    Review(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let conn = || (0..CONNS).prop_map(ConnId);
    let fact = || (0..FACTS).prop_map(id);
    prop_oneof![
        2 => conn().prop_map(Step::Open),
        1 => conn().prop_map(Step::Close),
        6 => (fact(), conn()).prop_map(|(id, conn)| Step::Announce(id, conn)),
        4 => (fact(), conn()).prop_map(|(id, conn)| Step::Need(id, conn)),
        4 => (conn(), 1..5_usize, any::<u8>()).prop_map(|(conn, most, slow)| {
            Step::Ask(conn, most, slow)
        }),
        2 => (any::<u32>(), any::<bool>()).prop_map(|(got, more)| Step::Answer(got, more)),
        1 => Just(Step::Expire),
        1 => Just(Step::Verified),
        1 => Just(Step::Bad),
        1 => Just(Step::Postpone),
        1 => conn().prop_map(Step::Shun),
        1 => Just(Step::Retry),
        1 => any::<u32>().prop_map(Step::Review),
    ]
}

/// The machine, and what was asked of it.
struct History {
    sync: FactSync,
    tag: u64,
    asked: VecDeque<(RequestTag, Vec<FactId>)>,
    came: VecDeque<(FactId, ConnId)>,
}

fn has(bits: u32, id: &FactId) -> bool {
    bits & (1 << id.0[0]) != 0
}

impl History {
    fn new() -> Self {
        let sync = FactSync::new(MAX);
        Self { sync, tag: 0, asked: VecDeque::new(), came: VecDeque::new() }
    }

    fn ask(&mut self, conn: ConnId, max: usize, before: &[ConnId]) -> Vec<FactId> {
        self.tag += 1;
        let tag = RequestTag(self.tag);
        let ids = self.sync.next_request(conn, tag, max, before);
        if !ids.is_empty() {
            self.asked.push_back((tag, ids.clone()));
        }
        ids
    }

    fn conns(&self) -> Vec<ConnId> {
        self.sync.sources.keys().copied().collect()
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Open(conn) => self.sync.add_conn(conn),
            Step::Close(conn) => self.sync.remove_conn(conn),
            Step::Announce(id, conn) => self.sync.want(id, conn),
            Step::Need(id, conn) => self.sync.need(id, Some(conn)),
            Step::Ask(conn, max, slow) => {
                let is_slow = |conn: &ConnId| slow & (1 << conn.0) != 0;
                let mut prompt = self.conns();
                prompt.retain(|conn| !is_slow(conn));
                self.ask(conn, max, if is_slow(&conn) { &prompt } else { &[] });
            }
            Step::Answer(got, more) => {
                let Some((tag, mut ids)) = self.asked.pop_front() else { return };
                let conn = self.sync.flights.get(&tag).map(|(conn, _)| *conn);
                ids.retain(|id| has(got, id));
                let kept = self.sync.answered(tag, &ids, more);
                self.came.extend(
                    conn.into_iter().flat_map(|conn| kept.iter().map(move |id| (*id, conn))),
                );
            }
            Step::Expire => {
                let Some((tag, _)) = self.asked.pop_front() else { return };
                let conn = self.sync.flights.get(&tag).map(|(conn, _)| *conn);
                self.sync.failed(tag);
                conn.into_iter().for_each(|conn| self.sync.shun(conn));
            }
            Step::Verified | Step::Bad | Step::Postpone => {
                let Some((id, conn)) = self.came.pop_front() else { return };
                match step {
                    Step::Verified => self.sync.done(&id),
                    Step::Bad => self.sync.retry_elsewhere(&id, conn),
                    _ => self.sync.ask_again(&id, conn),
                }
            }
            Step::Shun(conn) => self.sync.shun(conn),
            Step::Retry => self.sync.retry_needed(),
            Step::Review(needed) => self.sync.review_needed(|id| has(needed, id)),
        }
    }

    /// Each want is at one place, and all counts are right.
    fn check(&self) -> Result<(), TestCaseError> {
        let sync = &self.sync;
        let mut queued = 0;
        for (id, want) in &sync.wants {
            let flies = sync.flights.values().any(|(_, ids)| ids.contains(id));
            let came = self.came.iter().any(|(fact, _)| fact == id);
            prop_assert!(!want.busy || flies || came, "{id} waits for nothing");
            prop_assert!(want.holders.iter().all(|conn| sync.sources.contains_key(conn)));
            let is_stuck = !want.busy && want.holders.is_empty();
            prop_assert_eq!(sync.stuck.contains(id), is_stuck);
            prop_assert!(want.needed || !is_stuck);
            for holder in want.holders.iter().filter(|_| !want.busy) {
                queued += 1;
                prop_assert_eq!(sync.sources[holder].queue.get(&want.place()), Some(id));
            }
        }
        let lengths = sync.sources.values().map(|source| source.queue.len());
        prop_assert_eq!(lengths.sum::<usize>(), queued, "a queue has what is not wanted");
        prop_assert!(sync.stuck.iter().all(|id| sync.wants.contains_key(id)));
        prop_assert_eq!(sync.wants.values().filter(|want| want.needed).count(), sync.needed);
        prop_assert!(sync.announced() <= MAX);
        for (conn, source) in &sync.sources {
            let sponsored = sync.wants.values().filter(|want| want.sponsor == Some(*conn)).count();
            prop_assert!(sponsored >= source.sponsored, "{conn:?} is charged too much");
        }
        Ok(())
    }

    /// Whoever is asked, prompt peers first, all that is not on its way is handed out.
    fn drain(mut self, slow: u8) -> Result<(), TestCaseError> {
        if self.conns().is_empty() {
            return Ok(());
        }
        self.sync.retry_needed();
        let mut missing: Vec<FactId> = Vec::new();
        missing.extend(self.sync.wants.iter().filter(|(_, want)| !want.busy).map(|(id, _)| *id));
        let (slow, prompt): (Vec<_>, Vec<_>) =
            self.conns().into_iter().partition(|conn| slow & (1 << conn.0) != 0);
        for conn in &prompt {
            let ids = self.ask(*conn, usize::MAX, &[]);
            missing.retain(|id| !ids.contains(id));
        }
        for conn in &slow {
            let ids = self.ask(*conn, usize::MAX, &prompt);
            missing.retain(|id| !ids.contains(id));
        }
        prop_assert!(missing.is_empty(), "nobody is asked for {:?}", missing);
        Ok(())
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(512))]

    #[test]
    fn every_wanted_fact_is_on_its_way_or_asked_for_next(
        steps in prop::collection::vec(step(), 0..120),
        slow: u8,
    ) {
        let mut history = History::new();
        (0..3).for_each(|n| history.take(&Step::Open(ConnId(n))));
        for step in &steps {
            history.take(step);
            history.check().map_err(|error| TestCaseError::fail(format!("{step:?}: {error}")))?;
        }
        history.drain(slow)?;
    }
}
