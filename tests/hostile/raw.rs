//! A member's key on a plain QUIC client: streams and bytes as a test wants them. It shares no code
//! with the transport, so what that takes for granted is not taken for granted here.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_core::codec;
use cairn_core::hash::sha256;
use cairn_core::id::MeshId;
use cairn_core::testing::TestChain;
use cairn_core::wire::{Class, CloseCode, Control, WIRE_VERSION};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, ConnectionId, Endpoint, RecvStream, SendStream};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tokio::runtime::Handle;

use crate::attacker::hello;
use crate::scene::{MEMBERS, PATIENCE, Scene};

/// RFC 8410, section 7: PKCS#8 of an ed25519 key, up to its 32-byte seed.
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// What the victim is called in the handshake; it does not look.
pub(crate) const NAME: &str = "mesh.invalid";

/// Takes whoever answers.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A connection id that knocks at a mesh (docs/protocol.md, Connection).
pub(crate) fn knock(mesh: MeshId) -> ConnectionId {
    let nonce = &fresh()[..8];
    let key = sha256(&[b"cairn/knock/1", mesh.as_bytes()]);
    ConnectionId::new(&[nonce, &sha256(&[key.as_bytes(), nonce]).as_bytes()[..12]].concat())
}

/// Bytes that no other call gives.
fn fresh() -> [u8; 32] {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    *sha256(&[&std::process::id().to_le_bytes(), &call.to_le_bytes()]).as_bytes()
}

/// A self-signed certificate around the key with this seed, and that key.
pub(crate) fn certificate(
    seed: &[u8; 32],
) -> (CertificateDer<'static>, PrivatePkcs8KeyDer<'static>) {
    let pkcs8 = PrivatePkcs8KeyDer::from([&PKCS8[..], seed].concat());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    (params.self_signed(&pair).unwrap().into(), pkcs8)
}

/// A TLS client of our kind that takes any server; what it shows is to be said.
pub(crate) fn tls() -> rustls::ConfigBuilder<rustls::ClientConfig, WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
}

/// A dialler that knocks at a mesh and shows the key with this seed.
fn client(seed: &[u8; 32], mesh: MeshId) -> quinn::ClientConfig {
    let (certificate, key) = certificate(seed);
    let mut tls = tls().with_client_auth_cert(vec![certificate], key.into()).unwrap();
    tls.alpn_protocols = vec![b"cairn/1".to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.initial_dst_cid_provider(Arc::new(move || knock(mesh)));
    config
}

/// What a stream of this class begins with, and a frame that claims `length` and carries `body`.
pub(crate) fn stream(class: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[class, WIRE_VERSION][..], &frame(length, body)].concat()
}

/// A frame that claims `length` and carries `body`.
pub(crate) fn frame(length: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes()[..], body].concat()
}

/// A whole frame.
pub(crate) fn honest_frame(body: &[u8]) -> Vec<u8> {
    frame(body.len() as u32, body)
}

/// A connection of a member that the victim has accepted.
pub(crate) struct Raw {
    pub(crate) connection: Connection,
    pub(crate) control: (SendStream, RecvStream),
    endpoint: Endpoint,
    runtime: Handle,
}

/// Where a victim is, and a socket to reach it from; each has megabytes of buffers.
pub(crate) struct Way {
    runtime: Handle,
    endpoint: Endpoint,
    mesh: MeshId,
    address: SocketAddr,
}

impl Way {
    /// To a member of a mesh.
    pub(crate) fn to(runtime: &Handle, mesh: MeshId, address: SocketAddr) -> Self {
        let local: SocketAddr = ([127, 0, 0, 1], 0).into();
        let endpoint = wait(runtime, async { Endpoint::client(local).unwrap() });
        Self { runtime: runtime.clone(), endpoint, mesh, address }
    }

    /// Connects with the key that has this seed, and says this first.
    pub(crate) fn dial(&self, seed: &[u8; 32], first: &[u8]) -> Raw {
        let config = client(seed, self.mesh);
        let (connection, control) = wait(&self.runtime, async {
            let dialed = self.endpoint.connect_with(config, self.address, NAME);
            let connection = dialed.unwrap().await.unwrap();
            let mut control = connection.open_bi().await.unwrap();
            let bytes = stream(Class::Control as u8, first.len() as u32, first);
            control.0.write_all(&bytes).await.unwrap();
            (connection, control)
        });
        let (endpoint, runtime) = (self.endpoint.clone(), self.runtime.clone());
        Raw { connection, control, endpoint, runtime }
    }
}

impl Raw {
    /// Connects as a member of `MEMBERS`, says a proper hello and waits until it is accepted.
    pub(crate) fn join(scene: &Scene, chain: &TestChain, n: usize) -> Self {
        let address = scene.victim().mesh_address();
        let way = Way::to(scene.runtime.handle(), scene.mesh(), address);
        let mut raw = way.dial(&MEMBERS[n], &codec::encode(&Control::Hello(hello(chain))));
        raw.is_heard(chain);
        raw
    }

    /// The connection, its control stream, and the socket that must stay as long as they.
    pub(crate) fn into_parts(self) -> (Connection, (SendStream, RecvStream), Endpoint) {
        (self.connection, self.control, self.endpoint)
    }

    /// Where its streams run.
    pub(crate) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// Does something on the network, with a deadline.
    pub(crate) fn wait<T>(&self, doing: impl Future<Output = T>) -> T {
        wait(&self.runtime, doing)
    }

    /// The victim answers a ping.
    pub(crate) fn is_heard(&mut self, chain: &TestChain) {
        let runtime = self.runtime.clone();
        let ping = Control::Ping { nonce: 77, tip: chain.tip(), facts: chain.set() };
        wait(&runtime, async {
            self.control.0.write_all(&honest_frame(&codec::encode(&ping))).await.unwrap();
            loop {
                let bytes = read_frame(&mut self.control.1).await;
                let heard = codec::decode::<Control>(&bytes, Class::Control.request_bytes_max());
                if matches!(heard, Ok(Control::Pong { nonce: 77 })) {
                    return;
                }
            }
        });
    }

    /// Asks as an honest peer does: the answer.
    pub(crate) fn ask(&self, class: Class, request: &[u8]) -> Vec<u8> {
        self.wait(async {
            let (mut send, mut recv) = self.connection.open_bi().await.unwrap();
            let bytes = stream(class as u8, request.len() as u32, request);
            send.write_all(&bytes).await.unwrap();
            send.finish().unwrap();
            read_frame(&mut recv).await
        })
    }

    /// The victim closes the connection; with which code, if with one of ours.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        self.closed_saying().0
    }

    /// The same, with what it says.
    pub(crate) fn closed_saying(&self) -> (Option<CloseCode>, String) {
        match self.wait(self.connection.closed()) {
            ConnectionError::ApplicationClosed(close) => {
                let text = String::from_utf8(close.reason.to_vec()).unwrap();
                (CloseCode::from_number(close.error_code.into_inner()), text)
            }
            other => panic!("the victim closes by itself, not so: {other}"),
        }
    }
}

async fn read_frame(recv: &mut RecvStream) -> Vec<u8> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.unwrap();
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    recv.read_exact(&mut bytes).await.unwrap();
    bytes
}

fn wait<T>(runtime: &Handle, doing: impl Future<Output = T>) -> T {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, doing).await.expect("in time") })
}
