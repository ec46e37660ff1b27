//! Whatever comes in, in whatever order, the engine neither panics nor breaks its contract, keeps
//! its bounds and works on.

use alloc::vec;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fact::Role;
use crate::id::{BlockId, FactId, Hash};
use crate::limits::IDS_PER_ANNOUNCE;
use crate::peer::Subject;
use crate::wire::{
    BlocksAnswer, BlocksRequest, FactsAnswer, FactsRequest, HeadersAnswer, HeadersRequest,
    PeersAnswer, PeersRequest, ReconcileAnswer, ReconcileRequest,
};
use crate::work::{Height, Work};

/// What a step sends: a message of the right form with any content, or no message at all.
#[derive(Debug, Clone)]
enum Bytes {
    Any(Vec<u8>),
    Formed(Vec<u8>),
    /// What an honest peer would answer.
    Honest,
}

#[derive(Debug, Clone)]
enum Step {
    Open(u64, u8, Option<u64>),
    Greet(u64, Option<u8>),
    Control(u64, Vec<u8>),
    Announce(u64, Vec<u8>),
    Request(u64, Class, Vec<u8>),
    Answer(usize, Bytes),
    NoAnswer(u64, u64),
    Closed(u64, bool),
    DialFailed(u64),
    Verified(u64),
    Sealed(u64),
    Durable(u64),
    Publish(u8),
    Custody(u8),
    Pass(u64),
    Settle,
}

fn id() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![any::<[u8; 32]>(), (0u8..4).prop_map(|n| [n; 32]), Just(known().last().0)]
}

/// The peers' chain: three blocks.
fn known() -> TestChain {
    let ([a, ..], params) = founders();
    let mut chain = TestChain::new(params);
    for n in 0..3 {
        let note = a.record("note", &format!("{n}"));
        chain.add(core::slice::from_ref(&note));
        chain.seal(&a.key, &[note.id()]);
    }
    chain
}

fn tip() -> impl Strategy<Value = Tip> {
    (any::<u64>(), id(), any::<u64>()).prop_map(|(height, id, work)| Tip {
        height: Height(height),
        id: BlockId(id),
        work: Work::from_u64(work),
    })
}

fn set() -> impl Strategy<Value = SetSummary> {
    (any::<u64>(), id()).prop_map(|(count, sum)| SetSummary { count, sum })
}

fn ids(max: usize) -> impl Strategy<Value = Vec<FactId>> {
    vec(id().prop_map(FactId), 0..max)
}

fn blocks(max: usize) -> impl Strategy<Value = Vec<BlockId>> {
    vec(id().prop_map(BlockId), 0..max)
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        (any::<u64>(), tip(), set()).prop_map(|(nonce, tip, facts)| {
            codec::encode(&Control::Ping { nonce, tip, facts })
        }),
        any::<u64>().prop_map(|nonce| codec::encode(&Control::Pong { nonce })),
    ]
}

fn announce() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        tip().prop_map(|tip| codec::encode(&Announce::Block(tip))),
        ids(IDS_PER_ANNOUNCE + 2).prop_map(|ids| codec::encode(&Announce::Facts(ids))),
    ]
}

fn reconcile_request() -> impl Strategy<Value = ReconcileRequest> {
    let after = prop::option::of(id().prop_map(FactId));
    prop_oneof![
        Just(ReconcileRequest::Groups),
        prop::option::of(id().prop_map(FactId)).prop_map(|after| ReconcileRequest::Span { after }),
        vec(any::<u8>(), 0..80).prop_map(ReconcileRequest::Buckets),
        (vec(any::<u16>(), 0..300), after).prop_map(|(mut buckets, after)| {
            buckets.sort_unstable();
            ReconcileRequest::Ids { buckets, after }
        }),
    ]
}

fn request() -> impl Strategy<Value = (Class, Vec<u8>)> {
    prop_oneof![
        (prop::sample::select(&Class::ALL[..]), vec(any::<u8>(), 0..100)),
        (blocks(40), any::<u16>()).prop_map(|(locator, max)| {
            (Class::Headers, codec::encode(&HeadersRequest { locator, max }))
        }),
        blocks(70).prop_map(|ids| (Class::Blocks, codec::encode(&BlocksRequest { ids }))),
        ids(1_030).prop_map(|ids| (Class::Facts, codec::encode(&FactsRequest { ids }))),
        reconcile_request().prop_map(|request| (Class::Reconcile, codec::encode(&request))),
        any::<u16>().prop_map(|max| (Class::Peers, codec::encode(&PeersRequest { max }))),
    ]
}

