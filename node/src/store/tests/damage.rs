//! Flipped bytes, cut journals, missing commits: noticed, or without effect. Never other content.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::store::marks::beside;

/// Enough for tables and manifests beside the journal, with the smallest memtable.
const COMMITS: u64 = 60;
/// Places that are tried in each file, besides its first and last bytes.
const PLACES: usize = 5;

fn value(n: u64) -> Vec<u8> {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()[3]
    };
    (0..40_000).map(byte).collect()
}

/// A closed store with so many commits, all durable.
fn written(commits: u64) -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = place();
    let store = open(&path);
    for n in 0..commits {
        put(&store, &[(Table::Fact, &n.to_be_bytes(), &value(n)), (Table::Item, b"n", &[n as u8])]);
    }
    store.persist().unwrap();
    if commits == COMMITS {
        // Tables and manifests, and a little in the journal after them.
        store.facts.rotate_memtable_and_wait().unwrap();
        store.index.rotate_memtable_and_wait().unwrap();
        put(&store, &[(Table::Item, b"n", &[commits as u8 - 1])]);
        store.persist().unwrap();
    }
    drop(store);
    (dir, path)
}

fn files(at: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

/// A file without the zeros at its end, which journals are made with.
fn content(file: &Path) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "jnl") {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used);
    }
    bytes
}

/// A copy of a store and what is beside it.
fn copied(path: &Path) -> (tempfile::TempDir, PathBuf) {
    let (dir, to) = place();
    for file in files(path.parent().unwrap()) {
        let target = dir.path().join(file.strip_prefix(path.parent().unwrap()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, content(&file)).unwrap();
    }
    (dir, to)
}

/// Whether a store says that something is wrong, when it is opened or when all of it is read. If it
/// does not, everything is there.
fn notices(path: &Path, commits: u64) -> bool {
    let look = || {
        let Ok(store) = Store::open(path, Profile::Tiny) else {
            return true;
        };
        if store.lost() > 0 || store.verify_tables().is_err() {
            return true;
        }
        let view = store.view();
        for n in 0..commits {
            match view.get(Table::Fact, &n.to_be_bytes()) {
                Ok(held) => assert_eq!(held.as_deref(), Some(&value(n)[..]), "other content: {n}"),
                Err(_) => return true,
            }
        }
        let last = view.get(Table::Item, b"n");
        last.map_or(true, |held| {
            assert_eq!(held.as_deref(), Some(&[(commits - 1) as u8][..]), "an older state");
            false
        })
    };
    // What the library asserts in test builds is noticed as well; what this test asserts is not.
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(!text.contains("other content") && !text.contains("an older state"), "{text}");
        true
    })
}

#[test]
fn a_flipped_byte_in_any_file_is_noticed_or_without_effect() {
    let (_dir, path) = written(COMMITS);
    assert!(!notices(&copied(&path).1, COMMITS), "nothing is wrong yet");
    let all = files(&path);
    let kinds = ["0.jnl", "current", "tables", "version"];
    for kind in kinds {
        let there = |file: &PathBuf| file.components().any(|part| part.as_os_str() == kind);
        assert!(all.iter().any(there), "no {kind} among {all:?}");
    }
    let (mut tried, mut noticed) = (0, 0);
    for file in all.iter().filter(|file| !file.ends_with("lock")) {
        let length = content(file).len();
        let step = (length / PLACES).max(1);
        for at in (0..length).step_by(step).chain([length.saturating_sub(1)]) {
            let (dir, copy) = copied(&path);
            let target = dir.path().join(file.strip_prefix(path.parent().unwrap()).unwrap());
            let mut bytes = fs::read(&target).unwrap();
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte ^= 1 << (at % 8);
            fs::write(&target, bytes).unwrap();
            tried += 1;
            noticed += usize::from(notices(&copy, COMMITS));
        }
    }
    assert!(tried > 30 && noticed * 2 > tried, "{noticed} of {tried}");
}

#[test]
fn a_damaged_manifest_is_refused_before_tables_are_deleted() {
    let (_dir, path) = written(COMMITS);
    let tables = |path: &Path| -> Vec<PathBuf> {
        let is_table = |file: &PathBuf| file.components().any(|part| part.as_os_str() == "tables");
        files(path).into_iter().filter(is_table).collect()
    };
    let before = tables(&path);
    let all = files(&path);
    let manifests: Vec<PathBuf> = all
        .iter()
        .filter(|file| file.ends_with("current"))
        .map(|current| {
            let bytes = fs::read(current).unwrap();
            current
                .with_file_name(format!("v{}", u64::from_le_bytes(*bytes.first_chunk().unwrap())))
        })
        .collect();
    assert!(manifests.len() >= 2, "{all:?}");
    for file in &manifests {
        let sound = fs::read(file).unwrap();
        let mut bytes = sound.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(file, bytes).unwrap();
        let error = Store::open(&path, Profile::Tiny).unwrap_err();
        assert!(error.to_string().contains("manifest"), "{error}");
        assert_eq!(tables(&path), before);
        fs::write(file, sound).unwrap();
    }
    open(&path);
}

#[test]
fn a_journal_that_lost_its_end_is_told_from_one_that_never_had_it() {
    let (_dir, path) = written(3);
    let journal = path.join("0.jnl");
    let bytes = content(&journal);
    fs::write(&journal, &bytes[..bytes.len() - 100]).unwrap();
    let store = open(&path);
    assert_eq!(store.lost(), 1);
    assert!(store.may_lack_facts());
    let held = |n: u64| store.view().get(Table::Fact, &n.to_be_bytes()).unwrap().is_some();
    assert_eq!([0, 1, 2].map(held), [true, true, false]);
    store.persist().unwrap();
    drop(store);
    assert_eq!(open(&path).lost(), 0, "told once");

    // A commit that was never durable may be gone without anything being wrong.
    let (_dir, path) = written(3);
    let store = open(&path);
    put(&store, &[(Table::Item, b"late", b"")]);
    drop(store);
    let bytes = content(&path.join("0.jnl"));
    fs::write(path.join("0.jnl"), &bytes[..bytes.len() - 10]).unwrap();
    let store = open(&path);
    assert_eq!((store.lost(), store.may_lack_facts()), (0, false));
}

#[test]
fn a_commit_that_is_missing_between_others_is_damage() {
    let (_dir, path) = written(5);
    let store = open(&path);
    let (key, _) = commits::row(3);
    store.index.remove(key).unwrap();
    drop(store);
    let error = Store::open(&path, Profile::Tiny).unwrap_err();
    assert!(error.to_string().contains("commits are missing"), "{error}");
}

#[test]
fn a_store_that_two_starts_did_not_survive_opening_is_damaged_and_one_may_be_a_power_cut() {
    let (_dir, path) = written(1);
    let died = |times: usize| {
        let mut file = fs::File::create(beside(&path, ".opening")).unwrap();
        file.write_all(&vec![b'.'; times]).unwrap();
    };
    died(1);
    open(&path);
    assert!(!beside(&path, ".opening").exists());
    died(2);
    let error = Store::open(&path, Profile::Tiny).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    open(&path);
}

#[test]
fn the_scrub_finds_what_no_read_has_found() {
    let (_dir, path) = written(COMMITS);
    let table = files(&path)
        .into_iter()
        .filter(|file| file.components().any(|part| part.as_os_str() == "tables"))
        .max_by_key(|file| fs::metadata(file).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&table, bytes).unwrap();
    let store = open(&path);
    let error = store.verify_tables().unwrap_err();
    assert!(error.to_string().contains("not as it was written"), "{error}");
}
