//! Tests of `keys`.

use super::*;

fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.key");
    (dir, path)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_the_same_when_read_again_and_only_its_owner_may_read_it() {
    let (_dir, path) = directory();
    assert!(load(&path).unwrap().is_none());
    let key = create(&path).unwrap();
    assert_eq!(load(&path).unwrap().unwrap().node_id(), key.node_id());
    assert_eq!((mode(&path), mode(&second_copy(&path))), (0o600, 0o600));
}

#[test]
fn the_second_copy_replaces_a_lost_or_damaged_first() {
    let (_dir, path) = directory();
    let node = create(&path).unwrap().node_id();
    fs::remove_file(&path).unwrap();
    assert_eq!(load(&path).unwrap().unwrap().node_id(), node);
    let mut text = fs::read_to_string(&path).unwrap();
    let digit = if text.as_bytes()[20] == b'0' { "1" } else { "0" };
    text.replace_range(20..21, digit);
    fs::write(&path, text).unwrap();
    assert_eq!(load(&path).unwrap().unwrap().node_id(), node);
    fs::write(second_copy(&path), [0xff, 0xfe]).unwrap();
    assert_eq!(load(&path).unwrap().unwrap().node_id(), node);
    assert_eq!(fs::read(&path).unwrap(), fs::read(second_copy(&path)).unwrap());
}

#[test]
fn two_damaged_copies_are_an_error_and_never_a_new_identity() {
    let (_dir, path) = directory();
    create(&path).unwrap();
    fs::write(&path, "cairn-key-1 00 00").unwrap();
    fs::write(second_copy(&path), "").unwrap();
    assert!(matches!(load(&path), Err(KeyError::Damaged(_))));
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_helps() {
    let (_dir, path) = directory();
    create(&path).unwrap();
    for bits in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        let error = load(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode, .. } if mode == bits));
        assert!(error.hint().contains("chmod 600"));
    }
}

#[test]
fn a_token_is_made_once_and_private() {
    let (dir, _) = directory();
    let path = dir.path().join("api.token");
    let first = token(&path).unwrap();
    assert_eq!(first.len(), 64);
    assert_eq!(token(&path).unwrap(), first);
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(token(&path), Err(KeyError::Exposed { .. })));
}
