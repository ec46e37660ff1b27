//! Requests in both directions, each on a stream of its own.
//!
//! The peer's are bounded by the slots of their class, which are held until the answer is written;
//! ours by their number and by the room for their answers, which is reserved before asking.

use std::sync::Arc;

use cairn_core::engine::{RequestTag, StreamTag};
use cairn_core::wire::Class;
use quinn::{RecvStream, SendStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Asked, Session};
use crate::error::FrameError;
use crate::event::TransportEvent;
use crate::framing;
use crate::inbox::Lane;
use crate::streams::{FrameWriter, StreamFault, read_last_frame, read_opening};

impl Session {
    pub(super) async fn accept_streams(self: Arc<Self>) {
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
        let asked = Asked { class, writer, slot };
        live.asked.insert(stream, asked);
        let event = TransportEvent::Request { conn: self.id, stream, class, bytes };
        self.sink.put(self.id, Lane::Normal, event, None);
    }

    /// Answers, or resets the stream if the peer leaves too many answers unread.
    pub(super) fn answer(&self, stream: StreamTag, bytes: Vec<u8>) {
        let asked = self.live().asked.remove(&stream);
        let Some(Asked { class, mut writer, slot }) = asked else {
            return;
        };
        let length = bytes.len();
        let room = u32::try_from(length)
            .ok()
            .and_then(|bytes| Arc::clone(&self.answers_out).try_acquire_many_owned(bytes).ok());
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

    pub(super) fn request(self: &Arc<Self>, tag: RequestTag, class: Class, bytes: Vec<u8>) {
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
