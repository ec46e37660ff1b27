//! Tests of `bootstrap`.

use cairn_core::fact::Role;
use cairn_core::id::NodeId;
use cairn_core::invite::Invite;
use cairn_core::params::Params;
use cairn_core::time::UnixTime;

use super::*;
use crate::enroll::{self, Founded};
use crate::store::Profile;

fn temp() -> (tempfile::TempDir, NodeConfig, DataDir) {
    let temp = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::new(temp.path());
    config.profile = Profile::Tiny;
    let dir = DataDir::new(temp.path());
    (temp, config, dir)
}

fn found(dir: &DataDir) -> Founded {
    let lock = dir.lock().unwrap();
    let node = enroll::identity(dir).unwrap().node_id();
    drop(lock);
    let params = Params::private("home", &[node], UnixTime(5)).unwrap();
    enroll::found(dir, params, vec!["192.0.2.1:1".into()], 1, UnixTime::MAX_VALID).unwrap()
}

fn count(store: &Store) -> u64 {
    store.view().set_row().unwrap().summary.count
}

#[test]
fn a_founders_store_holds_its_invite_once_however_often_it_is_opened() {
    let (_temp, config, dir) = temp();
    let Founded { enrollment, invite } = found(&dir);
    let key = invite.unwrap().key().node_id();
    for _ in 0..2 {
        let store = open_store(&config, &dir, &enrollment).unwrap();
        assert_eq!(count(&store), 1);
        let known = store.view().known(&key).unwrap();
        assert!(matches!(known, Some(Known::Invite { role: Role::Sealer, .. })), "{known:?}");
    }
}

/// What a peer learns from the facts that admit a node; so the engine introduces itself.
fn admit_of(store: &Store, node: &NodeId) -> Option<NodeId> {
    let view = store.view();
    let Some(Known::Node { admit: Some(id), .. }) = view.known(node).unwrap() else {
        return None;
    };
    view.fact(&id).unwrap().map(|(_, fact)| fact.fact().author)
}

#[test]
fn a_newcomers_store_holds_its_own_admit_but_does_not_know_the_invite_yet() {
    let ((_t1, _, founder), (_t2, config, dir)) = (temp(), temp());
    let invite: Invite = found(&founder).invite.unwrap();
    let enrollment = enroll::join(&dir, &invite, "anna").unwrap();
    for _ in 0..2 {
        let store = open_store(&config, &dir, &enrollment).unwrap();
        assert_eq!(count(&store), 1);
        let key = invite.key().node_id();
        assert_eq!(admit_of(&store, &enrollment.key.node_id()), Some(key));
        assert_eq!(store.view().known(&key).unwrap(), None);
    }
}

#[test]
fn a_store_of_another_mesh_is_refused_untouched() {
    let ((_t1, config, dir), (_t2, _, other)) = (temp(), temp());
    let ours = found(&dir).enrollment;
    drop(open_store(&config, &dir, &ours).unwrap());
    let theirs = found(&other).enrollment;
    let error = open_store(&config, &dir, &theirs).unwrap_err();
    assert!(matches!(error, StartError::OtherMesh { .. }), "{error}");
    assert_eq!(error.exit_code(), 78);
    assert_eq!(count(&open_store(&config, &dir, &ours).unwrap()), 1);
}

#[test]
fn a_damaged_store_is_given_up_only_if_there_is_somebody_to_refill_it_from() {
    let (temp, mut config, dir) = temp();
    let enrollment = found(&dir).enrollment;
    let store = open_store(&config, &dir, &enrollment).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Fact, &9_u64.to_be_bytes(), b"not counted");
    store.commit(&batch).unwrap();
    drop(store);
    let error = open_store(&config, &dir, &enrollment).unwrap_err();
    assert_eq!(error.exit_code(), 8, "{error}");
    assert!(!temp.path().join("db.bad-1").exists());
    config.peers.push("192.0.2.1:1".into());
    assert_eq!(count(&open_store(&config, &dir, &enrollment).unwrap()), 1);
    assert!(temp.path().join("db.bad-1").exists());
}
