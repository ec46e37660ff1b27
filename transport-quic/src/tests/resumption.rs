//! No session is ever resumed, whichever side would like to: whoever resumes shows no certificate, so
//! a member that was removed would get in with a ticket of better days.

use rustls::client::Resumption;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tls::Tickets;
use super::*;
use crate::identity::quic_server;

/// A server's sessions, and how often one was resumed.
#[derive(Debug)]
struct Sessions {
    kept: Arc<ServerSessionMemoryCache>,
    resumed: AtomicUsize,
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.kept.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.kept.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let session = self.kept.take(key);
        self.resumed.fetch_add(usize::from(session.is_some()), Ordering::Relaxed);
        session
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// A listener that issues tickets and would take 0-RTT, which no node does. It counts what was
/// resumed, and holds every connection open.
fn generous(runtime: &Runtime) -> (quinn::Endpoint, Arc<Sessions>) {
    let sessions = Arc::new(Sessions {
        kept: ServerSessionMemoryCache::new(16),
        resumed: AtomicUsize::new(0),
    });
    let mut tls = Identity::from_seed(&[9; 32]).unwrap().server_tls().unwrap();
    tls.session_storage = sessions.clone();
    tls.send_tls13_tickets = 2;
    tls.max_early_data_size = u32::MAX;
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let _entered = runtime.enter();
    let endpoint = quinn::Endpoint::server(config, LOOPBACK).unwrap();
    let accepting = endpoint.clone();
    runtime.spawn(async move {
        let mut open = Vec::new();
        while let Some(incoming) = accepting.accept().await {
            let connection = incoming.await.unwrap();
            knock().answer(&connection).await.unwrap();
            // What is sent after the handshake carries the tickets along.
            let mut greeting = connection.open_uni().await.unwrap();
            greeting.write_all(&[Class::Announce as u8, WIRE_VERSION, 0, 0, 0, 0]).await.unwrap();
            open.push((connection, greeting));
        }
    });
    (endpoint, sessions)
}

/// Dials three times as quinn does with this TLS; each time the first stream has arrived.
fn dial_thrice(runtime: &Runtime, to: SocketAddr, tls: rustls::ClientConfig) {
    let config = quinn::ClientConfig::new(quic_client(tls).unwrap());
    wait(runtime, async {
        let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
        for _ in 0..3 {
            let connecting = endpoint.connect_with(config.clone(), to, NAME).unwrap();
            let connection = connecting.await.unwrap();
            connection.accept_uni().await.unwrap().read_to_end(16).await.unwrap();
            connection.accept_uni().await.unwrap().read_exact(&mut [0; 6]).await.unwrap();
        }
    });
}

#[test]
fn a_node_resumes_with_nobody_who_offers_it() {
    let runtime = runtime();
    let (listener, sessions) = generous(&runtime);
    let address = listener.local_addr().unwrap();
    // Somebody else would.
    let mut eager = client_tls(&Identity::from_seed(&[3; 32]).unwrap());
    eager.resumption = Resumption::in_memory_sessions(8);
    dial_thrice(&runtime, address, eager);
    assert!(sessions.resumed.swap(0, Ordering::Relaxed) > 0, "the listener resumes sessions");
    let node = Node::start(&runtime, 1, TransportLimits::default());
    for number in 0..3 {
        node.endpoint.dial(DialId(number), &PeerAddr(address.to_string()), None);
        let (conn, _) = node.opened();
        let heard = TransportEvent::Announce { conn, bytes: Vec::new() };
        assert_eq!(node.next(), heard, "the tickets are here");
    }
    assert_eq!(sessions.resumed.load(Ordering::Relaxed), 0);
}

#[test]
fn a_node_lets_nobody_resume_however_eager() {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::default());
    let mut tls = client_tls(&Identity::from_seed(&[3; 32]).unwrap());
    let tickets = Arc::new(Tickets::default());
    tls.resumption = Resumption::store(tickets.clone());
    tls.enable_early_data = true;
    let config = knocking(tls);
    let address = node.endpoint.local_addr();
    let _entered = runtime.enter();
    let client = quinn::Endpoint::client(LOOPBACK).unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        let connecting = client.connect_with(config.clone(), address, NAME).unwrap();
        let connecting = connecting.into_0rtt().err().expect("nothing to begin early with");
        let connection = wait(&runtime, connecting).unwrap();
        let (conn, _) = node.opened();
        a_frame_arrives(&runtime, &node, conn, &connection);
        open.push(connection);
    }
    assert_eq!(tickets.count(), 0, "there is nothing to resume with");
}

#[test]
fn the_settings_that_forbid_it_are_in_place() {
    let identity = Identity::from_seed(&[1; 32]).unwrap();
    let server = identity.server_tls().unwrap();
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
    assert!(!server.session_storage.can_cache() && !server.ticketer.enabled());
    assert!(!client_tls(&identity).enable_early_data);
    assert!(quic_server(&identity).is_ok());
}
