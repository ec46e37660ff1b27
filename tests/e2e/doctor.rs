//! `cairn doctor` names the cause: everything is broken once, and what it says is looked at.

use std::net::{SocketAddr, UdpSocket};

use cairn_core::time::UnixTime;
use cairn_node::app::{Node, NodeConfig};
use cairn_node::data_dir::DataDir;
use cairn_node::doctor::{Area, Level, running};
use cairn_node::{clock, enroll};
use serde_json::Value;
use support::process::{Cairn, eventually};
use support::relay::Relay;
use support::small_disk::SmallDisk;

use crate::mesh::{agree, founder, invite, joined, text};

const WARNED: i32 = 10;
const FAILED: i32 = 11;
const STEPS: [&str; 10] = [
    "resolve",
    "route",
    "send",
    "quic",
    "identity",
    "mesh",
    "rules",
    "protocol",
    "membership",
    "capacity",
];

/// Runs `doctor` with these arguments: the exit code and the checks.
#[track_caller]
fn doctor(node: &Cairn, args: &[&str]) -> (i32, Vec<Value>) {
    let ran = node.cli(&[&["doctor"], args].concat());
    let document = ran.json();
    assert_eq!(document["schema"], "cairn.doctor/1", "{ran:?}");
    let checks = document["checks"].as_array().unwrap().clone();
    for check in &checks {
        let well = ["ok", "skip"].iter().any(|level| check["level"] == *level);
        let told = |part: &str| !check[part].as_str().unwrap().is_empty();
        assert!(told("message") && (well || told("cause") && told("hint")), "{check}");
    }
    (ran.code.unwrap(), checks)
}

