//! Tests of `tree`.

use super::*;
use crate::block::HeaderReject;
use crate::params::SealRule;
use crate::seal::{authority, pow};
use crate::signature::SigningKey;
use crate::time::{Instant, Now, UnixTime};
use crate::verified::Unverified;
use crate::work::Target;

const NOW: Now = Now { instant: Instant(0), wall: UnixTime(10_000_000_000), wall_confirmed: true };
const AHEAD: u64 = 120_000;

/// A mesh of a few sealers, and a tree of its headers.
struct World {
    keys: Vec<SigningKey>,
    tree: HeaderTree,
}

impl World {
    fn new(sealers: u8, limit: usize) -> Self {
        let mut keys: Vec<_> = (1..=sealers).map(|i| SigningKey::from_seed([i; 32])).collect();
        keys.sort_by_key(SigningKey::node_id);
        let ids: Vec<_> = keys.iter().map(SigningKey::node_id).collect();
        let params = Params::private("test", &ids, UnixTime(1_000_000)).unwrap();
        let root = Root::genesis(&params);
        Self { keys, tree: HeaderTree::new(params, limit, root) }
    }

    fn open(limit: usize) -> Self {
        let mut params = Params::open();
        params.time = UnixTime(1_000_000);
        params.seal = SealRule::Pow { initial: Target(0x207f_ffff), half_life: 3_600_000 };
        let root = Root::genesis(&params);
        Self { keys: Vec::new(), tree: HeaderTree::new(params, limit, root) }
    }

    /// A valid header on this chain, by the sealer this many places after the one in turn.
    fn header(&self, end: &ChainEnd, late: u64, salt: u8) -> Header {
        let params = &self.tree.params;
        let height = end.header.height.next();
        let header = Header {
            version: 1,
            height,
            parent: end.id,
            facts_root: Hash([salt; 32]),
            history_root: end.history.root(),
            time: end.header.time.after(params.spacing * (1 + late)),
            target: end.next_target(params),
            ..end.header.clone()
        };
        match self.keys.len() as u64 {
            0 => pow::grind(&header, 0, 10_000).unwrap(),
            // The key `late` places after the turn has the distance `late`.
            n => authority::seal(header, &self.keys[((height.0 + late) % n) as usize]),
        }
    }

    fn put(&mut self, header: Header) -> Result<bool, InsertError> {
        self.tree.insert(new(header), &NOW, AHEAD)
    }

    /// Extends a block by a chain and returns its ids.
    fn grow(&mut self, from: BlockId, count: usize, late: u64, salt: u8) -> Vec<BlockId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let parent = ids.last().copied().unwrap_or(from);
            let header = self.header(&self.tree.end(&parent).unwrap(), late, salt);
            ids.push(header.id());
            assert_eq!(self.put(header), Ok(true));
        }
        ids
    }

    fn hold(&mut self, ids: &[BlockId]) {
        ids.iter().for_each(|id| assert!(self.tree.set_body_held(id)));
    }
}

fn new(header: Header) -> NewHeader {
    NewHeader { header: Unverified(header), sealers: None }
}

/// The headers of a chain as a peer would send them.
fn answer(world: &World, ids: &[BlockId]) -> Vec<NewHeader> {
    let header = |id| world.tree.entry(id).unwrap().header().get().clone();
    ids.iter().map(header).map(new).collect()
}

#[test]
fn an_answer_is_taken_up_to_its_first_bad_signature() {
    let mut source = World::new(3, 1_000);
    let ids = source.grow(source.tree.root(), 100, 0, 1);
    let mut headers = answer(&source, &ids);
    let mut fresh = World::new(3, 1_000);
    // The last one: a changed seal changes the id that later headers build on.
    let crate::block::Seal::Authority(signature) = &mut headers[99].header.0.seal else {
        panic!("authority seals are signatures");
    };
    signature.0[1] ^= 1;
    let inserted = fresh.tree.insert_many(&headers, &NOW, AHEAD, &[7; 32]);
    assert_eq!(inserted.new, ids[..99]);
    let stopped = inserted.stopped.unwrap();
    assert_eq!(stopped.at, 99);
    assert_eq!(stopped.error, InsertError::Invalid(HeaderReject::Signature));
    assert_eq!(fresh.tree.best_header(), ids[98]);
    let again = fresh.tree.insert_many(&answer(&source, &ids), &NOW, AHEAD, &[7; 32]);
    assert_eq!((again.known, again.new, again.stopped), (99, Vec::from([ids[99]]), None));
    assert_eq!(fresh.tree.end(&ids[99]), source.tree.end(&ids[99]));
}

#[test]
fn an_answer_that_does_not_connect_stops_there() {
    let mut source = World::new(3, 1_000);
    let ids = source.grow(source.tree.root(), 6, 0, 1);
    let mut headers = answer(&source, &ids);
    headers.remove(3);
    let mut fresh = World::new(3, 1_000);
    let inserted = fresh.tree.insert_many(&headers, &NOW, AHEAD, &[7; 32]);
    assert_eq!((inserted.new.len(), inserted.stopped.unwrap().at), (3, 3));
    let unknown = fresh.put(headers[4].header.0.clone());
    assert_eq!(unknown, Err(InsertError::UnknownParent(ids[4])));
}

