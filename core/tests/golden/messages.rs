//! What travels without being asked for: hello, ping, pong and announcements; and how large the
//! frequent ones may get.

use cairn_core::codec;
use cairn_core::id::{BlockId, FactId, MeshId, NodeId};
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;
use cairn_core::wire::{
    Announce, BlocksRequest, CallOutcome, Class, Control, Hello, Run, SetSummary, Statement, Tip,
    Twin,
};
use cairn_core::work::{Height, Work};

use crate::kind::{check, cut_and_trailing};

const CONTROL: usize = Class::Control.request_bytes_max();
const ANNOUNCE: usize = Class::Announce.request_bytes_max();

fn tip(height: u64) -> Tip {
    Tip { height: Height(height), id: BlockId([0x11; 32]), work: Work::from_u64(height + 1) }
}

fn facts(count: u64) -> SetSummary {
    SetSummary { count, sum: [0x22; 32] }
}

fn ping(nonce: u64, height: u64, count: u64) -> Control {
    Control::Ping { nonce, tip: tip(height), facts: facts(count) }
}

fn hello() -> Hello {
    Hello {
        protocol: (1, 2),
        rules: 1,
        mesh: MeshId([0x33; 32]),
        tip: tip(300),
        facts: facts(70_000),
        agent: "cairn/0.1.0".into(),
        clock: UnixTime(1_767_225_600_000),
        port: 7071,
        run: Run([0x44; 16]),
        introduction: vec![vec![1, 2, 3].into(), Vec::new().into()],
    }
}

#[test]
fn this_version_reads_and_writes_hello() {
    let known = Hello { introduction: Vec::new(), port: 0, ..hello() };
    let good = codec::encode(&Control::Hello(hello()));
    let mut refuse = cut_and_trailing(&good);
    let agent_at = good.windows(5).position(|part| part == b"cairn").unwrap();
    let mut latin1 = good.clone();
    latin1[agent_at] = 0xe9;
    let mut padded = good.clone();
    padded.splice(agent_at - 1..agent_at, [0x8b, 0]);
    let mut hostile = good.clone();
    hostile.splice(agent_at - 1..agent_at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    let oversize = Hello { agent: "x".repeat(CONTROL), ..hello() };
    let mut kind = good.clone();
    kind[0] = 8;
    refuse.extend([
        ("not-utf8", "an agent that is no UTF-8", latin1),
        ("padded-length", "the agent's length written in two bytes", padded),
        ("hostile-length", "an agent that claims 4 GiB", hostile),
        ("unknown-kind", "a control message that does not exist", kind),
        ("oversize", "more than 8 KiB", codec::encode(&Control::Hello(oversize))),
    ]);
    let accept = [
        ("introducing", "from a stranger, with the facts that admit it", good),
        ("known", "nothing to introduce, no port", codec::encode(&Control::Hello(known))),
    ];
    check::<Control>("message/hello", CONTROL, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_ping_and_pong() {
    let pong = codec::encode(&Control::Pong { nonce: 1 });
    let large = codec::encode(&Control::Pong { nonce: u64::MAX });
    let mut beyond = large.clone();
    *beyond.last_mut().unwrap() = 2;
    let mut refuse = cut_and_trailing(&pong);
    refuse.extend([
        ("padded-number", "the nonce 1 in two bytes", vec![2, 0x81, 0]),
        ("beyond-64-bit", "a nonce of 65 bits", beyond),
    ]);
    let accept = [("small", "nonce 1", pong), ("large", "the largest nonce", large)];
    check::<Control>("message/pong", CONTROL, &accept, &refuse);

    let usual = codec::encode(&ping(0x0123_4567_89ab_cdef, 300, 70_000));
    let refuse = cut_and_trailing(&usual);
    let young = codec::encode(&ping(0, 0, 0));
    let accept = [("usual", "in a mesh of some age", usual), ("young", "at genesis", young)];
    check::<Control>("message/ping", CONTROL, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_revocations() {
    let proof = vec![vec![1, 2, 3].into(), Vec::new().into()];
    let told = codec::encode(&Control::Revoked { proof });
    let mut refuse = cut_and_trailing(&told);
    refuse.push(("hostile-length", "a proof of 2^32 facts", vec![3, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    let accept = [("told", "that it was revoked, with two facts", told)];
    check::<Control>("message/revoked", CONTROL, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_what_is_said_of_twins() {
    let met = codec::encode(&Control::Twin(Twin::Met));
    let node = NodeId([0x33; 32]);
    let ask = codec::encode(&Control::Twin(Twin::Ask { node, challenge: [0x55; 16] }));
    let key = SigningKey::from_seed([7; 32]);
    let statement = Statement::sign(&key, &MeshId([0x66; 32]), [0x55; 16], Run([0x77; 16]));
    let here = codec::encode(&Control::Twin(Twin::Here(statement)));
    let mut refuse = cut_and_trailing(&here);
    refuse.push(("unknown-kind", "something of twins that does not exist", vec![7, 3]));
    let accept = [
        ("met", "somebody else has your key", met),
        ("ask", "who has it is to sign", ask),
        ("here", "signed", here),
    ];
    check::<Control>("message/twin", CONTROL, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_calls_back() {
    let call = codec::encode(&Control::CallBack { nonce: 300 });
    let refuse = cut_and_trailing(&call);
    let accept = [("usual", "nonce 300", call)];
    check::<Control>("message/call-back", CONTROL, &accept, &refuse);

    let told = |outcome| codec::encode(&Control::CalledBack { nonce: 300, outcome });
    let reached = told(CallOutcome::Reached);
    let mut refuse = cut_and_trailing(&reached);
    let mut unknown = reached.clone();
    *unknown.last_mut().unwrap() = 3;
    refuse.push(("unknown-outcome", "an outcome that does not exist", unknown));
    let accept = [
        ("reached", "the handshake was made", reached),
        ("unreached", "nobody answered", told(CallOutcome::Unreached)),
        ("busy", "not tried", told(CallOutcome::Busy)),
    ];
    check::<Control>("message/called-back", CONTROL, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_where_others_are() {
    let one = ("192.0.2.1:7071".to_owned(), NodeId([0x44; 32]));
    let two = ("[2001:db8::1]:7071".to_owned(), NodeId([0x55; 32]));
    let told = codec::encode(&Control::Full { peers: vec![one, two] });
    let alone = codec::encode(&Control::Full { peers: Vec::new() });
    let mut refuse = cut_and_trailing(&told);
    refuse.push(("hostile-length", "2^32 addresses", vec![6, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    let accept = [("told", "two addresses", told), ("alone", "none", alone)];
    check::<Control>("message/full", CONTROL, &accept, &refuse);
}

#[test]
fn this_version_reads_and_writes_announcements() {
    let block = codec::encode(&Announce::Block(tip(300)));
    let accept = [("new-tip", "height, id and work", block.clone())];
    let mut refuse = cut_and_trailing(&block);
    let mut kind = block;
    kind[0] = 2;
    refuse.push(("unknown-kind", "an announcement that does not exist", kind));
    check::<Announce>("message/announce-block", ANNOUNCE, &accept, &refuse);

    let two = codec::encode(&Announce::Facts(vec![FactId([0x44; 32]), FactId::ZERO]));
    let mut refuse = cut_and_trailing(&two);
    refuse.push((
        "hostile-length",
        "a list that claims 2^32 ids",
        vec![1, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ));
    let none = codec::encode(&Announce::Facts(Vec::new()));
    let accept = [("two", "two facts", two), ("none", "no facts", none)];
    check::<Announce>("message/announce-facts", ANNOUNCE, &accept, &refuse);
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
