//! Requests and their answers, one pair for each class that has them.

use cairn_core::block::{Header, Seal};
use cairn_core::codec;
use cairn_core::id::{BlockId, FactId, Hash, NodeId};
use cairn_core::signature::Signature;
use cairn_core::time::UnixTime;
use cairn_core::wire::{
    BlocksAnswer, BlocksRequest, Class, FactsAnswer, FactsRequest, HeadersAnswer, HeadersRequest,
    PeersAnswer, PeersRequest, ReconcileAnswer, ReconcileRequest, SetSummary,
};
use cairn_core::work::{Height, Target};
use serde_bytes::Bytes;
use serde_json::json;

use crate::kind::{Vector, check, check_borrowed, cut_and_trailing};
use crate::vector::reason;

const FACT: FactId = FactId([0x44; 32]);
const BLOCK: BlockId = BlockId([0x55; 32]);

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

/// What a list of 32-byte things refuses: everything's, a length in two bytes, one out of all
/// proportion.
fn list_refusals(good: &[u8], length_at: usize) -> Vec<Vector> {
    let mut refuse = cut_and_trailing(good);
    let with = |bytes: &[u8]| {
        let mut changed = good.to_vec();
        changed.splice(length_at..=length_at, bytes.iter().copied());
        changed
    };
    refuse.extend([
        ("padded-length", "the length in two bytes", with(&[good[length_at] | 0x80, 0])),
        ("hostile-length", "a list that claims 2^32 things", with(&[0xff, 0xff, 0xff, 0xff, 0x0f])),
    ]);
    refuse
}

#[test]
fn this_version_reads_and_writes_headers() {
    let max = Class::Headers.request_bytes_max();
    let locator = vec![BLOCK, BlockId::ZERO];
    let good = codec::encode(&HeadersRequest { locator, max: 2_000 });
    let mut refuse = list_refusals(&good, 0);
    let many = HeadersRequest { locator: vec![BLOCK; 36], max: 1 };
    refuse.push(("oversize", "36 ids", codec::encode(&many)));
    refuse.push(("beyond-16-bit", "a number of 17 bits", vec![0, 0x80, 0x80, 0x04]));
    let accept = [("two", "a locator of two ids", good)];
    check::<HeadersRequest>("message/headers-request", max, &accept, &refuse);

    let max = Class::Headers.answer_bytes_max();
    let seals =
        [Seal::Genesis(Hash([6; 32])), Seal::Authority(Signature([7; 64])), Seal::Pow(0xdead_beef)];
    let answer = HeadersAnswer {
        from: BlockId([8; 32]),
        headers: seals.into_iter().map(header).collect(),
        sealers: vec![vec![NodeId([5; 32]), NodeId([9; 32])]],
    };
    let good = codec::encode(&answer);
    let none = HeadersAnswer { from: BLOCK, headers: Vec::new(), sealers: Vec::new() };
    let accept = [
        ("three", "one header of each seal, one list of sealers", good.clone()),
        ("none", "nothing after that", codec::encode(&none)),
    ];
    check::<HeadersAnswer>("message/headers-answer", max, &accept, &list_refusals(&good, 32));
}

#[test]
fn this_version_reads_and_writes_blocks() {
    let max = Class::Blocks.request_bytes_max();
    let good = codec::encode(&BlocksRequest { ids: vec![BLOCK] });
    let mut refuse = list_refusals(&good, 0);
    let many = codec::encode(&BlocksRequest { ids: vec![BLOCK; 65] });
    refuse.push(("oversize", "65 ids", many));
    check::<BlocksRequest>("message/blocks-request", max, &[("one", "one block", good)], &refuse);

    let max = Class::Blocks.answer_bytes_max();
    let bodies = vec![(BLOCK, vec![FACT, FactId::ZERO]), (BlockId::ZERO, vec![])];
    let good = codec::encode(&BlocksAnswer { bodies });
    let none = codec::encode(&BlocksAnswer { bodies: Vec::new() });
    let accept =
        [("two", "a list of two facts and an empty one", good.clone()), ("none", "", none)];
    check::<BlocksAnswer>("message/blocks-answer", max, &accept, &list_refusals(&good, 0));
}

