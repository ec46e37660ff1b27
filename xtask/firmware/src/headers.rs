//! Headers without an allocator: name them, check the seal, weigh the work.

use cairn_core::block::{HEADER_BYTES_MAX, Header, Seal};
use cairn_core::codec;
use cairn_core::hash::Tag;
use cairn_core::signature;

use crate::golden::{digest, field};

macro_rules! accepted {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/header/accept/", $name, ".txt"))
    };
}

const ALL: [&str; 4] =
    [accepted!("genesis"), accepted!("authority"), accepted!("pow"), accepted!("recovery")];

fn decode(text: &str) -> Option<Header> {
    codec::decode(&field(text, "bytes"), HEADER_BYTES_MAX).ok()
}

pub fn golden_have_their_ids() -> bool {
    ALL.iter().all(|text| {
        decode(text).is_some_and(|header| {
            header.id().0 == digest(text, "id")
                && header.seal_digest() == digest(text, "seal_digest")
        })
    })
}

pub fn golden_seals_hold() -> bool {
    ALL.iter().all(|text| {
        decode(text).is_some_and(|header| match &header.seal {
            Seal::Genesis(_) => header.height.0 == 0,
            Seal::Authority(signature) => {
                let digest = header.seal_digest();
                signature::check(&header.sealer, Tag::BlockSeal, &digest, signature)
            }
            Seal::Recovery(grant) => {
                let digest = header.seal_digest();
                signature::check(&header.sealer, Tag::BlockSeal, &digest, &grant.signature)
            }
            Seal::Pow(_) => header.target.is_met_by(&header.id().0),
        })
    })
}

/// Another nonce is another id, and this one does not meet the target.
pub fn work_is_not_there_for_the_asking() -> bool {
    decode(ALL[2]).is_some_and(|mut header| {
        header.seal = Seal::Pow(u64::MAX);
        !header.target.is_met_by(&header.id().0)
    })
}
