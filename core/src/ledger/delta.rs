//! Connecting a block to the tip and taking it back: effects become rows, and rows that are
//! overwritten are remembered, so that `disconnect` is the exact inverse of `connect`.
//!
//! Cost is that of the block, never that of the ledger. The facts themselves, and the headers,
//! bodies and sealer lists of blocks that were connected once, stay: they are true whatever the
//! tip is. One thing is not restored on purpose: a fact that was in conflict and was sealed all
//! the same is pending after a reorg, since somebody's judgment was wrong.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Effects;
use super::overlay::Overlay;
use super::read::Read;
use super::reject::FactReject;
use super::rows::{
    Custody, FOR_GOOD, FactRow, FactState, HeaderRow, InviteRow, Key, Member, Meta, Seq, TipRow,
    height_key, history_key, key,
};
use super::state::Changed;
use crate::id::{BlockId, FactId, NodeId};
use crate::merkle::Frontier;
use crate::store::{StoreFault, Table, View};
use crate::wire::Tip;
use crate::work::Height;

/// Rows of `Table::Conflict` read at one time.
const CONFLICTS_PER_SCAN: usize = 1_024;

/// `Table::Undo`: what a block overwrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Numbers of its facts, in the order of its list.
    pub facts: Vec<Seq>,
    /// Custody before it; none if the item was never held.
    pub items: Vec<(String, Option<Custody>)>,
    /// Members before it.
    pub members: Vec<(NodeId, Option<Member>)>,
    /// Invites before it.
    pub invites: Vec<(NodeId, Option<InviteRow>)>,
}

/// A block that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnected {
    /// The block, which was the tip.
    pub tip: Tip,
    /// Its facts, in the order of its list; pending again.
    pub facts: Vec<(Seq, FactId)>,
    /// Facts that were in conflict since it or a later block; pending again.
    pub reopened: Vec<(Seq, FactId)>,
    /// What it had overwritten.
    pub undo: Undo,
}

const fn missing(table: Table, what: &'static str) -> StoreFault {
    StoreFault { table, what }
}

fn befores<K, T>(changed: &[Changed<K, T>]) -> Vec<(K, Option<T>)>
where
    K: Clone,
    T: Clone,
{
    let pairs = changed.iter();
    pairs.map(|row| (row.key.clone(), row.before.clone())).collect()
}

fn conflict_key(since: Height, seq: Seq) -> Key {
    key(&[&height_key(since), &seq.key()])
}

fn tip_row(overlay: &Overlay<'_>) -> Result<TipRow, StoreFault> {
    overlay.tip_row()?.ok_or(missing(Table::Meta, "no tip"))
}

/// Makes a judged block the tip. Its parent must be the tip.
///
/// # Errors
/// `StoreFault` if the view fails; then the overlay must be dropped.
pub fn connect(
    overlay: &mut Overlay<'_>,
    row: &HeaderRow,
    effects: &Effects,
) -> Result<Tip, StoreFault> {
    let header = &row.header;
    let (id, height) = (header.id(), header.height);
    let mut counters = tip_row(overlay)?;
    assert_eq!(header.parent, counters.tip.id, "connects to the tip only");

    let ids: Vec<FactId> = effects.facts.iter().map(|fact| fact.id).collect();
    overlay.put_row(Table::Header, id.as_bytes(), row);
    overlay.put_row(Table::Body, id.as_bytes(), &ids);
    overlay.put(Table::Chain, &height_key(height), id.as_bytes());
    put_history(overlay, height, &id)?;
    for (place, fact) in (0..).zip(&effects.facts) {
        match fact.before {
            FactState::Conflict(since, _) => {
                overlay.delete(Table::Conflict, &conflict_key(since, fact.seq));
                counters.conflict = counters.conflict.saturating_sub(1);
            }
            _ => overlay.delete(Table::Pending, &fact.seq.key()),
        }
        let state = FactState::Sealed(height, place);
        let sealed = FactRow { seq: fact.seq, state };
        overlay.put_row(Table::FactIndex, fact.id.as_bytes(), &sealed);
    }
    let changes = &effects.changes;
    let undo = Undo {
        facts: effects.facts.iter().map(|fact| fact.seq).collect(),
        items: befores(&changes.items),
        members: befores(&changes.members),
        invites: befores(&changes.invites),
    };
    overlay.put_row(Table::Undo, id.as_bytes(), &undo);
    for item in &changes.items {
        overlay.put_row(Table::Item, item.key.as_bytes(), &item.after);
    }
    for member in &changes.members {
        overlay.put_row(Table::Member, member.key.as_bytes(), &member.after);
    }
    for invite in &changes.invites {
        overlay.put_row(Table::Invite, invite.key.as_bytes(), &invite.after);
    }
    if let Some(sealers) = &changes.sealers {
        overlay.put_row(Table::Sealers, header.sealers_root.as_bytes(), sealers);
    }
    counters.tip = Tip { height, id, work: row.work };
    counters.sealed += ids.len() as u64;
    overlay.put_row(Table::Meta, &Meta::Tip.key(), &counters);
    Ok(counters.tip)
}

