//! Nodes on one network find each other without being told where.

use support::process::{Cairn, eventually};

use crate::mesh::{agree, sound};

#[test]
fn two_nodes_of_a_mesh_find_each_other_and_a_third_of_another_stays_out() {
    let mut a = Cairn::new("a");
    // The invite names a place where nobody is.
    let nowhere = ["--address", "127.0.0.1:9", "--spacing", "200ms"];
    let founded = a.ok(&[&["init", "e2e"], &nowhere[..]].concat());
    let mut b = Cairn::new("b");
    b.ok(&["join", founded["invite"].as_str().unwrap(), "--name", "b"]);
    let mut stranger = Cairn::new("stranger");
    stranger.ok(&[&["init", "other"], &nowhere[..]].concat());
    for node in [&mut a, &mut stranger, &mut b] {
        node.on_the_lan();
        node.start(&[]);
    }
    eventually("they find each other", 30, || {
        let linked = |node: &Cairn| node.get("/v1/status")["peers"]["connected"] == 1;
        (linked(&a) && linked(&b)).then_some(())
    });
    a.ok(&["note", "found"]);
    agree(&[&a, &b], 30);
    sound(&[&a, &b]);
    let known = stranger.get("/v1/peers");
    assert_eq!(known["peers"].as_array().unwrap().len(), 0, "{known}");
}
