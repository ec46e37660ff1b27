//! Proof that the other side holds its key, the same in both directions.
//!
//! Any ed25519 key that can name a node is accepted; whether that node is welcome is core's to say.
//! A dial may expect one key and then accepts no other. Names, dates and issuers are ignored: the
//! certificate is an envelope. Chains are refused, since nothing could be learned from them.

use std::sync::{Arc, OnceLock};

use cairn_core::id::NodeId;
use cairn_core::signature::check_node_id;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};

/// RFC 8410, section 4: an ed25519 SubjectPublicKeyInfo up to its 32 key bytes.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The node that a certificate's key names.
pub(crate) fn node_of(certificate: &CertificateDer<'_>) -> Result<NodeId, Error> {
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    spki.strip_prefix(&SPKI_PREFIX)
        .and_then(NodeId::from_slice)
        .filter(check_node_id)
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// The verifier of one dial, or of all who dial us.
#[derive(Debug)]
pub(crate) struct KeyVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    expected: Option<NodeId>,
    /// Another key than the expected one, which answered.
    stranger: OnceLock<NodeId>,
}

impl KeyVerifier {
    pub(crate) fn new(provider: &Arc<CryptoProvider>, expected: Option<NodeId>) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
            expected,
            stranger: OnceLock::new(),
        }
    }

    /// The key that was expected and the one that answered, if they differed.
    pub(crate) fn mismatch(&self) -> Option<(NodeId, NodeId)> {
        Some((self.expected?, *self.stranger.get()?))
    }

    fn check(&self, end: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !chain.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let node = node_of(end)?;
        if self.expected.is_some_and(|expected| expected != node) {
            self.stranger.get_or_init(|| node);
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(())
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end, chain)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end, chain)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
