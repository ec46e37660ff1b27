//! Collects every read that a block needs, so that judging it cannot fault.

use alloc::vec::Vec;

use super::overlay::Overlay;
use super::read::Read;
use super::rows::{FactRow, FactState, Seq};
use super::state::State;
use crate::block::Block;
use crate::fact::EncodedFact;
use crate::id::FactId;
use crate::params::Params;
use crate::store::{StoreFault, Table};
use crate::verified::Verified;

/// Facts in memory that the overlay's base view shows as pending, with their numbers.
pub type Cached<'c> = &'c dyn Fn(&FactId) -> Option<(Seq, Verified<EncodedFact>)>;

/// A fact of the block, and how it stands at the parent.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub row: FactRow,
    pub fact: Verified<EncodedFact>,
}

/// All reads of one block.
#[derive(Debug, Clone)]
pub struct Prefetched<'p> {
    pub(super) state: State<'p>,
    /// In the order of the block's list.
    pub(super) facts: Vec<Found>,
}

/// What came of it.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack, and taken apart at once"
)]
pub enum Prefetch<'p> {
    /// Everything is here.
    Ready(Prefetched<'p>),
    /// These facts are not in the set; they have to be fetched first.
    Missing(Vec<FactId>),
}

/// Reads what a block needs. `view` shows the state at the block's parent, whose header must have
/// been connected. The body may be anything; `apply` judges it.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn prefetch<'p>(
    params: &'p Params,
    block: &Block,
    view: &Overlay<'_>,
    cached: Cached<'_>,
) -> Result<Prefetch<'p>, StoreFault> {
    let parent = view.header(&block.header.parent)?.ok_or(StoreFault {
        table: Table::Header,
        what: "the parent of a block to connect is missing",
    })?;
    let mut state = State::new(params, &parent.header, block.header.time);
    let mut facts = Vec::with_capacity(block.facts.len());
    let mut missing = Vec::new();
    for id in &block.facts {
        match find(id, view, cached)? {
            Some(found) => facts.push(found),
            None => missing.push(*id),
        }
    }
    if !missing.is_empty() {
        return Ok(Prefetch::Missing(missing));
    }
    state.load_seats(view)?;
    for found in &facts {
        state.load(view, &found.fact.fact())?;
    }
    Ok(Prefetch::Ready(Prefetched { state, facts }))
}

fn find(id: &FactId, view: &Overlay<'_>, cached: Cached<'_>) -> Result<Option<Found>, StoreFault> {
    let Some((seq, fact)) = cached(id) else {
        let found = view.fact(id)?;
        return Ok(found.map(|(row, fact)| Found { row, fact }));
    };
    // Pending in the base; a block below this one on the same overlay may have sealed it.
    let row = if view.touches(Table::FactIndex, id.as_bytes()) { view.fact_row(id)? } else { None };
    let state = FactState::Pending;
    let row = row.unwrap_or(FactRow { seq, state });
    Ok(Some(Found { row, fact }))
}