#[test]
fn this_version_reads_and_writes_facts() {
    let max = Class::Facts.request_bytes_max();
    let good = codec::encode(&FactsRequest { ids: vec![FACT] });
    let refuse = list_refusals(&good, 0);
    check::<FactsRequest>("message/facts-request", max, &[("one", "one fact", good)], &refuse);

    let max = Class::Facts.answer_bytes_max();
    let answer = FactsAnswer { facts: vec![Bytes::new(b"one fact"), Bytes::new(b"")], more: true };
    let good = codec::encode(&answer);
    let mut refuse = list_refusals(&good, 0);
    let mut neither = good.clone();
    *neither.last_mut().unwrap() = 2;
    refuse.push(("no-boolean", "`more` is neither 0 nor 1", neither));
    let judge = |bytes: &[u8]| {
        let answer: FactsAnswer<'_> = codec::decode(bytes, max).map_err(reason)?;
        let facts: Vec<_> = answer.facts.iter().map(|fact| crate::vector::hex(fact)).collect();
        Ok(json!({"facts": facts, "more": answer.more}))
    };
    let accept = [("two", "two facts, as bytes, and there are more", good)];
    check_borrowed("message/facts-answer", judge, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_reconciliation() {
    let max = Class::Reconcile.request_bytes_max();
    let ids = ReconcileRequest::Ids { buckets: vec![1, 4_095], after: Some(FACT) };
    let good = codec::encode(&ids);
    let mut refuse = list_refusals(&good, 1);
    refuse.push(("unknown-kind", "a step that does not exist", vec![4]));
    refuse.push(("beyond-16-bit", "a bucket of 17 bits", vec![2, 1, 0x80, 0x80, 0x04, 0]));
    let buckets = codec::encode(&ReconcileRequest::Buckets(vec![0, 63]));
    let accept = [
        ("groups", "the first step", codec::encode(&ReconcileRequest::Groups)),
        ("buckets", "the second, of two groups", buckets),
        ("ids", "the third, of two buckets, going on after an id", good),
        ("span", "a sweep from the start", codec::encode(&ReconcileRequest::Span { after: None })),
    ];
    check::<ReconcileRequest>("message/reconcile-request", max, &accept, &refuse);

    let max = Class::Reconcile.answer_bytes_max();
    let sums = vec![SetSummary { count: 300, sum: [0x22; 32] }];
    let good = codec::encode(&ReconcileAnswer::Ids(vec![FACT], true));
    let span = codec::encode(&ReconcileAnswer::Span(Some(FACT), Hash([0x66; 32])));
    let accept = [
        ("groups", "one sum", codec::encode(&ReconcileAnswer::Groups(sums.clone()))),
        ("buckets", "one sum", codec::encode(&ReconcileAnswer::Buckets(sums))),
        ("ids", "one id, and there are more", good.clone()),
        ("span", "up to an id", span),
    ];
    check::<ReconcileAnswer>("message/reconcile-answer", max, &accept, &list_refusals(&good, 1));
}

#[test]
fn this_version_reads_and_writes_peers() {
    let max = Class::Peers.request_bytes_max();
    let good = codec::encode(&PeersRequest { max: 64 });
    let mut refuse = cut_and_trailing(&good);
    refuse.push(("padded-number", "64 in two bytes", vec![0xc0, 0]));
    refuse.push(("oversize", "more bytes than the class allows", vec![0; max + 1]));
    check::<PeersRequest>("message/peers-request", max, &[("usual", "64 peers", good)], &refuse);

    let max = Class::Peers.answer_bytes_max();
    let peers = vec![("attic.example:7071".into(), NodeId([5; 32]))];
    let good = codec::encode(&PeersAnswer { peers });
    let mut refuse = list_refusals(&good, 0);
    let mut latin1 = good.clone();
    latin1[2] = 0xe9;
    refuse.push(("not-utf8", "an address that is no UTF-8", latin1));
    check::<PeersAnswer>("message/peers-answer", max, &[("one", "one peer", good)], &refuse);
}
