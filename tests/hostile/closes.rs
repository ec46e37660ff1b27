//! The close codes that no two honest nodes of one version come to, between a real process and a peer
//! that does whatever it takes; and every code as it is told to a real process. What two real
//! processes tell each other is in `tests/e2e/closes.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_core::codec;
use cairn_core::id::MeshId;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::testing::TestChain;
use cairn_core::wire::{CloseCode, Control, Hello};
use cairn_node::data_dir::DataDir;
use cairn_node::enroll;
use cairn_transport_quic::{Endpoint, Knock, TransportEvent, TransportLimits, inbox};
use support::closes::{diagnosed, ended_by};
use support::process::Cairn;
use tokio::runtime::Runtime;

use crate::attacker::hello;
use crate::raw::{Raw, Way};

/// Links from others that a node takes.
const ROOM: u8 = 64;

/// A node that founded a mesh and runs, and the mesh's ledger when it began.
fn founder() -> (Cairn, TestChain) {
    let mut node = Cairn::new("a");
    node.ok(&["init", "hostile", "--address", "127.0.0.1:9"]);
    node.start(&[]);
    let enrollment = enroll::load(&DataDir::new(node.dir())).unwrap().unwrap();
    (node, TestChain::new(enrollment.params))
}

fn id(seed: [u8; 32]) -> String {
    SigningKey::from_seed(seed).node_id().to_string()
}

#[test]
fn who_introduces_itself_wrongly_is_told_why_and_the_node_shows_it() {
    let runtime = Runtime::new().unwrap();
    let (node, chain) = founder();
    let way = Way::to(runtime.handle(), chain.mesh(), node.listen());
    let saying = |change: fn(&mut Hello)| {
        let mut said = hello(&chain);
        change(&mut said);
        codec::encode(&Control::Hello(said))
    };
    let cases = [
        (CloseCode::WrongMesh, saying(|said| said.mesh = MeshId([7; 32])), "wrong mesh"),
        (CloseCode::RulesVersion, saying(|said| said.rules = 99), "rules version not supported"),
        (
            CloseCode::Protocol,
            saying(|said| said.protocol = (98, 99)),
            "protocol version not supported: 1 to 1",
        ),
        (CloseCode::NotMember, saying(|_| {}), "not a member"),
        (CloseCode::BadHello, vec![0xff; 40], "hello invalid"),
    ];
    for (code, first, words) in cases {
        let seed = [code as u8; 32];
        let told = way.dial(&seed, &first).closed_saying();
        assert_eq!(told, (Some(code), words.into()));
        let close = ended_by(&node, &id(seed), code, false);
        assert_eq!((&close["reason"], &close["direction"]), (&words.into(), &"inbound".into()));
    }
}

/// A node that ends every link with a code once the other has introduced itself.
struct Refuser {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Refuser {
    fn start(runtime: &Runtime, mesh: MeshId, code: CloseCode, detail: &'static str) -> Self {
        let (sender, events) = inbox(16);
        let local = ([127, 0, 0, 1], 0).into();
        let limits = TransportLimits::small();
        let (seed, knock) = ([code as u8; 32], Knock::of(&mesh));
        let bound = Endpoint::bind(local, &seed, knock, limits, runtime.handle(), sender);
        let endpoint = bound.unwrap();
        let (address, over) = (endpoint.local_addr(), Arc::new(AtomicBool::new(false)));
        let refuser = Self { address, over: Arc::clone(&over) };
        runtime.spawn_blocking(move || {
            while !over.load(Ordering::Relaxed) {
                let event: Option<TransportEvent> = events.recv_timeout(Duration::from_millis(20));
                if let Some(TransportEvent::Control { conn, .. }) = event {
                    endpoint.close(conn, code, detail);
                }
            }
        });
        refuser
    }
}

impl Drop for Refuser {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_is_refused_shows_why_and_its_doctor_names_the_cause_whatever_the_code() {
    let runtime = Runtime::new().unwrap();
    let (node, chain) = founder();
    for code in CloseCode::ALL {
        let detail = match code {
            CloseCode::Protocol => "2 to 3",
            CloseCode::Misbehavior => "until 2030-01-01 00:00:00: a malformed frame",
            _ => "",
        };
        let refuser = Refuser::start(&runtime, chain.mesh(), code, detail);
        let address = refuser.address.to_string();
        node.ok(&["peer", "add", &address]);
        let close = ended_by(&node, &id([code as u8; 32]), code, true);
        assert_eq!(close["reason"], code.text(detail));
        assert_eq!(
            (&close["direction"], &close["address"]),
            (&"outbound".into(), &address.as_str().into())
        );
        diagnosed(&node, &address, code);
        node.ok(&["peer", "remove", &address]);
    }
}

#[test]
fn a_node_without_room_says_so_and_both_show_it() {
    let runtime = Runtime::new().unwrap();
    // A node that was told of no mesh is in the open one, which lets any key in.
    let [mut node, mut late] = ["a", "late"].map(Cairn::new);
    node.start(&[]);
    let chain = TestChain::new(Params::open());
    let way = Way::to(runtime.handle(), chain.mesh(), node.listen());
    let first = codec::encode(&Control::Hello(hello(&chain)));
    let crowd: Vec<Raw> = (1..=ROOM)
        .map(|n| {
            let mut one = way.dial(&[n; 32], &first);
            one.is_heard(&chain);
            one
        })
        .collect();
    late.start(&["--peer", &node.listen().to_string()]);
    let there = ended_by(&late, &node.node_id(), CloseCode::Full, true);
    let here = ended_by(&node, &late.node_id(), CloseCode::Full, false);
    assert_eq!(there["reason"], here["reason"]);
    diagnosed(&late, &node.listen().to_string(), CloseCode::Full);
    drop(crowd);
}
