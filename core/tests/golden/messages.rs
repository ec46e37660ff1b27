//! Messages: each kind as bytes, and how large the frequent ones may get.

use std::fmt::Debug;

use cairn_core::block::{Header, Seal};
use cairn_core::codec;
use cairn_core::id::{BlockId, FactId, Hash, MeshId, NodeId};
use cairn_core::signature::Signature;
use cairn_core::time::UnixTime;
use cairn_core::wire::{
    Announce, BlocksAnswer, BlocksRequest, Control, FactsAnswer, FactsRequest, HeadersAnswer,
    HeadersRequest, Hello, PeersAnswer, PeersRequest, ReconcileAnswer, ReconcileRequest,
    SetSummary, Tip,
};
use cairn_core::work::{Height, Target, Work};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::Bytes;

use crate::vector::{hex, pin, read_all, render, unhex};

fn tip(height: u64) -> Tip {
    Tip { height: Height(height), id: BlockId([0x11; 32]), work: Work::from_u64(height + 1) }
}

fn facts(count: u64) -> SetSummary {
    SetSummary { count, sum: [0x22; 32] }
}

fn ping(nonce: u64, height: u64, count: u64) -> Control {
    Control::Ping { nonce, tip: tip(height), facts: facts(count) }
}

fn hello() -> Control {
    Control::Hello(Hello {
        protocol: (1, 2),
        rules: 1,
        mesh: MeshId([0x33; 32]),
        tip: tip(300),
        facts: facts(70_000),
        agent: "cairn/0.1.0".into(),
        clock: UnixTime(1_767_225_600_000),
        port: 7071,
        introduction: vec![vec![1, 2, 3].into(), Vec::new().into()],
    })
}

fn header(seal: Seal) -> Header {
    Header {
        version: 1,
        height: Height(300),
        parent: BlockId([1; 32]),
        facts_root: Hash([2; 32]),
        history_root: Hash([3; 32]),
        sealers_root: Hash([4; 32]),
        state_root: Hash::ZERO,
        time: UnixTime(1_767_225_600_000),
        target: Target(0x1e7f_ffff),
        sealer: NodeId([5; 32]),
        seal,
    }
}

fn headers() -> HeadersAnswer {
    let seals =
        [Seal::Genesis(Hash([6; 32])), Seal::Authority(Signature([7; 64])), Seal::Pow(0xdead_beef)];
    HeadersAnswer {
        from: BlockId([8; 32]),
        headers: seals.into_iter().map(header).collect(),
        sealers: vec![vec![NodeId([5; 32]), NodeId([9; 32])]],
    }
}

/// The bytes, once it is sure that they decode to the same message.
fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T) -> Vec<u8> {
    let bytes = codec::encode(message);
    assert_eq!(codec::decode::<T>(&bytes, bytes.len()).as_ref(), Ok(message));
    bytes
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    let (fact, block) = (FactId([0x44; 32]), BlockId([0x55; 32]));
    let locator = vec![block, BlockId::ZERO];
    let bodies = vec![(block, vec![fact, FactId::ZERO]), (BlockId::ZERO, vec![])];
    let peers = vec![("attic.example:7071".into(), NodeId([5; 32]))];
    let revoked = Control::Revoked { proof: vec![vec![1, 2, 3].into(), Vec::new().into()] };
    let facts_answer =
        FactsAnswer { facts: vec![Bytes::new(b"one fact"), Bytes::new(b"")], more: true };
    let ids = ReconcileRequest::Ids { buckets: vec![1, 4_095], after: Some(fact) };
    let facts_bytes = codec::encode(&facts_answer);
    assert_eq!(codec::decode(&facts_bytes, facts_bytes.len()), Ok(facts_answer));
    vec![
        ("hello", there_and_back(&hello())),
        ("ping", there_and_back(&ping(0x0123_4567_89ab_cdef, 300, 70_000))),
        ("pong", there_and_back(&Control::Pong { nonce: 1 })),
        ("revoked", there_and_back(&revoked)),
        ("announce-block", there_and_back(&Announce::Block(tip(300)))),
        ("announce-facts", there_and_back(&Announce::Facts(vec![fact, FactId::ZERO]))),
        ("headers-request", there_and_back(&HeadersRequest { locator, max: 2_000 })),
        ("headers-answer", there_and_back(&headers())),
        ("blocks-request", there_and_back(&BlocksRequest { ids: vec![block] })),
        ("blocks-answer", there_and_back(&BlocksAnswer { bodies })),
        ("facts-request", there_and_back(&FactsRequest { ids: vec![fact] })),
        ("facts-answer", facts_bytes),
        ("reconcile-groups", there_and_back(&ReconcileRequest::Groups)),
        ("reconcile-buckets", there_and_back(&ReconcileRequest::Buckets(vec![0, 63]))),
        ("reconcile-ids", there_and_back(&ids)),
        ("reconcile-sums", there_and_back(&ReconcileAnswer::Groups(vec![facts(300)]))),
        ("reconcile-found", there_and_back(&ReconcileAnswer::Ids(vec![fact], true))),
        ("peers-request", there_and_back(&PeersRequest { max: 64 })),
        ("peers-answer", there_and_back(&PeersAnswer { peers })),
    ]
}

