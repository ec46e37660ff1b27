//! Who gets through the handshake.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue};
use rustls::client::{ResolvesClientCert, Tls13ClientSessionValue};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{NamedGroup, SignatureScheme};

use super::*;
use crate::DialError;
use crate::verifier::node_of;

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32]).unwrap()
}

/// The TLS of a client that shows `certified`.
fn showing(certified: CertifiedKey) -> rustls::ClientConfig {
    let mut tls = client_tls(&identity(3));
    tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    tls
}

/// Dials a fresh node; it must end with this TLS alert, and the node must not hear of it.
fn assert_refused(tls: rustls::ClientConfig, alert: u8) {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::default());
    // A dialler is done before the other side has judged it, so the refusal may come later.
    let error = match raw_dial(&runtime, tls, TransportConfig::default(), &node) {
        Ok((_endpoint, connection)) => wait(&runtime, connection.closed()),
        Err(error) => error,
    };
    let ConnectionError::ConnectionClosed(close) = error else {
        panic!("expected alert {alert}, got {error}");
    };
    assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(alert));
    let honest = Node::start(&runtime, 2, TransportLimits::default());
    honest.dial(0, &node, None);
    assert_eq!(node.opened().1, honest.endpoint.node_id());
}

#[test]
fn strangers_connect_and_each_learns_the_other_key() {
    let runtime = runtime();
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let b = Node::start(&runtime, 2, TransportLimits::small());
    a.dial(7, &b, Some(b.endpoint.node_id()));
    let TransportEvent::Opened { node, address, dial, .. } = a.next() else {
        panic!("not opened");
    };
    assert_eq!((node, address), (b.endpoint.node_id(), b.endpoint.local_addr()));
    assert_eq!(dial, Some(DialId(7)));
    let TransportEvent::Opened { node, address, dial, .. } = b.next() else {
        panic!("not opened");
    };
    assert_eq!((node, address), (a.endpoint.node_id(), a.endpoint.local_addr()));
    assert_eq!(dial, None);
}

#[test]
fn a_dial_with_a_pin_takes_no_other_key() {
    let runtime = runtime();
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let b = Node::start(&runtime, 2, TransportLimits::default());
    let expected = identity(3).node;
    a.dial(1, &b, Some(expected));
    let got = b.endpoint.node_id();
    let error = DialError::WrongKey { expected, got };
    assert_eq!(a.next(), TransportEvent::DialFailed { dial: DialId(1), error });
    // The first thing that the other side hears of is a dial without a wrong pin.
    a.dial(2, &b, None);
    let (conn, _) = a.opened();
    let (at_b, _) = b.opened();
    a.control(conn, 1);
    assert_eq!(b.next(), TransportEvent::Control { conn: at_b, bytes: vec![1] });
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    #[derive(Debug)]
    struct Nothing;
    impl ResolvesClientCert for Nothing {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }
        fn has_certs(&self) -> bool {
            false
        }
    }
    let mut tls = client_tls(&identity(3));
    tls.client_auth_cert_resolver = Arc::new(Nothing);
    assert_refused(tls, 116);
}

#[test]
fn another_protocol_or_none_is_refused() {
    let mut tls = client_tls(&identity(3));
    tls.alpn_protocols = vec![b"cairn/2".to_vec()];
    assert_refused(tls.clone(), 120);
    tls.alpn_protocols.clear();
    assert_refused(tls, 120);
}

#[test]
fn a_certificate_shown_without_its_key_is_refused() {
    let (owner, thief) = (identity(3), identity(4));
    let stolen = CertifiedKey::new(owner.certified.cert.clone(), thief.certified.key.clone());
    assert_refused(showing(stolen), 51);
}

#[test]
fn a_key_that_is_not_ed25519_is_refused() {
    let ecdsa = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    assert!(node_of(ecdsa.cert.der()).is_err());
    let key = PrivatePkcs8KeyDer::from(ecdsa.signing_key.serialize_der());
    let key = identity(3).provider.key_provider.load_private_key(key.into()).unwrap();
    // There is no scheme to sign with, so the client has nothing to show.
    assert_refused(showing(CertifiedKey::new(vec![ecdsa.cert.der().clone()], key)), 116);
}

#[test]
fn a_chain_of_certificates_is_refused() {
    let me = identity(3);
    let mut chain = me.certified.cert.clone();
    chain.extend(identity(4).certified.cert.clone());
    assert_refused(showing(CertifiedKey::new(chain, me.certified.key.clone())), 48);
}

#[test]
fn certificates_are_the_same_on_every_start_and_name_the_node() {
    let (first, second) = (identity(3), identity(3));
    assert_eq!(first.certified.cert, second.certified.cert);
    assert_eq!(node_of(&first.certified.cert[0]).unwrap(), first.node);
}

/// The key exchange of the next connection that a node hears of.
#[cfg(feature = "pq")]
fn key_exchange(node: &Node) -> &'static str {
    match node.next() {
        TransportEvent::Opened { key_exchange, .. } => key_exchange,
        other => panic!("expected Opened, got {other:?}"),
    }
}

#[cfg(feature = "pq")]
#[test]
fn both_sides_know_that_the_key_exchange_is_post_quantum() {
    let runtime = runtime();
    let a = Node::start(&runtime, 1, TransportLimits::default());
    let b = Node::start(&runtime, 2, TransportLimits::default());
    a.dial(0, &b, None);
    assert_eq!((key_exchange(&a), key_exchange(&b)), ("X25519MLKEM768", "X25519MLKEM768"));
}

#[cfg(feature = "pq")]
#[test]
fn a_peer_without_it_is_shown_as_what_it_is() {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::default());
    let mut plain = identity(3);
    let mut provider = (*plain.provider).clone();
    provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    plain.provider = Arc::new(provider);
    let dialled = raw_dial(&runtime, client_tls(&plain), TransportConfig::default(), &node);
    let _connected = dialled.unwrap();
    assert_eq!(key_exchange(&node), "X25519");
}

#[cfg(feature = "pq")]
#[test]
fn the_first_key_exchange_offered_is_post_quantum() {
    assert_eq!(identity(3).provider.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
}

/// Counts what a server gives to resume a session with.
#[derive(Debug, Default)]
pub(super) struct Tickets(AtomicUsize);

impl Tickets {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

#[test]
fn no_ticket_is_ever_issued() {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::default());
    let tickets = Arc::new(Tickets::default());
    let mut tls = client_tls(&identity(3));
    tls.resumption = Resumption::store(tickets.clone());
    let dialled = raw_dial(&runtime, tls, TransportConfig::default(), &node);
    let (_endpoint, connection) = dialled.unwrap();
    let (conn, _) = node.opened();
    // A frame that was sent after the handshake has arrived: so would a ticket have.
    a_frame_arrives(&runtime, &node, conn, &connection);
    assert_eq!(tickets.count(), 0);
}
