//! Tests of `rotation`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_core::params::Params;
use cairn_core::time::UnixTime;

use super::*;
use crate::app::{Node, NodeConfig};
use crate::clock;
use crate::store::Profile;

struct Place {
    _temp: tempfile::TempDir,
    config: NodeConfig,
}

/// A founder that seals every ten milliseconds.
fn founder() -> Place {
    let temp = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::new(temp.path().join("data"));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.profile = Profile::Tiny;
    config.clock_vouched = true;
    let dir = DataDir::new(&config.data_dir);
    let lock = dir.lock().unwrap();
    let node = enroll::identity(&dir).unwrap().node_id();
    drop(lock);
    let params = Params::private("home", &[node], clock::wall()).unwrap();
    let params = Params { spacing: 10, ..params };
    enroll::found(&dir, params, vec!["192.0.2.1:1".into()], 9, UnixTime::MAX_VALID).unwrap();
    Place { _temp: temp, config }
}

impl Place {
    fn dir(&self) -> DataDir {
        DataDir::new(&self.config.data_dir)
    }

    async fn start(&self) -> Node {
        Node::start(self.config.clone()).await.unwrap()
    }

    /// Files of both keys by name.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let names = ["node.key", "node.key.copy", "next.key", "next.key.copy", "mesh.json"];
        let paths = names.iter().map(|name| self.config.data_dir.join(name));
        paths.filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect()
    }

    /// The start after one that ended while these files were there takes the new key.
    async fn finishes(&self, files: &[(PathBuf, Vec<u8>)], next: NodeId) {
        self.files().iter().for_each(|(path, _)| fs::remove_file(path).unwrap());
        for (path, content) in files {
            keys::write_atomically(path, content, 0o600).unwrap();
        }
        let node = self.start().await;
        assert_eq!(node.handle().node_id(), next);
        node.stop().await.unwrap();
        let left: Vec<_> = self.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        assert_eq!(self.enrolled().facts.len(), 2, "the invite and the rotation, once");
        assert_eq!(self.enrolled().key.node_id(), next);
    }

    fn enrolled(&self) -> Enrollment {
        enroll::load(&self.dir()).unwrap().unwrap()
    }
}

async fn sealed(node: &Node) {
    tokio::time::timeout(Duration::from_secs(30), node.rotated()).await.unwrap();
}

fn content<'a>(files: &'a [(PathBuf, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(path, _)| path.ends_with(name)).unwrap().1
}

#[tokio::test]
async fn a_start_finishes_a_rotation_that_was_cut_off_after_any_of_its_steps() {
    let place = founder();
    let node = place.start().await;
    let old = node.handle().node_id();
    let (next, fact) = node.handle().rotate().await.unwrap();
    assert_eq!(node.handle().rotate().await.unwrap(), (next, fact), "told again, the same");
    sealed(&node).await;
    node.stop().await.unwrap();
    let before = place.files();
    assert_eq!(before.len(), 5);
    assert_eq!(place.enrolled().key.node_id(), old);
    place.finishes(&before, next).await;
    let after = place.files();
    // Everything that the steps in between leave behind.
    let put = |files: &mut Vec<(PathBuf, Vec<u8>)>, from: &[(PathBuf, Vec<u8>)], name: &str| {
        let path = place.config.data_dir.join(name);
        let content = content(from, name).to_vec();
        files.retain(|(other, _)| *other != path);
        files.push((path, content));
    };
    let mut files = before.clone();
    for name in ["mesh.json", "node.key", "node.key.copy"] {
        put(&mut files, &after, name);
        place.finishes(&files, next).await;
    }
    files.retain(|(path, _)| !path.ends_with("next.key.copy"));
    place.finishes(&files, next).await;
}

#[tokio::test]
async fn a_key_that_was_made_and_never_told_of_is_the_one_that_is_told_next() {
    let place = founder();
    let made = keys::create(&place.dir().next_key_file()).unwrap().node_id();
    let node = place.start().await;
    assert_ne!(node.handle().node_id(), made);
    let (next, _) = node.handle().rotate().await.unwrap();
    assert_eq!(next, made);
    sealed(&node).await;
    node.stop().await.unwrap();
    let node = place.start().await;
    assert_eq!(node.handle().node_id(), made);
    // The key before this one still counts for a while; a key that is refused is not kept.
    let refused = node.handle().rotate().await.unwrap_err();
    assert!(matches!(refused, RotationError::Refused(Refusal::Rule(_))), "{refused:?}");
    assert!(!Path::new(&place.dir().next_key_file()).exists());
    node.stop().await.unwrap();
}
