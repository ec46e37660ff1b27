//! Tests of `driver`.

use std::collections::VecDeque;
use std::sync::Mutex;

use cairn_core::engine::{BatchId, CallId, ConnId, DialId, Frame, Job, State};
use cairn_core::event::Event;
use cairn_core::id::{BlockId, FactId, NodeId};
use cairn_core::store::{StoreFault, Table, View};
use cairn_core::wire::{CloseCode, SetSummary, Tip};
use cairn_core::work::{Height, Work};
use cairn_transport_quic::{InboxSender, inbox};

use super::*;
use crate::store::Profile;

/// Writes down what it is told, and answers by a script.
struct Fake {
    outputs: VecDeque<Output>,
    status: Status,
    seen: Arc<Mutex<Vec<String>>>,
    waiting: Vec<CommandId>,
    last: Instant,
    tick_at: Option<Instant>,
    drained: bool,
    broken: bool,
}

fn status() -> Status {
    let (height, id, work) = (Height::GENESIS, BlockId::ZERO, Work::ZERO);
    Status {
        state: State::Starting,
        tip: Tip { height, id, work },
        facts: SetSummary::default(),
        pending: 0,
        conflict: 0,
        target: 0,
        wanted: 0,
        announces_received: 0,
        duplicates_dropped: 0,
        clock_ahead: 0,
        clock_behind: 0,
        reach: cairn_core::engine::Reach::default(),
        peers_version: 0,
    }
}

impl Machine for Fake {
    fn handle_input(
        &mut self,
        now: Now,
        input: Input<'_>,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        assert!(self.drained, "an input before the outputs were drained");
        assert!(now.instant >= self.last, "time went back");
        self.last = now.instant;
        self.drained = false;
        let batches = view.scan(Table::Item, b"", b"z", 99)?.len() as u64;
        let seen = match input {
            Input::Tick => {
                assert!(self.tick_at.take().is_some_and(|at| at <= now.instant), "too early");
                "tick".into()
            }
            Input::Command(id, _) => {
                self.waiting.push(id);
                let mut batch = Batch::new();
                batch.put(Table::Item, &id.0.to_be_bytes(), b"");
                self.outputs.push_back(Output::Commit(BatchId(batches + 1), batch));
                let event = Event::FactAdded(FactId::ZERO);
                self.outputs.push_back(Output::Event(event));
                self.status.pending += 1;
                self.status.peers_version += 1;
                format!("command {} after {batches}", id.0)
            }
            Input::Durable(batch) => {
                assert!(batches >= batch.0, "durable before visible");
                let count = self.waiting.len().min(batch.0 as usize);
                for id in self.waiting.drain(..count) {
                    self.outputs.push_back(Output::Reply(id, Ok(Receipt::Done)));
                }
                "durable".into()
            }
            Input::Conn(conn, ConnInput::Control(bytes)) => {
                let frame = Frame::Control(bytes.to_vec());
                self.outputs.push_back(Output::Send(conn, frame));
                self.outputs.push_back(Output::Close(conn, CloseCode::Full, String::new()));
                let job = Output::Work(cairn_core::engine::JobId(4), Job::Verify(Vec::new()));
                self.outputs.push_back(job);
                "control".into()
            }
            Input::Verified(job, verdicts) => format!("verified {} {}", job.0, verdicts.len()),
            other => format!("{other:?}"),
        };
        self.seen.lock().unwrap().push(seen);
        let fault = StoreFault { table: Table::Meta, what: "broken" };
        if self.broken { Err(fault) } else { Ok(()) }
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        self.drained = output.is_none();
        output
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.tick_at
    }

    fn status(&self) -> &Status {
        &self.status
    }
    /// As many as the version says.
    fn peers(&self) -> Vec<PeerStatus> {
        let one = PeerStatus {
            node: None,
            address: PeerAddr("a:1".into()),
            outbound: true,
            connected: false,
            rtt: None,
            score: 0,
            last_seen: None,
            last_close: None,
            tip: None,
            key_exchange: None,
            listed: true,
            closes: Vec::new(),
        };
        vec![one; self.status.peers_version as usize]
    }
}

#[derive(Default)]
struct Wire(Arc<Mutex<Vec<String>>>);

impl Transport for Wire {
    fn dial(&self, dial: DialId, address: &PeerAddr, _: Option<NodeId>) {
        self.0.lock().unwrap().push(format!("dial {} {address}", dial.0));
    }
    fn call_back(&self, call: CallId, address: &PeerAddr, _: NodeId) {
        self.0.lock().unwrap().push(format!("call {} {address}", call.0));
    }
    fn send(&self, conn: ConnId, frame: Frame) {
        self.0.lock().unwrap().push(format!("send {} {frame:?}", conn.0));
    }
    fn close(&self, conn: ConnId, code: CloseCode, _: &str) {
        self.0.lock().unwrap().push(format!("close {} {code:?}", conn.0));
    }
}

