//! The control stream, and one announce stream each way. They live as long as the connection: the
//! end of one that the peer should keep open ends the connection.

use std::sync::Arc;

use cairn_core::wire::Class;
use quinn::RecvStream;
use tokio::sync::{Semaphore, broadcast};

use super::{Announcements, Session};
use crate::config::{ANNOUNCE_WAITING_MAX, CONTROL_WAITING_MAX};
use crate::error::FrameError;
use crate::event::TransportEvent;
use crate::framing;
use crate::inbox::Lane;
use crate::streams::{FrameWriter, StreamFault, read_frame, read_opening};

impl Session {
    pub(super) async fn open_control(self: Arc<Self>) {
        let Ok((send, recv)) = self.connection.open_bi().await else {
            return;
        };
        let mut writer = FrameWriter::new(send);
        match writer.opening(Class::Control).await {
            Ok(()) => self.control(writer, recv).await,
            Err(fault) => self.stream_over(fault),
        }
    }

    pub(super) async fn control(&self, mut writer: FrameWriter, mut recv: RecvStream) {
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
        let reading = self.read_on(&mut recv, Class::Control);
        let fault = tokio::select! {
            fault = reading => fault,
            fault = writing => fault,
        };
        self.stream_over(fault);
    }

    /// Reads the frames of a long-lived stream for ever; a few may wait for the driver.
    async fn read_on(&self, recv: &mut RecvStream, class: Class) -> StreamFault {
        let (conn, max) = (self.id, class.request_bytes_max());
        let (lane, waiting_max) = match class {
            Class::Control => (Lane::Urgent, CONTROL_WAITING_MAX),
            _ => (Lane::Normal, ANNOUNCE_WAITING_MAX),
        };
        let waiting = Arc::new(Semaphore::new(waiting_max));
        loop {
            // Never closed, so never an error.
            let room = Arc::clone(&waiting).acquire_owned().await.ok();
            let bytes = match read_frame(recv, max, None, &self.limits).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return StreamFault::Lost("stream ended"),
                Err(fault) => return fault,
            };
            let event = match class {
                Class::Control => TransportEvent::Control { conn, bytes },
                _ => TransportEvent::Announce { conn, bytes },
            };
            self.tell(lane, event, room);
        }
    }

    /// The stream is opened by the first announcement: a stranger does not get even its class.
    pub(super) async fn announce_out(self: Arc<Self>, mut announcements: Announcements) {
        use broadcast::error::RecvError;
        let mut open = None;
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
            let mut writer = match open.take() {
                Some(writer) => writer,
                None => match self.open_announce().await {
                    Some(writer) => writer,
                    None => return,
                },
            };
            if writer.frame(prefix, bytes).await.is_err() {
                return;
            }
            open = Some(writer);
        }
    }

    async fn open_announce(&self) -> Option<FrameWriter> {
        let mut writer = FrameWriter::new(self.connection.open_uni().await.ok()?);
        writer.opening(Class::Announce).await.ok()?;
        Some(writer)
    }

    pub(super) async fn accept_announce(self: Arc<Self>) {
        while let Ok(mut recv) = self.connection.accept_uni().await {
            let fault = match read_opening(&mut recv, &self.limits).await {
                Ok(Class::Announce) => self.read_on(&mut recv, Class::Announce).await,
                Ok(other) => FrameError::UnexpectedStream(other as u8).into(),
                Err(fault) => fault,
            };
            self.stream_over(fault);
        }
    }
}
