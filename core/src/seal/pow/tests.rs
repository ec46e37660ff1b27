//! Tests of `pow`.

use super::*;
use crate::id::{BlockId, Hash, NodeId};
use proptest::prelude::*;

type Line = (u64, u64, u32);

/// Lines of the published aserti3-2d vectors (600 s spacing, half-life of two days, limit
/// 0x1d00ffff): anchor height, time of the anchor's parent, anchor bits; height, time, next bits.
const VECTORS: &[(Line, &[Line])] = &[
    ((1, 0, 0x1d00_ffff), &[(2, 1_200, 0x1d00_ffff), (11, 6_600, 0x1d00_ffff)]),
    ((1, 0, 0x1a2b_3c4d), &[(2, 1_200, 0x1a2b_3c4d), (11, 6_600, 0x1a2b_3c4d)]),
    ((1, 0, 0x0101_0000), &[(2, 1_200, 0x0101_0000), (11, 6_600, 0x0101_0000)]),
    (
        (1, 0, 0x0101_0000),
        &[
            (2, 174_000, 0x0102_0000),
            (22, 3_642_000, 0x0320_0000),
            (42, 7_110_000, 0x0602_0000),
            (63, 10_751_400, 0x0840_0000),
            (83, 14_219_400, 0x0b04_0000),
            (103, 17_687_400, 0x0d40_0000),
            (124, 21_328_800, 0x1008_0000),
            (144, 24_796_800, 0x1300_8000),
            (164, 28_264_800, 0x1508_0000),
            (185, 31_906_200, 0x1801_0000),
            (205, 35_374_200, 0x1a10_0000),
            (226, 39_015_600, 0x1d00_ffff),
        ],
    ),
    (
        (1, 0, 0x1d00_ffff),
        &[
            (2, 0, 0x1d00_fec5),
            (5_762, 0, 0x1a0f_ec58),
            (11_522, 0, 0x1800_fec5),
            (17_570, 0, 0x1507_f62c),
            (23_330, 0, 0x127f_62c0),
            (29_090, 0, 0x1007_f62c),
            (35_138, 0, 0x0d3f_b160),
            (40_898, 0, 0x0b03_fb16),
            (46_658, 0, 0x083f_b160),
            (52_706, 0, 0x0601_fd8b),
            (58_466, 0, 0x031f_d8b0),
            (64_514, 0, 0x0101_0000),
        ],
    ),
    (
        (1, 0, 0x1802_aee8),
        &[
            (2, 1_200, 0x1802_aee8),
            (92, 53_231, 0x1802_a986),
            (183, 109_334, 0x1802_ada1),
            (274, 171_533, 0x1802_c2e4),
            (365, 225_964, 0x1802_c269),
            (456, 273_131, 0x1802_ada0),
            (546, 330_098, 0x1802_b5d8),
            (637, 386_299, 0x1802_ba52),
            (728, 447_685, 0x1802_cda0),
            (819, 489_659, 0x1802_aa24),
            (910, 534_468, 0x1802_8feb),
            (1_001, 589_738, 0x1802_91ad),
        ],
    ),
    (
        (1, 0, 0x1802_aee8),
        &[
            (2, 1_200, 0x1802_aee8),
            (92, 19_378, 0x1802_5306),
            (183, 23_534, 0x1801_e5ef),
            (274, 26_244, 0x1801_8aaf),
            (365, 27_914, 0x1801_3f32),
            (456, 29_015, 0x1801_0182),
            (546, 30_098, 0x1800_d045),
            (637, 31_014, 0x1800_a7ee),
            (728, 31_862, 0x1800_875a),
            (819, 32_359, 0x176c_f177),
            (910, 32_834, 0x1757_b0e3),
            (1_001, 33_365, 0x1746_9789),
        ],
    ),
    (
        (1, 0, 0x1802_aee8),
        &[
            (2, 1_200, 0x1802_aee8),
            (47, 93_916, 0x1803_7e07),
            (92, 234_216, 0x1805_8096),
            (138, 594_917, 0x1814_eec8),
            (183, 1_017_805, 0x1866_7131),
            (228, 1_742_551, 0x1906_929d),
            (274, 2_443_282, 0x1961_d1e4),
            (319, 3_411_748, 0x1a10_ae90),
            (364, 4_175_169, 0x1b01_4008),
            (410, 5_035_633, 0x1b23_4e1d),
            (455, 6_132_249, 0x1c0a_1193),
            (501, 7_462_933, 0x1d00_ffff),
        ],
    ),
    (
        (2_147_483_642, 1_234_567_290, 0x1802_aee8),
        &[
            (2_147_483_643, 1_234_568_190, 0x1802_ae16),
            (2_147_483_644, 1_234_568_490, 0x1802_ad44),
            (2_147_483_645, 1_234_568_790, 0x1802_ac71),
            (2_147_483_646, 1_234_569_090, 0x1802_ab9e),
            (2_147_483_647, 1_234_569_390, 0x1802_aacd),
            (2_147_483_648, 1_234_569_690, 0x1802_a9fa),
            (2_147_483_649, 1_234_569_990, 0x1802_a929),
            (2_147_483_650, 1_234_570_290, 0x1802_a858),
            (2_147_483_651, 1_234_570_590, 0x1802_a787),
            (2_147_483_652, 1_234_570_890, 0x1802_a6b7),
        ],
    ),
    (
        (9_223_372_036_854_775_802, 2_147_483_047, 0x1802_aee8),
        &[
            (9_223_372_036_854_775_803, 2_147_484_547, 0x1802_afbb),
            (9_223_372_036_854_775_804, 2_147_485_447, 0x1802_b08f),
            (9_223_372_036_854_775_805, 2_147_486_347, 0x1802_b166),
            (9_223_372_036_854_775_806, 2_147_487_247, 0x1802_b23a),
            (9_223_372_036_854_775_807, 2_147_488_147, 0x1802_b30e),
            (9_223_372_036_854_775_808, 2_147_489_047, 0x1802_b3e5),
            (9_223_372_036_854_775_809, 2_147_489_947, 0x1802_b4bb),
            (9_223_372_036_854_775_810, 2_147_490_847, 0x1802_b592),
            (9_223_372_036_854_775_811, 2_147_491_747, 0x1802_b669),
            (9_223_372_036_854_775_812, 2_147_492_647, 0x1802_b73d),
        ],
    ),
];

