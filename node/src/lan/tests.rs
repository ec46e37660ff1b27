//! Tests of `lan` with real nodes and packets, on the loopback interface.

use std::net::{IpAddr, Ipv4Addr};

use cairn_core::id::MeshId;

use super::*;
use crate::app::{Node, NodeConfig};
use crate::store::Profile;

const WAIT: Duration = Duration::from_secs(60);

async fn node(home: &tempfile::TempDir) -> Node {
    let mut config = NodeConfig::new(home.path().join("data"));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.http = None;
    config.profile = Profile::Tiny;
    config.seal = false;
    config.lan = true;
    Node::start(config).await.unwrap()
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() * 1024
}

async fn linked(node: &Node) {
    let handle = node.handle();
    let mut status = handle.watch_status();
    let linked = async {
        while !handle.peers().iter().any(|peer| peer.connected) {
            // Looked at again soon in any case: the peers are published beside the status.
            let _ = tokio::time::timeout(Duration::from_millis(50), status.changed()).await;
        }
    };
    tokio::time::timeout(WAIT, linked).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_invented_nodes_cost_nothing_and_a_real_one_is_found() {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let victim = node(&homes[0]).await;
    let mut group = Group::open().unwrap();
    group.refresh(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mesh = victim.handle().mesh();
    let invented = |n: u16| Service::new(&mesh, u64::from(n).to_be_bytes(), n + 1);
    for n in 0..100 {
        group.send(&invented(n).announcement().unwrap()).await;
    }
    let before = memory();
    for n in 100..10_000 {
        group.send(&invented(n).announcement().unwrap()).await;
        group.send(&[0x5f; PACKET]).await;
        tokio::task::yield_now().await;
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes");
    let known = victim.handle().peers().len();
    assert!(known <= 8, "{known} addresses of one machine");
    let real = node(&homes[1]).await;
    linked(&real).await;
    linked(&victim).await;
    let other = Service::new(&MeshId([9; 32]), [1; 8], 1);
    assert_eq!(other.read(&invented(1).announcement().unwrap()), Heard::default());
    real.stop().await.unwrap();
    victim.stop().await.unwrap();
}
