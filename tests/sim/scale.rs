//! Meshes in which nobody is connected to everybody. `cargo xtask sim --scale 10,100,1000` measures
//! large ones.

use support::scale::measure;

#[test]
fn a_sparse_mesh_converges_and_a_fact_reaches_all_of_it_within_seconds() {
    let measured = measure(40, 1);
    assert!(measured.fact_ms < 2_000, "{measured:?}");
    assert!(measured.sealed_ms < 30_000, "{measured:?}");
    assert!(measured.idle_bytes > 0 && measured.idle_bytes < 2_000_000, "{measured:?}");
}
