//! The UDP socket with all connections of a node: binds, accepts, dials.
//!
//! Calls never wait and may come from any thread; the work runs on the runtime given to `bind`.
//! Here only counts are judged: how many handshakes, connections and dials. Every connection holds
//! one place among them, until the driver has taken its `Closed`.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_core::engine::{ConnId, DialId, Frame, PeerAddr};
use cairn_core::id::NodeId;
use cairn_core::wire::CloseCode;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, Incoming, Runtime as _, TransportErrorCode, VarInt};
use rustls::NamedGroup;
use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::admission::{Gate, Newest, Verdict};
use crate::config::TransportLimits;
use crate::door::{Door, Guard};
use crate::error::{BindError, DialError, printable};
use crate::event::TransportEvent;
use crate::identity::{Identity, NAME, quic_client, quic_server};
use crate::inbox::{InboxSender, Lane, Sink};
use crate::knock::Knock;
use crate::session::Session;
use crate::verifier::{KeyVerifier, node_of};

/// Addresses of one name that a dial tries.
const ADDRESSES_MAX: usize = 4;
/// How long `shutdown` waits for the other sides.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);

/// A node's place on the network. Clones are the same endpoint; it lives until `shutdown`.
#[derive(Clone)]
pub struct Endpoint(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    quinn: quinn::Endpoint,
    pub(crate) address: SocketAddr,
    identity: Identity,
    knock: Knock,
    limits: Arc<TransportLimits>,
    pub(crate) runtime: Handle,
    pub(crate) sink: Arc<dyn Sink>,
    sessions: Mutex<HashMap<ConnId, Arc<Session>>>,
    next_conn: AtomicU64,
    gate: Mutex<Gate>,
    /// Handshakes that others began.
    half_open: Mutex<Newest<u64, AbortHandle>>,
    next_handshake: AtomicU64,
    /// Connections of others to whom the driver has said nothing yet.
    strangers: Mutex<Newest<ConnId, Arc<Session>>>,
    inbound: Arc<Semaphore>,
    outbound: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Endpoint {
    /// Opens the UDP socket and accepts from then on. `seed` is the node's RFC 8032 key seed; who
    /// does not know the `knock` gets no answer; `runtime` needs I/O and time; what happens goes to
    /// `events`.
    ///
    /// # Errors
    /// `PortInUse` if another socket has the port; see `BindError` for the rest.
    pub fn bind<T: From<TransportEvent> + Send + 'static>(
        address: SocketAddr,
        seed: &[u8; 32],
        knock: Knock,
        limits: TransportLimits,
        runtime: &Handle,
        events: InboxSender<T>,
    ) -> Result<Self, BindError> {
        limits.check().map_err(BindError::Limits)?;
        let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
            BindError::Identity(error.to_string())
        };
        let identity = Identity::from_seed(seed).map_err(unfit)?;
        let server = limits.server(quic_server(&identity).map_err(unfit)?);
        let _entered = runtime.enter();
        let opened = UdpSocket::bind(address).and_then(|socket| open(socket, server, knock));
        let (bound, quinn) = opened.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => BindError::PortInUse(address),
            _ => BindError::Socket { address, source },
        })?;
        let shared = Arc::new(Shared {
            quinn,
            address: bound,
            identity,
            knock,
            runtime: runtime.clone(),
            sink: Arc::new(events),
            sessions: Mutex::default(),
            next_conn: AtomicU64::new(0),
            gate: Mutex::new(Gate::new(limits.half_open_max, Instant::now())),
            half_open: Mutex::new(Newest::new(limits.half_open_max)),
            next_handshake: AtomicU64::new(0),
            strangers: Mutex::new(Newest::new(limits.strangers_max)),
            inbound: Arc::new(Semaphore::new(limits.inbound_max)),
            outbound: Arc::new(Semaphore::new(limits.outbound_max)),
            limits: Arc::new(limits),
        });
        let accepting = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Some(incoming) = accepting.quinn.accept().await {
                accepting.admit(incoming);
            }
        });
        Ok(Self(shared))
    }

    /// Where the socket is bound; tells the port if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.0.identity.node
    }

    /// Connects to `host:port`, to nobody but `expected` if that is given. `Opened` with this `dial`
    /// or `DialFailed` follows, within the handshake timeout.
    pub fn dial(&self, dial: DialId, address: &PeerAddr, expected: Option<NodeId>) {
        let (shared, host) = (Arc::clone(&self.0), address.0.clone());
        let slot = Arc::clone(&shared.outbound).try_acquire_owned();
        self.0.runtime.spawn(async move {
            let outcome = match slot {
                Ok(slot) => shared.try_host(&host, expected).await.map(|found| (found, slot)),
                Err(_) => Err(DialError::TooMany),
            };
            match outcome {
                Ok(((connection, node), slot)) => shared.start(connection, node, Some(dial), slot),
                Err(error) => shared.sink.put_own(TransportEvent::DialFailed { dial, error }),
            }
        });
    }

    /// Sends a frame. A full announce queue drops the oldest announcement, a full request queue
    /// gives `NoAnswer`, a full control queue ends the connection. A connection that is over
    /// swallows everything.
    pub fn send(&self, conn: ConnId, frame: Frame) {
        if let Some(session) = self.session(conn) {
            if matches!(frame, Frame::Control(_)) {
                lock(&self.0.strangers).remove(&conn);
            }
            session.send(frame);
        }
    }

    /// Ends a connection with a number and what there is to say besides; nothing but its `Closed`
    /// follows.
    pub fn close(&self, conn: ConnId, code: CloseCode, detail: &str) {
        if let Some(session) = self.session(conn) {
            session.close(code, detail);
        }
    }

    /// Ends all connections and dials and accepts no more; waits up to 2 s for the other sides.
    pub async fn shutdown(&self) {
        let sessions: Vec<_> = lock(&self.0.sessions).values().cloned().collect();
        for session in sessions {
            session.end(Some(CloseCode::ShuttingDown), "");
        }
        let code = VarInt::from_u32(CloseCode::ShuttingDown as u32);
        self.0.quinn.close(code, CloseCode::ShuttingDown.to_string().as_bytes());
        // Those who do not answer in time find out by themselves.
        let _ = timeout(SHUTDOWN_WAIT, self.0.quinn.wait_idle()).await;
    }

    fn session(&self, conn: ConnId) -> Option<Arc<Session>> {
        lock(&self.0.sessions).get(&conn).cloned()
    }
}

