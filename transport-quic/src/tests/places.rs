//! Who waits without being anybody yet gives way to those who come, so that a crowd keeps nobody out.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;

#[test]
fn a_connection_that_the_driver_never_spoke_on_gives_way_and_one_it_did_stays() {
    let runtime = runtime();
    let limits = TransportLimits { strangers_max: 2, ..TransportLimits::default() };
    let node = Node::start(&runtime, 1, limits);
    let come = || hostile(&runtime, TransportConfig::default(), &node);
    let (_known_endpoint, known, known_conn) = come();
    node.control(known_conn, 7);
    let (_a, first, first_conn) = come();
    let (_b, second, _) = come();
    let (_c, third, _) = come();
    let full = CloseCode::Full;
    assert_eq!(node.closed(first_conn), (Some(full), false, full.to_string()));
    assert!(matches!(wait(&runtime, first.closed()), ConnectionError::ApplicationClosed(_)));
    for connection in [&known, &second, &third] {
        assert_eq!(connection.close_reason(), None);
    }
}

/// A dialler that stops in the middle of the handshake, having said so, until `go` is dropped.
#[derive(Debug)]
struct Stalling {
    there: Sender<()>,
    go: Mutex<Receiver<()>>,
}

impl ServerCertVerifier for Stalling {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let _ = self.there.send(());
        let _ = self.go.lock().unwrap_or_else(PoisonError::into_inner).recv();
        Err(rustls::Error::General("enough".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("it never gets that far")
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ED25519]
    }
}

#[test]
fn handshakes_that_stall_give_way_to_those_that_do_not() {
    let runtime = runtime();
    // Two places, and patience beyond that of this test.
    let limits = TransportLimits {
        half_open_max: 2,
        handshake_timeout: 3 * WAIT,
        ..TransportLimits::default()
    };
    let node = Node::start(&runtime, 1, limits);
    let (there, arrived) = channel();
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let (go, wait_for) = channel();
        let verifier = Stalling { there: there.clone(), go: Mutex::new(wait_for) };
        let mut tls = client_tls(&Identity::from_seed(&[66; 32]).unwrap());
        tls.dangerous().set_certificate_verifier(Arc::new(verifier));
        let config = knocking(tls);
        // It blocks the thread it runs on, so it has one for itself.
        let own = self::runtime();
        let address = node.endpoint.local_addr();
        let endpoint = own.block_on(async {
            let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
            tokio::spawn(endpoint.connect_with(config, address, NAME).unwrap());
            endpoint
        });
        arrived.recv_timeout(WAIT).expect("it is in the middle of the handshake");
        stalled.push((go, endpoint, own));
        let member = Node::start(&runtime, 2, TransportLimits::default());
        member.dial(0, &node, None);
        assert_eq!(member.opened().1, node.endpoint.node_id());
        assert_eq!(node.opened().1, member.endpoint.node_id());
    }
    for (go, _endpoint, own) in stalled {
        drop(go);
        own.shutdown_background();
    }
}
