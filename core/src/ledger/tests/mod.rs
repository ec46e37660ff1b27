//! The ledger as a whole: rules, arrival, and taking back what was connected.

mod arrival;
mod block;
mod exhaustive;
mod leases;
mod recover;
mod reorg;
mod revoke;
mod rotate;
mod rules;

use alloc::vec::Vec;

use crate::fact::{EncodedFact, Role};
use crate::id::FactId;
use crate::ledger::apply::Effects;
use crate::ledger::delta::mark_conflict;
use crate::ledger::overlay::Overlay;
use crate::ledger::reject::FactReject;
use crate::params::{Params, Recovery, ReleaseRule};
use crate::signature::SigningKey;
use crate::testing::{TestLedger, TestNode, params};
use crate::verified::Verified;

/// A ledger with a founder and three members: admin, sealer-less member, reader.
struct World {
    ledger: TestLedger,
    root: TestNode,
    member: TestNode,
    reader: TestNode,
    stranger: TestNode,
    key: TestNode,
}

/// Seeds of the recovery keys, of which it takes two.
const RECOVERY: [u8; 3] = [0xe0, 0xe1, 0xe2];

fn recovery_key(n: usize) -> SigningKey {
    SigningKey::from_seed([RECOVERY[n]; 32])
}

fn rules(release: ReleaseRule) -> Params {
    let root = TestNode::new(0, crate::id::MeshId::ZERO);
    let keys = RECOVERY.map(|seed| SigningKey::from_seed([seed; 32]).node_id());
    let mut keys = keys.into_iter().collect::<heapless::Vec<_, _>>();
    keys.sort_unstable();
    let recovery = Recovery { threshold: 2, keys };
    Params { release, overlap: 2, recovery, ..params(&[&root]) }
}

impl World {
    fn new(release: ReleaseRule) -> Self {
        let params = rules(release);
        let mesh = TestLedger::mesh(&params);
        let node = |number| TestNode::new(number, mesh);
        let mut world = Self {
            ledger: TestLedger::new(params),
            root: node(0),
            member: node(1),
            reader: node(2),
            stranger: node(3),
            key: node(4),
        };
        let member = world.root.admit(world.member.id(), Role::Member);
        let reader = world.root.admit(world.reader.id(), Role::Reader);
        world.seal(&[&member, &reader]);
        world
    }

    fn seal(&mut self, facts: &[&Verified<EncodedFact>]) -> Effects {
        let owned: Vec<_> = facts.iter().map(|fact| (*fact).clone()).collect();
        let ids: Vec<FactId> = facts.iter().map(|fact| fact.id()).collect();
        self.ledger.arrive(&owned);
        let block = self.ledger.block(&ids, None);
        self.ledger.connect(&block).unwrap()
    }

    fn verdict_at(&self, time: u64, fact: &EncodedFact) -> Result<(), FactReject> {
        let mut state = self.ledger.state(time);
        state.load(&self.ledger.store, &fact.fact()).unwrap();
        state.judge(fact.id(), &fact.fact()).map(|_| ())
    }

    fn verdict(&self, fact: &EncodedFact) -> Result<(), FactReject> {
        self.verdict_at(100, fact)
    }
}

fn mark(ledger: &mut TestLedger, fact: FactId, reject: FactReject) -> bool {
    let mut overlay = Overlay::new(&ledger.store);
    let marked = mark_conflict(&mut overlay, &fact, reject).unwrap();
    let batch = overlay.into_batch();
    ledger.store.apply(&batch);
    marked
}
