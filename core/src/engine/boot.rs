//! Rebuilding the engine's memory from the store, at a cost that does not grow with the ledger.

use super::Config;
use super::addresses::introducer;
use crate::conn::PeerAddr;
use crate::hash::Tag;
use crate::id::MeshId;
use crate::ledger::read::Read;
use crate::ledger::rows::{Seq, SetRow};
use crate::peer::{Book, Introducer, Source};
use crate::reconcile::Fingerprints;
use crate::store::{StoreFault, View};
use crate::wire::CloseCode;

/// The set's summary and fingerprints.
pub(super) fn load_set(
    view: &dyn View,
    mesh: &MeshId,
) -> Result<(SetRow, Fingerprints), StoreFault> {
    let set = view.set_row()?;
    let fingerprints = Fingerprints::load(view, mesh, Seq(set.summary.count))?;
    Ok((set, fingerprints))
}

/// The address book: what was remembered, and what the configuration adds.
pub(super) fn load_book(config: &Config, view: &dyn View) -> Result<Book, StoreFault> {
    let limits = &config.limits;
    // A signature that is shown to nobody: only this node can make it, and it always makes the same.
    let key = Tag::Book.hasher().chain(&config.key.sign(Tag::Book, &[0; 32]).0).finish();
    let chance = u64::from_le_bytes(*config.seed.first_chunk().unwrap_or(&[1; 8]));
    let mut book = Book::new(limits, config.key.node_id(), key, chance);
    // Those seen last come first; of more than the book takes, the rest is deleted.
    let mut rows = view.peer_rows(2 * (limits.addresses_tried + limits.addresses_given))?;
    rows.sort_by_key(|(_, row)| core::cmp::Reverse(row.last_seen));
    for (address, row) in rows {
        let close = row.last_close.and_then(|(number, by_peer)| {
            CloseCode::from_number(number.into()).map(|code| (code, by_peer))
        });
        let address = PeerAddr(address);
        if row.reached {
            book.remember(&address, row.node, row.last_seen, close);
        } else {
            let by = row.node.map(|node| introducer(&config.params, node, &address));
            let by = by.unwrap_or(Introducer::Me);
            book.remember_met(&address, row.node, by, row.last_seen);
        }
    }
    for (address, pin) in &config.dial {
        book.learn(address, Source::Given, *pin);
    }
    for address in &config.seeds {
        book.learn(address, Source::Seed, None);
    }
    Ok(book)
}
