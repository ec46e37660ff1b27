//! Headers: one of each seal, with the id and the work that every node must find. Tier 0.

use cairn_core::block::{Grant, HEADER_BYTES_MAX, Header, Seal, recovery_digest};
use cairn_core::codec;
use cairn_core::hash::Tag;
use cairn_core::id::{BlockId, Hash, MeshId, NodeId};
use cairn_core::signature::{Signature, SigningKey};
use cairn_core::time::UnixTime;
use cairn_core::work::{Height, Target};

use crate::vector::{hex, pin, read_all, reason, render, unhex};

fn genesis() -> Header {
    Header {
        version: 1,
        height: Height::GENESIS,
        parent: BlockId::ZERO,
        facts_root: Hash([2; 32]),
        history_root: Hash([3; 32]),
        sealers_root: Hash([4; 32]),
        state_root: Hash::ZERO,
        time: UnixTime(1_767_225_600_000),
        target: Target(0),
        sealer: NodeId::ZERO,
        seal: Seal::Genesis(Hash([6; 32])),
    }
}

fn authority() -> Header {
    let key = SigningKey::from_seed([1; 32]);
    let mut header =
        Header { height: Height(1), parent: genesis().id(), sealer: key.node_id(), ..genesis() };
    header.seal = Seal::Authority(key.sign(Tag::BlockSeal, &header.seal_digest()));
    header
}

/// Two of three recovery keys let somebody seal.
fn granted() -> Header {
    let said = Hash([5; 32]);
    let key = SigningKey::from_seed([1; 32]);
    let parent = genesis().id();
    let digest = recovery_digest(&MeshId([0xaa; 32]), &key.node_id(), Some(&parent), &said);
    let by = [(0, [7; 32]), (2, [8; 32])].map(|(place, seed)| {
        (place, SigningKey::from_seed(seed).sign(Tag::RecoverySignature, &digest))
    });
    let grant = Grant { signature: Signature([0; 64]), said, by: by.into_iter().collect() };
    let header = Header { height: Height(1), parent, ..genesis() };
    cairn_core::seal::authority::seal_granted(header, grant, &key)
}

/// Mined: the first nonce whose id meets the target.
fn pow() -> Header {
    let target = Target(0x2000_ffff);
    (0..)
        .map(|nonce| Header {
            height: Height(300),
            target,
            sealer: SigningKey::from_seed([1; 32]).node_id(),
            seal: Seal::Pow(nonce),
            ..genesis()
        })
        .find(|header| target.is_met_by(header.id().as_bytes()))
        .unwrap()
}

fn encoded(header: &Header) -> Vec<u8> {
    let mut buffer = [0; HEADER_BYTES_MAX];
    codec::encode_into(header, &mut buffer).unwrap().to_vec()
}

fn accept(what: &str, header: &Header) -> String {
    render(&[
        ("what", what),
        ("bytes", &hex(&encoded(header))),
        ("id", &header.id().to_string()),
        ("seal_digest", &hex(&header.seal_digest())),
        ("work", &header.target.work().to_string()),
    ])
}

fn refuse(what: &str, bytes: &[u8]) -> String {
    let error = decode(bytes).unwrap_err();
    render(&[("what", what), ("bytes", &hex(bytes)), ("error", &error)])
}

#[test]
fn this_version_makes_the_pinned_headers() {
    pin(
        "header/accept",
        &[
            ("genesis", accept("height 0", &genesis())),
            ("authority", accept("signed by its sealer", &authority())),
            ("recovery", accept("sealed by leave of recovery keys", &granted())),
            ("pow", accept("its id meets its target", &pow())),
        ],
    );
    let good = encoded(&authority());
    let with = |at: std::ops::RangeInclusive<usize>, bytes: &[u8]| {
        let mut changed = good.clone();
        changed.splice(at, bytes.iter().copied());
        changed
    };
    let trailing = [&good[..], &[0]].concat();
    let oversize = vec![0; HEADER_BYTES_MAX + 1];
    let seal_at = good.len() - 65;
    pin(
        "header/refuse",
        &[
            ("trailing-byte", refuse("one byte after the end", &trailing)),
            ("truncated", refuse("one byte missing", &good[..good.len() - 1])),
            ("padded-height", refuse("height 1 in two bytes", &with(1..=1, &[0x81, 0]))),
            ("unknown-seal", refuse("a seal that does not exist", &with(seal_at..=seal_at, &[4]))),
            ("oversize", refuse("more bytes than a header has", &oversize)),
        ],
    );
}

fn decode(bytes: &[u8]) -> Result<Header, String> {
    codec::decode(bytes, HEADER_BYTES_MAX).map_err(reason)
}

#[test]
fn every_accepted_header_has_its_pinned_id_and_work() {
    for (name, fields) in read_all("header/accept") {
        let bytes = unhex(&fields["bytes"]);
        let header = decode(&bytes).unwrap();
        assert_eq!(encoded(&header), bytes, "{name}");
        assert_eq!(header.id().to_string(), fields["id"], "{name}");
        assert_eq!(hex(&header.seal_digest()), fields["seal_digest"], "{name}");
        assert_eq!(header.target.work().to_string(), fields["work"], "{name}");
    }
}

#[test]
fn every_refused_header_is_refused_for_its_reason() {
    for (name, fields) in read_all("header/refuse") {
        assert_eq!(decode(&unhex(&fields["bytes"])), Err(fields["error"].clone()), "{name}");
    }
}
