//! `cairn`.
fn main() {}
