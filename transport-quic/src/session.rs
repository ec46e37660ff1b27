//! One connection: its long-lived streams, its requests in both directions, and its end.
//!
//! Each stream has a task of its own, so none waits for another. Events are told under the lock of
//! `live`, which makes the promises of the crate simple: once `live.closed` is set nothing more is
//! told, and a request is answered by whoever removes it from `live.requests`.
//!
//! Bounds: what waits for the driver holds a permit (control, announce, answers) or a slot of its
//! class (requests); what waits for the peer is in a bounded queue or holds part of `answers_out`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_core::engine::{ConnId, Frame, RequestTag, StreamTag};
use cairn_core::wire::{Class, CloseCode};
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::config::{ANNOUNCE_WAITING_MAX, CONTROL_WAITING_MAX, TransportLimits};
use crate::error::{FrameError, printable};
use crate::event::TransportEvent;
use crate::framing;
use crate::inbox::{Lane, Sink};
use crate::streams::{FrameWriter, StreamFault, read_frame, read_last_frame, read_opening};

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
    pub(crate) fn close(&self, code: CloseCode) {
        self.live().shut();
        self.end(Some(code), "");
        let over = |event: &TransportEvent| matches!(event, TransportEvent::Closed { .. });
        self.sink.discard(self.id, &|event| !over(event));
    }

    /// Ends the connection; the first reason counts. Without a code nobody is to blame.
    pub(crate) fn end(&self, code: Option<CloseCode>, detail: &str) {
        let text = match code {
            Some(code) if detail.is_empty() => code.to_string(),
            Some(code) => format!("{code}: {detail}"),
            None => detail.to_owned(),
        };
        let number = code.map_or(0, |code| code as u32);
        let mut live = self.live();
        // Closing what is lost already would hide how it was lost.
        if live.why.is_none() && self.connection.close_reason().is_none() {
            self.connection
                .close(VarInt::from_u32(number), text.as_bytes());
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

    // --- long-lived streams ---

    async fn open_control(self: Arc<Self>) {
        let Ok((send, recv)) = self.connection.open_bi().await else {
            return;
        };
        let mut writer = FrameWriter::new(send);
        match writer.opening(Class::Control).await {
            Ok(()) => self.control(writer, recv).await,
            Err(fault) => self.stream_over(fault),
        }
    }

    async fn control(&self, mut writer: FrameWriter, mut recv: RecvStream) {
        let queue = self.live().control_queue.take();
        let Some(mut queue) = queue else {
            return self.violation(FrameError::UnexpectedStream(Class::Control as u8));
        };
        let max = Class::Control.request_bytes_max();
        let writing = async {
            while let Some(bytes) = queue.recv().await {
                let Some(prefix) = framing::prefix(&bytes, max) else {
                    continue;
                };
                if let Err(fault) = writer.frame(prefix, bytes).await {
                    return fault;
                }
            }
            StreamFault::Lost("control queue gone")
        };
        let reading = self.read_on(&mut recv, Class::Control, CONTROL_WAITING_MAX);
        let fault = tokio::select! {
            fault = reading => fault,
            fault = writing => fault,
        };
        self.stream_over(fault);
    }

    /// Reads the frames of a long-lived stream for ever; `waiting_max` may wait for the driver.
    async fn read_on(
        &self,
        recv: &mut RecvStream,
        class: Class,
        waiting_max: usize,
    ) -> StreamFault {
        let (conn, max) = (self.id, class.request_bytes_max());
        let waiting = Arc::new(Semaphore::new(waiting_max));
        loop {
            // Never closed, so never an error.
            let room = Arc::clone(&waiting).acquire_owned().await.ok();
            let bytes = match read_frame(recv, max, None, &self.limits).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return StreamFault::Lost("stream ended"),
                Err(fault) => return fault,
            };
            if class == Class::Control {
                self.tell(Lane::Urgent, TransportEvent::Control { conn, bytes }, room);
            } else {
                self.tell(Lane::Normal, TransportEvent::Announce { conn, bytes }, room);
            }
        }
    }

    async fn announce_out(self: Arc<Self>, mut announcements: Announcements) {
        use broadcast::error::RecvError;
        let Ok(send) = self.connection.open_uni().await else {
            return;
        };
        let mut writer = FrameWriter::new(send);
        if writer.opening(Class::Announce).await.is_err() {
            return;
        }
        loop {
            let bytes = match announcements.recv().await {
                Ok(bytes) => bytes,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let max = Class::Announce.request_bytes_max();
            let Some(prefix) = framing::prefix(&bytes, max) else {
                continue;
            };
            if writer.frame(prefix, bytes).await.is_err() {
                return;
            }
        }
    }

    async fn accept_announce(self: Arc<Self>) {
        while let Ok(mut recv) = self.connection.accept_uni().await {
            let fault = match read_opening(&mut recv, &self.limits).await {
                Ok(Class::Announce) => {
                    self.read_on(&mut recv, Class::Announce, ANNOUNCE_WAITING_MAX)
                        .await
                }
                Ok(other) => FrameError::UnexpectedStream(other as u8).into(),
                Err(fault) => fault,
            };
            self.stream_over(fault);
        }
    }

    // --- the peer's requests ---

    async fn accept_streams(self: Arc<Self>) {
        // As many as the peer may have open; dropped, and so stopped, with this task.
        let mut tasks = JoinSet::new();
        while let Ok((send, recv)) = self.connection.accept_bi().await {
            tasks.spawn(Arc::clone(&self).accept_stream(send, recv));
            while tasks.try_join_next().is_some() {}
        }
    }

    async fn accept_stream(self: Arc<Self>, send: SendStream, mut recv: RecvStream) {
        let writer = FrameWriter::new(send);
        match read_opening(&mut recv, &self.limits).await {
            Ok(Class::Control) => {
                writer.prioritize(Class::Control);
                self.control(writer, recv).await;
            }
            Ok(class) if class.is_request() => self.asked(class, writer, recv).await,
            Ok(class) => self.violation(FrameError::UnexpectedStream(class as u8)),
            Err(StreamFault::Violation(error)) => self.violation(error),
            Err(StreamFault::Lost(_)) => {}
        }
    }

    /// Reads a request. One too many of its class is reset without blame: the peer may have
    /// given up on an earlier one of which this side does not know yet.
    async fn asked(&self, class: Class, writer: FrameWriter, mut recv: RecvStream) {
        let Ok(slot) = Arc::clone(&self.slots[class as usize]).try_acquire_owned() else {
            return;
        };
        writer.prioritize(class);
        let frame = read_last_frame(&mut recv, class.request_bytes_max(), &self.limits).await;
        let bytes = match frame {
            Ok(bytes) => bytes,
            Err(StreamFault::Violation(error)) => return self.violation(error),
            Err(StreamFault::Lost(_)) => return,
        };
        let mut live = self.live();
        if live.closed {
            return;
        }
        let stream = StreamTag(live.next_stream);
        live.next_stream += 1;
        let asked = Asked {
            class,
            writer,
            slot,
        };
        live.asked.insert(stream, asked);
        let event = TransportEvent::Request {
            conn: self.id,
            stream,
            class,
            bytes,
        };
        self.sink.put(self.id, Lane::Normal, event, None);
    }

    /// Answers, or resets the stream if the peer leaves too many answers unread.
    fn answer(&self, stream: StreamTag, bytes: Vec<u8>) {
        let asked = self.live().asked.remove(&stream);
        let Some(Asked {
            class,
            mut writer,
            slot,
        }) = asked
        else {
            return;
        };
        let length = bytes.len();
        let room = u32::try_from(length).ok().and_then(|bytes| {
            Arc::clone(&self.answers_out)
                .try_acquire_many_owned(bytes)
                .ok()
        });
        let (Some(room), Some(prefix)) = (room, framing::prefix(&bytes, class.answer_bytes_max()))
        else {
            tracing::debug!(conn = self.id.0, ?class, length, "no room for an answer");
            return;
        };
        let deadline = self.limits.frame_deadline(length);
        self.runtime.spawn(async move {
            if let Ok(Ok(())) = timeout(deadline, writer.frame(prefix, bytes)).await {
                // Before the end is sent, since the peer may then ask again at once.
                drop(slot);
                writer.finish();
            }
            drop(room);
        });
    }

    // --- our requests ---

    fn request(self: &Arc<Self>, tag: RequestTag, class: Class, bytes: Vec<u8>) {
        let mut live = self.live();
        if live.closed {
            return;
        }
        let prefix = framing::prefix(&bytes, class.request_bytes_max());
        let full = live.requests.len() >= self.limits.requests_max;
        let (false, true, Some(prefix)) = (full, class.is_request(), prefix) else {
            let event = TransportEvent::NoAnswer { conn: self.id, tag };
            return self.sink.put(self.id, Lane::Normal, event, None);
        };
        let session = Arc::clone(self);
        // Cannot finish before it is inserted, since it needs the lock for that.
        let task = self.runtime.spawn(async move {
            let outcome = session.ask(class, prefix, bytes).await;
            session.answered(tag, outcome);
        });
        live.requests.insert(tag, task.abort_handle());
    }

    /// Asks, as soon as there is room for the largest answer.
    async fn ask(
        &self,
        class: Class,
        prefix: [u8; framing::PREFIX_BYTES],
        bytes: Vec<u8>,
    ) -> Result<(Vec<u8>, OwnedSemaphorePermit), StreamFault> {
        const LATE: StreamFault = StreamFault::Lost("not sent in time");
        let (patience, max) = (self.limits.frame_timeout, class.answer_bytes_max());
        let room = Arc::clone(&self.answers_in).acquire_many_owned(max as u32);
        let room = timeout(patience, room).await.map_err(|_| LATE)?;
        let mut room = room.map_err(|_| LATE)?;
        let asking = async {
            let opened = self.connection.open_bi().await;
            let (send, recv) = opened.map_err(|_| StreamFault::Lost("connection closed"))?;
            let mut writer = FrameWriter::new(send);
            writer.opening(class).await?;
            writer.frame(prefix, bytes).await?;
            writer.finish();
            Ok::<_, StreamFault>(recv)
        };
        let mut recv = timeout(patience, asking).await.map_err(|_| LATE)??;
        let answer = read_last_frame(&mut recv, max, &self.limits).await?;
        let kept = room.split(answer.len()).unwrap_or(room);
        Ok((answer, kept))
    }

    fn answered(
        &self,
        tag: RequestTag,
        outcome: Result<(Vec<u8>, OwnedSemaphorePermit), StreamFault>,
    ) {
        let conn = self.id;
        let (event, room) = match outcome {
            Ok((bytes, room)) => (TransportEvent::Answer { conn, tag, bytes }, Some(room)),
            Err(fault) => {
                if let StreamFault::Violation(error) = fault {
                    self.violation(error);
                }
                (TransportEvent::NoAnswer { conn, tag }, None)
            }
        };
        let mut live = self.live();
        if live.requests.remove(&tag).is_some() {
            self.sink.put(conn, Lane::Normal, event, room);
        }
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
    TransportEvent::Closed {
        conn,
        code,
        by_peer,
        detail: printable(&detail),
    }
}
