//! Facts, headers, rules, invites and the texts that name things.

use cairn_core::block::{HEADER_BYTES_MAX, Header, Seal, genesis, mesh_id};
use cairn_core::codec;
use cairn_core::conn::PeerAddr;
use cairn_core::fact::{EncodedFact, SIGNATURE_BYTES, SignedFact, verify, verify_batch};
use cairn_core::id::{BlockId, ContentHash, FactId, Hash, MeshId, NodeId};
use cairn_core::invite::{INVITE_CHARS_MAX, INVITE_HRP, Invite};
use cairn_core::params::{FACT_BYTES_MAX, PARAMS_BYTES_MAX, Params};
use cairn_core::work::{Target, Work};

use super::canonical;

const MESH: MeshId = MeshId([0xaa; 32]);

/// A fact reads the same in every way there is to read it, and two ways to verify agree.
pub(super) fn fact(bytes: &[u8]) {
    let Ok(signed) = SignedFact::decode(bytes) else {
        assert!(EncodedFact::parse(&MESH, bytes).is_err());
        return;
    };
    assert!(bytes.len() <= FACT_BYTES_MAX && bytes.len() > SIGNATURE_BYTES);
    assert_eq!(codec::encode(&signed), bytes);
    let parsed = EncodedFact::parse(&MESH, bytes).unwrap();
    let seen = &parsed.0;
    assert_eq!((seen.fact(), seen.signed()), (signed.fact, signed));
    assert_eq!(seen.id(), signed.fact.id(&MESH));
    assert!(!signed.fact.body.kind().is_empty());
    let id = seen.id();
    let holds = signed.check(&MESH);
    assert_eq!(verify(&MESH, parsed.clone()).is_ok(), holds);
    let verdicts = verify_batch(&MESH, vec![parsed.clone(), parsed], &[7; 32]);
    for verdict in verdicts {
        assert_eq!(verdict.is_ok(), holds);
        assert_eq!(verdict.map_or_else(|id| id, |fact| fact.id()), id);
    }
    let elsewhere = MeshId([0xbb; 32]);
    assert!(!(holds && signed.check(&elsewhere)), "one signature holds in two meshes");
}

/// A header has one encoding, one id, and a digest that its seal is no part of.
pub(super) fn header(bytes: &[u8]) {
    let Some(header) = canonical::<Header>(bytes, HEADER_BYTES_MAX) else { return };
    let mut other = header.clone();
    other.seal = match header.seal {
        Seal::Pow(nonce) => Seal::Pow(!nonce),
        _ => Seal::Pow(0),
    };
    assert_ne!(other.id(), header.id());
    assert_eq!(other.seal_digest(), header.seal_digest());
    let work = header.target.work();
    assert_eq!(work == Work::ZERO, header.target.expand().is_none());
    if let Some(number) = header.target.expand() {
        assert!(Target::compress(number).expand() == Some(number));
    }
}

/// Rules have one encoding; those that are permitted make a mesh.
pub(super) fn rules(bytes: &[u8]) {
    let Some(params) = canonical::<Params>(bytes, PARAMS_BYTES_MAX) else { return };
    if params.check().is_ok() {
        let first = genesis(&params);
        assert_eq!(MeshId::from(first.id()), mesh_id(&params));
        assert_eq!(first.seal, Seal::Genesis(params.hash()));
        assert!(params.roots.iter().all(|root| params.is_root(root)));
    }
}

/// An invite as a person types it, or (first byte 0) as content under a right checksum: nobody
/// should need luck to get past that.
pub(super) fn invite(data: &[u8]) {
    let text = match data.split_first() {
        Some((0, content)) => {
            let hrp = bech32::Hrp::parse(INVITE_HRP).unwrap();
            let mut text = String::new();
            let written =
                bech32::encode_lower_to_fmt::<bech32::Bech32m, _>(&mut text, hrp, content);
            if written.is_err() {
                return;
            }
            text
        }
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    let Ok(invite) = text.parse::<Invite>() else { return };
    assert_eq!(invite.params.check(), Ok(()));
    let again = invite.to_text().unwrap();
    assert!(again.len() <= INVITE_CHARS_MAX);
    // bech32m may be written in capitals; the content is the same.
    assert_eq!(again, text.trim().to_lowercase());
    assert!(again.parse::<Invite>() == Ok(invite));
}

/// Texts that name things print as they were read.
pub(super) fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(node) = text.parse::<NodeId>() {
        assert_eq!(node.to_string(), text.to_lowercase());
    }
    let lower = text.to_lowercase();
    let same = [
        text.parse::<FactId>().ok().map(|id| id.to_string()),
        text.parse::<BlockId>().ok().map(|id| id.to_string()),
        text.parse::<MeshId>().ok().map(|id| id.to_string()),
        text.parse::<ContentHash>().ok().map(|id| id.to_string()),
        text.parse::<Hash>().ok().map(|id| id.to_string()),
    ];
    for printed in same.into_iter().flatten() {
        assert_eq!(printed, lower);
    }
    let address = PeerAddr(text.into_owned());
    if address.check() {
        assert!(address.0.len() <= PeerAddr::BYTES_MAX && address.0.is_ascii());
    }
}
