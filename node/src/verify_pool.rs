//! Heavy pure work on all cores: checking signatures, making them, finding proofs of work.
//!
//! Signatures are checked in batches of at most `BATCH_FACTS` whose coefficients come from a seed
//! drawn once per process. Grinding is what a thread does when nothing else waits, in slices short
//! enough that a check never waits long, and on half of the threads at most.
//!
//! The queue has no bound of its own: the engine bounds what it has checked at one time, and signers
//! wait for their result. Nothing here blocks whoever submits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use cairn_core::block::{Header, Seal};
use cairn_core::engine::{Job, JobId};
use cairn_core::fact::{EncodedFact, FactVerdict, verify_batch};
use cairn_core::id::MeshId;
use cairn_core::verified::Unverified;

/// Most signatures in one batch equation.
const BATCH_FACTS: usize = 256;
/// Fewest worth a batch of their own when a job is spread over threads.
const BATCH_FACTS_MIN: usize = 32;
/// Nonces tried between two looks at the queue; a few milliseconds.
const GRIND_SLICE: u64 = 4096;

/// What the pool has finished.
#[derive(Debug)]
pub enum Done {
    /// Verdicts of a job, in its order.
    Verified(JobId, Vec<FactVerdict>),
    /// A sealed header, or none if grinding was given up.
    Sealed(JobId, Option<Box<Header>>),
}

/// Told what is finished, from the pool's threads.
pub type DoneSink = Box<dyn Fn(Done) + Send + Sync>;

type Task = Box<dyn FnOnce() + Send>;

struct Grind {
    job: JobId,
    header: Arc<Header>,
    next: u64,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    grind: Option<Grind>,
    grinders: usize,
    stop: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    grinders_max: usize,
    done: DoneSink,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads.
pub struct VerifyPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    mesh: MeshId,
    seed: [u8; 32],
}

/// Parts of one job that threads finish in any order.
struct Gather<O> {
    parts: Vec<Option<Vec<O>>>,
    missing: usize,
    done: Option<Box<dyn FnOnce(Vec<O>) + Send>>,
}

impl VerifyPool {
    /// Starts one thread per core (`threads` = 0) or as many as told, for facts of a mesh. `seed`
    /// must be unpredictable to others.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(
        threads: usize,
        mesh: MeshId,
        seed: [u8; 32],
        done: DoneSink,
    ) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if threads == 0 { cores } else { threads };
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
            grinders_max: count.div_ceil(2),
            done,
        });
        let mut pool = Self { shared, threads: Vec::with_capacity(count), mesh, seed };
        for n in 0..count {
            let shared = pool.shared.clone();
            let builder = std::thread::Builder::new().name(format!("cairn-verify-{n}"));
            pool.threads.push(builder.spawn(move || run(&shared))?);
        }
        Ok(pool)
    }

    /// Takes a job of the engine.
    pub fn submit(&self, job: JobId, work: Job) {
        match work {
            Job::Verify(facts) => self.verify(job, facts),
            Job::Grind(header) => self.grind(Some((job, header))),
            Job::StopGrinding => self.grind(None),
        }
    }

    fn verify(&self, job: JobId, facts: Vec<Unverified<EncodedFact>>) {
        let shared = self.shared.clone();
        let (mesh, seed) = (self.mesh, self.seed);
        self.spread(
            facts,
            move |part| verify_batch(&mesh, part, &seed),
            move |verdicts| (shared.done)(Done::Verified(job, verdicts)),
        );
    }

    /// Replaces what is ground, if anything; that is answered with none.
    fn grind(&self, new: Option<(JobId, Box<Header>)>) {
        let mut queue = self.shared.lock();
        let old = queue.grind.take();
        queue.grind = new.map(|(job, header)| Grind { job, header: Arc::from(header), next: 0 });
        if let Some(Grind { job, .. }) = old {
            let shared = self.shared.clone();
            let given_up = move || (shared.done)(Done::Sealed(job, None));
            queue.tasks.push_back(Box::new(given_up));
        }
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Runs `work` on parts of `items` on all threads; `done` gets the results in the order of the
    /// items, on a thread of the pool.
    pub fn spread<I, O>(
        &self,
        mut items: Vec<I>,
        work: impl Fn(Vec<I>) -> Vec<O> + Send + Sync + 'static,
        done: impl FnOnce(Vec<O>) + Send + 'static,
    ) where
        I: Send + 'static,
        O: Send + 'static,
    {
        let even = items.len().div_ceil(self.threads.len().max(1));
        let size = even.clamp(BATCH_FACTS_MIN, BATCH_FACTS);
        // No items are one empty part, so that there is an answer.
        let count = items.len().div_ceil(size).max(1);
        let gather = Arc::new(Mutex::new(Gather {
            parts: (0..count).map(|_| None).collect(),
            missing: count,
            done: Some(Box::new(done)),
        }));
        let work = Arc::new(work);
        let mut queue = self.shared.lock();
        for at in 0..count {
            let rest = items.split_off(items.len().min(size));
            let part = std::mem::replace(&mut items, rest);
            let (gather, work) = (gather.clone(), work.clone());
            let task = move || finish_part(&gather, at, work(part));
            queue.tasks.push_back(Box::new(task));
        }
        drop(queue);
        self.shared.changed.notify_all();
    }
}