impl Shared {
    fn admit(self: &Arc<Self>, incoming: Incoming) {
        if !self.knock.is_in(&incoming.orig_dst_cid()) {
            return incoming.ignore();
        }
        let source = incoming.remote_address().ip();
        let proven = incoming.remote_address_validated();
        let under_way = lock(&self.half_open).len();
        let verdict = lock(&self.gate).judge(source, proven, under_way, Instant::now());
        match verdict {
            Verdict::Ignore => incoming.ignore(),
            // Fails only for a proven address, which is never asked to retry.
            Verdict::Retry => drop(incoming.retry()),
            Verdict::Accept => match Arc::clone(&self.inbound).try_acquire_owned() {
                Ok(slot) => self.answer(incoming, slot),
                Err(_) => incoming.refuse(),
            },
        }
    }

    fn answer(self: &Arc<Self>, incoming: Incoming, slot: OwnedSemaphorePermit) {
        let from = incoming.remote_address();
        let proven = incoming.remote_address_validated();
        if proven {
            // At once: who fails or is displaced has cost as much as who gets through.
            lock(&self.gate).charge(from.ip(), Instant::now());
        }
        let connecting = match incoming.accept() {
            Ok(connecting) => connecting,
            Err(error) => return tracing::debug!(%from, %error, "handshake refused"),
        };
        let shared = Arc::clone(self);
        let number = self.next_handshake.fetch_add(1, Ordering::Relaxed);
        // Held, so that the task cannot end before it is in the list.
        let mut half_open = lock(&self.half_open);
        let task = self.runtime.spawn(async move {
            let knock = shared.knock;
            let handshake = async {
                let connection = connecting.await?;
                // Fails only if the connection does.
                knock.answer(&connection).await;
                Ok::<_, ConnectionError>(connection)
            };
            let outcome = timeout(shared.limits.handshake_timeout, handshake).await;
            if !proven && matches!(outcome, Ok(Ok(_))) {
                lock(&shared.gate).charge(from.ip(), Instant::now());
            }
            lock(&shared.half_open).remove(&number);
            match outcome {
                Ok(Ok(connection)) => match identity_of(&connection) {
                    Some(node) => shared.start(connection, node, None, slot),
                    None => connection.close(VarInt::from_u32(0), b"no identity"),
                },
                Ok(Err(error)) => tracing::debug!(%from, %error, "handshake failed"),
                Err(_) => tracing::debug!(%from, "handshake too slow"),
            }
        });
        if let Some(oldest) = half_open.add(number, task.abort_handle()) {
            oldest.abort();
        }
    }