#[test]
fn this_version_makes_the_pinned_messages() {
    let made: Vec<_> = all()
        .into_iter()
        .map(|(name, bytes)| (name, render(&[("bytes", &*hex(&bytes))])))
        .collect();
    pin("message", &made);
}

#[test]
fn a_message_with_a_byte_more_or_less_is_refused() {
    fn decodes(name: &str, bytes: &[u8]) -> bool {
        let max = bytes.len();
        match name {
            "hello" | "ping" | "pong" | "revoked" => codec::decode::<Control>(bytes, max).is_ok(),
            "announce-block" | "announce-facts" => codec::decode::<Announce>(bytes, max).is_ok(),
            "headers-request" => codec::decode::<HeadersRequest>(bytes, max).is_ok(),
            "headers-answer" => codec::decode::<HeadersAnswer>(bytes, max).is_ok(),
            "blocks-request" => codec::decode::<BlocksRequest>(bytes, max).is_ok(),
            "blocks-answer" => codec::decode::<BlocksAnswer>(bytes, max).is_ok(),
            "facts-request" => codec::decode::<FactsRequest>(bytes, max).is_ok(),
            "reconcile-groups" | "reconcile-buckets" | "reconcile-ids" => {
                codec::decode::<ReconcileRequest>(bytes, max).is_ok()
            }
            "reconcile-sums" | "reconcile-found" => {
                codec::decode::<ReconcileAnswer>(bytes, max).is_ok()
            }
            "facts-answer" => codec::decode::<FactsAnswer<'_>>(bytes, max).is_ok(),
            "peers-request" => codec::decode::<PeersRequest>(bytes, max).is_ok(),
            "peers-answer" => codec::decode::<PeersAnswer>(bytes, max).is_ok(),
            _ => panic!("no type is known for message/{name}.txt"),
        }
    }
    for (name, fields) in read_all("message") {
        let mut bytes = unhex(&fields["bytes"]);
        assert!(decodes(&name, &bytes), "{name}");
        assert!(!decodes(&name, &bytes[..bytes.len() - 1]), "{name} cut");
        bytes.push(0);
        assert!(!decodes(&name, &bytes), "{name} with a byte more");
    }
}

/// Sizes with a four-byte frame length, at counts a mesh does not outgrow (2^32), and the most
/// work a number can hold.
#[test]
fn frequent_messages_are_small() {
    let framed = |bytes: Vec<u8>| bytes.len() + 4;
    let large = u64::from(u32::MAX);
    let block = framed(codec::encode(&Announce::Block(tip(u64::MAX - 1))));
    assert!(block <= 100, "a block announcement has {block} bytes");
    let ids = vec![BlockId([0xff; 32])];
    let request = framed(codec::encode(&BlocksRequest { ids }));
    assert!(request <= 50, "a request of one block has {request} bytes");
    let ping = codec::encode(&ping(u64::MAX, large, large)).len();
    assert!(ping <= 120, "a ping has {ping} bytes");
}
