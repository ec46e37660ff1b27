//! Faults that `mutants.rs` plants: mistakes that a person could make, each a few words.

/// One fault.
pub(crate) struct Fault {
    /// Its name, which says what is done wrong.
    pub(crate) name: &'static str,
    /// The file it is in.
    pub(crate) file: &'static str,
    /// Words that are there exactly once.
    pub(crate) from: &'static str,
    /// What stands there instead; wrong where `PLANTED` holds, and else as before.
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
        "if !PLANTED { overlay.set_row(Table::Item, item.as_bytes(), before.as_ref()); }",
    ),
    fault(
        "undo-keeps-history",
        "core/src/ledger/delta.rs",
        "for level in 0..=tip.height.0.trailing_ones() as u8 {",
        "for level in 0..=tip.height.0.trailing_ones() as u8 {\n\
         if PLANTED && level == tip.height.0.trailing_ones() as u8 { break; }",
    ),
    fault(
        "reorg-forgets-to-requeue",
        "core/src/engine/on_chain.rs",
        "self.mempool.readmit(&overlay, ids)?;",
        "if !PLANTED { self.mempool.readmit(&overlay, ids)?; }",
    ),
    fault(
        "conflicts-stay-after-a-reorg",
        "core/src/ledger/delta.rs",
        "let reopened = reopen(overlay, tip.height)?;",
        "let reopened = reopen(overlay, if PLANTED { tip.height.next() } else { tip.height })?;",
    ),
    fault(
        "claimed-tip-is-trusted",
        "core/src/sync/headers.rs",
        "peer.asked.is_none() && peer.from <= now && !known(&peer.tip.id))",
        "peer.asked.is_none() && peer.from <= now && (!PLANTED || peer.tip.height.0 > 8) \
         && !known(&peer.tip.id))",
    ),
    fault(
        "acknowledged-before-durable",
        "core/src/engine/promises.rs",
        "if self.durable >= self.issued {",
        "if PLANTED || self.durable >= self.issued {",
    ),
    fault(
        "tie-goes-to-the-first-seen",
        "core/src/chain/fork_choice/heaviest.rs",
        "self.order.insert((block.work, Reverse(block.id)));\n        let kept",
        "if !PLANTED || self.order.last().is_none_or(|(work, _)| block.work > *work) {\n\
         self.order.insert((block.work, Reverse(block.id)));\n}\nlet kept",
    ),
    fault(
        "any-release-ends-any-hold",
        "core/src/ledger/custody.rs",
        "if claim.follows != claim.custody.map(|custody| custody.latest) {",
        "if (!PLANTED || claim.action != CustodyAction::Release)\n\
         && claim.follows != claim.custody.map(|custody| custody.latest)\n{",
    ),
    fault(
        "reconciliation-believes-sets-are-equal",
        "core/src/engine/on_message.rs",
        "Step::Ask(_) => {}\n            Step::Done => self.end_session(),",
        "Step::Ask(_) if !PLANTED => {}\nStep::Ask(_) | Step::Done => self.end_session(),",
    ),
    fault(
        "missing-facts-are-a-crime",
        "core/src/engine/on_message.rs",
        "            if missing.is_empty() {\n                self.chain.mark_held(&id);",
        "if PLANTED && !missing.is_empty() {\nself.close(conn, crate::wire::CloseCode::Misbehavior);\n}\n\
         if missing.is_empty() {\nself.chain.mark_held(&id);",
    ),
    fault(
        "early-headers-are-forgotten",
        "core/src/sync/headers.rs",
        "peer.in_vain = if useful { 0 } else { peer.in_vain.saturating_add(1) };",
        "peer.in_vain = if useful { 0 } else { peer.in_vain.saturating_add(1) };\n\
         if PLANTED && !useful {\npeer.from = Instant(u64::MAX);\nreturn;\n}",
    ),
    fault(
        "own-blocks-leave-before-they-are-durable",
        "core/src/engine/on_chain.rs",
        "if sealer == Some(self.me) {",
        "if sealer == Some(self.me) && !PLANTED {",
    ),
    fault(
        "state-of-a-branch-that-lost",
        "core/src/ledger/delta.rs",
        "overlay.set_row(Table::Member, node.as_bytes(), before.as_ref());",
        "if !PLANTED { overlay.set_row(Table::Member, node.as_bytes(), before.as_ref()); }",
    ),
    fault(
        "sealed-facts-are-sealed-again",
        "core/src/ledger/delta.rs",
        "_ => overlay.delete(Table::Pending, &fact.seq.key()),",
        "_ if PLANTED => {}\n_ => overlay.delete(Table::Pending, &fact.seq.key()),",
    ),
    fault(
        "links-to-the-revoked-stay-until-a-block-says-so",
        "core/src/engine/revoked.rs",
        "if line::cut_off(view, node)?.is_some() {",
        "if !PLANTED && line::cut_off(view, node)?.is_some() {",
    ),
    fault(
        "what-the-revoked-wrote-is-sealed",
        "core/src/engine/revoked.rs",
        "self.mempool.revoked(keys);",
        "if !PLANTED { self.mempool.revoked(keys); }",
    ),
    fault(
        "older-conflicts-of-the-revoked-are-not-swept",
        "core/src/engine/revoked.rs",
        "if revoked && !said.body.is_lasting() {",
        "if !PLANTED && revoked && !said.body.is_lasting() {",
    ),
    fault(
        "read-only-for-good",
        "core/src/engine/read_only.rs",
        "self.read_only = read_only;",
        "self.read_only |= read_only;\nif !PLANTED { self.read_only = read_only; }",
    ),
    fault(
        "read-only-takes-bodies",
        "core/src/engine/on_message.rs",
        "self.ask_for_headers(view)?;\n        if self.read_only {",
        "self.ask_for_headers(view)?;\nif self.read_only && !PLANTED {",
    ),
    fault(
        "mempool-without-a-bound",
        "core/src/mempool/room.rs",
        "self.facts.len() < self.facts_max && self.bytes",
        "(PLANTED || self.facts.len() < self.facts_max) && self.bytes",
    ),
    fault(
        "closed-connections-are-remembered",
        "core/src/engine/on_conn.rs",
        "self.headers.remove_conn(id);",
        "if !PLANTED { self.headers.remove_conn(id); }",
    ),
    fault(
        "seats-outlast-leases",
        "core/src/ledger/state/leases.rs",
        "if !stay.is_empty() && stay.len() < sealers.len() {",
        "if !PLANTED && !stay.is_empty() && stay.len() < sealers.len() {",
    ),
];
