//! Tests of `store`.

mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use cairn_core::block::genesis;
use cairn_core::engine::BatchId;
use cairn_core::ledger::create::genesis_batch;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::{Meta, height_key};
use cairn_core::params::Params;
use cairn_core::store::View;
use cairn_core::work::Height;
use proptest::prelude::*;

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    (dir, path)
}

fn open(path: &Path) -> Store {
    Store::open(path, Profile::Tiny).unwrap()
}

fn put(store: &Store, rows: &[(Table, &[u8], &[u8])]) {
    let mut batch = Batch::new();
    for (table, key, value) in rows {
        batch.put(*table, key, value);
    }
    store.commit(&batch).unwrap();
}

#[test]
fn a_batch_is_visible_as_a_whole_and_older_views_do_not_change() {
    let (_dir, path) = place();
    let store = open(&path);
    let before = store.view();
    put(&store, &[(Table::Fact, b"k", b"1"), (Table::Item, b"k", b"2")]);
    assert_eq!(before.get(Table::Fact, b"k").unwrap(), None);
    let after = store.view();
    assert_eq!(*after.get(Table::Fact, b"k").unwrap().unwrap(), *b"1");
    assert_eq!(*after.get(Table::Item, b"k").unwrap().unwrap(), *b"2");
    assert_eq!(after.get(Table::Member, b"k").unwrap(), None);
}

#[test]
fn the_last_of_several_changes_to_one_row_wins() {
    let (_dir, path) = place();
    let store = open(&path);
    let mut batch = Batch::new();
    batch.put(Table::Item, b"a", b"1");
    batch.put(Table::Item, b"a", b"2");
    batch.put(Table::Item, b"b", b"1");
    batch.delete(Table::Item, b"b");
    batch.delete(Table::Item, b"c");
    batch.put(Table::Item, b"c", b"3");
    store.commit(&batch).unwrap();
    let rows = store.view().scan(Table::Item, b"", b"z", 9).unwrap();
    let rows: Vec<_> = rows.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    assert_eq!(rows, [(&b"a"[..], &b"2"[..]), (b"c", b"3")]);
}

#[test]
fn scans_keep_to_their_table_their_order_and_their_bounds() {
    let (_dir, path) = place();
    let store = open(&path);
    for table in Table::ALL {
        if table != Table::Meta {
            put(&store, &[(table, b"b", b""), (table, b"a", b""), (table, &[0xff; 9], b"")]);
        }
    }
    let view = store.view();
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Meta) {
        let keys = |rows: Vec<cairn_core::store::Row>| -> Vec<Vec<u8>> {
            rows.into_iter().map(|(key, _)| key).collect()
        };
        let (all, high) = ([b"a".to_vec(), b"b".to_vec()], [0xff; 9]);
        assert_eq!(keys(view.scan(table, b"", &high, 9).unwrap()), all);
        assert_eq!(keys(view.scan(table, b"a\0", &high, 9).unwrap()), all[1..]);
        assert_eq!(keys(view.scan(table, b"", &high, 1).unwrap()), all[..1]);
        assert_eq!(keys(view.scan_back(table, b"", &high, 1).unwrap()), all[1..]);
        assert_eq!(keys(view.scan_back(table, b"a", b"b", 9).unwrap()), all[..1]);
        assert!(view.scan(table, b"b", b"a", 9).unwrap().is_empty());
        assert!(view.scan_back(table, b"b", b"b", 9).unwrap().is_empty());
    }
}

#[test]
fn what_was_durable_is_there_after_reopening() {
    let (_dir, path) = place();
    let (told, durable) = mpsc::channel();
    let store = Arc::new(open(&path));
    let sink: DurableSink = Box::new(move |result| told.send(result).unwrap());
    let durability = Durability::start(store.clone(), Box::new(|| Ok(())), sink).unwrap();
    let mut synced = BatchId(0);
    for n in 1..=20_u64 {
        put(&store, &[(Table::Fact, &n.to_be_bytes(), b"fact")]);
        durability.want(BatchId(n), n == 20);
    }
    while synced < BatchId(20) {
        let next = durable.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
        assert!(next > synced, "in order");
        synced = next;
    }
    durability.stop();
    drop(store);
    let rows = open(&path).view().scan(Table::Fact, b"", &[0xff; 9], 99);
    // The log of facts has no index here, but nobody founded a ledger either.
    assert_eq!(rows.unwrap().len(), 20);
}

