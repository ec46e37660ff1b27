//! One short conversation with a peer over the real transport, on a socket of its own: handshake,
//! hello, one ping. A pong means that the peer takes this node in; a close code says why not.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use cairn_core::codec;
use cairn_core::engine::{ConnId, DialId, Frame, PeerAddr};
use cairn_core::id::NodeId;
use cairn_core::limits::INTRODUCTION_BYTES;
use cairn_core::params::RULES_VERSION;
use cairn_core::wire::{Class, CloseCode, Control, Hello, PROTOCOL_VERSION, Run, SetSummary, Tip};
use cairn_transport_quic::{
    BindError, DialError, Endpoint, Inbox, Knock, TransportEvent, TransportLimits, inbox,
};
use tokio::runtime::Handle;

use crate::enroll::{Enrollment, mesh_id};

/// For the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For the peer to say whether it takes this node in; longer than it waits for a hello.
const ANSWER: Duration = Duration::from_secs(12);
/// Events that wait.
const INBOX: usize = 16;
/// Echoed by the peer.
const NONCE: u64 = 1;

/// What was learned of a peer that made the handshake.
#[derive(Debug)]
pub(super) struct Talk {
    /// The key that it proved.
    pub(super) node: NodeId,
    /// Its hello, if it said one.
    pub(super) hello: Option<Hello>,
    /// How it ended.
    pub(super) end: End,
}

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer answered a ping, as only who was accepted is answered.
    Accepted,
    /// Nothing was said: there is a link to this node already, or it is this node itself.
    Known,
    /// The peer closed with a code, and words.
    Refused(CloseCode, String),
    /// The connection broke, in these words.
    Broke(String),
    /// The peer said nothing in time.
    Silent,
}

/// Who talks.
pub(super) struct Speaker<'a> {
    pub(super) enrollment: &'a Enrollment,
    /// What goes in its hello.
    pub(super) state: (Tip, SetSummary),
    /// The address to leave from.
    pub(super) from: IpAddr,
    pub(super) clock: cairn_core::time::UnixTime,
}

impl Speaker<'_> {
    /// Opens a socket; must be called on the runtime that will move its packets.
    pub(super) fn open(&self) -> Result<(Endpoint, Inbox<TransportEvent>), BindError> {
        let limits = TransportLimits {
            handshake_timeout: HANDSHAKE,
            inbound_max: 1,
            ..TransportLimits::small()
        };
        let (sender, events) = inbox(INBOX);
        let (from, seed) = (SocketAddr::new(self.from, 0), self.enrollment.key.seed());
        let knock = Knock::of(&mesh_id(&self.enrollment.params));
        let endpoint = Endpoint::bind(from, seed, knock, limits, &Handle::current(), sender)?;
        Ok((endpoint, events))
    }

    /// What this node says first; without the store it knows the genesis block only.
    pub(super) fn hello(&self) -> Hello {
        let (tip, facts) = self.state;
        let mut room = INTRODUCTION_BYTES;
        let fits = |bytes: &&[u8]| {
            room = room.saturating_sub(bytes.len() + 4);
            room > 0
        };
        let lasting = self.enrollment.facts.iter().filter(|fact| fact.0.fact().body.is_lasting());
        let own = lasting.map(|fact| fact.0.bytes());
        let introduction = own.take_while(fits).map(|bytes| bytes.to_vec().into()).collect();
        Hello {
            protocol: (PROTOCOL_VERSION, PROTOCOL_VERSION),
            rules: RULES_VERSION,
            mesh: mesh_id(&self.enrollment.params),
            tip,
            facts,
            agent: concat!("cairn/", env!("CARGO_PKG_VERSION"), " doctor").into(),
            clock: self.clock,
            // Nobody is to dial the socket of this conversation.
            port: 0,
            // It answers no challenge, so nobody takes it for a second node with this key.
            run: Run([0; 16]),
            introduction,
        }
    }
}

/// Talks to `address`; blocks.
pub(super) fn talk(
    endpoint: &Endpoint,
    events: &Inbox<TransportEvent>,
    address: SocketAddr,
    hello: Hello,
    known: &[NodeId],
) -> Result<Talk, DialError> {
    endpoint.dial(DialId(1), &PeerAddr(address.to_string()), None);
    let (conn, node) = loop {
        match events.recv_timeout(HANDSHAKE + Duration::from_secs(1)) {
            Some(TransportEvent::Opened { conn, node, dial: Some(_), .. }) => break (conn, node),
            Some(TransportEvent::DialFailed { error, .. }) => return Err(error),
            Some(_) => {}
            None => return Err(DialError::Timeout),
        }
    };
    let mut talk = Talk { node, hello: None, end: End::Known };
    if known.contains(&node) {
        endpoint.close(conn, CloseCode::Duplicate, "");
        return Ok(talk);
    }
    let say = |message: &Control| endpoint.send(conn, Frame::Control(codec::encode(message)));
    let (tip, facts) = (hello.tip, hello.facts);
    say(&Control::Hello(hello));
    say(&Control::Ping { nonce: NONCE, tip, facts });
    talk.end = listen(endpoint, events, conn, &mut talk.hello);
    endpoint.close(conn, CloseCode::ShuttingDown, "");
    Ok(talk)
}

fn listen(
    endpoint: &Endpoint,
    events: &Inbox<TransportEvent>,
    conn: ConnId,
    heard: &mut Option<Hello>,
) -> End {
    let deadline = Instant::now() + ANSWER;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Some(TransportEvent::Control { bytes, .. }) => {
                match codec::decode(&bytes, Class::Control.request_bytes_max()) {
                    Ok(Control::Hello(hello)) => *heard = Some(hello),
                    Ok(Control::Pong { nonce: NONCE }) => return End::Accepted,
                    _ => {}
                }
            }
            Some(TransportEvent::Request { stream, .. }) => {
                endpoint.send(conn, Frame::Refuse(stream));
            }
            Some(TransportEvent::Closed { code: Some(code), detail, .. }) => {
                return End::Refused(code, detail);
            }
            Some(TransportEvent::Closed { detail, .. }) => return End::Broke(detail),
            Some(_) => {}
            None => return End::Silent,
        }
    }
}
