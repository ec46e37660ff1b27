//! A ledger in memory whose blocks carry no real seal: for rules, deltas and machines that do not
//! look at seals.

use alloc::vec::Vec;

use super::MemStore;
use crate::block::{Block, Header, Seal};
use crate::fact::EncodedFact;
use crate::id::{BlockId, FactId, Hash, MeshId, NodeId};
use crate::ledger::apply::{Effects, apply};
use crate::ledger::arrival::{Arrival, Arrived, Entry};
use crate::ledger::create::genesis_batch;
use crate::ledger::delta::{self, Disconnected};
use crate::ledger::overlay::Overlay;
use crate::ledger::prefetch::{Prefetch, prefetch};
use crate::ledger::read::Read;
use crate::ledger::reject::BlockReject;
use crate::ledger::rows::HeaderRow;
use crate::ledger::state::State;
use crate::merkle;
use crate::params::{Params, RULES_VERSION};
use crate::signature::Signature;
use crate::store::StoreFault;
use crate::time::UnixTime;
use crate::verified::Verified;
use crate::work::{Height, Target, Work};

/// A store with a genesis, and the steps that an engine takes on it. Panics where the store does
/// not fit, which no test wants to handle.
#[derive(Debug, Clone)]
pub struct TestLedger {
    /// The rules.
    pub params: Params,
    /// Everything.
    pub store: MemStore,
}

pub(super) fn sound<T>(read: Result<T, StoreFault>) -> T {
    read.unwrap_or_else(|fault| panic!("{fault}"))
}

fn genesis(params: &Params) -> Header {
    Header {
        version: RULES_VERSION,
        height: Height::GENESIS,
        parent: BlockId::ZERO,
        facts_root: merkle::root::<FactId>([]),
        history_root: merkle::root::<BlockId>([]),
        sealers_root: merkle::root(&params.roots),
        state_root: Hash::ZERO,
        time: params.time,
        target: Target(0),
        sealer: NodeId::ZERO,
        seal: Seal::Genesis(params.hash()),
    }
}

impl TestLedger {
    /// A new ledger.
    pub fn new(params: Params) -> Self {
        let mut store = MemStore::new();
        store.apply(&genesis_batch(&params, &genesis(&params)));
        Self { params, store }
    }

    /// The mesh that these rules make here.
    pub fn mesh(params: &Params) -> MeshId {
        genesis(params).id().into()
    }

    /// Header of the tip.
    pub fn tip(&self) -> HeaderRow {
        let tip = sound(self.store.tip_row()).map(|row| row.tip.id);
        let header = tip.and_then(|id| sound(self.store.header(&id)));
        header.unwrap_or_else(|| panic!("a ledger has a tip"))
    }

    /// The next state, for a block with this time.
    pub fn state(&self, time: u64) -> State<'_> {
        State::new(&self.params, &self.tip().header, UnixTime(time))
    }

    /// Takes facts into the set; says what became of each.
    pub fn arrive(&mut self, facts: &[Verified<EncodedFact>]) -> (Vec<Arrived>, Vec<NodeId>) {
        let mut arrival = sound(Arrival::new(&self.params, &self.store));
        let arrived = facts.iter().map(|fact| sound(arrival.add(fact))).collect();
        let Entry { batch, risen, .. } = arrival.finish();
        self.store.apply(&batch);
        (arrived, risen)
    }

    /// A block on the tip, one millisecond later unless told, with the right roots if its facts
    /// are permitted.
    pub fn block(&self, facts: &[FactId], time: Option<u64>) -> Block {
        let parent = self.tip().header;
        let time = time.unwrap_or(parent.time.0 + 1);
        let mut state = self.state(time);
        sound(state.load_seats(&self.store));
        for id in facts {
            if let Some((_, fact)) = sound(self.store.fact(id)) {
                sound(state.load(&self.store, &fact.fact()));
                if let Ok(change) = state.judge(*id, &fact.fact()) {
                    state.take(*id, change);
                }
            }
        }
        state.end_seats();
        let height = parent.height.next();
        let header = Header {
            version: RULES_VERSION,
            height,
            parent: parent.id(),
            facts_root: merkle::root(facts),
            history_root: sound(delta::history(&self.store, height.0)).root(),
            sealers_root: state.sealers_root(),
            state_root: Hash::ZERO,
            time: UnixTime(time),
            target: Target(0),
            sealer: NodeId::ZERO,
            seal: Seal::Authority(Signature([0; 64])),
        };
        Block { header, facts: facts.to_vec() }
    }

    /// Judges a block on the tip. Panics if facts are missing.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn judge(&self, block: &Block) -> Result<Effects, BlockReject> {
        let overlay = Overlay::new(&self.store);
        match sound(prefetch(&self.params, block, &overlay, &|_| None)) {
            Prefetch::Ready(read) => apply(block, read),
            Prefetch::Missing(ids) => panic!("facts are missing: {ids:?}"),
        }
    }

    /// Judges a block and makes it the tip.
    ///
    /// # Errors
    /// The rule that it breaks; then nothing changes.
    pub fn connect(&mut self, block: &Block) -> Result<Effects, BlockReject> {
        let effects = self.judge(block)?;
        let row = HeaderRow {
            header: block.header.clone(),
            work: self.tip().work + Work::from_u64(1),
            effective_time: crate::seal::pow::EffectiveTime(0),
        };
        let mut overlay = Overlay::new(&self.store);
        sound(delta::connect(&mut overlay, &row, &effects));
        let batch = overlay.into_batch();
        self.store.apply(&batch);
        Ok(effects)
    }

    /// Takes the tip back.
    pub fn disconnect(&mut self) -> Disconnected {
        let mut overlay = Overlay::new(&self.store);
        let disconnected = sound(delta::disconnect(&mut overlay));
        let batch = overlay.into_batch();
        self.store.apply(&batch);
        disconnected
    }
}
