//! Hands the linker the board's memory map.

use std::path::PathBuf;

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo:rustc-link-search={}", here.display());
    println!("cargo:rerun-if-changed=memory.x");
}
