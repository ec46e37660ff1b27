//! Somebody who does not belong: with and without the knock, a certificate, a key that a member has.
//! He is refused, learns nothing about the mesh but that it is not his, and disturbs nobody.

use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_core::codec;
use cairn_core::id::MeshId;
use cairn_core::params::{Admission, Params};
use cairn_core::wire::{Class, CloseCode, Control};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, TransportConfig, TransportErrorCode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::attacker::{Attacker, hello};
use crate::floods::memory;
use crate::raw::{NAME, certificate, knock, stream, tls};
use crate::scene::{MEMBERS, PATIENCE, Scene};

const STRANGER: [u8; 32] = [99; 32];
/// TLS alerts (RFC 8446, section 6).
const DECRYPT_ERROR: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Somebody, by what he shows, and the alert that he gets if he knocks; none if the handshake works.
type Somebody = (&'static str, rustls::ClientConfig, Option<u8>);

fn showing(certified: CertifiedKey) -> rustls::ClientConfig {
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let mut tls = tls().with_client_cert_resolver(resolver);
    tls.alpn_protocols = vec![b"cairn/1".to_vec()];
    tls
}

/// A certificate around the key of one seed, with the private key of another.
fn certified(shown: &[u8; 32], held: &[u8; 32]) -> CertifiedKey {
    let key = rustls::crypto::aws_lc_rs::sign::any_eddsa_type(&certificate(held).1).unwrap();
    CertifiedKey::new(vec![certificate(shown).0], key)
}

fn everybody() -> Vec<Somebody> {
    let mut nobody = tls().with_no_client_auth();
    nobody.alpn_protocols = vec![b"cairn/1".to_vec()];
    let ecdsa = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(ecdsa.signing_key.serialize_der());
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key.into()).unwrap();
    let ecdsa = CertifiedKey::new(vec![ecdsa.cert.der().clone()], key);
    let mut other = showing(certified(&MEMBERS[0], &MEMBERS[0]));
    other.alpn_protocols = vec![b"h3".to_vec()];
    let mut silent = other.clone();
    silent.alpn_protocols.clear();
    vec![
        ("no certificate", nobody, Some(CERTIFICATE_REQUIRED)),
        ("a key of another kind", showing(ecdsa), Some(CERTIFICATE_REQUIRED)),
        (
            "a member's certificate, not its key",
            showing(certified(&MEMBERS[0], &STRANGER)),
            Some(DECRYPT_ERROR),
        ),
        ("a member with another protocol", other, Some(NO_APPLICATION_PROTOCOL)),
        ("a member without a protocol", silent, Some(NO_APPLICATION_PROTOCOL)),
        ("a stranger's key", showing(certified(&STRANGER, &STRANGER)), None),
    ]
}

type Dialed = Result<(Endpoint, Connection), ConnectionError>;

fn client() -> Endpoint {
    Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap()
}

/// How to dial the victim with a knock at a mesh, or none, and to give up after a while without an
/// answer.
fn way_to(
    scene: &Scene,
    tls: &rustls::ClientConfig,
    mesh: Option<MeshId>,
    patience: Duration,
) -> (quinn::ClientConfig, SocketAddr) {
    let tls = Arc::new(QuicClientConfig::try_from(tls.clone()).unwrap());
    let mut config = quinn::ClientConfig::new(tls);
    if let Some(mesh) = mesh {
        config.initial_dst_cid_provider(Arc::new(move || knock(mesh)));
    }
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(patience.try_into().unwrap()));
    config.transport_config(Arc::new(transport));
    (config, scene.victim().mesh_address())
}

async fn go(endpoint: Endpoint, (config, address): (quinn::ClientConfig, SocketAddr)) -> Dialed {
    let connection = endpoint.connect_with(config, address, NAME).unwrap().await?;
    Ok((endpoint, connection))
}

fn dialing(
    scene: &Scene,
    tls: &rustls::ClientConfig,
    mesh: Option<MeshId>,
    patience: Duration,
) -> impl Future<Output = Dialed> + use<> {
    let way = way_to(scene, tls, mesh, patience);
    async move { go(client(), way).await }
}

/// Dials the victim with the right knock.
fn dial(scene: &Scene, tls: &rustls::ClientConfig) -> Dialed {
    scene.runtime.block_on(dialing(scene, tls, Some(scene.mesh()), PATIENCE))
}

/// Everything that the victim ever sends on a connection, once the handshake is done: its reasons
/// and streams of either kind.
fn everything_heard(scene: &Scene, connection: &Connection) -> (ConnectionError, Vec<u8>) {
    let listening = async {
        let mut heard = Vec::new();
        loop {
            let mut recv = tokio::select! {
                uni = connection.accept_uni() => match uni { Ok(recv) => recv, Err(_) => break },
                bi = connection.accept_bi() => match bi { Ok((_, recv)) => recv, Err(_) => break },
            };
            while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await {
                heard.extend_from_slice(&chunk.bytes);
            }
        }
        (connection.closed().await, heard)
    };
    scene
        .runtime
        .block_on(async { tokio::time::timeout(PATIENCE, listening).await.expect("in time") })
}

