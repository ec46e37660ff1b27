//! Facts without an allocator: check what others said, say something, survive nonsense.

use cairn_core::codec;
use cairn_core::fact::{Body, Fact, SignedFact};
use cairn_core::id::MeshId;
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;

use crate::golden::{digest, field};

macro_rules! accepted {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/fact/accept/", $name, ".txt"))
    };
}

const RECORD: &str = accepted!("record");
const ALL: [&str; 7] = [
    RECORD,
    accepted!("relation"),
    accepted!("request"),
    accepted!("release"),
    accepted!("transfer"),
    accepted!("invite"),
    accepted!("admit"),
];

pub fn golden_verify() -> bool {
    ALL.iter().all(|text| {
        let (bytes, mesh) = (field(text, "bytes"), MeshId(digest(text, "mesh")));
        SignedFact::decode(&bytes).is_ok_and(|signed| {
            signed.fact.id(&mesh).0 == digest(text, "id")
                && signed.fact.content_hash().0 == digest(text, "content_hash")
                && signed.check(&mesh)
        })
    })
}

pub fn wrong_mesh_is_refused() -> bool {
    let bytes = field(RECORD, "bytes");
    SignedFact::decode(&bytes).is_ok_and(|signed| !signed.check(&MeshId([0xee; 32])))
}

/// The same seed, time and words as the vector's: ed25519 signatures are deterministic.
pub fn made_here_is_golden() -> bool {
    let key = SigningKey::from_seed([1; 32]);
    let fact = Fact {
        author: key.node_id(),
        time: UnixTime(1_767_225_600_000),
        body: Body::Record {
            topic: "note",
            media_type: "text/plain",
            bytes: b"the drill is in the blue box",
        },
    };
    let signed = fact.sign(&MeshId(digest(RECORD, "mesh")), &key);
    let mut buffer = [0; 256];
    codec::encode_into(&signed, &mut buffer) == Some(&*field(RECORD, "bytes"))
}

pub fn flipped_bit_is_noticed() -> bool {
    let mesh = MeshId(digest(RECORD, "mesh"));
    let good = field(RECORD, "bytes");
    // One in the text, one in the signature.
    [good.len() - 70, good.len() - 20].iter().all(|&at| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        SignedFact::decode(&bad).map_or(true, |signed| !signed.check(&mesh))
    })
}

/// A topic that claims 4 GiB: refused by looking at what is there, not by trying.
pub fn hostile_length_is_refused() -> bool {
    let good = field(RECORD, "bytes");
    let head = 32 + 6 + 1;
    let mut bad = crate::golden::Bytes::from_slice(&good[..head]).expect("a part fits");
    bad.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]).expect("fits");
    bad.extend_from_slice(&good[head + 1..]).expect("fits");
    SignedFact::decode(&bad).is_err()
}
