//! The store of a node before its engine starts: opened, founded, and with the facts that this node
//! has to bring along.
//!
//! A newcomer's `Admit` is signed with its invite's key, but the `Invite` itself is with the
//! inviter. The newcomer trusts its own invite, so its `Admit` enters its own set at once, and with
//! it the `Rotate`s by which it changed its key since: that is where the engine finds what to
//! introduce itself with.

use std::path::Path;

use cairn_core::block::genesis;
use cairn_core::fact::{Body, EncodedFact, verify};
use cairn_core::id::FactId;
use cairn_core::ledger::arrival::{Arrival, Arrived};
use cairn_core::ledger::create::genesis_batch;
use cairn_core::ledger::overlay::Overlay;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::Known;
use cairn_core::store::{Batch, StoreFault, Table};

use crate::app::{NodeConfig, StartError};
use crate::data_dir::DataDir;
use crate::enroll::{self, Enrollment};
use crate::outbox::Outbox;
use crate::store::{Profile, Store, StoreError, StoreView, note_damage, noted_damage, quarantine};

/// Opens the store and founds the ledger in it if it is new; `replay` must follow. A damaged store
/// is moved away if there is somebody to refill it from; a node that may be the last one never gives
/// up its copy by itself.
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
    let store = open_or_replace(&path, config.profile, others)?;
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
    if !store.may_lack_facts() {
        store.persist()?;
    }
    Ok(store)
}

fn open_or_replace(path: &Path, profile: Profile, others: bool) -> Result<Store, StoreError> {
    let noted = noted_damage(path).filter(|_| path.exists());
    if let (Some(what), false) = (&noted, others) {
        // Nobody could refill it: what can be read of it is better than nothing.
        tracing::error!(what, "the store is damaged, and there is no peer to refill it from");
    }
    let opened = match noted.filter(|_| others) {
        Some(what) => Err(StoreError::Damaged { path: path.to_owned(), what }),
        None => Store::open(path, profile),
    };
    match opened {
        Err(StoreError::Damaged { what, .. }) if others => {
            // Until the new store is there, each start comes back here.
            note_damage(path, &what);
            let moved = quarantine(path)?;
            let to = moved.display();
            tracing::error!(what, %to, "moved the damaged store away; refilling from peers");
            Store::open(path, profile)
        }
        opened => opened,
    }
}

/// Brings facts back that a store lost and the outbox has: the store is new, or the end of its
/// journal was damaged.
///
/// # Errors
/// `StoreError`.
pub(crate) fn replay(
    outbox: &Outbox,
    store: &Store,
    enrollment: &Enrollment,
) -> Result<(), StoreError> {
    if !store.may_lack_facts() {
        return Ok(());
    }
    if store.lost() > 0 {
        let commits = store.lost();
        tracing::error!(
            commits,
            "the newest commits are lost; own facts and peers bring them back"
        );
    }
    let mesh = enroll::mesh_id(&enrollment.params);
    let mut count = 0;
    outbox.replay(|facts| {
        let parsed = facts.iter().filter_map(|bytes| EncodedFact::parse(&mesh, bytes).ok());
        let facts: Vec<_> = parsed.filter_map(|fact| verify(&mesh, fact).ok()).collect();
        let view = store.view();
        let mut arrive = || -> Result<Batch, StoreFault> {
            let mut arrival = Arrival::new(&enrollment.params, &view)?;
            for fact in &facts {
                count += usize::from(matches!(arrival.add(fact)?, Arrived::Entered(_)));
            }
            Ok(arrival.finish().batch)
        };
        let batch = arrive().map_err(|fault| StoreError::fault(store.path(), &fault))?;
        if batch.is_empty() { Ok(()) } else { store.commit(&batch) }
    })?;
    if count > 0 {
        tracing::warn!(count, "facts of this node that the store had lost came back");
    }
    store.persist()
}

/// The writes that bring this node's own facts into its set; none if they are there.
fn own_facts(enrollment: &Enrollment, view: &StoreView) -> Result<Batch, StoreFault> {
    let mesh = enroll::mesh_id(&enrollment.params);
    let facts = enrollment.facts.iter().cloned();
    let facts: Vec<_> = facts.filter_map(|fact| verify(&mesh, fact).ok()).collect();
    let mut trusted = Overlay::new(view);
    for fact in &facts {
        let fact = fact.fact();
        if let Body::Admit { role, .. } = fact.body
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
