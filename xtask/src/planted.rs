//! Faults that `mutants.rs` plants: mistakes that a person could make, each a few words.

/// One fault.
pub(crate) struct Fault {
    /// Its name, which says what is done wrong.
    pub(crate) name: &'static str,
    /// The file it is in.
    pub(crate) file: &'static str,
    /// Words that are there exactly once.
    pub(crate) from: &'static str,
    /// What stands there instead.
    pub(crate) to: &'static str,
}

const fn fault(
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Fault {
    Fault { name, file, from, to }
}

/// All of them.
pub(crate) const PLANTED: &[Fault] = &[
    fault(
        "undo-forgets-custody",
        "core/src/ledger/delta.rs",
        "overlay.set_row(Table::Item, item.as_bytes(), before.as_ref());",
        "let _ = (item, before);",
    ),
    fault(
        "undo-keeps-history",
        "core/src/ledger/delta.rs",
        "for level in 0..=tip.height.0.trailing_ones() as u8 {",
        "for level in 0..tip.height.0.trailing_ones() as u8 {",
    ),
    fault(
        "reorg-forgets-to-requeue",
        "core/src/engine/on_chain.rs",
        "self.mempool.readmit(&overlay, ids)?;",
        "let _ = ids;",
    ),
    fault(
        "conflicts-stay-after-a-reorg",
        "core/src/ledger/delta.rs",
        "let reopened = reopen(overlay, tip.height)?;",
        "let reopened = reopen(overlay, tip.height.next())?;",
    ),
    fault(
        "claimed-tip-is-trusted",
        "core/src/sync/headers.rs",
        "peer.asked.is_none() && peer.from <= now && !known(&peer.tip.id))",
        "peer.asked.is_none() && peer.from <= now && peer.tip.height.0 > 8 && !known(&peer.tip.id))",
    ),
    fault(
        "acknowledged-before-durable",
        "core/src/engine/promises.rs",
        "if self.durable >= self.issued {",
        "if self.durable <= self.issued {",
    ),
    fault(
        "tie-goes-to-the-first-seen",
        "core/src/chain/fork_choice/heaviest.rs",
        "self.order.insert((block.work, Reverse(block.id)));\n        let kept",
        "if self.order.last().is_none_or(|(work, _)| block.work > *work) {\n            \
         self.order.insert((block.work, Reverse(block.id)));\n        }\n        let kept",
    ),
    fault(
        "any-release-ends-any-hold",
        "core/src/ledger/custody.rs",
        "if claim.follows != claim.custody.map(|custody| custody.latest) {",
        "if claim.action != CustodyAction::Release\n        \
         && claim.follows != claim.custody.map(|custody| custody.latest)\n    {",
    ),
    fault(
        "reconciliation-believes-sets-are-equal",
        "core/src/engine/on_message.rs",
        "Step::Ask(_) => {}\n            Step::Done => self.end_session(),",
        "Step::Ask(_) | Step::Done => self.end_session(),",
    ),
    fault(
        "missing-facts-are-a-crime",
        "core/src/engine/on_message.rs",
        "            if missing.is_empty() {\n                self.chain.mark_held(&id);",
        "            if !missing.is_empty() {\n                \
         self.close(conn, CloseCode::Misbehavior);\n            }\n            \
         if missing.is_empty() {\n                self.chain.mark_held(&id);",
    ),
    fault(
        "early-headers-are-forgotten",
        "core/src/sync/headers.rs",
        "peer.in_vain = if useful { 0 } else { peer.in_vain.saturating_add(1) };",
        "peer.in_vain = if useful { 0 } else { peer.in_vain.saturating_add(1) };\n            \
         if !useful {\n                peer.from = Instant(u64::MAX);\n                return;\n            }",
    ),
    fault(
        "own-blocks-leave-before-they-are-durable",
        "core/src/engine/on_chain.rs",
        "if sealer == Some(self.me) {",
        "if sealer == Some(self.me) && tip.height.0 == u64::MAX {",
    ),
    fault(
        "state-of-a-branch-that-lost",
        "core/src/ledger/delta.rs",
        "overlay.set_row(Table::Member, node.as_bytes(), before.as_ref());",
        "let _ = (node, before);",
    ),
    fault(
        "sealed-facts-are-sealed-again",
        "core/src/ledger/delta.rs",
        "_ => overlay.delete(Table::Pending, &fact.seq.key()),",
        "_ => {}",
    ),
];
