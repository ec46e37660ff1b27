//! Tests of `verify`.

use super::*;
use crate::signature::SigningKey;
use crate::time::Instant;
use alloc::vec::Vec;

struct Mesh {
    params: Params,
    keys: Vec<SigningKey>,
    sealers: Vec<NodeId>,
}

fn authority_mesh() -> Mesh {
    let mut keys: Vec<_> = (1..=3).map(|i| SigningKey::from_seed([i; 32])).collect();
    keys.sort_by_key(SigningKey::node_id);
    let sealers: Vec<_> = keys.iter().map(SigningKey::node_id).collect();
    let params = Params::private("test", &sealers, UnixTime(1_000_000)).unwrap();
    Mesh { params, keys, sealers }
}

fn pow_mesh() -> Mesh {
    let mut params = Params::open();
    params.seal = SealRule::Pow { initial: Target(0x207f_ffff), half_life: 3_600_000 };
    Mesh { params, keys: Vec::new(), sealers: Vec::new() }
}

impl Mesh {
    /// A valid next header without its seal, by the sealer whose turn it is.
    fn draft(&self, end: &ChainEnd) -> Header {
        let height = end.header.height.next();
        Header {
            version: RULES_VERSION,
            height,
            parent: end.id,
            facts_root: Hash([7; 32]),
            history_root: end.history.root(),
            sealers_root: end.header.sealers_root,
            state_root: Hash::ZERO,
            time: end.header.time.after(self.params.spacing),
            target: end.next_target(&self.params),
            sealer: NodeId::ZERO,
            seal: Seal::Pow(0),
        }
    }

    fn seal(&self, header: Header) -> Header {
        match self.keys.len() {
            0 => pow::grind(&header, 0, 10_000).unwrap_or(header),
            n => authority::seal(header.clone(), &self.keys[header.height.0 as usize % n]),
        }
    }

    fn reject(&self, end: &ChainEnd, change: impl FnOnce(&mut Header)) -> HeaderReject {
        let mut header = self.draft(end);
        change(&mut header);
        let header = Unverified(self.seal(header));
        end.verify_next(&self.params, &self.sealers, header, None).unwrap_err()
    }

    fn extend(&self, end: &mut ChainEnd, count: usize) {
        for _ in 0..count {
            let header = Unverified(self.seal(self.draft(end)));
            let header = end.verify_next(&self.params, &self.sealers, header, None).unwrap();
            let id = header.id();
            end.advance(&self.params, &self.sealers, header.into_inner(), id);
        }
    }
}

#[test]
fn each_broken_rule_has_its_reject() {
    for mesh in [authority_mesh(), pow_mesh()] {
        let mut end = ChainEnd::genesis(&mesh.params);
        mesh.extend(&mut end, 15);
        let reject = |change: fn(&mut Header)| mesh.reject(&end, change);
        assert_eq!(reject(|h| h.version = 2), HeaderReject::Version(2));
        assert_eq!(reject(|h| h.height = Height(18)), HeaderReject::Height(Height(16), Height(18)));
        assert_eq!(reject(|h| h.parent = BlockId::ZERO), HeaderReject::Parent(BlockId::ZERO));
        assert_eq!(reject(|h| h.history_root = Hash::ZERO), HeaderReject::HistoryRoot);
        assert_eq!(reject(|h| h.state_root = Hash([1; 32])), HeaderReject::StateRoot);
        assert_eq!(reject(|h| h.sealers_root = Hash::ZERO), HeaderReject::SealersRoot);
        let late = UnixTime(UnixTime::MAX_VALID.0 + 1);
        let too_large = mesh.reject(&end, |h| h.time = late);
        assert_eq!(too_large, HeaderReject::TimeTooLarge(late));
        let median = end.times[MEDIAN_TIME_SPAN / 2];
        assert_eq!(
            mesh.reject(&end, |h| h.time = median),
            HeaderReject::NotAfterMedian(median, median)
        );
        let target = end.next_target(&mesh.params);
        assert_eq!(reject(|h| h.target = Target(1)), HeaderReject::Target(target, Target(1)));
    }
}