#[test]
fn a_branch_can_start_anywhere_in_the_window() {
    for mut world in [World::new(3, 10_000), World::open(10_000)] {
        let ids = world.grow(world.tree.root(), 70, 0, 1);
        for at in [0, 30, 31, 32, 33, 63, 65] {
            let branch = world.grow(ids[at], 2, 1, 2);
            let tip = ids.last().unwrap();
            assert_eq!(world.tree.common_ancestor(&branch[1], tip), Some(ids[at]));
            assert_eq!(world.tree.path(&ids[at], &branch[1], 9), Some(branch.clone()));
            assert_eq!(world.tree.path(&ids[69], &branch[1], 9), None);
        }
        for (at, id) in ids.iter().enumerate() {
            let height = Height(at as u64 + 1);
            assert_eq!(world.tree.ancestor_at(&ids[69], height), Some(*id));
        }
        let some = world.tree.path(&world.tree.root(), &ids[69], 5).unwrap();
        assert_eq!(some, ids[..5]);
        assert_eq!(world.tree.best_header(), ids[69]);
    }
}

#[test]
fn a_branch_competes_only_up_to_the_last_body_held_without_a_gap() {
    let mut world = World::new(3, 1_000);
    let ids = world.grow(world.tree.root(), 5, 0, 1);
    world.hold(&[ids[0], ids[2], ids[3]]);
    assert_eq!(world.tree.best_header(), ids[4]);
    assert_eq!(world.tree.best_body(), ids[0]);
    assert!(!world.tree.set_tip(ids[3]));
    world.hold(&[ids[1]]);
    assert_eq!(world.tree.best_body(), ids[3]);
    assert!(world.tree.set_tip(ids[3]));
}

#[test]
fn an_invalid_block_takes_its_descendants_with_it_and_stays_known() {
    let mut world = World::new(3, 1_000);
    let good = world.grow(world.tree.root(), 2, 0, 1);
    let bad = world.grow(good[0], 5, 1, 2);
    world.hold(&good[..1]);
    assert!(world.tree.set_tip(good[0]));
    world.hold(&bad);
    assert_eq!(world.tree.best_body(), bad[4]);
    assert_eq!(world.tree.mark_invalid(&bad[1]), 4);
    assert_eq!(world.tree.mark_invalid(&bad[1]), 0);
    assert_eq!(world.tree.mark_invalid(&good[0]), 0, "the applied chain is valid");
    assert_eq!(world.tree.best_body(), bad[0]);
    let child = world.header(&world.tree.end(&bad[4]).unwrap(), 0, 3);
    assert_eq!(world.put(child), Err(InsertError::InvalidAncestor(bad[4])));
    let again = answer(&world, &bad[1..2]);
    let inserted = world.tree.insert_many(&again, &NOW, AHEAD, &[7; 32]);
    assert_eq!(inserted.stopped.unwrap().error, InsertError::InvalidAncestor(bad[1]));
    assert!(!world.tree.set_body_held(&bad[2]));
}

#[test]
fn pruning_and_extending_down_change_nothing_that_headers_are_judged_by() {
    for mut world in [World::new(3, 10_000), World::open(10_000)] {
        let genesis = Root::genesis(&world.tree.params);
        let ids = world.grow(world.tree.root(), 100, 0, 1);
        let fork = world.grow(ids[10], 3, 1, 2);
        world.hold(&ids);
        assert!(world.tree.set_tip(ids[99]));
        let ends: Vec<_> = ids.iter().map(|id| world.tree.end(id).unwrap()).collect();
        let disk = answer(&world, &ids);
        world.tree.prune(96);
        assert_eq!(world.tree.root_height(), Height(0), "not worth it yet");
        world.tree.prune(40);
        assert_eq!(world.tree.root_height(), Height(60));
        assert_eq!(world.tree.len(), 41);
        assert!(!world.tree.contains(&fork[0]) && !world.tree.contains(&ids[50]));
        let kept = |world: &World, from: usize| {
            for (id, end) in ids.iter().zip(&ends).skip(from) {
                assert_eq!(world.tree.end(id).as_ref(), Some(end));
            }
        };
        kept(&world, 59);
        assert_eq!(
            world.tree.extend_down(genesis.clone(), disk[..58].to_vec()),
            Err(ExtendError::Elsewhere(ids[59], ids[57]))
        );
        assert!(world.tree.extend_down(genesis.clone(), disk[1..60].to_vec()).is_err());
        assert_eq!(world.tree.extend_down(genesis, disk[..60].to_vec()), Ok(()));
        kept(&world, 0);
        assert_eq!(world.tree.best_body(), ids[99]);
        let fork = world.grow(ids[10], 3, 1, 2);
        assert_eq!(world.tree.common_ancestor(&fork[2], &ids[99]), Some(ids[10]));
        assert_eq!(world.tree.path(&ids[0], &ids[99], 200).unwrap(), ids[1..]);
    }
}

