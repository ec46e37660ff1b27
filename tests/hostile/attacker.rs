//! A node that holds a key and does whatever a test wants.

use std::time::Instant;

use cairn_core::codec;
use cairn_core::engine::{ConnId, DialId, Frame, PeerAddr, RequestTag};
use cairn_core::testing::TestChain;
use cairn_core::time::UnixTime;
use cairn_core::wire::{Announce, Class, CloseCode, Control, Hello};
use cairn_transport_quic::{Endpoint, Inbox, Knock, TransportEvent, TransportLimits, inbox};

use crate::scene::{MEMBERS, PATIENCE, Scene};

/// What is answered to a request of the victim; none resets the stream.
type Answering<'a> = &'a mut dyn FnMut(Class, &[u8]) -> Option<Vec<u8>>;

/// The attacker and its connection to the victim.
pub(crate) struct Attacker {
    endpoint: Endpoint,
    inbox: Inbox<TransportEvent>,
    pub(crate) conn: ConnId,
    runtime: tokio::runtime::Handle,
    last_tag: u64,
    /// Answers to its own requests; none if it was refused.
    pub(crate) answers: Vec<(RequestTag, Option<Vec<u8>>)>,
    /// Control frames of the victim.
    pub(crate) heard: Vec<Control>,
    /// Announcements of the victim.
    pub(crate) announced: usize,
}

/// A hello that goes with a ledger.
pub(crate) fn hello(chain: &TestChain) -> Hello {
    Hello { agent: "attacker".into(), ..chain.hello(UnixTime(0)) }
}

impl Attacker {
    /// Connects with a key and says nothing yet.
    pub(crate) fn dial(scene: &Scene, seed: [u8; 32]) -> Self {
        let (sender, events) = inbox(16);
        let runtime = scene.runtime.handle().clone();
        let local = ([127, 0, 0, 1], 0).into();
        let limits = TransportLimits::default();
        let knock = Knock::of(&scene.mesh());
        let endpoint = Endpoint::bind(local, &seed, knock, limits, &runtime, sender).unwrap();
        let address = PeerAddr(scene.victim().mesh_address().to_string());
        endpoint.dial(DialId(1), &address, None);
        let opened = events.recv_timeout(PATIENCE).expect("the victim answers");
        let TransportEvent::Opened { conn, .. } = opened else { panic!("{opened:?}") };
        let (answers, heard) = (Vec::new(), Vec::new());
        Self { endpoint, inbox: events, conn, runtime, last_tag: 0, answers, heard, announced: 0 }
    }

    /// Connects as the first member of `MEMBERS` with a proper hello, and waits to be accepted.
    pub(crate) fn join(scene: &Scene, chain: &TestChain) -> Self {
        Self::join_as(scene, chain, 0)
    }

    /// The same as another member.
    pub(crate) fn join_as(scene: &Scene, chain: &TestChain, n: usize) -> Self {
        let mut attacker = Self::dial(scene, MEMBERS[n]);
        attacker.control(&Control::Hello(hello(chain)));
        attacker.ping(chain);
        attacker.serve_until(chain, "a pong", |attacker| {
            attacker.heard.iter().any(|heard| matches!(heard, Control::Pong { .. }))
        });
        attacker
    }

    pub(crate) fn send(&self, frame: Frame) {
        self.endpoint.send(self.conn, frame);
    }

    pub(crate) fn control(&self, message: &Control) {
        self.send(Frame::Control(codec::encode(message)));
    }

    /// Tells the state of a ledger.
    pub(crate) fn ping(&self, chain: &TestChain) {
        self.control(&Control::Ping { nonce: 1, tip: chain.tip(), facts: chain.set() });
    }

    pub(crate) fn announce(&self, message: &Announce) {
        self.send(Frame::Announce(codec::encode(message)));
    }

    /// Says that it has a better chain.
    pub(crate) fn boast(&self, chain: &TestChain) {
        let mut tip = chain.tip();
        tip.work = cairn_core::work::Work::from_u64(u64::MAX);
        self.announce(&Announce::Block(tip));
    }

