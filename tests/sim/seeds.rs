//! Seeds of the chaos test that found bugs, kept for ever, with what each found.

/// Seed and what it found.
pub(crate) const KEPT: &[(u64, &str)] = &[
    (0, "a reconciliation was due at a moment that nobody asked a tick for"),
    (3, "the wait of a linked address hid that of one that was to be dialled"),
    (32, "as 0, on a node that was fetching facts"),
    (175, "blocks beside the chain decided for some and were unknown to others: no agreement"),
];