struct Rig {
    _dir: tempfile::TempDir,
    driver: Driver<Fake, Wire>,
    sender: InboxSender<Told>,
    seen: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<Vec<String>>>,
    status: watch::Receiver<Arc<Status>>,
    peers: watch::Receiver<Arc<Vec<PeerStatus>>>,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&dir.path().join("db"), Profile::Tiny).unwrap());
    let (sender, inbox) = inbox::<Told>(64);
    let to_driver = sender.clone();
    let durable = Box::new(move |result| drop(to_driver.send(Told::Durable(result))));
    let to_driver = sender.clone();
    let done = Box::new(move |done| drop(to_driver.send(Told::Done(done))));
    let (status_sender, status_seen) = watch::channel(Arc::new(status()));
    let (peers_sender, peers_seen) = watch::channel(Arc::default());
    let (seen, sent) = (Arc::default(), Arc::default());
    let machine = Fake {
        outputs: VecDeque::from([Output::Dial(DialId(1), PeerAddr("a:1".into()), None)]),
        status: status(),
        seen: Arc::clone(&seen),
        waiting: Vec::new(),
        last: Instant(0),
        tick_at: None,
        drained: false,
        broken: false,
    };
    let driver = Driver {
        machine,
        transport: Wire(Arc::clone(&sent)),
        inbox,
        room: Room::new(Profile::Tiny, None),
        outbox: Arc::new(Outbox::open(&dir.path().join("outbox"), Seq(0)).unwrap()),
        durability: Durability::start(store.clone(), Box::new(|| Ok(())), durable).unwrap(),
        store,
        pool: Arc::new(VerifyPool::start(1, cairn_core::id::MeshId::ZERO, [1; 32], done).unwrap()),
        clock: Clock::new(crate::clock::wall, true),
        events: Arc::new(EventLog::new(crate::clock::wall())),
        status: status_sender,
        peers: peers_sender,
    };
    Rig { _dir: dir, driver, sender, seen, sent, status: status_seen, peers: peers_seen }
}

impl Rig {
    fn command(&self) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(Told::Command(Command::Sync, reply)).unwrap();
        answer
    }
}

#[test]
fn each_command_is_answered_once_when_it_is_durable_and_each_input_sees_what_came_before() {
    let rig = rig();
    let answers: Vec<_> = (0..3).map(|_| rig.command()).collect();
    let (events, store) = (rig.driver.events.clone(), rig.driver.store.clone());
    let driver = std::thread::spawn(move || rig.driver.run());
    for answer in answers {
        assert_eq!(answer.blocking_recv().unwrap(), Ok(Receipt::Done));
    }
    rig.sender.send(Told::Quit).unwrap();
    driver.join().unwrap().unwrap();
    let seen = rig.seen.lock().unwrap();
    let commands: Vec<_> = seen.iter().filter(|seen| seen.starts_with("command")).collect();
    let expected = ["command 1 after 0", "command 2 after 1", "command 3 after 2"];
    assert_eq!(commands, expected);
    assert_eq!(events.since(0, 9).events.len(), 3);
    assert_eq!(store.view().scan(Table::Item, b"", b"z", 9).unwrap().len(), 3);
    assert_eq!(rig.sent.lock().unwrap()[..], ["dial 1 a:1"]);
}

#[test]
fn whoever_is_answered_finds_it_in_the_state() {
    let rig = rig();
    let (answers, status) = ([rig.command(), rig.command()], rig.status.clone());
    let sender = rig.sender.clone();
    let driver = std::thread::spawn(move || rig.driver.run());
    for (before, answer) in answers.into_iter().enumerate() {
        answer.blocking_recv().unwrap().unwrap();
        assert!(status.borrow().pending > before as u64);
    }
    sender.send(Told::Quit).unwrap();
    driver.join().unwrap().unwrap();
}

#[test]
fn frames_closes_and_jobs_reach_the_transport_and_the_pool() {
    let rig = rig();
    let (conn, bytes) = (ConnId(7), vec![1]);
    let event = TransportEvent::Control { conn, bytes };
    rig.sender.send(Told::Net(event)).unwrap();
    let done = rig.seen.clone();
    let driver = std::thread::spawn(move || rig.driver.run());
    while !done.lock().unwrap().contains(&"verified 4 0".to_string()) {
        std::thread::yield_now();
    }
    rig.sender.send(Told::Quit).unwrap();
    driver.join().unwrap().unwrap();
    let sent = rig.sent.lock().unwrap();
    assert_eq!(sent[1..], ["send 7 Control([1])", "close 7 Full"]);
}

#[test]
fn a_timer_fires_without_any_input_and_not_before_its_time() {
    let mut rig = rig();
    rig.driver.machine.tick_at = Some(Instant(30));
    let seen = rig.seen.clone();
    let driver = std::thread::spawn(move || rig.driver.run());
    while seen.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    rig.sender.send(Told::Quit).unwrap();
    driver.join().unwrap().unwrap();
    assert_eq!(seen.lock().unwrap()[..], ["tick"]);
}

#[test]
fn the_published_state_follows_the_engine() {
    let mut rig = rig();
    let answer = rig.command();
    let driver = std::thread::spawn(move || rig.driver.run());
    answer.blocking_recv().unwrap().unwrap();
    while rig.status.borrow_and_update().pending != 1 {
        std::thread::yield_now();
    }
    assert_eq!(rig.peers.borrow().len(), 1);
    rig.sender.send(Told::Quit).unwrap();
    driver.join().unwrap().unwrap();
}

#[test]
fn a_fault_ends_the_loop_and_refuses_every_waiting_command() {
    let mut rig = rig();
    rig.driver.machine.broken = true;
    let answer = rig.command();
    let error = rig.driver.run().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(answer.blocking_recv().unwrap(), Err(Refusal::Stopping));
    let (reply, late) = oneshot::channel();
    assert!(rig.sender.send(Told::Command(Command::Sync, reply)).is_err());
    assert!(late.blocking_recv().is_err());
}

#[test]
fn a_failed_sync_ends_the_loop() {
    let rig = rig();
    let path = std::path::PathBuf::from("/x");
    rig.sender.send(Told::Durable(Err(StoreError::Full(path)))).unwrap();
    assert!(matches!(rig.driver.run(), Err(StoreError::Full(_))));
}