fn finish_part<O>(gather: &Mutex<Gather<O>>, at: usize, results: Vec<O>) {
    let mut state = gather.lock().unwrap_or_else(PoisonError::into_inner);
    state.parts[at] = Some(results);
    state.missing -= 1;
    if state.missing > 0 {
        return;
    }
    let all = state.parts.drain(..).flatten().flatten().collect();
    let done = state.done.take();
    drop(state);
    if let Some(done) = done {
        done(all);
    }
}

impl Drop for VerifyPool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic there ends the process in release builds.
            let _ = thread.join();
        }
    }
}

enum Next {
    Task(Task),
    Slice(JobId, Arc<Header>, u64),
    Stop,
}

fn next(shared: &Shared) -> Next {
    let mut queue = shared.lock();
    loop {
        if queue.stop {
            return Next::Stop;
        }
        if let Some(task) = queue.tasks.pop_front() {
            return Next::Task(task);
        }
        let free = queue.grinders < shared.grinders_max;
        if free && let Some(grind) = &mut queue.grind {
            let from = grind.next;
            grind.next = from.saturating_add(GRIND_SLICE);
            let slice = Next::Slice(grind.job, grind.header.clone(), from);
            queue.grinders += 1;
            return slice;
        }
        let waited = shared.changed.wait(queue);
        queue = waited.unwrap_or_else(PoisonError::into_inner);
    }
}

fn run(shared: &Shared) {
    loop {
        match next(shared) {
            Next::Stop => return,
            Next::Task(task) => task(),
            Next::Slice(job, header, from) => {
                let found = search(&header, from);
                let mut queue = shared.lock();
                queue.grinders -= 1;
                // Somebody else may have found it, or it may have been replaced.
                let current = queue.grind.as_ref().is_some_and(|grind| grind.job == job);
                if current && (found.is_some() || from >= u64::MAX - GRIND_SLICE) {
                    queue.grind = None;
                    drop(queue);
                    (shared.done)(Done::Sealed(job, found.map(Box::new)));
                }
                shared.changed.notify_one();
            }
        }
    }
}

fn search(header: &Header, from: u64) -> Option<Header> {
    let mut header = header.clone();
    (from..from.saturating_add(GRIND_SLICE)).find_map(|nonce| {
        header.seal = Seal::Pow(nonce);
        let met = header.target.is_met_by(header.id().as_bytes());
        met.then(|| header.clone())
    })
}

#[cfg(test)]
mod tests;
