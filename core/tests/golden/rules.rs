//! The rules of a mesh, with the mesh id that follows from them. Tier 0.

use cairn_core::block::mesh_id;
use cairn_core::codec;
use cairn_core::id::NodeId;
use cairn_core::params::{Admission, PARAMS_BYTES_MAX, Params, Recovery};
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;
use cairn_core::work::Target;

use crate::vector::{hex, pin, read_all, reason, render, unhex};

fn private() -> Params {
    let mut roots = [1, 2].map(|seed| SigningKey::from_seed([seed; 32]).node_id());
    roots.sort_unstable();
    Params::private("makerspace", &roots, UnixTime(1_767_225_600_000)).unwrap()
}

fn encoded(params: &Params) -> Vec<u8> {
    let mut buffer = [0; PARAMS_BYTES_MAX];
    codec::encode_into(params, &mut buffer).unwrap().to_vec()
}

/// The mesh that bytes make, or why they make none.
fn judge(bytes: &[u8]) -> Result<String, String> {
    let params: Params = codec::decode(bytes, PARAMS_BYTES_MAX).map_err(reason)?;
    assert_eq!(encoded(&params), bytes);
    params.check().map_err(|error| error.to_string())?;
    Ok(mesh_id(&params).to_string())
}

fn broken(change: impl Fn(&mut Params)) -> Vec<u8> {
    let mut params = private();
    change(&mut params);
    encoded(&params)
}

/// Bytes that are no key: y = 2 is on no point, p + 1 is a second form of 1, 1 has small order.
fn no_keys() -> [(&'static str, &'static str, NodeId); 3] {
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    let mut second_form = [0xff; 32];
    (second_form[0], second_form[31]) = (0xee, 0x7f);
    let mut small_order = [0; 32];
    small_order[0] = 1;
    [
        ("root-off-curve", "a founder that is no point of the curve", NodeId(off_curve)),
        ("root-not-canonical", "a founder in a second form", NodeId(second_form)),
        ("root-of-small-order", "a founder that everybody can sign for", NodeId(small_order)),
    ]
}

fn refused() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let good = encoded(&private());
    let mut padded = good.clone();
    padded.splice(1..=1, [good[1] | 0x80, 0]);
    let mut latin1 = good.clone();
    latin1[2] = 0xe9;
    let roots_at = 2 + 10 + 1 + 2 + 2 + 4 + 1 + 1 + 1 + 2 + 2;
    assert_eq!(good[roots_at], 2);
    let mut nine = good.clone();
    nine[roots_at] = 9;
    nine.splice(roots_at + 1..roots_at + 1, [7; 7 * 32]);
    let mut all = vec![
        ("trailing-byte", "one byte after the end", [&good[..], &[0]].concat()),
        ("truncated", "one byte missing", good[..good.len() - 1].to_vec()),
        ("padded-length", "the name's length in two bytes", padded),
        ("not-utf8", "a name that is no UTF-8", latin1),
        ("nine-roots", "one founder too many", nine),
        ("oversize", "more bytes than rules have", vec![0; PARAMS_BYTES_MAX + 1]),
        ("other-version", "rules of version 2", broken(|p| p.version = 2)),
        ("no-name", "a mesh without a name", broken(|p| p.name.clear())),
        ("short-spacing", "9 ms between blocks", broken(|p| p.spacing = 9)),
        ("no-facts", "blocks of no facts", broken(|p| p.block_facts_max = 0)),
        ("large-blocks", "blocks above 4 MiB", broken(|p| p.block_bytes_max = 4_194_305)),
        ("reward", "coins under authority", broken(|p| p.reward = 1)),
        ("long-overlap", "two keys for a million blocks", broken(|p| p.overlap = 1 << 21)),
        (
            "recovery-without-keys",
            "it takes a key that is not there",
            broken(|p| {
                p.recovery.threshold = 1;
            }),
        ),
        ("no-roots", "nobody founded it", broken(|p| p.roots.clear())),
        ("late", "founded after year 9999", broken(|p| p.time = UnixTime(u64::MAX))),
        ("roots-unordered", "founders in descending order", broken(|p| p.roots.reverse())),
    ];
    all.extend(no_keys().map(|(name, what, node)| {
        (name, what, broken(|p| p.roots = [node].into_iter().collect()))
    }));
    all
}

#[test]
fn this_version_makes_the_pinned_rules() {
    let invited_pow =
        Params { admission: Admission::Invite, roots: private().roots, ..Params::open() };
    let mut keys = [3, 4, 5].map(|seed| SigningKey::from_seed([seed; 32]).node_id());
    keys.sort_unstable();
    let recovery = Recovery { threshold: 2, keys: keys.into_iter().collect() };
    let recovered = Params { recovery, ..private() };
    let constant = broken(|p| {
        p.seal = cairn_core::params::SealRule::Pow { initial: Target::MAX, half_life: 0 };
    });
    let accepted = [
        ("private", "two founders, authority", encoded(&private())),
        ("recovery", "two of three recovery keys", encoded(&recovered)),
        ("open", "the fixed open mesh `cairn-open`", encoded(&Params::open())),
        ("pow-by-invite", "proof of work among the invited", encoded(&invited_pow)),
        ("constant-target", "a target that never moves", constant),
    ];
    let accepted = accepted.map(|(name, what, bytes)| {
        let mesh = judge(&bytes).unwrap();
        (name, render(&[("what", what), ("bytes", &hex(&bytes)), ("mesh", &mesh)]))
    });
    pin("rules/accept", &accepted);
    let refused = refused().into_iter().map(|(name, what, bytes)| {
        let error = judge(&bytes).expect_err(name);
        (name, render(&[("what", what), ("bytes", &hex(&bytes)), ("error", &error)]))
    });
    pin("rules/refuse", &refused.collect::<Vec<_>>());
}

#[test]
fn every_pinned_set_of_rules_makes_its_mesh_or_is_refused_for_its_reason() {
    for (name, fields) in read_all("rules/accept") {
        assert_eq!(judge(&unhex(&fields["bytes"])), Ok(fields["mesh"].clone()), "{name}");
    }
    for (name, fields) in read_all("rules/refuse") {
        assert_eq!(judge(&unhex(&fields["bytes"])), Err(fields["error"].clone()), "{name}");
    }
}
