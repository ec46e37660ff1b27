//! What is going to happen in a world, in the order of time.

use cairn_core::engine::{
    BatchId, Command, CommandId, ConnId, ConnInput, DialId, Input, JobId, PeerAddr, RequestTag,
    StreamTag,
};
use cairn_core::fact::FactVerdict;
use cairn_core::id::NodeId;
use cairn_core::wire::{Class, CloseCode};

/// What a node is told later, in owned form.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Tick,
    Opened { conn: ConnId, node: NodeId, address: PeerAddr, dial: Option<DialId> },
    DialFailed(DialId),
    Control(ConnId, Vec<u8>),
    Announce(ConnId, Vec<u8>),
    Request(ConnId, StreamTag, Class, Vec<u8>),
    Answer(ConnId, RequestTag, Vec<u8>),
    NoAnswer(ConnId, RequestTag),
    Closed(ConnId, Option<CloseCode>, bool),
    Command(CommandId, Command),
    Verified(JobId, Vec<FactVerdict>),
    Sealed(JobId, Option<Box<cairn_core::block::Header>>),
    Durable(BatchId),
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
    /// As the engine is told.
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Self::Tick => Input::Tick,
            Self::Opened { conn, node, address, dial } => Input::Conn(
                *conn,
                ConnInput::Opened { node: *node, address: address.clone(), dial: *dial },
            ),
            Self::DialFailed(dial) => Input::DialFailed(*dial),
            Self::Control(conn, bytes) => Input::Conn(*conn, ConnInput::Control(bytes)),
            Self::Announce(conn, bytes) => Input::Conn(*conn, ConnInput::Announce(bytes)),
            Self::Request(conn, stream, class, bytes) => {
                Input::Conn(*conn, ConnInput::Request { stream: *stream, class: *class, bytes })
            }
            Self::Answer(conn, tag, bytes) => {
                Input::Conn(*conn, ConnInput::Answer { tag: *tag, bytes })
            }
            Self::NoAnswer(conn, tag) => Input::Conn(*conn, ConnInput::NoAnswer(*tag)),
            Self::Closed(conn, code, by_peer) => {
                Input::Conn(*conn, ConnInput::Closed { code: *code, by_peer: *by_peer })
            }
            Self::Command(id, command) => Input::Command(*id, command.clone()),
            Self::Verified(job, verdicts) => Input::Verified(*job, verdicts.clone()),
            Self::Sealed(job, header) => Input::Sealed(*job, header.clone()),
            Self::Durable(id) => Input::Durable(*id),
        }
    }
}
