//! Seeds of the chaos test that found bugs, kept for ever, with what each found.

/// Seed and what it found.
pub(crate) const KEPT: &[(u64, &str)] = &[];