    fn start(
        self: &Arc<Self>,
        connection: Connection,
        node: NodeId,
        dial: Option<DialId>,
        slot: OwnedSemaphorePermit,
    ) {
        let conn = ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed));
        let remote = connection.remote_address();
        let address = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let dialled = dial.is_some();
        let key_exchange = key_exchange_of(&connection);
        let (limits, sink) = (&self.limits, &self.sink);
        let (session, announcements) =
            Session::new(conn, dialled, connection, limits, sink, &self.runtime);
        // Known before it is told, so that the driver can send at once and who is spoken to is no
        // stranger from then on.
        lock(&self.sessions).insert(conn, Arc::clone(&session));
        let displaced = match dialled {
            true => None,
            false => lock(&self.strangers).add(conn, Arc::clone(&session)),
        };
        let opened = TransportEvent::Opened { conn, node, address, dial, key_exchange };
        self.sink.put(conn, Lane::Urgent, opened, None);
        if let Some(stranger) = displaced {
            stranger.end(Some(CloseCode::Full), "");
        }
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            session.run(announcements, slot).await;
            lock(&shared.strangers).remove(&conn);
            lock(&shared.sessions).remove(&conn);
        });
    }

    /// Resolves a name and tries its addresses one after the other, each with an equal part of the
    /// time left.
    async fn try_host(
        &self,
        host: &str,
        expected: Option<NodeId>,
    ) -> Result<(Connection, NodeId), DialError> {
        let start = Instant::now();
        let patience = self.limits.handshake_timeout;
        let found = timeout(patience, tokio::net::lookup_host(host)).await;
        let found = found.map_err(|_| DialError::Timeout)?;
        let found = found.map_err(|error| DialError::Resolve(error.to_string()))?;
        let addresses: Vec<_> = found.take(ADDRESSES_MAX).collect();
        let mut failure = DialError::Resolve("the name has no address".to_owned());
        for (tried, address) in addresses.iter().enumerate() {
            let left = patience.saturating_sub(start.elapsed());
            let part = left / (addresses.len() - tried) as u32;
            failure = match timeout(part, self.try_address(&self.quinn, *address, expected)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => error,
                Err(_) => DialError::Timeout,
            };
        }
        Err(failure)
    }

    pub(crate) async fn try_address(
        &self,
        from: &quinn::Endpoint,
        address: SocketAddr,
        expected: Option<NodeId>,
    ) -> Result<(Connection, NodeId), DialError> {
        let failed = |text: String| DialError::Handshake(printable(&text));
        let verifier = Arc::new(KeyVerifier::new(&self.identity.provider, expected));
        let tls = self.identity.client_tls(Arc::clone(&verifier));
        let tls = tls.map_err(|error| failed(error.to_string()))?;
        let tls = quic_client(tls).map_err(|error| failed(error.to_string()))?;
        let mut client = self.limits.client(tls);
        let knock = self.knock;
        client.initial_dst_cid_provider(Arc::new(move || knock.connection_id()));
        let connecting = match from.connect_with(client, address, NAME) {
            Ok(connecting) => connecting,
            Err(quinn::ConnectError::EndpointStopping) => return Err(DialError::ShuttingDown),
            Err(error) => return Err(failed(error.to_string())),
        };
        let connection = connecting.await.map_err(|error| match (verifier.mismatch(), error) {
            (Some((expected, got)), _) => DialError::WrongKey { expected, got },
            (_, ConnectionError::TimedOut) => DialError::Timeout,
            (_, ConnectionError::LocallyClosed) => DialError::ShuttingDown,
            (_, ConnectionError::ConnectionClosed(close))
                if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
            {
                DialError::Refused
            }
            (_, other) => failed(other.to_string()),
        })?;
        let node = identity_of(&connection).ok_or_else(|| failed("no identity".to_owned()))?;
        if !self.knock.is_answered(&connection).await {
            connection.close(VarInt::from_u32(0), b"");
            return Err(failed("who answers there does not know the mesh".to_owned()));
        }
        Ok((connection, node))
    }
}

/// Puts quinn behind a guarded socket.
fn open(
    socket: UdpSocket,
    server: quinn::ServerConfig,
    knock: Knock,
) -> std::io::Result<(SocketAddr, quinn::Endpoint)> {
    let tokio = Arc::new(quinn::TokioRuntime);
    let guard = Guard::new(knock);
    let mut config = quinn::EndpointConfig::default();
    config
        .supported_versions(vec![crate::door::VERSION])
        .cid_generator(move || Box::new(guard.own_ids()));
    let socket = Arc::new(Door { socket: tokio.wrap_udp_socket(socket)?, guard });
    let quinn = quinn::Endpoint::new_with_abstract_socket(config, Some(server), socket, tokio)?;
    Ok((quinn.local_addr()?, quinn))
}

/// The key exchange that was agreed on in the handshake, by its name in the IANA registry.
fn key_exchange_of(connection: &Connection) -> &'static str {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    match data.map(|data| data.negotiated_key_exchange_group) {
        Some(NamedGroup::X25519MLKEM768) => "X25519MLKEM768",
        Some(NamedGroup::X25519) => "X25519",
        Some(NamedGroup::secp256r1) => "secp256r1",
        Some(NamedGroup::secp384r1) => "secp384r1",
        _ => "other",
    }
}

/// The key that the other side proved to hold.
fn identity_of(connection: &Connection) -> Option<NodeId> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_of(chain.first()?).ok()
}