/// Adds the perfect subtrees that a block completes in the tree over all block ids.
fn put_history(overlay: &mut Overlay<'_>, height: Height, id: &BlockId) -> Result<(), StoreFault> {
    let mut frontier = history(overlay, height.0)?;
    frontier.push_with(id.as_bytes(), |node| {
        let key = history_key(node.level, node.index);
        overlay.put(Table::History, &key, node.hash.as_bytes());
    });
    Ok(())
}

/// The tree over the ids of the first `size` blocks of the best chain; its root is the
/// `history_root` of the block at that height.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn history(view: &(impl View + ?Sized), size: u64) -> Result<Frontier, StoreFault> {
    Frontier::from_nodes(size, |level, index| {
        let node = view.history_node(level, index)?;
        node.ok_or(missing(Table::History, "a subtree is missing"))
    })
}

/// Takes the tip back; its parent becomes the tip.
///
/// # Errors
/// `StoreFault` if the view fails or the tip is genesis; then the overlay must be dropped.
pub fn disconnect(overlay: &mut Overlay<'_>) -> Result<Disconnected, StoreFault> {
    let mut counters = tip_row(overlay)?;
    let tip = counters.tip;
    let id = tip.id;
    let undo: Undo = overlay
        .row(Table::Undo, id.as_bytes())?
        .ok_or(missing(Table::Undo, "nothing to take back a block by"))?;
    let ids = overlay.body(&id)?.ok_or(missing(Table::Body, "no body"))?;
    let facts: Vec<(Seq, FactId)> = undo.facts.iter().copied().zip(ids).collect();
    for (seq, fact) in &facts {
        put_pending(overlay, *seq, fact);
    }
    for (item, before) in &undo.items {
        overlay.set_row(Table::Item, item.as_bytes(), before.as_ref());
    }
    for (node, before) in &undo.members {
        overlay.set_row(Table::Member, node.as_bytes(), before.as_ref());
    }
    for (invite, before) in &undo.invites {
        overlay.set_row(Table::Invite, invite.as_bytes(), before.as_ref());
    }
    overlay.delete(Table::Undo, id.as_bytes());
    overlay.delete(Table::Chain, &height_key(tip.height));
    // A leaf completes one subtree for each one at the end of its index, and itself.
    for level in 0..=tip.height.0.trailing_ones() as u8 {
        overlay.delete(Table::History, &history_key(level, tip.height.0 >> level));
    }
    let reopened = reopen(overlay, tip.height)?;

    let parent = match overlay.header(&id)? {
        Some(row) => row.header.parent,
        None => return Err(missing(Table::Header, "the tip's header is missing")),
    };
    let below = overlay.header(&parent)?;
    let below = below.ok_or(missing(Table::Header, "the tip's parent is missing"))?;
    counters.tip = Tip { height: below.header.height, id: parent, work: below.work };
    counters.sealed = counters.sealed.saturating_sub(facts.len() as u64);
    counters.conflict = counters.conflict.saturating_sub(reopened.len() as u64);
    overlay.put_row(Table::Meta, &Meta::Tip.key(), &counters);
    Ok(Disconnected { tip, facts, reopened, undo })
}