#[test]
fn targets_are_those_of_the_published_vectors() {
    for ((anchor_height, anchor_time, bits), lines) in VECTORS {
        for (height, time, expected) in *lines {
            let blocks = i128::from(height - anchor_height) + 1;
            let late = i128::from(time - anchor_time) - 600 * blocks;
            let next = asert(Target(*bits), Target(0x1d00_ffff), late, 172_800);
            assert_eq!(next, Target(*expected), "{bits:08x} {height} {time}");
        }
    }
}

#[test]
fn a_half_life_of_zero_keeps_the_target() {
    assert_eq!(asert(Target(0x1c7f_ffff), Target::MAX, 1 << 40, 0), Target(0x1c7f_ffff));
}

#[test]
fn extremes_reach_the_limit_and_one_without_overflow() {
    for late in [i128::MAX, 1 << 60] {
        assert_eq!(asert(Target::MAX, Target::MAX, late, 1), Target::MAX);
        assert_eq!(asert(Target(0x0101_0000), Target::MAX, late, 1), Target::MAX);
    }
    for late in [i128::MIN, -(1 << 60)] {
        assert_eq!(asert(Target::MAX, Target::MAX, late, 1), Target(0x0101_0000));
    }
}

#[test]
fn idle_time_counts_for_six_spacings_and_steps_back_count_in_full() {
    let zero = EffectiveTime(0);
    assert_eq!(zero.after(UnixTime(100), UnixTime(130), 10), EffectiveTime(30));
    assert_eq!(zero.after(UnixTime(100), UnixTime(9_999), 10), EffectiveTime(60));
    assert_eq!(zero.after(UnixTime(100), UnixTime(70), 10), EffectiveTime(-30));
    let end = EffectiveTime(i64::MAX);
    assert_eq!(end.after(UnixTime(0), UnixTime(u64::MAX), u64::MAX), end);
}

#[test]
fn a_chain_on_schedule_keeps_its_initial_target() {
    let params = Params::open();
    let SealRule::Pow { initial, half_life } = params.seal else {
        panic!("the open mesh uses proof of work");
    };
    let time = EffectiveTime(1_000 * params.spacing as i64);
    assert_eq!(next_target(&params, Height(1_000), time), initial);
    let late = EffectiveTime(time.0 + half_life as i64);
    let doubled = asert(initial, Target::MAX, i128::from(half_life), half_life);
    assert_eq!(next_target(&params, Height(1_000), late), doubled);
    assert!(doubled.work() < initial.work());
}

fn header(target: Target) -> Header {
    Header {
        version: 1,
        height: Height(1),
        parent: BlockId::ZERO,
        facts_root: Hash::ZERO,
        history_root: Hash::ZERO,
        sealers_root: Hash::ZERO,
        state_root: Hash::ZERO,
        time: UnixTime(0),
        target,
        sealer: NodeId::ZERO,
        seal: Seal::Genesis(Hash::ZERO),
    }
}

#[test]
fn grinding_finds_a_nonce_or_gives_up() {
    let found = grind(&header(Target(0x1f7f_ffff)), 100, 100_000).unwrap();
    assert!(check(&found));
    assert!(matches!(found.seal, Seal::Pow(nonce) if nonce >= 100));
    assert_eq!(grind(&header(Target(0x0101_0000)), 0, 100), None);
    assert_eq!(grind(&header(Target(0)), 0, 100), None);
}

proptest! {
    #[test]
    fn later_chains_never_get_harder_targets(a: i64, b: i64, half_life in 1u64..) {
        let (early, late) = (a.min(b), a.max(b));
        let target = |t: i64| {
            asert(Target(0x1d00_ffff), Target::MAX, i128::from(t), half_life).expand().unwrap()
        };
        prop_assert!(target(early) <= target(late));
    }
}