#[test]
fn pruning_spares_the_best_header_chain() {
    let mut world = World::new(3, 1_000);
    let ours = world.grow(world.tree.root(), 10, 1, 1);
    let best = world.grow(world.tree.root(), 30, 0, 2);
    world.hold(&ours);
    assert!(world.tree.set_tip(ours[9]));
    world.tree.prune(2);
    assert_eq!(world.tree.root_height(), Height(0));
    assert_eq!(world.tree.best_header(), best[29]);
}

#[test]
fn the_lightest_branch_is_given_up_and_never_a_chosen_one() {
    let mut world = World::new(1, 12);
    let genesis = world.tree.root();
    let main = world.grow(genesis, 8, 0, 1);
    world.hold(&main[..2]);
    assert!(world.tree.set_tip(main[1]));
    let light = world.grow(genesis, 1, 0, 2);
    let heavy = world.grow(main[4], 2, 0, 3);
    assert_eq!(world.tree.len(), 12);
    let next = world.grow(main[7], 1, 0, 1);
    assert!(!world.tree.contains(&light[0]) && world.tree.contains(&heavy[1]));
    let weak = world.header(&world.tree.end(&genesis).unwrap(), 0, 4);
    assert_eq!(world.put(weak), Err(InsertError::Full));
    // The branch goes from its end; the chain itself is never touched.
    let last = world.grow(next[0], 2, 0, 1);
    assert!(!world.tree.contains(&heavy[0]));
    let full = world.header(&world.tree.end(&last[1]).unwrap(), 0, 1);
    assert_eq!(world.put(full), Err(InsertError::Full));
    assert_eq!(world.tree.len(), 12);
    assert_eq!(world.tree.best_header(), last[1]);
}

#[test]
fn a_header_from_our_future_is_early_not_invalid() {
    let mut world = World::new(1, 100);
    let genesis = world.tree.end(&world.tree.root()).unwrap();
    let mut header = genesis.header.clone();
    header.height = Height(1);
    header.parent = genesis.id;
    header.history_root = genesis.history.root();
    header.time = NOW.wall.after(AHEAD + 1);
    let header = authority::seal(header, &world.keys[0]);
    assert_eq!(world.put(header.clone()), Err(InsertError::Early));
    let later = Now { wall: NOW.wall.after(1), ..NOW };
    assert_eq!(world.tree.insert(new(header.clone()), &later, AHEAD), Ok(true));
    assert_eq!(world.tree.insert(new(header), &later, AHEAD), Ok(false));
}

#[test]
fn two_blocks_by_one_sealer_on_one_parent_are_kept_as_evidence() {
    let mut world = World::new(2, 100);
    let genesis = world.tree.root();
    let first = world.grow(genesis, 1, 0, 1)[0];
    world.grow(genesis, 1, 1, 1);
    assert!(world.tree.evidence().is_empty());
    let second = world.grow(genesis, 1, 0, 2)[0];
    let sealer = world.tree.entry(&first).unwrap().header().sealer;
    let expected = Evidence { sealer, parent: genesis, first, second };
    assert_eq!(world.tree.evidence(), [expected]);
}

#[test]
fn a_restored_tree_is_the_tree_that_was_saved() {
    let mut world = World::new(3, 1_000);
    let ids = world.grow(world.tree.root(), 50, 0, 1);
    let root = Root {
        end: world.tree.end(&ids[19]).unwrap(),
        sealers: world.tree.entry(&ids[19]).unwrap().sealers().clone(),
    };
    let mut restored = HeaderTree::new(world.tree.params.clone(), 1_000, root);
    for header in answer(&world, &ids[20..]) {
        restored.restore(header).unwrap();
    }
    assert_eq!(restored.end(&ids[49]), world.tree.end(&ids[49]));
    assert_eq!(restored.best_body(), ids[49]);
    let broken = answer(&world, &ids[..1]).remove(0);
    assert!(restored.restore(broken).is_err());
}

#[test]
fn a_change_of_sealers_holds_from_the_next_block_on() {
    let mut world = World::new(2, 100);
    let genesis = world.tree.end(&world.tree.root()).unwrap();
    let heir = world.keys[0].node_id();
    let mut header = world.header(&genesis, 0, 1);
    header.sealers_root = crate::block::sealers_root(&[heir]);
    let header = authority::seal(header, &world.keys[1]);
    let id = header.id();
    let handover = NewHeader { header: Unverified(header), sealers: Some(Arc::from([heir])) };
    assert_eq!(world.tree.insert(handover, &NOW, AHEAD), Ok(true));
    assert_eq!(world.tree.entry(&id).unwrap().sealers()[..], [heir]);
    let end = world.tree.end(&id).unwrap();
    let outsider = authority::seal(world.header(&end, 0, 1), &world.keys[1]);
    assert_eq!(
        world.put(outsider),
        Err(InsertError::Invalid(HeaderReject::NotASealer(world.keys[1].node_id())))
    );
    let next = authority::seal(world.header(&end, 0, 1), &world.keys[0]);
    assert_eq!(world.put(next), Ok(true));
}
