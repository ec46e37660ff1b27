//! As long as one node is alive, the whole ledger is alive.

use support::process::Cairn;

use crate::mesh::{agree, facts, founder, invite, joined, sound, text, three};

fn write(node: &Cairn, count: usize) -> Vec<String> {
    let client = node.client();
    (0..count).map(|i| client.note(&format!("{} {i}", node.name)).unwrap()).collect()
}

/// A fresh node has everything that the survivor has, and the mesh goes on with it.
fn restored(survivor: &Cairn, fresh: &Cairn, ids: &[String]) {
    fresh.ok(&["status", "--wait", "synced", "--timeout", "30s"]);
    agree(&[survivor, fresh], 30);
    let there = facts(fresh);
    assert_eq!(there.len(), facts(survivor).len());
    assert!(ids.iter().all(|id| there.contains_key(id)));
    let later = text(&fresh.ok(&["note", "the mesh goes on"]), "fact_id");
    agree(&[survivor, fresh], 30);
    assert!(survivor.try_get(&format!("/v1/facts/{later}")).is_some());
    sound(&[survivor, fresh]);
}

#[test]
fn one_who_did_not_found_the_mesh_brings_everything_back_with_an_old_invite() {
    let a = founder("a", "100ms");
    let invite = invite(&a);
    let (b, c) = (joined("b", &invite), joined("c", &invite));
    let mut ids: Vec<String> = [&a, &b, &c].into_iter().flat_map(|node| write(node, 20)).collect();
    agree(&[&a, &b, &c], 30);
    let height = b.height();
    for mut gone in [a, c] {
        gone.kill();
    }
    ids.extend(write(&b, 20));
    agree(&[&b], 60);
    assert!(b.height() > height, "a lone survivor goes on sealing");

    // The invite names the founder's address, where nobody is any more.
    let mut fresh = Cairn::new("fresh");
    fresh.ok(&["join", &invite, "--name", "fresh"]);
    fresh.start(&["--peer", &b.listen().to_string()]);
    restored(&b, &fresh, &ids);
}

#[test]
fn a_founder_who_survives_lets_others_in_as_before() {
    let [a, b, c] = three("100ms");
    let mut ids: Vec<String> = [&a, &b, &c].into_iter().flat_map(|node| write(node, 20)).collect();
    agree(&[&a, &b, &c], 30);
    let height = a.height();
    for mut gone in [b, c] {
        gone.kill();
    }
    ids.extend(write(&a, 20));
    agree(&[&a], 60);
    assert!(a.height() > height);
    let fresh = joined("fresh", &invite(&a));
    restored(&a, &fresh, &ids);
}
