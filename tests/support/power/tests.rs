//! The models lose what they may, and nothing else.

use super::*;

/// A file that is written, synced, written again; its directory is synced before the second write.
const TRACE: &str = r#"7 openat(AT_FDCWD, "\x2f\x72\x2f\x61", O_RDWR|O_CREAT, 0666) = 4
7 write(4, "\x6f\x6e\x65", 3) = 3
8 fsync(4 <unfinished ...>
7 write(4, "\x74\x77\x6f", 3) = 3
8 <... fsync resumed>) = 0
7 openat(AT_FDCWD, "\x2f\x72", O_RDONLY) = 5
7 fsync(5) = 0
7 close(5) = 0
7 writev(5, [{iov_base="\x22\x64\x75\x72\x61\x62\x6c\x65\x22\x3a\x74\x72\x75\x65", iov_len=14}], 1) = 14
7 rename("\x2f\x72\x2f\x61", "\x2f\x72\x2f\x62") = 0
7 +++ exited with 0 +++
"#;

fn after(done: usize, loss: Loss) -> (usize, Vec<(String, String)>) {
    let empty = tempfile::tempdir().unwrap();
    let record = Record::of(empty.path()).read(Path::new("/r"), TRACE);
    let to = tempfile::tempdir().unwrap();
    let promises = record.cut(done, loss, &mut Random::new(1), to.path());
    let files = fs::read_dir(to.path()).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), text)
    });
    (promises, files.collect())
}

#[test]
fn only_what_was_written_before_a_sync_began_is_certain() {
    // create, write, write, sync of the file, sync of the directory, promise, rename
    let one = |name: &str, text: &str| vec![(name.to_string(), text.to_string())];
    assert_eq!(after(3, Loss::All), (0, vec![]));
    assert_eq!(after(3, Loss::Bytes), (0, one("a", "")));
    assert_eq!(after(4, Loss::All), (0, vec![]), "its directory is not synced");
    assert_eq!(after(4, Loss::Bytes), (0, one("a", "one")));
    assert_eq!(after(5, Loss::All), (0, one("a", "one")));
    assert_eq!(after(5, Loss::Zeros), (0, one("a", "one\0\0\0")));
    assert_eq!(after(7, Loss::All), (1, one("a", "one")), "the rename is not synced");
    assert_eq!(after(7, Loss::Bytes), (1, one("b", "one")));
    let (_, torn) = after(5, Loss::Tail);
    assert!("onetwo".starts_with(&torn[0].1) && torn[0].1.len() >= 3, "{torn:?}");
}
