//! The node's ed25519 key as TLS sees it: a self-signed certificate that says nothing.
//!
//! X.509 is only the envelope here: constant name, no mesh, no host, valid from 1970 to 9999, so it
//! is the same on every start and works on boards without a clock. Only the key in it counts.
//!
//! Invariants: TLS 1.3 only; no tickets, no resumption and no early data on either side, because a
//! resumed session skips the verifier; no SNI; the crypto provider is passed, never installed.

use std::sync::Arc;

use cairn_core::id::NodeId;
use cairn_core::signature::SigningKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::verifier::KeyVerifier;

/// The application protocol; the same for every mesh, since anyone on the path can read it.
pub const ALPN: &[u8] = b"cairn/1";

/// The name in every certificate and dial; it never leaves the machine but inside the handshake.
pub(crate) const NAME: &str = "mesh.invalid";

/// RFC 8410, section 7: PKCS#8 version 1 of an ed25519 key, up to its 32-byte seed.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

#[cfg(feature = "pq")]
fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(all(feature = "ring", not(feature = "pq")))]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

#[cfg(not(any(feature = "pq", feature = "ring")))]
compile_error!("one of the features `pq` and `ring` is needed");

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A node's key and certificate, ready for handshakes.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) node: NodeId,
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl Identity {
    /// From the 32-byte RFC 8032 seed.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Result<Self, Failure> {
        let pkcs8 = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], seed].concat());
        let algorithm = &rcgen::PKCS_ED25519;
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, algorithm)?;
        let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        let certificate: CertificateDer<'static> = params.self_signed(&pair)?.into();
        let provider = Arc::new(provider());
        let key = provider.key_provider.load_private_key(pkcs8.into())?;
        Ok(Self {
            node: SigningKey::from_seed(*seed).node_id(),
            certified: Arc::new(CertifiedKey::new(vec![certificate], key)),
            provider,
        })
    }

    /// TLS for those who dial us.
    pub(crate) fn server_tls(&self) -> Result<rustls::ServerConfig, rustls::Error> {
        let verifier = KeyVerifier::new(&self.provider, None);
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(self.resolver()));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(config)
    }

    /// TLS for one dial.
    pub(crate) fn client_tls(
        &self,
        verifier: Arc<KeyVerifier>,
    ) -> Result<rustls::ClientConfig, rustls::Error> {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(self.resolver()));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_early_data = false;
        config.enable_sni = false;
        Ok(config)
    }

    fn resolver(&self) -> SingleCertAndKey {
        SingleCertAndKey::from(Arc::clone(&self.certified))
    }
}

/// The server's half for quinn.
pub(crate) fn quic_server(identity: &Identity) -> Result<Arc<QuicServerConfig>, Failure> {
    Ok(Arc::new(QuicServerConfig::try_from(identity.server_tls()?)?))
}

/// The dialler's half for quinn.
pub(crate) fn quic_client(tls: rustls::ClientConfig) -> Result<Arc<QuicClientConfig>, Failure> {
    Ok(Arc::new(QuicClientConfig::try_from(tls)?))
}