#[test]
fn stopping_the_durability_thread_syncs_what_is_wanted() {
    let (_dir, path) = place();
    let (told, durable) = mpsc::channel();
    let store = Arc::new(open(&path));
    let sink: DurableSink = Box::new(move |result| told.send(result).unwrap());
    let durability = Durability::start(store, Box::new(|| Ok(())), sink).unwrap();
    durability.want(BatchId(1), false);
    durability.want(BatchId(2), false);
    durability.stop();
    let all: Vec<_> = durable.iter().map(Result::unwrap).collect();
    assert_eq!(all.last(), Some(&BatchId(2)));
}

/// What another process would find if this one were killed now.
fn killed(path: &Path) -> (tempfile::TempDir, PathBuf) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let (dir, to) = place();
    copy(path, &to);
    (dir, to)
}

#[test]
fn what_is_visible_survives_the_death_of_the_process() {
    let (_dir, path) = place();
    let store = open(&path);
    put(&store, &[(Table::Fact, b"a", b"1"), (Table::Item, b"a", b"2")]);
    let (_dir, copy) = killed(&path);
    let view = open(&copy).view();
    assert_eq!(view.get(Table::Fact, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(view.get(Table::Item, b"a").unwrap().as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_crash_before_the_rename_is_forgotten() {
    let (dir, path) = place();
    let new = dir.path().join("db.new");
    drop(Profile::Tiny.database(&new).open().unwrap());
    fs::remove_file(new.join("version")).unwrap();
    drop(open(&path));
    assert!(!new.exists());
    assert!(path.exists());
}

#[test]
fn a_half_created_store_is_moved_away_and_made_anew() {
    for marker in [None, Some(&b"FJ"[..])] {
        let (dir, path) = place();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("0.jnl"), b"").unwrap();
        if let Some(marker) = marker {
            fs::write(path.join("version"), marker).unwrap();
        }
        drop(open(&path));
        assert!(dir.path().join("db.bad-1/0.jnl").exists());
    }
}

#[test]
fn a_store_has_one_owner() {
    let (_dir, path) = place();
    let store = open(&path);
    let second = Store::open(&path, Profile::Tiny);
    assert!(matches!(second, Err(StoreError::Locked(_))), "{second:?}");
    drop(store);
    open(&path);
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let (_dir, path) = place();
    put(&open(&path), &[(Table::Meta, &Meta::Format.key(), &[9])]);
    for _ in 0..2 {
        let error = Store::open(&path, Profile::Tiny).unwrap_err();
        assert!(matches!(error, StoreError::NewerFormat { found: 9, .. }));
    }
}

#[test]
fn a_store_keeps_the_profile_it_was_created_with() {
    let (_dir, path) = place();
    drop(open(&path));
    let store = Store::open(&path, Profile::Server).unwrap();
    assert_eq!(store.profile(), Profile::Tiny);
}

#[test]
fn a_chain_that_lost_rows_is_damaged() {
    let params = Params::open();
    let header = genesis(&params);
    let founded = |change: &dyn Fn(&mut Batch)| {
        let (_dir, path) = place();
        let store = open(&path);
        store.commit(&genesis_batch(&params, &header)).unwrap();
        let mut batch = Batch::new();
        change(&mut batch);
        store.commit(&batch).unwrap();
        drop(store);
        Store::open(&path, Profile::Tiny).map(|store| store.view().params().unwrap())
    };
    assert_eq!(founded(&|_| {}).unwrap(), Some(params.clone()));
    let id = header.id();
    let genesis_key = height_key(Height::GENESIS);
    let damages: [&dyn Fn(&mut Batch); 5] = [
        &|batch| batch.delete(Table::Header, id.as_bytes()),
        &|batch| batch.delete(Table::Chain, &genesis_key),
        &|batch| batch.put(Table::Chain, &height_key(Height(1)), id.as_bytes()),
        &|batch| batch.put(Table::Fact, &1_u64.to_be_bytes(), b"not counted"),
        &|batch| batch.put(Table::Meta, &Meta::Tip.key(), b"?"),
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        let error = founded(damage).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{n}: {error}");
    }
}

#[test]
fn a_damaged_journal_is_an_error_or_a_prefix_never_other_content() {
    let (_dir, path) = place();
    let store = open(&path);
    put(&store, &[(Table::Item, b"first", &[7; 64])]);
    put(&store, &[(Table::Item, b"second", &[8; 64])]);
    store.persist().unwrap();
    drop(store);
    let journal = path.join("0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(64).position(|part| part == [8; 64]).unwrap();
    bytes[at] ^= 1;
    fs::write(&journal, bytes).unwrap();
    match Store::open(&path, Profile::Tiny) {
        Err(StoreError::Damaged { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(store) => assert_eq!(store.view().get(Table::Item, b"second").unwrap(), None),
    }
    let moved = quarantine(&path).unwrap();
    assert!(moved.ends_with("db.bad-1") && !path.exists());
    open(&path);
}

#[test]
fn a_place_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("db"), Profile::Tiny).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    assert!(!error.hint().is_empty());
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_apart() {
    let path = Path::new("/x/db");
    let io = |kind: std::io::ErrorKind| fjall::Error::Io(kind.into());
    let full = StoreError::fjall(path, io(std::io::ErrorKind::StorageFull));
    assert!(full.to_string().contains("is full") && full.hint().contains("free some space"));
    let read_only = StoreError::fjall(path, io(std::io::ErrorKind::ReadOnlyFilesystem));
    assert!(matches!(read_only, StoreError::NotWritable { .. }));
}

#[test]
fn a_reader_never_sees_half_a_batch_while_tables_are_flushed() {
    const LAST: u64 = 4_000;
    let (_dir, path) = place();
    let store = open(&path);
    let mut value = [0; 512];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while seen < LAST {
                let view = store.view();
                let number = |table| {
                    let value = view.get(table, b"k").unwrap();
                    value.map_or(0, |v| u64::from_be_bytes(*v.first_chunk().unwrap()))
                };
                let (fact, item) = (number(Table::Fact), number(Table::Item));
                assert_eq!(fact, item);
                assert!(fact >= seen, "went back");
                seen = fact;
            }
        });
        for n in 1..=LAST {
            value[..8].copy_from_slice(&n.to_be_bytes());
            put(&store, &[(Table::Fact, b"k", &value), (Table::Item, b"k", &value)]);
        }
    });
}

#[test]
fn a_heartbeat_keeps_both_keyspaces_from_idling() {
    let (_dir, path) = place();
    let store = open(&path);
    let beat = || store.view().get(Table::Meta, &Meta::Heartbeat.key()).unwrap();
    put(&store, &[(Table::Fact, b"a", &[1; 1024])]);
    assert_eq!(beat(), None);
    let value = vec![0; 1024 * 1024];
    for _ in 0..8 {
        put(&store, &[(Table::Fact, b"a", &value)]);
    }
    assert!(beat().is_some());
    assert!(store.facts.get(HEARTBEAT_KEY).unwrap().is_some());
}

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Table, key, and the new value or none.
type Change = (usize, Vec<u8>, Option<Vec<u8>>);

fn ops() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let key = prop::collection::vec(0_u8..3, 0..3);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    // Table 0 has the store's own rows.
    let op = (1..Table::ALL.len(), key, value);
    prop::collection::vec(prop::collection::vec(op, 0..20), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_store_equals_a_map_after_reopening(batches in ops()) {
        let (_dir, path) = place();
        let mut model = Model::new();
        for ops in &batches {
            let store = open_unchecked(&path);
            let mut batch = Batch::new();
            for (table, key, value) in ops {
                let table = Table::ALL[*table];
                match value {
                    Some(value) => {
                        batch.put(table, key, value);
                        model.insert((table, key.clone()), value.clone());
                    }
                    None => {
                        batch.delete(table, key);
                        model.remove(&(table, key.clone()));
                    }
                }
            }
            store.commit(&batch).unwrap();
            store.persist().unwrap();
        }
        let view = open_unchecked(&path).view();
        for table in Table::ALL.into_iter().skip(1) {
            let expected: Vec<_> = model
                .iter()
                .filter(|((of, _), _)| *of == table)
                .map(|((_, key), value)| (key.clone(), value.as_slice().into()))
                .collect();
            let mut rows = view.scan(table, &[], &[0xff], 999).unwrap();
            prop_assert_eq!(&rows, &expected);
            rows = view.scan_back(table, &[], &[0xff], 999).unwrap();
            rows.reverse();
            prop_assert_eq!(&rows, &expected);
            for (key, value) in &expected {
                let held = view.get(table, key).unwrap();
                prop_assert_eq!(held.as_ref(), Some(value));
            }
        }
    }
}

/// Random rows are no ledger; without a tip nothing is checked.
fn open_unchecked(path: &Path) -> Store {
    let store = open(path);
    assert_eq!(store.view().tip_row().unwrap(), None);
    store
}
