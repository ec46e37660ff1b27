//! A new, empty ledger: what genesis makes true.

use alloc::vec::Vec;

use super::rows::{HeaderRow, Known, Member, Meta, SetRow, TipRow, height_key, history_key};
use crate::block::Header;
use crate::codec;
use crate::fact::Role;
use crate::id::FactId;
use crate::merkle::leaf_hash;
use crate::params::Params;
use crate::seal::pow::EffectiveTime;
use crate::store::{Batch, STORE_FORMAT, Table};
use crate::wire::Tip;
use crate::work::{Height, Work};

/// What people call founders until they say otherwise.
const FOUNDER: &str = "founder";

/// Everything a store holds before the first fact. `genesis` is the genesis header of `params`.
pub fn genesis_batch(params: &Params, genesis: &Header) -> Batch {
    let mut batch = Batch::new();
    let id = genesis.id();
    let work = Work::ZERO;
    let header = HeaderRow { header: genesis.clone(), work, effective_time: EffectiveTime(0) };
    let height = Height::GENESIS;
    let tip = TipRow { tip: Tip { height, id, work }, sealed: 0, conflict: 0, reorgs: 0 };
    batch.put(Table::Meta, &Meta::Format.key(), &[STORE_FORMAT]);
    batch.put(Table::Meta, &Meta::Params.key(), &codec::encode(params));
    batch.put(Table::Meta, &Meta::Tip.key(), &codec::encode(&tip));
    let set = codec::encode(&SetRow::default());
    batch.put(Table::Meta, &Meta::Set.key(), &set);
    let no_facts = codec::encode(&Vec::<FactId>::new());
    batch.put(Table::Header, id.as_bytes(), &codec::encode(&header));
    batch.put(Table::Body, id.as_bytes(), &no_facts);
    batch.put(Table::Chain, &height_key(height), id.as_bytes());
    let leaf = leaf_hash(id.as_bytes());
    batch.put(Table::History, &history_key(0, 0), leaf.as_bytes());
    let sealers = codec::encode(params.roots.as_slice());
    let sealers_root = genesis.sealers_root.as_bytes();
    batch.put(Table::Sealers, sealers_root, &sealers);

    let role = Role::Admin;
    let member = Member::new(role, FOUNDER.into(), None, height);
    let member = codec::encode(&member);
    let known = codec::encode(&Known::Node { role, admit: None, recovered: false, invite: None });
    for root in &params.roots {
        batch.put(Table::Member, root.as_bytes(), &member);
        batch.put(Table::Known, root.as_bytes(), &known);
    }
    batch
}