#[test]
fn only_the_sealers_may_seal_and_not_before_their_turn() {
    let mesh = authority_mesh();
    let end = ChainEnd::genesis(&mesh.params);
    let verify = |header, sealers: &[NodeId]| {
        end.verify_next(&mesh.params, sealers, Unverified(header), None)
    };
    // At height 1 it is the second sealer's turn; the first is two places away.
    let first = &mesh.keys[0];
    let early = authority::seal(mesh.draft(&end), first);
    let earliest = end.header.time.after(3 * mesh.params.spacing);
    assert_eq!(end.earliest_time(&mesh.params, &mesh.sealers, &first.node_id()), Some(earliest));
    assert_eq!(
        verify(early.clone(), &mesh.sealers),
        Err(HeaderReject::BeforeTurn(earliest, early.time))
    );
    let mut waited = mesh.draft(&end);
    waited.time = earliest;
    let waited = authority::seal(waited, first);
    assert!(verify(waited.clone(), &mesh.sealers).is_ok());
    assert_eq!(
        verify(waited.clone(), &mesh.sealers[1..]),
        Err(HeaderReject::NotASealer(first.node_id()))
    );
    let mut forged = waited;
    forged.facts_root = Hash([8; 32]);
    assert_eq!(verify(forged, &mesh.sealers), Err(HeaderReject::Signature));
}

#[test]
fn a_seal_of_another_kind_or_without_work_is_refused() {
    let (authority, pow_mesh) = (authority_mesh(), pow_mesh());
    let end = ChainEnd::genesis(&authority.params);
    let unsigned = Unverified(authority.draft(&end));
    assert_eq!(
        end.verify_next(&authority.params, &authority.sealers, unsigned, None),
        Err(HeaderReject::SealKind)
    );
    let end = ChainEnd::genesis(&pow_mesh.params);
    let mut header = pow_mesh.draft(&end);
    let nonce = (0..).find(|nonce| {
        header.seal = Seal::Pow(*nonce);
        !pow::check(&header)
    });
    header.seal = Seal::Pow(nonce.unwrap());
    assert_eq!(
        end.verify_next(&pow_mesh.params, &[], Unverified(header.clone()), None),
        Err(HeaderReject::Work)
    );
    header.seal = Seal::Genesis(Hash::ZERO);
    assert_eq!(
        end.verify_next(&pow_mesh.params, &[], Unverified(header), None),
        Err(HeaderReject::SealKind)
    );
}

#[test]
fn a_change_of_sealers_needs_the_list_it_commits_to() {
    let mesh = authority_mesh();
    let end = ChainEnd::genesis(&mesh.params);
    let verify = |commits: &[NodeId], given: Option<&[NodeId]>| {
        let mut header = mesh.draft(&end);
        header.sealers_root = sealers_root(commits);
        let header = Unverified(mesh.seal(header));
        end.verify_next(&mesh.params, &mesh.sealers, header, given).map(|_| ())
    };
    let two = &mesh.sealers[1..];
    assert_eq!(verify(two, Some(two)), Ok(()));
    assert_eq!(verify(two, None), Err(HeaderReject::SealersRoot));
    assert_eq!(verify(two, Some(&two[1..])), Err(HeaderReject::SealersRoot));
    let swapped = [two[1], two[0]];
    assert_eq!(verify(&swapped, Some(&swapped)), Err(HeaderReject::SealersList));
    assert_eq!(verify(&[], Some(&[])), Err(HeaderReject::SealersList));
}

#[test]
fn in_turn_blocks_weigh_two_and_targets_give_work() {
    let mesh = authority_mesh();
    let mut end = ChainEnd::genesis(&mesh.params);
    mesh.extend(&mut end, 20);
    assert_eq!(end.work, Work::from_u64(40));
    assert_eq!(end.history.size(), 21);
    assert_eq!(end.times.len(), MEDIAN_TIME_SPAN);
    let mut buffer = [0; 4096];
    let bytes = crate::codec::encode_into(&end, &mut buffer).unwrap();
    assert_eq!(crate::codec::decode(bytes, 4096), Ok(end));
    let mesh = pow_mesh();
    let mut end = ChainEnd::genesis(&mesh.params);
    mesh.extend(&mut end, 5);
    assert_eq!(end.work, Work::from_u64(10));
    assert_eq!(end.effective_time, EffectiveTime(5 * mesh.params.spacing as i64));
}

#[test]
fn only_a_confirmed_clock_that_reached_the_tip_finds_headers_early() {
    let early = |wall, wall_confirmed| {
        let now = Now { instant: Instant(0), wall: UnixTime(wall), wall_confirmed };
        is_early(UnixTime(1_000), &now, 100, UnixTime(500))
    };
    assert!(early(899, true));
    assert!(!early(900, true));
    assert!(!early(899, false));
    assert!(!early(499, true));
}

