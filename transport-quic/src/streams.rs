//! Single frames on single QUIC streams: reading with deadlines, writing with priorities.
//!
//! Invariants: a half-written stream is reset, never ended, so that the peer cannot take it for a
//! whole one (quinn ends a stream that is dropped); a slow or vanished peer is not to blame, bytes
//! that no correct peer sends are.

use std::time::Duration;

use cairn_core::wire::Class;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use crate::config::TransportLimits;
use crate::error::FrameError;
use crate::framing::{self, FrameAssembler};

/// Code of every stream reset; the reason does not matter to the other side.
const RESET: VarInt = VarInt::from_u32(0);

/// Why a stream gave no frame.
#[derive(Debug)]
pub(crate) enum StreamFault {
    /// The peer broke the protocol.
    Violation(FrameError),
    /// The peer or the network was too slow, or is gone.
    Lost(&'static str),
}

impl From<FrameError> for StreamFault {
    fn from(error: FrameError) -> Self {
        Self::Violation(error)
    }
}

impl From<ReadError> for StreamFault {
    fn from(_: ReadError) -> Self {
        Self::Lost("stream reset")
    }
}

const LATE: StreamFault = StreamFault::Lost("too slow");

/// Reads the class of a stream that the peer opened.
pub(crate) async fn read_opening(
    recv: &mut RecvStream,
    limits: &TransportLimits,
) -> Result<Class, StreamFault> {
    let mut bytes = [0; 2];
    match timeout(limits.frame_timeout, recv.read_exact(&mut bytes)).await {
        Ok(Ok(())) => Ok(framing::parse_opening(bytes)?),
        Ok(Err(ReadExactError::FinishedEarly(_))) => Err(FrameError::Truncated.into()),
        Ok(Err(ReadExactError::ReadError(error))) => Err(error.into()),
        Err(_) => Err(LATE),
    }
}

/// Reads one frame of at most `max` bytes; `None` if the stream ended before it. Its first byte may
/// take `patience` (for ever, if `None`).
pub(crate) async fn read_frame(
    recv: &mut RecvStream,
    max: usize,
    patience: Option<Duration>,
    limits: &TransportLimits,
) -> Result<Option<Vec<u8>>, StreamFault> {
    let mut frame = FrameAssembler::new(max);
    let first = recv.read(frame.space());
    let first = match patience {
        Some(patience) => timeout(patience, first).await.map_err(|_| LATE)?,
        None => first.await,
    };
    let Some(count) = first? else {
        return Ok(None);
    };
    frame.advance(count)?;
    let prefix = async {
        while frame.length().is_none() {
            read_some(recv, &mut frame).await?;
        }
        Ok::<_, StreamFault>(frame.length().unwrap_or(0))
    };
    let length = timeout(limits.frame_timeout, prefix).await.map_err(|_| LATE)??;
    let body = async {
        while !frame.is_complete() {
            read_some(recv, &mut frame).await?;
        }
        Ok::<_, StreamFault>(())
    };
    timeout(limits.frame_deadline(length), body).await.map_err(|_| LATE)??;
    Ok(Some(frame.into_frame()))
}

async fn read_some(recv: &mut RecvStream, frame: &mut FrameAssembler) -> Result<(), StreamFault> {
    let count = recv.read(frame.space()).await?.ok_or(FrameError::Truncated)?;
    Ok(frame.advance(count)?)
}

/// Reads the only frame of a stream, and its end.
pub(crate) async fn read_last_frame(
    recv: &mut RecvStream,
    max: usize,
    limits: &TransportLimits,
) -> Result<Vec<u8>, StreamFault> {
    let frame = read_frame(recv, max, Some(limits.frame_timeout), limits).await?;
    let frame = frame.ok_or(FrameError::Truncated)?;
    match timeout(limits.frame_timeout, recv.read(&mut [0])).await {
        Ok(Ok(None)) => Ok(frame),
        Ok(Ok(Some(_))) => Err(FrameError::Trailing.into()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(LATE),
    }
}

/// The sending half of a stream; reset when dropped before `finish`.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    send: SendStream,
    finished: bool,
}

impl FrameWriter {
    /// Takes a stream.
    pub(crate) const fn new(send: SendStream) -> Self {
        Self { send, finished: false }
    }

    /// Gives the stream the priority of its class.
    pub(crate) fn prioritize(&self, class: Class) {
        // Fails only when the stream is closed already, as the next write will find out.
        let _ = self.send.set_priority(class.priority());
    }

    /// Writes what a stream begins with.
    pub(crate) async fn opening(&mut self, class: Class) -> Result<(), StreamFault> {
        self.prioritize(class);
        let bytes = framing::opening(class);
        self.send.write_all(&bytes).await.map_err(|_| StreamFault::Lost("stream closed"))
    }

    /// Writes a frame; waits for the peer's windows.
    pub(crate) async fn frame(
        &mut self,
        prefix: [u8; 4],
        bytes: Vec<u8>,
    ) -> Result<(), StreamFault> {
        let mut parts = [prefix.to_vec().into(), bytes.into()];
        let written = self.send.write_all_chunks(&mut parts).await;
        written.map_err(|_| StreamFault::Lost("stream closed"))
    }

    /// Ends the stream: all that was written is to arrive.
    pub(crate) fn finish(mut self) {
        // Fails only when the stream is closed already.
        self.finished = self.send.finish().is_ok();
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.send.reset(RESET);
        }
    }
}