/// Headers like those of a chain, each changed in some way.
fn headers() -> impl Strategy<Value = HeadersAnswer> {
    let change = (0usize..10, any::<u64>(), id());
    (id(), vec(change, 0..5), vec(vec(id(), 0..3), 0..3)).prop_map(|(from, changes, sealers)| {
        let chain = known();
        let mut headers = Vec::new();
        for (what, number, id) in changes {
            let mut header = chain.headers[number as usize % chain.headers.len()].clone();
            match what {
                0 => header.height = Height(number),
                1 => header.parent = BlockId(id),
                2 => header.time = UnixTime(number),
                3 => header.history_root = Hash(id),
                4 => header.sealers_root = Hash(id),
                5 => header.facts_root = Hash(id),
                6 => header.sealer = NodeId(id),
                7 => header.target = crate::work::Target(number as u32),
                8 => header.seal = crate::block::Seal::Pow(number),
                _ => {}
            }
            headers.push(header);
        }
        let from = headers.first().map_or(BlockId(from), |first| first.parent);
        let sealers = sealers.into_iter().map(|list| list.into_iter().map(NodeId).collect());
        HeadersAnswer { from, headers, sealers: sealers.collect() }
    })
}

fn answer() -> impl Strategy<Value = Bytes> {
    let facts = vec(vec(any::<u8>(), 0..100), 0..4);
    let formed = prop_oneof![
        headers().prop_map(|answer| codec::encode(&answer)),
        vec((id().prop_map(BlockId), ids(5)), 0..4)
            .prop_map(|bodies| codec::encode(&BlocksAnswer { bodies })),
        (facts, any::<bool>()).prop_map(|(mut facts, more)| {
            facts.extend(known().facts.into_values());
            let facts = facts.iter().map(|fact| serde_bytes::Bytes::new(fact)).collect();
            codec::encode(&FactsAnswer { facts, more })
        }),
        vec(set(), 0..70).prop_map(|sets| codec::encode(&ReconcileAnswer::Groups(sets))),
        vec(set(), 0..70).prop_map(|sets| codec::encode(&ReconcileAnswer::Buckets(sets))),
        (ids(50), any::<bool>())
            .prop_map(|(ids, more)| codec::encode(&ReconcileAnswer::Ids(ids, more))),
        vec(("[a-z0-9.:]{0,20}", id().prop_map(NodeId)), 0..70)
            .prop_map(|peers| codec::encode(&PeersAnswer { peers })),
    ];
    prop_oneof![
        1 => vec(any::<u8>(), 0..200).prop_map(Bytes::Any),
        3 => formed.prop_map(Bytes::Formed),
        2 => Just(Bytes::Honest),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let conn = 0u64..4;
    prop_oneof![
        2 => (conn.clone(), 0u8..6, prop::option::of(0u64..3))
            .prop_map(|(conn, node, dial)| Step::Open(conn, node, dial)),
        4 => (conn.clone(), prop::option::weighted(0.2, 0u8..6))
            .prop_map(|(conn, fault)| Step::Greet(conn, fault)),
        2 => (conn.clone(), control()).prop_map(|(conn, bytes)| Step::Control(conn, bytes)),
        3 => (conn.clone(), announce()).prop_map(|(conn, bytes)| Step::Announce(conn, bytes)),
        3 => (conn.clone(), request())
            .prop_map(|(conn, (class, bytes))| Step::Request(conn, class, bytes)),
        8 => (any::<usize>(), answer()).prop_map(|(at, bytes)| Step::Answer(at, bytes)),
        1 => (conn.clone(), 0u64..20).prop_map(|(conn, tag)| Step::NoAnswer(conn, tag)),
        1 => (conn, any::<bool>()).prop_map(|(conn, by_peer)| Step::Closed(conn, by_peer)),
        1 => (0u64..9).prop_map(Step::DialFailed),
        1 => (0u64..9).prop_map(Step::Verified),
        1 => (0u64..9).prop_map(Step::Sealed),
        1 => any::<u64>().prop_map(Step::Durable),
        1 => any::<u8>().prop_map(Step::Publish),
        1 => any::<u8>().prop_map(Step::Custody),
        2 => (0u64..70_000).prop_map(Step::Pass),
        4 => Just(Step::Settle),
    ]
}

fn node(n: u8) -> NodeId {
    let (all, params) = founders();
    match all.get(usize::from(n)) {
        Some(founder) => founder.id(),
        None => TestNode::new(u64::from(n) + 90, crate::block::mesh_id(&params)).id(),
    }
}

fn greeting(fault: Option<u8>) -> Hello {
    let mut hello = hello(&known());
    match fault {
        Some(0) => hello.mesh = MeshId([9; 32]),
        Some(1) => hello.rules = 9,
        Some(2) => hello.protocol = (9, 3),
        Some(3) => hello.introduction = alloc::vec![serde_bytes::ByteBuf::from([1, 2, 3])],
        Some(4) => hello.introduction = alloc::vec![Default::default(); 900],
        Some(_) => {
            let ([a, ..], params) = founders();
            let me = TestNode::new(94, crate::block::mesh_id(&params)).id();
            let admit = a.admit(me, Role::Member);
            hello.introduction = alloc::vec![serde_bytes::ByteBuf::from(admit.bytes())];
        }
        None => {}
    }
    hello
}

fn take(sole: &mut Sole, step: Step) {
    let (nodes, _) = founders();
    match step {
        Step::Open(conn, n, dial) => {
            let (node, dial) = (node(n), dial.map(DialId));
            let address = PeerAddr(format!("192.0.2.{n}:7071"));
            sole.conn(conn, ConnInput::Opened { node, address, dial, key_exchange: "test" });
        }
        Step::Greet(conn, fault) => sole.control(conn, &Control::Hello(greeting(fault))),
        Step::Control(conn, bytes) => sole.conn(conn, ConnInput::Control(&bytes)),
        Step::Announce(conn, bytes) => sole.conn(conn, ConnInput::Announce(&bytes)),
        Step::Request(conn, class, bytes) => {
            let stream = StreamTag(sole.out.len() as u64);
            sole.conn(conn, ConnInput::Request { stream, class, bytes: &bytes });
        }
        Step::Answer(at, what) => {
            if sole.asked.is_empty() {
                return;
            }
            let at = at % sole.asked.len();
            let (conn, tag, class, asked) = sole.asked.remove(at);
            let bytes = match what {
                Bytes::Any(bytes) | Bytes::Formed(bytes) => bytes,
                Bytes::Honest => known().answer(class, &asked).unwrap_or_default(),
            };
            sole.conn(conn.0, ConnInput::Answer { tag, bytes: &bytes });
        }
        Step::NoAnswer(conn, tag) => sole.conn(conn, ConnInput::NoAnswer(RequestTag(tag))),
        Step::Closed(conn, by_peer) => {
            sole.conn(conn, ConnInput::Closed { code: Some(CloseCode::Full), by_peer, reason: "" });
        }
        Step::DialFailed(dial) => sole.input(Input::DialFailed(DialId(dial))),
        Step::Verified(job) => sole.input(Input::Verified(JobId(job), Vec::new())),
        Step::Sealed(job) => sole.input(Input::Sealed(JobId(job), None)),
        Step::Durable(batch) => sole.input(Input::Durable(BatchId(batch))),
        Step::Publish(n) => sole.publish(nodes[usize::from(n) % 4].record("t", &format!("{n}"))),
        Step::Custody(n) => {
            sole.commands += 1;
            let action = CustodyAction::Request;
            let custody =
                Command::Custody { item: format!("i{}", n % 3), action, note: String::new() };
            sole.input(Input::Command(CommandId(sole.commands), custody));
        }
        Step::Pass(span) => sole.pass(span),
        Step::Settle => sole.settle(),
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(128))]

    #[test]
    fn no_input_breaks_the_engine(steps in vec(step(), 0..80)) {
        let ([_, b, ..], params) = founders();
        let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), true);
        for step in steps {
            take(&mut sole, step);
            prop_assert!(sole.engine.status().wanted <= Limits::default().wants as u64 + 64 * 8_192);
        }
        // It works on: what it is told is kept, and an honest peer is not blamed.
        sole.settle();
        sole.publish(b.record("note", "after all that"));
        prop_assert_eq!(sole.replies() as u64, sole.commands);
        let founder = founders().0[3].id();
        for conn in 0..4 {
            sole.conn(conn, ConnInput::Closed { code: None, by_peer: true, reason: "" });
        }
        // Somebody may have misbehaved in its name.
        sole.commands += 1;
        let unban = Command::Unban(Subject::Node(founder));
        sole.input(Input::Command(CommandId(sole.commands), unban));
        sole.join(50, founder, &known());
        for _ in 0..40 {
            sole.serve(50, &known());
            sole.pass(2_000);
        }
        let closed = sole.closed();
        prop_assert_eq!(closed.get(&50), None);
        for id in known().facts.keys() {
            prop_assert!(sole.store.fact_row(id).unwrap().is_some());
        }
    }
}
