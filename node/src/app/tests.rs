//! Tests of `app`.

use cairn_core::engine::{Published, Refusal};
use cairn_core::fact::FactError;
use cairn_core::id::FactId;
use cairn_core::ledger::read::Read;
use cairn_core::params::Params;
use cairn_core::time::UnixTime;

use super::*;
use crate::enroll::Founded;
use crate::exit;
use crate::handle::{Draft, DraftBody};

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

struct Place {
    _temp: tempfile::TempDir,
    config: NodeConfig,
}

fn place() -> Place {
    let temp = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::new(temp.path().join("data"));
    config.listen = LOCAL.into();
    config.http = Some(LOCAL.into());
    config.profile = Profile::Tiny;
    config.clock_vouched = true;
    Place { _temp: temp, config }
}

impl Place {
    fn dir(&self) -> DataDir {
        DataDir::new(&self.config.data_dir)
    }

    fn found(&self, address: &str) -> Founded {
        let dir = self.dir();
        let lock = dir.lock().unwrap();
        let node = enroll::identity(&dir).unwrap().node_id();
        drop(lock);
        let params = Params::private("home", &[node], crate::clock::wall()).unwrap();
        enroll::found(&dir, params, vec![address.into()], 9, UnixTime::MAX_VALID).unwrap()
    }
}

fn record(n: u32) -> Draft {
    Draft {
        time: None,
        body: DraftBody::Record {
            topic: "note".into(),
            media_type: "text/plain".into(),
            bytes: n.to_be_bytes().to_vec(),
        },
    }
}

fn accepted(outcomes: &[Result<Published, FactError>]) -> Vec<FactId> {
    let id = |outcome: &Result<Published, FactError>| match outcome {
        Ok(Published::Accepted(id)) => *id,
        other => panic!("{other:?}"),
    };
    outcomes.iter().map(id).collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let place = place();
    place.found("192.0.2.1:1");
    let node = Node::start(place.config.clone()).await.unwrap();
    let drafts = (0..40).map(record).collect();
    let ids = accepted(&node.handle().sign_and_publish(drafts).await.unwrap());
    node.stop().await.unwrap();
    let node = Node::start(place.config.clone()).await.unwrap();
    let view = node.handle().view();
    for id in ids {
        assert!(view.fact(&id).unwrap().is_some());
    }
    assert_eq!(node.handle().status().facts.count, 41);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_draft_that_is_no_fact_does_not_hold_up_the_others() {
    let place = place();
    place.found("192.0.2.1:1");
    let node = Node::start(place.config.clone()).await.unwrap();
    let mut drafts: Vec<_> = (0..3).map(record).collect();
    if let DraftBody::Record { topic, .. } = &mut drafts[1].body {
        topic.clear();
    }
    let outcomes = node.handle().sign_and_publish(drafts).await.unwrap();
    assert!(matches!(outcomes[0], Ok(Published::Accepted(_))));
    assert!(matches!(outcomes[1], Err(FactError::Body(_))));
    assert!(matches!(outcomes[2], Ok(Published::Accepted(_))));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_node_on_one_directory_is_told_who_is_there() {
    let place = place();
    let mut node = Node::start(place.config.clone()).await.unwrap();
    let runtime = place.dir().read_runtime().unwrap();
    assert_eq!(runtime.mesh, node.mesh_address());
    let http = node.take_http().unwrap().local_addr().unwrap();
    assert_eq!((runtime.http, node.http_address()), (Some(http), Some(http)));
    let error = Node::start(place.config.clone()).await.err().unwrap();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(error.exit_code(), exit::STORAGE);
    node.stop().await.unwrap();
    assert_eq!(place.dir().read_runtime(), None);
    Node::start(place.config.clone()).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn ports_in_use_are_network_errors_and_leave_the_directory_free() {
    let (first, mut second) = (place(), place());
    let node = Node::start(first.config).await.unwrap();
    second.config.listen = node.mesh_address();
    let error = Node::start(second.config.clone()).await.err().unwrap();
    assert_eq!(error.exit_code(), exit::NETWORK, "{error}");
    second.config.listen = LOCAL.into();
    second.config.http = node.http_address();
    let error = Node::start(second.config.clone()).await.err().unwrap();
    assert_eq!(error.exit_code(), exit::NETWORK, "{error}");
    second.config.http = None;
    Node::start(second.config).await.unwrap().stop().await.unwrap();
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_node_refuses_commands_instead_of_hanging() {
    let place = place();
    let node = Node::start(place.config).await.unwrap();
    let handle = node.handle();
    node.stop().await.unwrap();
    assert_eq!(handle.command(Command::Sync).await, Err(Refusal::Stopping));
}

#[tokio::test]
async fn a_failed_sync_is_fatal_and_acknowledges_nothing_more() {
    let place = place();
    let node = Node::start(place.config).await.unwrap();
    let full = StoreError::Full("/x".into());
    node.inbox.send(Told::Durable(Err(full))).unwrap();
    assert!(matches!(*node.fatal().await, StoreError::Full(_)));
    let refused = node.handle().command(Command::Sync).await;
    assert_eq!(refused, Err(Refusal::Stopping));
    assert!(matches!(*node.stop().await.unwrap_err(), StoreError::Full(_)));
}

#[tokio::test]
async fn a_newcomer_gets_the_founders_facts() {
    let (first, second) = (place(), place());
    let founder = {
        // Founded before the port is known; the newcomer is told it by `--peer`.
        let invite = first.found("192.0.2.1:1").invite.unwrap();
        enroll::join(&second.dir(), &invite, "anna").unwrap();
        Node::start(first.config).await.unwrap()
    };
    let drafts = (0..5).map(record).collect();
    let ids = accepted(&founder.handle().sign_and_publish(drafts).await.unwrap());
    let mut config = second.config;
    config.peers.push(founder.mesh_address().to_string());
    let newcomer = Node::start(config).await.unwrap();
    let mut status = newcomer.handle().watch_status();
    let all = async {
        // Five records, the invite, and the newcomer's own admission.
        status.wait_for(|status| status.facts.count == 7).await.unwrap();
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), all).await;
    assert!(waited.is_ok(), "{:?}", newcomer.handle().status());
    let view = newcomer.handle().view();
    assert!(ids.iter().all(|id| view.fact_row(id).unwrap().is_some()));
    newcomer.stop().await.unwrap();
    founder.stop().await.unwrap();
}
