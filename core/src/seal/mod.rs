//! Seals: what makes a header attributable (`authority`) or costly (`pow`). Each seal says who may
//! seal when, what a header weighs, and how the proof is checked.
//!
//! Not here: the rules that hold for every header (`block/verify.rs`) and the choice between chains
//! (`chain/fork_choice.rs`).

pub mod authority;
pub mod pow;
