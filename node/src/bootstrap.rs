//! The store of a node before its engine starts: opened, founded, and with the facts that this node
//! has to bring along.
//!
//! A newcomer's `Admit` is signed with its invite's key, but the `Invite` itself is with the
//! inviter. The newcomer trusts its own invite, so its `Admit` enters its own set at once: that is
//! where the engine finds what to introduce itself with.

use cairn_core::block::genesis;
use cairn_core::fact::{Body, verify};
use cairn_core::id::FactId;
use cairn_core::ledger::arrival::Arrival;
use cairn_core::ledger::create::genesis_batch;
use cairn_core::ledger::overlay::Overlay;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::Known;
use cairn_core::store::{Batch, StoreFault, Table};

use crate::app::{NodeConfig, StartError};
use crate::data_dir::DataDir;
use crate::enroll::Enrollment;
use crate::store::{Store, StoreError, StoreView, quarantine};

/// Opens the store and founds the ledger in it if it is new. A damaged store is moved away if there
/// is somebody to refill it from; a node that may be the last one never gives up its copy by itself.
///
/// # Errors
/// `StartError`.
pub(crate) fn open_store(
    config: &NodeConfig,
    dir: &DataDir,
    enrollment: &Enrollment,
) -> Result<Store, StartError> {
    let path = config.db_dir.clone().unwrap_or_else(|| dir.store());
    let others = !config.peers.is_empty() || !enrollment.dial.is_empty();
    let store = match Store::open(&path, config.profile) {
        Err(StoreError::Damaged { what, .. }) if others => {
            let moved = quarantine(&path)?;
            let to = moved.display();
            tracing::error!(what, %to, "moved the damaged store away; refilling from peers");
            Store::open(&path, config.profile)?
        }
        opened => opened?,
    };
    let fault = |fault| StoreError::fault(&path, &fault);
    match store.view().params().map_err(fault)? {
        Some(params) if params == enrollment.params => {}
        Some(params) => {
            let name = params.name.to_string();
            return Err(StartError::OtherMesh { path, name });
        }
        None => {
            let params = &enrollment.params;
            store.commit(&genesis_batch(params, &genesis(params)))?;
        }
    }
    let own = own_facts(enrollment, &store.view()).map_err(fault)?;
    store.commit(&own)?;
    store.persist()?;
    Ok(store)
}

/// The writes that bring this node's own facts into its set; none if they are there.
fn own_facts(enrollment: &Enrollment, view: &StoreView) -> Result<Batch, StoreFault> {
    let node = enrollment.key.node_id();
    let facts = enrollment.facts.iter().cloned();
    let facts: Vec<_> = facts.filter_map(|fact| verify(fact).ok()).collect();
    let mut trusted = Overlay::new(view);
    for fact in &facts {
        let fact = fact.fact();
        if let Body::Admit { node: of, role, .. } = fact.body
            && of == node
            && view.known(&fact.author)?.is_none()
        {
            let unknown = FactId::ZERO;
            let invite = Known::Invite { fact: unknown, role };
            trusted.put_row(Table::Known, fact.author.as_bytes(), &invite);
        }
    }
    let mut arrival = Arrival::new(&enrollment.params, &trusted)?;
    for fact in &facts {
        arrival.add(fact)?;
    }
    Ok(arrival.finish().batch)
}

#[cfg(test)]
mod tests;