fn of<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    let found = checks.iter().find(|check| check["check"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {checks:#?}"))
}

/// The step at which the ladder to an address ends, and its cause; all before it are fine.
#[track_caller]
fn broken(node: &Cairn, address: &str) -> (i32, String, String) {
    let (code, mut checks) = doctor(node, &["peer", address]);
    let last = checks.pop().unwrap();
    assert!(checks.iter().all(|check| check["level"] == "ok"), "{checks:#?}");
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS[..names.len()], "in order");
    assert_eq!(STEPS[names.len()], last["check"], "{last}");
    (code, text(&last, "check"), text(&last, "cause"))
}

/// A place that takes packets and never answers.
fn black_hole() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

#[test]
fn all_is_well_with_and_without_a_running_node() {
    let a = founder("a", "200ms");
    let mut b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    let (_, checks) = doctor(&b, &[]);
    assert!(checks.iter().all(|check| check["level"] != "fail"), "{checks:#?}");
    for area in ["config", "keys", "port", "clock", "store", "membership", "peers", "reach"] {
        assert_eq!(of(&checks, area)["level"], "ok", "{checks:#?}");
    }
    let seen = b.get("/v1/doctor?area=clock");
    assert_eq!((&seen["schema"], &seen["level"]), (&"cairn.doctor/1".into(), &"ok".into()));
    let address = a.listen().to_string();
    let ladder = |node: &Cairn| {
        let (code, checks) = doctor(node, &["peer", &address]);
        let names: Vec<&str> = checks.iter().map(|c| c["check"].as_str().unwrap()).collect();
        assert_eq!((code, &names[..]), (0, &STEPS[..]), "{checks:#?}");
    };
    let before = b.get("/v1/peers");
    ladder(&b);
    assert_eq!(b.get("/v1/peers")["peers"][0]["connected"], before["peers"][0]["connected"]);
    b.stop();
    ladder(&b);
    let (code, checks) = doctor(&b, &["membership"]);
    assert_eq!(code, WARNED);
    assert_eq!(of(&checks, "node")["hint"], "cairn run");
    assert_eq!(of(&checks, "membership")["level"], "skip");
}

#[test]
fn where_nobody_listens_the_host_says_so_and_where_packets_vanish_nobody_does() {
    let mut a = founder("a", "200ms");
    let gone = {
        let (_socket, address) = black_hole();
        address
    };
    let (_silent, hole) = black_hole();
    for _ in 0..2 {
        let (code, step, cause) = broken(&a, &gone);
        assert_eq!((code, step.as_str()), (FAILED, "quic"));
        assert!(cause.contains("nobody listens"), "{cause}");
        let (code, step, cause) = broken(&a, &hole);
        assert_eq!((code, step.as_str()), (FAILED, "quic"));
        assert!(cause.contains("firewall") && cause.contains("another mesh"), "{cause}");
        let (code, step, _) = broken(&a, "no-such-name.invalid:7071");
        assert_eq!((code, step.as_str()), (FAILED, "resolve"));
        if a.runs() {
            a.stop();
        }
    }
}

#[test]
fn another_mesh_is_silent_and_the_node_itself_is_told() {
    let (a, stranger) = (founder("a", "200ms"), founder("stranger", "200ms"));
    let (code, step, cause) = broken(&a, &stranger.listen().to_string());
    // Strangers get no answer at all, so that it looks like a firewall as well.
    assert_eq!((code, step.as_str()), (FAILED, "quic"));
    assert!(cause.contains("another mesh"), "{cause}");
    let (code, step, cause) = broken(&a, &a.listen().to_string());
    assert_eq!((code, step.as_str()), (FAILED, "identity"));
    assert!(cause.contains("own"), "{cause}");
}

#[test]
fn who_was_revoked_reads_so_before_and_after_it_runs() {
    let a = founder("a", "200ms");
    let mut b = joined("b", &invite(&a));
    agree(&[&a, &b], 30);
    b.stop();
    a.ok(&["member", "revoke", "b"]);
    let (code, step, cause) = broken(&b, &a.listen().to_string());
    assert_eq!((code, step.as_str()), (FAILED, "membership"));
    assert!(cause.contains("admin"), "{cause}");
    b.start(&[]);
    eventually("b knows that it is revoked", 30, || {
        (b.get("/v1/status")["state"] == "revoked").then_some(())
    });
    let (code, checks) = doctor(&b, &["membership"]);
    assert_eq!((code, &of(&checks, "membership")["level"]), (FAILED, &"fail".into()));
    assert!(text(of(&checks, "membership"), "hint").contains("invite"));
}

fn a_year_ahead() -> UnixTime {
    clock::wall().after(365 * 86_400_000)
}

fn a_year_behind() -> UnixTime {
    UnixTime(clock::wall().0 - 365 * 86_400_000)
}

#[test]
fn a_clock_that_is_a_year_off_is_noticed_by_comparing_it_with_peers() {
    let a = founder("a", "200ms");
    let line = invite(&a);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (wall, words) in [
        (a_year_ahead as fn() -> UnixTime, "365 days ahead"),
        (a_year_behind as fn() -> UnixTime, "behind"),
    ] {
        let home = tempfile::TempDir::with_prefix("cairn-e2e-clock-").unwrap();
        let dir = DataDir::new(home.path().join("data"));
        enroll::join(&dir, &line.parse().unwrap(), "late").unwrap();
        let mut config = NodeConfig::new(dir.path());
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.http = None;
        config.wall = wall;
        config.clock_vouched = true;
        let node = runtime.block_on(Node::start(config)).unwrap();
        let handle = node.handle();
        eventually("it is linked", 30, || {
            handle.peers().iter().any(|peer| peer.connected).then_some(())
        });
        let checks = runtime.block_on(running::check(&node.handle(), &[Area::Clock], false));
        assert_eq!(checks[0].level, Level::Fail, "{checks:?}");
        assert!(checks[0].what.contains(words), "{checks:?}");
        runtime.block_on(node.stop()).unwrap();
    }
}

#[test]
fn a_port_in_use_is_named_before_the_start_and_by_the_start() {
    let (_held, address) = black_hole();
    let mut a = Cairn::at("a", address.parse().unwrap());
    a.ok(&["init", "e2e"]);
    let (code, checks) = doctor(&a, &["port", "--listen", &address]);
    assert_eq!(code, FAILED);
    let check = of(&checks, "port");
    assert!(text(check, "message").contains("in use"), "{check}");
    assert!(text(check, "hint").contains("ss -ulpn"), "{check}");
    assert_eq!(a.launch(&[]).unwrap_err().code(), Some(9));
}

#[test]
fn a_full_disk_is_named() {
    let mut a = Cairn::new("a");
    a.ok(&["init", "e2e", "--spacing", "200ms"]);
    let Some(disk) = SmallDisk::mount(a.dir().with_file_name("small-disk"), "160m") else {
        eprintln!("not tested: this process may not mount a filesystem");
        return;
    };
    let db = disk.path().join("db");
    a.start(&["--db", db.to_str().unwrap(), "--profile", "tiny"]);
    assert_ne!(of(&doctor(&a, &["disk"]).1, "disk")["level"], "fail");
    disk.fill(16 * 1024 * 1024);
    let (code, checks) = doctor(&a, &["disk"]);
    assert_eq!((code, &of(&checks, "disk")["level"]), (FAILED, &"fail".into()));
    assert!(text(of(&checks, "disk"), "hint").contains("df -h"));
    a.stop();
}

#[test]
fn a_node_behind_a_filter_is_told_that_no_peer_can_connect_to_it() {
    let mut relay = Relay::default();
    let places = [relay.place(), relay.place()];
    let mut a = Cairn::at("a", places[0].0);
    let public = places[0].1.to_string();
    let founded = a.ok(&["init", "e2e", "--address", &public, "--spacing", "200ms"]);
    a.start(&[]);
    let mut b = Cairn::at("b", places[1].0);
    b.ok(&["join", founded["invite"].as_str().unwrap(), "--name", "b"]);
    b.start(&[]);
    agree(&[&a, &b], 30);
    // The relay carries only what comes from the sockets that it knows.
    let (code, checks) = doctor(&b, &["reach"]);
    assert_eq!((code, &of(&checks, "reach")["level"]), (WARNED, &"warn".into()), "{checks:?}");
    assert!(text(of(&checks, "reach"), "cause").contains("firewall"));
}

#[test]
fn who_is_isolated_is_told_why_by_status_and_doctor() {
    let (_silent, hole) = black_hole();
    let mut a = founder("a", "200ms");
    let line = invite(&a);
    a.stop();
    let mut b = Cairn::new("b");
    b.ok(&["join", &line, "--name", "b"]);
    b.start(&["--peer", &hole]);
    eventually("it is isolated", 90, || (b.get("/v1/status")["state"] == "isolated").then_some(()));
    let status = b.get("/v1/status");
    assert_eq!(status["isolated"]["hint"], "run: cairn doctor peers", "{status}");
    let ran = support::process::Ran::of(&mut b.command(&["status"]));
    assert!(ran.stdout.contains("cairn doctor peers"), "{ran:?}");
    let (code, checks) = doctor(&b, &["peers"]);
    assert_eq!(code, FAILED);
    let causes: Vec<String> = checks.iter().map(|check| text(check, "cause")).collect();
    assert!(causes.iter().any(|cause| cause.contains("nobody listens")), "{causes:?}");
    assert!(causes.iter().any(|cause| cause.contains("firewall")), "{causes:?}");
}
