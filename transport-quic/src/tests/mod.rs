//! The transport over real sockets on loopback, among itself and against hostile peers, who are
//! plain quinn clients. Every wait has a deadline; nothing sleeps.

mod call_back;
mod knock;
mod lifecycle;
mod places;
mod pressure;
mod resumption;
mod streams;
mod tls;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cairn_core::engine::{ConnId, DialId, Frame, PeerAddr, RequestTag};
use cairn_core::id::{MeshId, NodeId};
use cairn_core::wire::{Class, CloseCode, WIRE_VERSION};
use quinn::{Connection, ConnectionError, TransportConfig};
use tokio::runtime::Runtime;

use crate::identity::{Identity, NAME, quic_client};
use crate::verifier::KeyVerifier;
use crate::{Endpoint, Inbox, Knock, TransportEvent, TransportLimits, inbox};

const WAIT: Duration = Duration::from_secs(20);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Runs a future of a hostile peer, with a deadline.
fn wait<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(async { tokio::time::timeout(WAIT, future).await.expect("in time") })
}

/// The knock of the mesh that all are in.
fn knock() -> Knock {
    Knock::of(&MeshId([5; 32]))
}

struct Node {
    endpoint: Endpoint,
    inbox: Inbox<TransportEvent>,
}

impl Node {
    fn start(runtime: &Runtime, seed: u8, limits: TransportLimits) -> Self {
        Self::start_in(runtime, seed, knock(), limits)
    }

    fn start_in(runtime: &Runtime, seed: u8, knock: Knock, limits: TransportLimits) -> Self {
        let (sender, inbox) = inbox(16);
        let handle = runtime.handle();
        let key = [seed; 32];
        let endpoint = Endpoint::bind(LOOPBACK, &key, knock, limits, handle, sender).unwrap();
        Self { endpoint, inbox }
    }

    fn next(&self) -> TransportEvent {
        self.inbox.recv_timeout(WAIT).expect("an event in time")
    }

    fn dial(&self, number: u64, to: &Self, expected: Option<NodeId>) {
        let address = PeerAddr(to.endpoint.local_addr().to_string());
        self.endpoint.dial(DialId(number), &address, expected);
    }

    fn opened(&self) -> (ConnId, NodeId) {
        match self.next() {
            TransportEvent::Opened { conn, node, .. } => (conn, node),
            other => panic!("expected Opened, got {other:?}"),
        }
    }

    /// The next event, which must be the end of the connection.
    fn closed(&self, expected: ConnId) -> (Option<CloseCode>, bool, String) {
        match self.next() {
            TransportEvent::Closed { conn, code, by_peer, detail } if conn == expected => {
                (code, by_peer, detail)
            }
            other => panic!("expected Closed, got {other:?}"),
        }
    }

    fn control(&self, conn: ConnId, byte: u8) {
        self.endpoint.send(conn, Frame::Control(vec![byte]));
    }

    fn request(&self, conn: ConnId, tag: u64, class: Class, bytes: Vec<u8>) {
        let tag = RequestTag(tag);
        self.endpoint.send(conn, Frame::Request { tag, class, bytes });
    }
}

/// Two nodes with a connection; the first dialled.
fn pair(runtime: &Runtime, limits: &TransportLimits) -> (Node, ConnId, Node, ConnId) {
    let a = Node::start(runtime, 1, limits.clone());
    let b = Node::start(runtime, 2, limits.clone());
    a.dial(0, &b, None);
    let (at_a, at_b) = (a.opened().0, b.opened().0);
    (a, at_a, b, at_b)
}

fn client_tls(identity: &Identity) -> rustls::ClientConfig {
    let verifier = Arc::new(KeyVerifier::new(&identity.provider, None));
    identity.client_tls(verifier).unwrap()
}

/// Settings of a dialler that knocks right and has this TLS.
fn knocking(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    let mut config = quinn::ClientConfig::new(quic_client(tls).unwrap());
    config.initial_dst_cid_provider(Arc::new(|| knock().connection_id()));
    config
}

/// Dials as somebody who does not keep to the rules of this crate.
fn raw_dial(
    runtime: &Runtime,
    tls: rustls::ClientConfig,
    transport: TransportConfig,
    to: &Node,
) -> Result<(quinn::Endpoint, Connection), ConnectionError> {
    let mut config = knocking(tls);
    config.transport_config(Arc::new(transport));
    let address = to.endpoint.local_addr();
    wait(runtime, async {
        let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
        let connection = endpoint.connect_with(config, address, NAME).unwrap().await?;
        Ok((endpoint, connection))
    })
}

/// A node announces, and the raw peer at the other end reads its answer to the knock and then that.
fn a_frame_arrives(runtime: &Runtime, node: &Node, conn: ConnId, connection: &Connection) {
    node.endpoint.send(conn, Frame::Announce(vec![1]));
    wait(runtime, async {
        connection.accept_uni().await.unwrap().read_to_end(16).await.unwrap();
        let mut recv = connection.accept_uni().await.unwrap();
        recv.read_exact(&mut [0; 7]).await.unwrap();
    });
}

/// A peer with a good key that is then free to misbehave.
fn hostile(
    runtime: &Runtime,
    transport: TransportConfig,
    victim: &Node,
) -> (quinn::Endpoint, Connection, ConnId) {
    let tls = client_tls(&Identity::from_seed(&[66; 32]).unwrap());
    let (endpoint, connection) = raw_dial(runtime, tls, transport, victim).unwrap();
    (endpoint, connection, victim.opened().0)
}

/// What a stream of this class begins with, and a frame that claims `length` and carries `body`.
fn raw_frame(class: Class, length: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![class as u8, WIRE_VERSION];
    bytes.extend(length.to_le_bytes());
    bytes.extend(body);
    bytes
}