fn put_pending(overlay: &mut Overlay<'_>, seq: Seq, fact: &FactId) {
    let state = FactState::Pending;
    let row = FactRow { seq, state };
    overlay.put_row(Table::FactIndex, fact.as_bytes(), &row);
    overlay.put(Table::Pending, &seq.key(), fact.as_bytes());
}

/// Makes facts pending that are in conflict since this height or a later one.
fn reopen(overlay: &mut Overlay<'_>, since: Height) -> Result<Vec<(Seq, FactId)>, StoreFault> {
    let mut reopened = Vec::new();
    loop {
        let from = height_key(since);
        let rows =
            overlay.scan(Table::Conflict, &from, &height_key(FOR_GOOD), CONFLICTS_PER_SCAN)?;
        for (key, value) in &rows {
            let fact = Seq::from_key(key).zip(FactId::from_slice(value));
            let (seq, fact) = fact.ok_or(missing(Table::Conflict, "a row does not decode"))?;
            overlay.delete(Table::Conflict, key);
            put_pending(overlay, seq, &fact);
            reopened.push((seq, fact));
        }
        if rows.len() < CONFLICTS_PER_SCAN {
            return Ok(reopened);
        }
    }
}

/// Notes that a pending fact is against the rules at the tip, or that the author of one that no
/// block seals was revoked, which no reorg changes. Returns whether that was news.
///
/// # Errors
/// `StoreFault` if the view fails; then the overlay must be dropped.
pub fn mark_conflict(
    overlay: &mut Overlay<'_>,
    fact: &FactId,
    reject: FactReject,
) -> Result<bool, StoreFault> {
    let Some(FactRow { seq, state: before }) = overlay.fact_row(fact)? else {
        return Ok(false);
    };
    let mut counters = tip_row(overlay)?;
    let for_good = reject == FactReject::Revoked;
    match before {
        FactState::Pending => {
            overlay.delete(Table::Pending, &seq.key());
            counters.conflict += 1;
        }
        FactState::Conflict(since, _) if for_good && since != FOR_GOOD => {
            overlay.delete(Table::Conflict, &conflict_key(since, seq));
        }
        FactState::Conflict(..) | FactState::Sealed(..) => return Ok(false),
    }
    let since = if for_good { FOR_GOOD } else { counters.tip.height };
    let state = FactState::Conflict(since, reject);
    overlay.put_row(Table::FactIndex, fact.as_bytes(), &FactRow { seq, state });
    let conflict = conflict_key(since, seq);
    overlay.put(Table::Conflict, &conflict, fact.as_bytes());
    overlay.put_row(Table::Meta, &Meta::Tip.key(), &counters);
    Ok(true)
}

/// A fact in conflict is pending again, though the tip is what it was, unless its author was
/// revoked. Returns whether that changed anything.
///
/// # Errors
/// `StoreFault` if the view fails; then the overlay must be dropped.
pub fn take_back_conflict(overlay: &mut Overlay<'_>, fact: &FactId) -> Result<bool, StoreFault> {
    let Some(FactRow { state: FactState::Conflict(since, _), .. }) = overlay.fact_row(fact)? else {
        return Ok(false);
    };
    if since == FOR_GOOD {
        return Ok(false);
    }
    reopen_conflict(overlay, fact)
}

/// The same for whatever reason it is in conflict.
///
/// # Errors
/// As above.
pub fn reopen_conflict(overlay: &mut Overlay<'_>, fact: &FactId) -> Result<bool, StoreFault> {
    let Some(FactRow { seq, state: FactState::Conflict(since, _) }) = overlay.fact_row(fact)?
    else {
        return Ok(false);
    };
    let mut counters = tip_row(overlay)?;
    overlay.delete(Table::Conflict, &conflict_key(since, seq));
    put_pending(overlay, seq, fact);
    counters.conflict = counters.conflict.saturating_sub(1);
    overlay.put_row(Table::Meta, &Meta::Tip.key(), &counters);
    Ok(true)
}
