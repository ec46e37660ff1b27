//! One connection: what it holds, how it begins and ends; the streams are in the modules below.
//!
//! Each stream has a task of its own, so none waits for another. Events are told under the lock of
//! `live`, which makes the promises of the crate simple: once `live.closed` is set nothing more is
//! told, and a request is answered by whoever removes it from `live.requests`.
//!
//! Bounds: what waits for the driver holds a permit (control, announce, answers) or a slot of its
//! class (requests); what waits for the peer is in a bounded queue or holds part of `answers_out`.

mod long_lived;
mod requests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_core::engine::{ConnId, Frame, RequestTag, StreamTag};
use cairn_core::wire::{Class, CloseCode};
use quinn::{Connection, ConnectionError, VarInt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::config::TransportLimits;
use crate::error::{FrameError, printable};
use crate::event::TransportEvent;
use crate::inbox::{Lane, Sink};
use crate::streams::{FrameWriter, StreamFault};

/// Announcements on their way to the peer; the oldest give way.
pub(crate) type Announcements = broadcast::Receiver<Vec<u8>>;

/// A live connection.
pub(crate) struct Session {
    id: ConnId,
    dialled: bool,
    connection: Connection,
    limits: Arc<TransportLimits>,
    sink: Arc<dyn Sink>,
    runtime: Handle,
    control: mpsc::Sender<Vec<u8>>,
    announce: broadcast::Sender<Vec<u8>>,
    answers_in: Arc<Semaphore>,
    answers_out: Arc<Semaphore>,
    /// Requests that the peer may have open, by class.
    slots: [Arc<Semaphore>; Class::ALL.len()],
    live: Mutex<Live>,
}

struct Live {
    closed: bool,
    /// Why this side ended it: code and words. The first reason counts.
    why: Option<(Option<CloseCode>, String)>,
    /// Taken by the control stream, of which there is one.
    control_queue: Option<mpsc::Receiver<Vec<u8>>>,
    /// Our requests.
    requests: HashMap<RequestTag, AbortHandle>,
    /// The peer's requests, until they are answered.
    asked: HashMap<StreamTag, Asked>,
    next_stream: u64,
}

struct Asked {
    class: Class,
    writer: FrameWriter,
    slot: OwnedSemaphorePermit,
}

impl Live {
    /// From now on nothing is told but the end.
    fn shut(&mut self) {
        self.closed = true;
        for (_, task) in self.requests.drain() {
            task.abort();
        }
        self.asked.clear();
    }
}

impl Session {
    /// A session that does nothing before `run`.
    pub(crate) fn new(
        id: ConnId,
        dialled: bool,
        connection: Connection,
        limits: &Arc<TransportLimits>,
        sink: &Arc<dyn Sink>,
        runtime: &Handle,
    ) -> (Arc<Self>, Announcements) {
        let (control, control_queue) = mpsc::channel(limits.control_queue);
        let (announce, announcements) = broadcast::channel(limits.announce_queue);
        let live = Live {
            closed: false,
            why: None,
            control_queue: Some(control_queue),
            requests: HashMap::new(),
            asked: HashMap::new(),
            next_stream: 0,
        };
        let session = Self {
            id,
            dialled,
            connection,
            sink: Arc::clone(sink),
            runtime: runtime.clone(),
            control,
            announce,
            answers_in: Arc::new(Semaphore::new(limits.answers_in_bytes as usize)),
            answers_out: Arc::new(Semaphore::new(limits.answers_out_bytes as usize)),
            limits: Arc::clone(limits),
            slots: Class::ALL.map(|class| Arc::new(Semaphore::new(class.inbound_max()))),
            live: Mutex::new(live),
        };
        (Arc::new(session), announcements)
    }

    /// Moves frames until the connection ends; `slot` is its place among the connections.
    pub(crate) async fn run(
        self: Arc<Self>,
        announcements: Announcements,
        slot: OwnedSemaphorePermit,
    ) {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).announce_out(announcements));
        tasks.spawn(Arc::clone(&self).accept_announce());
        tasks.spawn(Arc::clone(&self).accept_streams());
        if self.dialled {
            tasks.spawn(Arc::clone(&self).open_control());
        }
        let error = self.connection.closed().await;
        let mut live = self.live();
        live.shut();
        let closed = explain(self.id, error, live.why.take());
        self.sink.put(self.id, Lane::Normal, closed, Some(slot));
    }

    /// Sends a frame, or queues it; never waits.
    pub(crate) fn send(self: &Arc<Self>, frame: Frame) {
        match frame {
            Frame::Control(bytes) => {
                if bytes.len() > Class::Control.request_bytes_max() {
                    self.end(None, "control frame of this side too large");
                } else if self.control.try_send(bytes).is_err() {
                    self.end(None, "control queue full");
                }
            }
            // Fails only when the stream is gone.
            Frame::Announce(bytes) => drop(self.announce.send(bytes)),
            Frame::Request { tag, class, bytes } => self.request(tag, class, bytes),
            Frame::Answer { stream, bytes } => self.answer(stream, bytes),
            Frame::Refuse(stream) => drop(self.live().asked.remove(&stream)),
            Frame::Forget(tag) => {
                if let Some(task) = self.live().requests.remove(&tag) {
                    task.abort();
                }
                self.sink.discard(self.id, &|event| {
                    use TransportEvent::{Answer, NoAnswer};
                    matches!(event, Answer { tag: t, .. } | NoAnswer { tag: t, .. } if *t == tag)
                });
            }
        }
    }

    /// Ends the connection on behalf of the driver, who wants to hear nothing more but `Closed`.
    pub(crate) fn close(&self, code: CloseCode, detail: &str) {
        self.live().shut();
        self.end(Some(code), &printable(detail));
        let over = |event: &TransportEvent| matches!(event, TransportEvent::Closed { .. });
        self.sink.discard(self.id, &|event| !over(event));
    }

    /// Ends the connection; the first reason counts. Without a code nobody is to blame.
    pub(crate) fn end(&self, code: Option<CloseCode>, detail: &str) {
        let text = match code {
            Some(code) => code.text(detail),
            None => detail.to_owned(),
        };
        let number = code.map_or(0, |code| code as u32);
        let mut live = self.live();
        // Closing what is lost already would hide how it was lost.
        if live.why.is_none() && self.connection.close_reason().is_none() {
            self.connection.close(VarInt::from_u32(number), text.as_bytes());
            live.why = Some((code, text));
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the driver, unless the connection is over.
    fn tell(&self, lane: Lane, event: TransportEvent, room: Option<OwnedSemaphorePermit>) {
        let live = self.live();
        if !live.closed {
            self.sink.put(self.id, lane, event, room);
        }
    }

    /// The end of a long-lived stream is the end of the connection.
    fn stream_over(&self, fault: StreamFault) {
        match fault {
            StreamFault::Violation(error) => self.violation(error),
            StreamFault::Lost(why) => self.end(None, why),
        }
    }

    fn violation(&self, error: FrameError) {
        self.end(Some(CloseCode::Misbehavior), &error.to_string());
    }
}

/// Says why a connection ended; `why` is the reason of this side, if it ended it.
fn explain(
    conn: ConnId,
    error: ConnectionError,
    why: Option<(Option<CloseCode>, String)>,
) -> TransportEvent {
    let (code, by_peer, detail) = match error {
        ConnectionError::ApplicationClosed(close) => (
            CloseCode::from_number(close.error_code.into_inner()),
            true,
            String::from_utf8_lossy(&close.reason).into_owned(),
        ),
        // Only a stopping endpoint closes a connection without telling its session.
        ConnectionError::LocallyClosed => {
            let stopping = CloseCode::ShuttingDown;
            let (code, detail) = why.unwrap_or((Some(stopping), stopping.to_string()));
            (code, false, detail)
        }
        other => {
            let by_peer = matches!(other, ConnectionError::ConnectionClosed(_));
            (None, by_peer, other.to_string())
        }
    };
    TransportEvent::Closed { conn, code, by_peer, detail: printable(&detail) }
}