    /// Asks.
    pub(crate) fn request(&mut self, class: Class, bytes: Vec<u8>) -> RequestTag {
        self.last_tag += 1;
        let tag = RequestTag(self.last_tag);
        self.send(Frame::Request { tag, class, bytes });
        tag
    }

    /// Takes one event; answers requests by `answer` (none resets the stream). The close code, if it
    /// was the end.
    fn step(&mut self, answer: Answering<'_>) -> Option<(Option<CloseCode>, bool)> {
        let event = self.inbox.recv_timeout(std::time::Duration::from_millis(20))?;
        self.take(event, answer)
    }

    fn take(
        &mut self,
        event: TransportEvent,
        answer: Answering<'_>,
    ) -> Option<(Option<CloseCode>, bool)> {
        match event {
            TransportEvent::Closed { code, by_peer, .. } => return Some((code, by_peer)),
            TransportEvent::Request { stream, class, bytes, .. } => {
                self.send(match answer(class, &bytes) {
                    Some(bytes) => Frame::Answer { stream, bytes },
                    None => Frame::Refuse(stream),
                });
            }
            TransportEvent::Control { bytes, .. } => {
                let message = codec::decode(&bytes, Class::Control.request_bytes_max());
                self.heard.push(message.expect("honest nodes send well-formed frames"));
            }
            TransportEvent::Announce { .. } => self.announced += 1,
            TransportEvent::Answer { tag, bytes, .. } => self.answers.push((tag, Some(bytes))),
            TransportEvent::NoAnswer { tag, .. } => self.answers.push((tag, None)),
            TransportEvent::Opened { .. }
            | TransportEvent::DialFailed { .. }
            | TransportEvent::CalledBack { .. } => {}
        }
        None
    }

    /// Answers as a peer with this ledger until something is so; must not be closed before.
    pub(crate) fn serve_until(
        &mut self,
        chain: &TestChain,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            let closed = self.step(&mut |class, bytes| chain.answer(class, bytes));
            assert_eq!(closed, None, "while waiting for: {what}");
        }
    }

    /// The same, but leaves questions for headers and facts unanswered.
    pub(crate) fn ignore_facts_until(
        &mut self,
        chain: &TestChain,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            let event = self.inbox.recv_timeout(std::time::Duration::from_millis(20));
            if let Some(TransportEvent::Request { class: Class::Headers | Class::Facts, .. }) =
                event
            {
                continue;
            }
            let closed = event
                .and_then(|event| self.take(event, &mut |class, bytes| chain.answer(class, bytes)));
            assert_eq!(closed, None, "while waiting for: {what}");
        }
    }

    /// Answers as `answer` says until the victim closes the connection: the code.
    pub(crate) fn closed_by(
        &mut self,
        mut answer: impl FnMut(Class, &[u8]) -> Option<Vec<u8>>,
    ) -> Option<CloseCode> {
        // What the victim does not ask at once it asks after a minute.
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            if let Some((code, by_peer)) = self.step(&mut answer) {
                assert!(by_peer, "the victim closes, not the attacker: {code:?}");
                return code;
            }
            assert!(Instant::now() < deadline, "the victim never closed the connection");
        }
    }

    /// Answers the next request of a class with these bytes, and others from a ledger.
    pub(crate) fn answer_once(&mut self, chain: &TestChain, wanted: Class, with: Vec<u8>) {
        let deadline = Instant::now() + PATIENCE;
        let mut done = false;
        while !done {
            assert!(Instant::now() < deadline, "the victim never asked for {wanted:?}");
            let closed = self.step(&mut |class, bytes| {
                if class != wanted || done {
                    return chain.answer(class, bytes);
                }
                done = true;
                Some(with.clone())
            });
            assert_eq!(closed, None, "before it asked for {wanted:?}");
        }
    }

    /// The same, serving a ledger.
    pub(crate) fn closed(&mut self, chain: &TestChain) -> Option<CloseCode> {
        self.closed_by(|class, bytes| chain.answer(class, bytes))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let endpoint = self.endpoint.clone();
        self.runtime.spawn(async move { endpoint.shutdown().await });
    }
}