#[test]
fn whoever_does_not_knock_is_not_answered_whatever_he_could_show() {
    let scene = Scene::new();
    let mut cases = everybody();
    cases.push(("a member", showing(certified(&MEMBERS[0], &MEMBERS[0])), None));
    // All at a time: quinn waits three seconds for a first answer.
    let mut dials = Vec::new();
    for (who, tls, _) in &cases {
        for mesh in [None, Some(MeshId([7; 32]))] {
            let dial = dialing(&scene, tls, mesh, Duration::from_millis(400));
            dials.push((*who, mesh, scene.runtime.spawn(dial)));
        }
    }
    for (who, mesh, dial) in dials {
        let end = scene.runtime.block_on(dial).unwrap().err();
        assert_eq!(end, Some(ConnectionError::TimedOut), "{who} {mesh:?}");
    }
    scene.unharmed();
}

#[test]
fn whoever_knocks_and_is_no_member_gets_an_alert_or_a_code_and_not_a_byte_more() {
    let scene = Scene::with(|_| {}, |limits| limits.hello_timeout = 1_000);
    let honest = scene.honest().handle().node_id();
    for (who, tls, alert) in everybody() {
        let (end, heard, certificate) = match dial(&scene, &tls) {
            Ok((_endpoint, connection)) => {
                let shown = connection.peer_identity().unwrap();
                let shown = shown.downcast::<Vec<rustls::pki_types::CertificateDer>>().unwrap();
                let (end, heard) = everything_heard(&scene, &connection);
                (end, heard, shown[0].to_vec())
            }
            Err(end) => (end, Vec::new(), Vec::new()),
        };
        let reason = match (&end, alert) {
            (ConnectionError::ConnectionClosed(close), Some(alert)) => {
                assert_eq!(close.error_code, TransportErrorCode::crypto(alert), "{who}");
                close.reason.to_vec()
            }
            (ConnectionError::ApplicationClosed(close), None) => {
                let code = CloseCode::from_number(close.error_code.into_inner());
                assert_eq!(code, Some(CloseCode::BadHello), "{who} said nothing");
                close.reason.to_vec()
            }
            _ => panic!("{who}: {end}"),
        };
        // The listener's answer to the knock, which says something only to who knows the mesh.
        assert_eq!(heard.len(), if alert.is_some() { 0 } else { 16 }, "{who} heard {heard:02x?}");
        let told = [reason, certificate, heard].concat();
        let mesh = scene.mesh();
        for secret in
            [&mesh.as_bytes()[..], mesh.to_string().as_bytes(), b"hostile", honest.as_bytes()]
        {
            assert!(!told.windows(secret.len()).any(|part| part == secret), "{who}: {told:02x?}");
        }
    }
    scene.unharmed();
}

#[test]
fn a_stranger_who_says_hello_is_told_that_he_is_no_member_and_nothing_else() {
    let scene = Scene::new();
    let tls = showing(certified(&STRANGER, &STRANGER));
    let (_endpoint, connection) = dial(&scene, &tls).unwrap();
    let bytes = codec::encode(&Control::Hello(hello(&scene.chain())));
    let bytes = stream(Class::Control as u8, bytes.len() as u32, &bytes);
    let mut control = scene.runtime.block_on(async {
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        (send, recv)
    });
    let (end, heard) = everything_heard(&scene, &connection);
    let ConnectionError::ApplicationClosed(close) = end else { panic!("{end}") };
    assert_eq!(close.error_code.into_inner(), CloseCode::NotMember as u64);
    assert_eq!(close.reason, CloseCode::NotMember.to_string().as_bytes());
    assert_eq!(heard.len(), 16, "the answer to the knock alone: {heard:02x?}");
    let answer = scene.runtime.block_on(control.1.read_to_end(9_999));
    assert!(answer.is_err(), "nothing on the control stream but its end: {answer:?}");
    scene.unharmed();
}

#[test]
fn in_an_open_mesh_any_key_is_let_in() {
    let scene = Scene::with(|params: &mut Params| params.admission = Admission::Open, |_| {});
    let chain = scene.chain();
    let mut anybody = Attacker::dial(&scene, STRANGER);
    anybody.control(&Control::Hello(hello(&chain)));
    anybody.ping(&chain);
    anybody.serve_until(&chain, "a pong", |anybody| {
        anybody.heard.iter().any(|heard| matches!(heard, Control::Pong { .. }))
    });
    scene.unharmed();
}

#[test]
fn a_crowd_of_strangers_costs_no_memory_and_disturbs_no_member() {
    let scene = Scene::new();
    let everybody = everybody();
    // One endpoint, since each has megabytes of buffers.
    let endpoint = scene.runtime.block_on(async { client() });
    let knocking = |round: usize| {
        let (_, tls, _) = &everybody[round % everybody.len()];
        let way = way_to(&scene, tls, Some(scene.mesh()), PATIENCE);
        drop(scene.runtime.block_on(go(endpoint.clone(), way)));
    };
    // The first of each kind pays for what is made only once.
    (0..everybody.len()).for_each(knocking);
    scene.unharmed();
    let before = memory();
    let start = Instant::now();
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.connect(scene.victim().mesh_address()).unwrap();
    for round in 0..200u32 {
        for number in 0..50u32 {
            // First packets without a knock, each of another dialler.
            let mut packet = [0x55; 1_200];
            packet[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 20]);
            packet[6..10].copy_from_slice(&(round * 50 + number).to_le_bytes());
            let _ = socket.send(&packet);
        }
        knocking(round as usize);
    }
    scene.unharmed();
    let grown = memory().saturating_sub(before);
    eprintln!("10,200 strangers in {:?}: {} KiB more", start.elapsed(), grown >> 10);
    // The strangers themselves are in this process.
    assert!(grown < 64 << 20, "{grown} bytes");
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(socket.recv(&mut [0; 9]).is_err(), "no answer at all");
}