/// The mesh with two of three recovery keys, and what those at `places` say: that the author goes on
/// from a block.
fn recovered_mesh() -> (Mesh, Vec<SigningKey>) {
    let mut keys: Vec<_> = (11..=13).map(|i| SigningKey::from_seed([i; 32])).collect();
    keys.sort_by_key(SigningKey::node_id);
    let mut mesh = authority_mesh();
    mesh.params.recovery.threshold = 2;
    mesh.params.recovery.keys = keys.iter().map(SigningKey::node_id).collect();
    (mesh, keys)
}

#[test]
fn the_recovery_keys_let_somebody_without_a_seat_seal_the_block_after_the_one_they_name() {
    let (mesh, keys) = recovered_mesh();
    let mut end = ChainEnd::genesis(&mesh.params);
    mesh.extend(&mut end, 2);
    let author = SigningKey::from_seed([9; 32]);
    let said = Hash([3; 32]);
    let grant = |on: &BlockId, places: &[usize]| {
        let mesh_id = crate::block::mesh_id(&mesh.params);
        let digest = crate::block::recovery_digest(&mesh_id, &author.node_id(), Some(on), &said);
        let by = places.iter().map(|place| {
            let key = keys.get(*place).unwrap_or(&author);
            (*place as u8, key.sign(crate::hash::Tag::RecoverySignature, &digest))
        });
        let signature = crate::signature::Signature([0; 64]);
        crate::block::Grant { signature, said, by: by.collect() }
    };
    let next = [author.node_id()];
    let spacing = mesh.params.spacing;
    let draft = |turns: u64, sealers: &[NodeId]| {
        let time = end.header.time.after(turns * spacing);
        Header { time, sealers_root: sealers_root(sealers), ..mesh.draft(&end) }
    };
    let verify = |header: Header, next: &[NodeId]| {
        end.verify_next(&mesh.params, &mesh.sealers, Unverified(header), Some(next)).map(|_| ())
    };
    let sealed = |header: Header, places: &[usize]| {
        authority::seal_granted(header, grant(&end.id, places), &author)
    };
    let good = sealed(draft(4, &next), &[0, 2]);
    assert_eq!(verify(good.clone(), &next), Ok(()));
    assert_eq!(good.voter(), crate::block::RECOVERY);
    let mut buffer = [0; crate::block::HEADER_BYTES_MAX];
    assert!(crate::codec::encode_into(&good, &mut buffer).unwrap().len() <= good.bytes_max());
    for wrong in [&[0][..], &[], &[2, 0], &[1, 1], &[0, 3], &[0, 1, 2]] {
        let header = sealed(draft(4, &next), wrong);
        assert_eq!(verify(header, &next), Err(HeaderReject::NotGranted), "{wrong:?}");
    }
    let elsewhere = grant(&end.header.parent, &[0, 2]);
    let header = authority::seal_granted(draft(4, &next), elsewhere, &author);
    assert_eq!(verify(header, &next), Err(HeaderReject::NotGranted));
    let thief = authority::seal_granted(draft(4, &next), grant(&end.id, &[0, 2]), &keys[0]);
    assert_eq!(verify(thief, &next), Err(HeaderReject::NotGranted));
    let early = sealed(draft(3, &next), &[0, 2]);
    assert!(matches!(verify(early, &next), Err(HeaderReject::BeforeTurn(..))));
    // Its sealer has a seat afterwards, whether the list changed or not.
    let no_seat = Err(HeaderReject::NotASealer(author.node_id()));
    assert_eq!(verify(sealed(draft(4, &mesh.sealers), &[0, 2]), &mesh.sealers), no_seat);
    let others = &mesh.sealers[..1];
    assert_eq!(verify(sealed(draft(4, others), &[0, 2]), others), no_seat);
    let mut unsigned = good;
    unsigned.time = unsigned.time.after(1);
    assert_eq!(verify(unsigned, &next), Err(HeaderReject::Signature));
}

#[test]
fn without_recovery_keys_nobody_seals_by_their_leave() {
    let mesh = authority_mesh();
    let end = ChainEnd::genesis(&mesh.params);
    let grant = crate::block::Grant {
        signature: crate::signature::Signature([0; 64]),
        said: Hash::ZERO,
        by: heapless::Vec::new(),
    };
    let time = end.header.time.after(9 * mesh.params.spacing);
    let header = authority::seal_granted(Header { time, ..mesh.draft(&end) }, grant, &mesh.keys[0]);
    let refused = end.verify_next(&mesh.params, &mesh.sealers, Unverified(header), None);
    assert_eq!(refused.map(|_| ()), Err(HeaderReject::NotGranted));
}
