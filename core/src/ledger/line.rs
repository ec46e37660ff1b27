//! The keys that one node had one after the other: a *line*. A rotation adds a key to it.
//!
//! Rows name the first key of their line, and the row of that first key names the newest, so each
//! question here costs a few reads, however often a node changed its key. At most two keys of a
//! line count at one time: the newest, and for an overlap the one before it.

use super::read::Read;
use super::rows::Member;
use crate::id::{FactId, NodeId};
use crate::store::{StoreFault, View};
use crate::work::Height;

/// Where a key stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No block admits it.
    Unknown,
    /// It is a member's.
    Member,
    /// It was, and another key has replaced it.
    Replaced,
    /// It was lent until this height, and nobody renewed it.
    Lapsed(Height),
    /// It was, or never will be.
    Revoked,
}

/// Whether the chain revokes a key with this row itself.
fn is_revoked(view: &(impl View + ?Sized), row: &Member) -> Result<bool, StoreFault> {
    let Some(revocation) = row.revoked else {
        return Ok(false);
    };
    let by = revocation.by.map(|by| view.member(&by)).transpose()?.flatten();
    Ok(revocation.counts(by.as_ref()))
}

/// Where a key stands for the block after the tip.
///
/// # Errors
/// `StoreFault` if the view fails; so for all functions here.
pub fn standing(view: &(impl View + ?Sized), key: &NodeId) -> Result<Standing, StoreFault> {
    let Some(row) = view.member(key)? else {
        return Ok(Standing::Unknown);
    };
    let first = match row.line {
        Some(line) => view.member(&line.first)?,
        None => None,
    };
    let next = view.tip_row()?.map_or_else(Default::default, |row| row.tip.height.next());
    let first_revoked = first.as_ref().map(|first| is_revoked(view, first)).transpose()?;
    let lease = first.as_ref().unwrap_or(&row).lease.filter(|until| *until <= next);
    let lapsed = match lease {
        Some(until) if !has_seat(view, &newest(view, key, &row)?)? => Some(until),
        _ => None,
    };
    Ok(match () {
        () if is_revoked(view, &row)? || first_revoked == Some(true) => Standing::Revoked,
        () if !row.was_admitted() => Standing::Unknown,
        () if row.is_past(next) => Standing::Replaced,
        () => lapsed.map_or(Standing::Member, Standing::Lapsed),
    })
}

/// Whether a key is among the next sealers. The last ones keep their seats, and belong by them, though
/// their leases are over: else nobody could seal a renewal.
fn has_seat(view: &(impl View + ?Sized), key: &NodeId) -> Result<bool, StoreFault> {
    let tip = view.tip_row()?.map(|row| view.header(&row.tip.id)).transpose()?.flatten();
    let sealers = tip.map(|row| view.sealers(&row.header.sealers_root)).transpose()?.flatten();
    Ok(sealers.is_some_and(|sealers| sealers.contains(key)))
}

/// The first height at which a key's membership counts no more unless it is renewed; none if it was
/// not lent.
pub fn lease(view: &(impl View + ?Sized), key: &NodeId) -> Result<Option<Height>, StoreFault> {
    let Some(row) = view.member(key)? else {
        return Ok(None);
    };
    match row.line {
        Some(line) => Ok(view.member(&line.first)?.and_then(|first| first.lease)),
        None => Ok(row.lease),
    }
}

/// The same for who is talked to: whom the chain revokes, but nothing that counts in the set, is a
/// member. Or the blocks that have a recovery could not come from those whom it brings back.
pub fn standing_in_set(view: &(impl View + ?Sized), key: &NodeId) -> Result<Standing, StoreFault> {
    Ok(match standing(view, key)? {
        Standing::Revoked if is_let_off(view, key)? => Standing::Member,
        standing => standing,
    })
}

/// Whether the set does not hold against a key what the chain does: recovery keys ended who revoked
/// it, and the chain does not know yet.
fn is_let_off(view: &(impl View + ?Sized), key: &NodeId) -> Result<bool, StoreFault> {
    let Some(row) = view.member(key)? else {
        return Ok(false);
    };
    let first = row.line.map(|line| view.member(&line.first)).transpose()?.flatten();
    for revocation in [row.revoked, first.and_then(|first| first.revoked)].into_iter().flatten() {
        if view.revoked(&revocation.key)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The other keys of the line that may count, or whose revocation is the whole line's: the first,
/// the one before this key, the newest and the one before that.
fn others(
    view: &(impl View + ?Sized),
    key: &NodeId,
    row: &Member,
) -> Result<impl Iterator<Item = NodeId>, StoreFault> {
    let first = row.line.map_or(*key, |line| line.first);
    let newest = newest(view, key, row)?;
    let before = view.member(&newest)?.and_then(|row| row.line).map(|line| line.before);
    let own_before = row.line.map(|line| line.before);
    let all = [Some(first), own_before, before, Some(newest)];
    Ok(all.into_iter().flatten().filter(move |other| other != key))
}

/// The `Revoke` in the set by which a key is cut off: one that names it, or another key of its
/// line and is not by that key itself, for who finds an old key must not end the new one by it.
pub fn cut_off(view: &(impl View + ?Sized), key: &NodeId) -> Result<Option<FactId>, StoreFault> {
    if let Some(by) = view.revoked(key)? {
        return Ok(Some(by));
    }
    match view.member(key)? {
        Some(row) => cut_off_by_line(view, key, &row),
        None => Ok(None),
    }
}

/// The same for a key with this row that no `Revoke` names itself.
pub fn cut_off_by_line(
    view: &(impl View + ?Sized),
    key: &NodeId,
    row: &Member,
) -> Result<Option<FactId>, StoreFault> {
    if row.line.is_none() && row.newest.is_none() {
        return Ok(None);
    }
    for other in others(view, key, row)? {
        if let Some(by) = view.revoked(&other)?
            && view.fact(&by)?.is_some_and(|(_, fact)| fact.fact().author != other)
        {
            return Ok(Some(by));
        }
    }
    Ok(None)
}

/// Whether two keys are of one line, at the tip.
pub fn is_same(view: &(impl View + ?Sized), a: &NodeId, b: &NodeId) -> Result<bool, StoreFault> {
    let first = |key: &NodeId| -> Result<NodeId, StoreFault> {
        Ok(view.member(key)?.and_then(|row| row.line).map_or(*key, |line| line.first))
    };
    Ok(a == b || first(a)? == first(b)?)
}

/// The newest key of a key's line, at the tip.
pub fn current(view: &(impl View + ?Sized), key: &NodeId) -> Result<NodeId, StoreFault> {
    match view.member(key)? {
        Some(row) => newest(view, key, &row),
        None => Ok(*key),
    }
}

/// The same for a key with this row.
fn newest(view: &(impl View + ?Sized), key: &NodeId, row: &Member) -> Result<NodeId, StoreFault> {
    let newest = match row.line {
        Some(line) => view.member(&line.first)?.and_then(|first| first.newest),
        None => row.newest,
    };
    Ok(newest.unwrap_or(*key))
}
