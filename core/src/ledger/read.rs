//! Typed reads of the tables, for the engine and for whoever answers queries. Every read costs a
//! few keys at most; nothing here walks the ledger.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;

use super::rows::{
    BanRow, Close, Custody, FactRow, HeaderRow, InviteRow, Known, Member, Meta, PeerRow, Recovered,
    Seq, SetRow, TipRow, height_key, history_key, key, text_key,
};
use crate::event::Reorg;
use crate::fact::EncodedFact;
use crate::id::{BlockId, FactId, Hash, NodeId};
use crate::params::Params;
use crate::store::{StoreFault, Table, View};
use crate::verified::Verified;
use crate::work::Height;

/// Rows of `Table::Revoker` read at one time.
const REVOKERS_PER_SCAN: usize = 16;

fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StoreFault> {
    postcard::from_bytes(bytes).map_err(|_| StoreFault { table, what: "a row does not decode" })
}

/// Typed reads on any `View`.
pub trait Read: View {
    /// A row of a table whose values are postcard.
    ///
    /// # Errors
    /// `StoreFault` if the store fails or the row does not decode; so for all reads here.
    fn row<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreFault> {
        match self.get(table, key)? {
            Some(bytes) => decode(table, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The mesh's rules; none in an empty store.
    fn params(&self) -> Result<Option<Params>, StoreFault> {
        self.row(Table::Meta, &Meta::Params.key())
    }

    /// The tip and its counters; none in an empty store.
    fn tip_row(&self) -> Result<Option<TipRow>, StoreFault> {
        self.row(Table::Meta, &Meta::Tip.key())
    }

    /// The set of facts.
    fn set_row(&self) -> Result<SetRow, StoreFault> {
        Ok(self.row(Table::Meta, &Meta::Set.key())?.unwrap_or_default())
    }

    /// Where a fact is and how it stands; none if we do not hold it.
    fn fact_row(&self, id: &FactId) -> Result<Option<FactRow>, StoreFault> {
        self.row(Table::FactIndex, id.as_bytes())
    }

    /// The encoded fact with a number.
    fn fact_bytes(&self, seq: Seq) -> Result<Arc<[u8]>, StoreFault> {
        self.get(Table::Fact, &seq.key())?
            .ok_or(StoreFault { table: Table::Fact, what: "an indexed fact is missing" })
    }

    /// A fact and how it stands.
    fn fact(&self, id: &FactId) -> Result<Option<(FactRow, Verified<EncodedFact>)>, StoreFault> {
        let Some(row) = self.fact_row(id)? else {
            return Ok(None);
        };
        let bytes = self.fact_bytes(row.seq)?;
        Ok(Some((row, EncodedFact::from_store(*id, &bytes))))
    }

    /// A header that was connected at some time, with its work.
    fn header(&self, id: &BlockId) -> Result<Option<HeaderRow>, StoreFault> {
        self.row(Table::Header, id.as_bytes())
    }

    /// The fact ids of a block.
    fn body(&self, id: &BlockId) -> Result<Option<Vec<FactId>>, StoreFault> {
        self.row(Table::Body, id.as_bytes())
    }

    /// The block of the best chain at a height.
    fn block_at(&self, height: Height) -> Result<Option<BlockId>, StoreFault> {
        let bytes = self.get(Table::Chain, &height_key(height))?;
        Ok(bytes.and_then(|bytes| BlockId::from_slice(&bytes)))
    }

    /// Whether a block is on the best chain.
    fn on_best_chain(&self, id: &BlockId, height: Height) -> Result<bool, StoreFault> {
        Ok(self.block_at(height)? == Some(*id))
    }

    /// A node of the history tree.
    fn history_node(&self, level: u8, index: u64) -> Result<Option<Hash>, StoreFault> {
        let bytes = self.get(Table::History, &history_key(level, index))?;
        Ok(bytes.and_then(|bytes| Hash::from_slice(&bytes)))
    }

    /// The sealers that a root commits to.
    fn sealers(&self, root: &Hash) -> Result<Option<Vec<NodeId>>, StoreFault> {
        self.row(Table::Sealers, root.as_bytes())
    }

    /// Custody of an item; none if it never had a custody fact.
    fn custody(&self, item: &str) -> Result<Option<Custody>, StoreFault> {
        self.row(Table::Item, item.as_bytes())
    }

    /// Membership at the tip.
    fn member(&self, node: &NodeId) -> Result<Option<Member>, StoreFault> {
        self.row(Table::Member, node.as_bytes())
    }

    /// An invite at the tip.
    fn invite(&self, invite: &NodeId) -> Result<Option<InviteRow>, StoreFault> {
        self.row(Table::Invite, invite.as_bytes())
    }

    /// Why facts by a key enter the set.
    fn known(&self, author: &NodeId) -> Result<Option<Known>, StoreFault> {
        self.row(Table::Known, author.as_bytes())
    }

    /// A fact in the set that revokes a key: a `Recover` that ends it, or a `Revoke` by somebody whose
    /// revocations count. As many rows are passed over as keys were ended by recoveries.
    fn revoked(&self, node: &NodeId) -> Result<Option<FactId>, StoreFault> {
        if self.get(Table::Revoked, node.as_bytes())?.is_none() {
            return Ok(None);
        }
        if let Some(row) = self.recovered(node)? {
            return Ok(Some(row.by));
        }
        let mut from = key(&[node.as_bytes()]);
        let to = key(&[node.as_bytes(), &[0xff; 33]]);
        loop {
            let rows = self.scan(Table::Revoker, &from, &to, REVOKERS_PER_SCAN)?;
            for (row, value) in &rows {
                let by = row.get(32..).and_then(NodeId::from_slice);
                let recovered = by.map(|by| self.recovered(&by)).transpose()?.flatten();
                if recovered.is_none_or(|recovered| recovered.kept.contains(node)) {
                    return decode(Table::Revoker, value).map(Some);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == REVOKERS_PER_SCAN => from = key(&[last, &[0]]),
                _ => return Ok(None),
            }
        }
    }

    /// What recoveries in the set say of a key that they end.
    fn recovered(&self, node: &NodeId) -> Result<Option<Recovered>, StoreFault> {
        self.row(Table::Recovered, node.as_bytes())
    }

    /// Reorgs, newest first, starting below number `before`.
    fn reorgs(&self, before: u64, max: usize) -> Result<Vec<Reorg>, StoreFault> {
        self.scan_back(Table::Reorg, &[], &before.to_be_bytes(), max)?
            .iter()
            .map(|(_, value)| decode(Table::Reorg, value))
            .collect()
    }

    /// Remembered addresses, at most `max`.
    fn peer_rows(&self, max: usize) -> Result<Vec<(alloc::string::String, PeerRow)>, StoreFault> {
        self.scan(Table::Peer, &[], &[0xff], max)?
            .iter()
            .map(|(key, value)| {
                let address = core::str::from_utf8(key).map_err(|_| StoreFault {
                    table: Table::Peer,
                    what: "an address is no text",
                })?;
                Ok((address.into(), decode(Table::Peer, value)?))
            })
            .collect()
    }

    /// The rows of a small table, at most `max`, by key.
    fn rows<T: DeserializeOwned>(
        &self,
        table: Table,
        max: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreFault> {
        let rows = self.scan(table, &[], &[0xff], max)?;
        rows.into_iter().map(|(key, value)| Ok((key, decode(table, &value)?))).collect()
    }

    /// Who is kept out or was until lately, at most `max`, by key.
    fn ban_rows(&self, max: usize) -> Result<Vec<(Vec<u8>, BanRow)>, StoreFault> {
        self.rows(Table::Ban, max)
    }

    /// How connections ended, at most `max`, by key.
    fn close_rows(&self, max: usize) -> Result<Vec<(Vec<u8>, Close)>, StoreFault> {
        self.rows(Table::Close, max)
    }

    /// Numbers of the facts under a prefix of an index table, ascending from after `after`.
    fn seqs(
        &self,
        table: Table,
        prefix: &[u8],
        after: Seq,
        max: usize,
    ) -> Result<Vec<Seq>, StoreFault> {
        let from = key(&[prefix, &Seq(after.0.saturating_add(1)).key()]);
        let to = key(&[prefix, &[0xff; 9]]);
        let rows = self.scan(table, &from, &to, max)?;
        Ok(rows.iter().filter_map(|(key, _)| Seq::from_key(key)).collect())
    }

    /// The same, descending from before `before`.
    fn seqs_back(
        &self,
        table: Table,
        prefix: &[u8],
        before: Seq,
        max: usize,
    ) -> Result<Vec<Seq>, StoreFault> {
        let to = key(&[prefix, &before.key()]);
        let rows = self.scan_back(table, prefix, &to, max)?;
        Ok(rows.iter().filter_map(|(key, _)| Seq::from_key(key)).collect())
    }

    /// Every custody fact of an item in order of arrival, from after `after`.
    fn item_facts(&self, item: &str, after: Seq, max: usize) -> Result<Vec<Seq>, StoreFault> {
        let from = text_key(item, Seq(after.0.saturating_add(1)));
        let rows = self.scan(Table::ItemFacts, &from, &key(&[item.as_bytes(), &[1]]), max)?;
        Ok(rows.iter().filter_map(|(key, _)| Seq::from_key(key)).collect())
    }
}

impl<V: View + ?Sized> Read for V {}
