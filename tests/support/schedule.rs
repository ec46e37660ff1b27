//! What is going to happen in a world, in the order of time.

use std::fmt;

use cairn_core::codec;
use cairn_core::engine::{
    BatchId, CallId, Command, CommandId, ConnId, ConnInput, DialId, Input, JobId, PeerAddr,
    RequestTag, StreamTag,
};
use cairn_core::fact::FactVerdict;
use cairn_core::id::NodeId;
use cairn_core::wire::{Announce, Class, CloseCode, Control};

/// What a node is told later, in owned form.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Tick,
    Opened {
        conn: ConnId,
        node: NodeId,
        address: PeerAddr,
        dial: Option<DialId>,
    },
    DialFailed(DialId),
    CalledBack(CallId),
    Control(ConnId, Vec<u8>),
    Announce(ConnId, Vec<u8>),
    Request(ConnId, StreamTag, Class, Vec<u8>),
    Answer(ConnId, RequestTag, Vec<u8>),
    NoAnswer(ConnId, RequestTag),
    Closed(ConnId, Option<CloseCode>, bool, String),
    /// The connection is closed if this cut is still there; the engine is not told of this.
    IdleOut(ConnId, (usize, usize), u64),
    Command(CommandId, Command),
    Verified(JobId, Vec<FactVerdict>),
    Sealed(JobId, Option<Box<cairn_core::block::Header>>),
    Durable(BatchId),
    ReadOnly(bool),
    /// The process ends after it has said goodbye.
    Halt,
}

#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) at: u64,
    pub(crate) order: u64,
    pub(crate) node: usize,
    /// Which life of the node it is meant for; a crash ends one.
    pub(crate) life: u64,
    pub(crate) what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives its greatest first; we want the earliest.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl Happening {
    /// A connection is over, and nobody said why.
    pub(crate) const fn lost(conn: ConnId) -> Self {
        Self::Closed(conn, None, false, String::new())
    }

    /// As the engine is told.
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Self::Tick => Input::Tick,
            Self::Opened { conn, node, address, dial } => Input::Conn(
                *conn,
                ConnInput::Opened {
                    node: *node,
                    address: address.clone(),
                    dial: *dial,
                    key_exchange: "simulated",
                },
            ),
            Self::DialFailed(dial) => Input::DialFailed(*dial),
            Self::CalledBack(call) => Input::CalledBack(*call, true),
            Self::Control(conn, bytes) => Input::Conn(*conn, ConnInput::Control(bytes)),
            Self::Announce(conn, bytes) => Input::Conn(*conn, ConnInput::Announce(bytes)),
            Self::Request(conn, stream, class, bytes) => {
                Input::Conn(*conn, ConnInput::Request { stream: *stream, class: *class, bytes })
            }
            Self::Answer(conn, tag, bytes) => {
                Input::Conn(*conn, ConnInput::Answer { tag: *tag, bytes })
            }
            Self::NoAnswer(conn, tag) => Input::Conn(*conn, ConnInput::NoAnswer(*tag)),
            Self::Closed(conn, code, by_peer, reason) => {
                Input::Conn(*conn, ConnInput::Closed { code: *code, by_peer: *by_peer, reason })
            }
            Self::IdleOut(conn, ..) => {
                Input::Conn(*conn, ConnInput::Closed { code: None, by_peer: false, reason: "" })
            }
            Self::Command(id, command) => Input::Command(*id, command.clone()),
            Self::Verified(job, verdicts) => Input::Verified(*job, verdicts.clone()),
            Self::Sealed(job, header) => Input::Sealed(*job, header.clone()),
            Self::Durable(id) => Input::Durable(*id),
            Self::ReadOnly(on) => Input::ReadOnly(*on),
            Self::Halt => Input::Tick,
        }
    }
}

impl Happening {
    /// The frame, if it is one.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Control(_, bytes)
            | Self::Announce(_, bytes)
            | Self::Request(_, _, _, bytes)
            | Self::Answer(_, _, bytes) => bytes,
            _ => &[],
        }
    }

    fn numbers(&self) -> (u64, u64, u64) {
        match self {
            Self::Tick => (1, 0, 0),
            Self::Opened { conn, dial, .. } => (2, conn.0, dial.map_or(0, |dial| dial.0)),
            Self::DialFailed(dial) => (3, dial.0, 0),
            Self::CalledBack(call) => (16, call.0, 0),
            Self::Control(conn, _) => (4, conn.0, 0),
            Self::Announce(conn, _) => (5, conn.0, 0),
            Self::Request(conn, stream, class, _) => (6 + *class as u64 * 32, conn.0, stream.0),
            Self::Answer(conn, tag, _) => (7, conn.0, tag.0),
            Self::NoAnswer(conn, tag) => (8, conn.0, tag.0),
            Self::Closed(conn, code, by_peer, _) => {
                (9, conn.0, code.map_or(0, |code| code as u64) * 2 + u64::from(*by_peer))
            }
            Self::IdleOut(conn, _, number) => (10, conn.0, *number),
            Self::Command(id, _) => (11, id.0, 0),
            Self::Verified(job, verdicts) => (12, job.0, verdicts.len() as u64),
            Self::Sealed(job, header) => (13, job.0, u64::from(header.is_some())),
            Self::Durable(id) => (14, id.0, 0),
            Self::Halt => (15, 0, 0),
            Self::ReadOnly(on) => (17, u64::from(*on), 0),
        }
    }

    /// A hash of everything that matters, on top of another.
    pub(crate) fn digest(&self, before: u64) -> u64 {
        let mix = |hash: u64, value: u64| {
            let z = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z ^ (z >> 29)
        };
        let (a, b, c) = self.numbers();
        let (words, rest) = self.bytes().as_chunks::<8>();
        let hash = [a, b, c].into_iter().fold(before, mix);
        let hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(conn, bytes) => match codec::decode::<Control>(bytes, bytes.len()) {
                Ok(Control::Hello(hello)) => {
                    write!(f, "c{} hello {} {:?}", conn.0, hello.agent, hello.tip)
                }
                Ok(message) => write!(f, "c{} {message:?}", conn.0),
                Err(_) => write!(f, "c{} control, {} bytes of garbage", conn.0, bytes.len()),
            },
            Self::Announce(conn, bytes) => match codec::decode::<Announce>(bytes, bytes.len()) {
                Ok(Announce::Facts(ids)) => write!(f, "c{} announces {} facts", conn.0, ids.len()),
                Ok(message) => write!(f, "c{} announces {message:?}", conn.0),
                Err(_) => write!(f, "c{} announce, {} bytes of garbage", conn.0, bytes.len()),
            },
            Self::Request(conn, stream, class, bytes) => {
                write!(f, "c{} asks {class:?} s{} ({} bytes)", conn.0, stream.0, bytes.len())
            }
            Self::Answer(conn, tag, bytes) => {
                write!(f, "c{} answers r{} ({} bytes)", conn.0, tag.0, bytes.len())
            }
            Self::Verified(job, verdicts) => write!(f, "{} verdicts for {job:?}", verdicts.len()),
            Self::Command(id, command) => match command {
                Command::Publish(facts) => write!(f, "{id:?}: publish {} facts", facts.len()),
                command => write!(f, "{id:?}: {command:?}"),
            },
            other => write!(f, "{other:?}"),
        }
    }
}
