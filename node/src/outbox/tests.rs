//! Tests of `outbox`.

use cairn_core::block::genesis;
use cairn_core::id::BlockId;
use cairn_core::ledger::create::genesis_batch;
use cairn_core::ledger::rows::Meta;
use cairn_core::params::Params;
use cairn_core::store::Batch;

use super::*;
use crate::store::Profile;

struct Scene {
    temp: tempfile::TempDir,
    store: Store,
    tip: Tip,
}

impl Scene {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&temp.path().join("db"), Profile::Tiny).unwrap();
        let params = Params::open();
        store.commit(&genesis_batch(&params, &genesis(&params))).unwrap();
        let tip = store.view().tip_row().unwrap().unwrap().tip;
        Self { temp, store, tip }
    }

    fn outbox(&self) -> Outbox {
        Outbox::open(&self.temp.path().join("outbox"), Seq(9)).unwrap()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.temp.path().join("outbox")).unwrap().count()
    }

    fn pending(&self, seq: Seq, is: bool) {
        let mut batch = Batch::new();
        if is {
            batch.put(Table::Pending, &seq.key(), &[1; 32]);
        } else {
            batch.delete(Table::Pending, &seq.key());
        }
        self.store.commit(&batch).unwrap();
    }
}

fn kept(outbox: &Outbox) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let add = |facts: Vec<Vec<u8>>| -> Result<(), ()> {
        all.extend(facts);
        Ok(())
    };
    outbox.replay(add).unwrap();
    all
}

#[test]
fn what_was_appended_is_there_after_reopening() {
    let scene = Scene::new();
    let outbox = scene.outbox();
    outbox.append([(Seq(1), &b"one"[..]), (Seq(2), b"two")].into_iter()).unwrap();
    outbox.sync().unwrap();
    drop(outbox);
    let outbox = scene.outbox();
    outbox.append([(Seq(3), &b"three"[..])].into_iter()).unwrap();
    outbox.append(std::iter::empty()).unwrap();
    assert_eq!(kept(&outbox), [&b"one"[..], b"two", b"three"]);
    assert_eq!(scene.files(), 2);
}

#[test]
fn a_fact_goes_when_it_is_sealed_and_a_peer_has_the_block() {
    let scene = Scene::new();
    let outbox = scene.outbox();
    scene.pending(Seq(1), true);
    outbox.append([(Seq(1), &b"mine"[..])].into_iter()).unwrap();
    outbox.prune(&scene.store, &[scene.tip]).unwrap();
    assert_eq!(scene.files(), 1, "it waits to be sealed");
    scene.pending(Seq(1), false);
    outbox.prune(&scene.store, &[]).unwrap();
    let elsewhere = Tip { id: BlockId([9; 32]), ..scene.tip };
    outbox.prune(&scene.store, &[elsewhere]).unwrap();
    assert_eq!(scene.files(), 1, "no peer has it");
    outbox.prune(&scene.store, &[scene.tip]).unwrap();
    assert_eq!((scene.files(), kept(&outbox).len()), (0, 0));
    outbox.append([(Seq(2), &b"next"[..])].into_iter()).unwrap();
    assert_eq!(kept(&outbox), [b"next"]);
}

#[test]
fn the_peer_must_be_as_high_as_the_seal() {
    let scene = Scene::new();
    let outbox = scene.outbox();
    outbox.append([(Seq(1), &b"mine"[..])].into_iter()).unwrap();
    // Sealed by the block at height 1, which is the tip now.
    let mut row = scene.store.view().tip_row().unwrap().unwrap();
    row.tip = Tip { height: Height(1), id: BlockId([1; 32]), work: row.tip.work };
    let mut batch = Batch::new();
    batch.put(Table::Meta, &Meta::Tip.key(), &cairn_core::codec::encode(&row));
    let height = cairn_core::ledger::rows::height_key(Height(1));
    batch.put(Table::Chain, &height, &[1; 32]);
    scene.store.commit(&batch).unwrap();
    outbox.prune(&scene.store, &[scene.tip]).unwrap();
    assert_eq!(scene.files(), 1, "the peer is at genesis");
    outbox.prune(&scene.store, &[scene.tip, row.tip]).unwrap();
    assert_eq!(scene.files(), 0);
}

#[test]
fn it_never_grows_beyond_its_bound_and_keeps_the_newest() {
    let scene = Scene::new();
    let outbox = scene.outbox();
    let mut fact = vec![0; 16 * 1024];
    for n in 1..=20 * 64_u64 {
        fact[..8].copy_from_slice(&n.to_be_bytes());
        outbox.append([(Seq(n), &fact[..])].into_iter()).unwrap();
    }
    let kept = kept(&outbox);
    assert!(scene.files() <= FILES_MAX && kept.len() >= (FILES_MAX - 1) * 63);
    assert_eq!(kept.last(), Some(&fact));
    drop(outbox);
    assert!(scene.outbox().lock().closed.len() <= FILES_MAX);
}
