//! What a fuzzed engine meets: signed facts of every kind, peers' chains that grow, fork and lie,
//! and messages made of ids that mean something.

use cairn_core::codec;
use cairn_core::fact::{Body, EncodedFact, Role};
use cairn_core::id::{BlockId, FactId, Hash, NodeId};
use cairn_core::ledger::read::Read;
use cairn_core::seal::authority;
use cairn_core::testing::{MemStore, TestChain, TestNode};
use cairn_core::time::UnixTime;
use cairn_core::verified::Verified;
use cairn_core::wire::{
    Announce, BlocksAnswer, BlocksRequest, Class, FactsAnswer, FactsRequest, HeadersAnswer,
    HeadersRequest, PeersAnswer, PeersRequest, ReconcileAnswer, ReconcileRequest, SetSummary, Tip,
};
use cairn_core::work::{Height, Target, Work};

use super::Source;

/// Keys that sign.
pub(super) const NODES: usize = 6;
const ROLES: [Role; 4] = [Role::Reader, Role::Member, Role::Sealer, Role::Admin];

/// A fact of some kind, often one that its place permits. New kinds of facts are added here.
pub(super) fn make(
    source: &mut Source<'_>,
    nodes: &[TestNode],
    view: &MemStore,
    known: &[Verified<EncodedFact>],
) -> Verified<EncodedFact> {
    let author = &nodes[source.below(nodes.len())];
    let kind = source.below(10);
    let detail = source.byte();
    let other: NodeId = nodes[usize::from(detail) % nodes.len()].id();
    let role = ROLES[usize::from(detail >> 3) % 4];
    let item = ["saw", "drill"][usize::from(detail) % 2];
    let of_item = |fact: &&Verified<EncodedFact>| {
        fact.fact().body.custody().is_some_and(|(name, _)| name == item)
    };
    // Half of the custody facts follow whatever came last into the set.
    let follows = if detail & 8 == 0 {
        view.custody(item).unwrap().map(|custody| custody.latest)
    } else {
        known.iter().rev().find(of_item).map(|fact| fact.id())
    };
    let followed = follows.unwrap_or(FactId([detail; 32]));
    match kind {
        0 => author.record("t", &detail.to_string()),
        1 => author.relate(followed, FactId([detail; 32])),
        2 => author.request(item, follows),
        3 => author.release(item, followed),
        4 => author.transfer(item, followed, other),
        5 => author.invite(other, role.min(Role::Sealer), 2, 40_000),
        6 => {
            let note = "again";
            author.fact(detail.into(), Body::Request { item, follows, note })
        }
        7 => author.admit(other, role),
        8 => author.rename(other, item),
        _ => author.revoke(other),
    }
}

/// An id that means something to these chains, or nothing to anybody.
fn id(source: &mut Source<'_>, chains: &[TestChain]) -> [u8; 32] {
    let choice = source.byte();
    let chain = &chains[usize::from(choice) % chains.len()];
    let at = source.byte();
    match choice >> 6 {
        0 => [at; 32],
        1 => {
            let ids = chain.facts.keys();
            ids.cycle().nth(at.into()).map_or([at; 32], |id| id.0)
        }
        _ => chain.headers[usize::from(at) % chain.headers.len()].id().0,
    }
}

pub(super) fn tip(source: &mut Source<'_>, chains: &[TestChain]) -> Tip {
    let chain = &chains[source.below(chains.len())];
    match source.below(3) {
        0 => Tip {
            height: Height(source.number()),
            id: BlockId(id(source, chains)),
            work: Work::from_u64(source.number()),
        },
        _ => chain.tip(),
    }
}

pub(super) fn set(source: &mut Source<'_>, chains: &[TestChain]) -> SetSummary {
    match source.below(3) {
        0 => SetSummary { count: source.number(), sum: id(source, chains) },
        which => chains[which % chains.len()].set(),
    }
}

fn facts(source: &mut Source<'_>, chains: &[TestChain]) -> Vec<FactId> {
    source.list(40, |source| FactId(id(source, chains)))
}

fn blocks(source: &mut Source<'_>, chains: &[TestChain]) -> Vec<BlockId> {
    source.list(70, |source| BlockId(id(source, chains)))
}

pub(super) fn announce(source: &mut Source<'_>, chains: &[TestChain]) -> Vec<u8> {
    match source.below(3) {
        0 => source.bytes().to_vec(),
        1 => codec::encode(&Announce::Block(tip(source, chains))),
        _ => codec::encode(&Announce::Facts(facts(source, chains))),
    }
}

/// A request of a class, well formed but for what its numbers say.
pub(super) fn request(source: &mut Source<'_>, chains: &[TestChain]) -> (Class, Vec<u8>) {
    let class = Class::ALL[source.below(Class::ALL.len())];
    let bytes = match class {
        Class::Headers => {
            let locator = blocks(source, chains);
            codec::encode(&HeadersRequest { locator, max: source.short() })
        }
        Class::Blocks => codec::encode(&BlocksRequest { ids: blocks(source, chains) }),
        Class::Facts => codec::encode(&FactsRequest { ids: facts(source, chains) }),
        Class::Reconcile => codec::encode(&match source.below(3) {
            0 => ReconcileRequest::Groups,
            1 => ReconcileRequest::Buckets(source.bytes().to_vec()),
            _ => ReconcileRequest::Ids {
                buckets: source.list(40, Source::short),
                after: (source.byte() & 1 == 1).then(|| FactId(id(source, chains))),
            },
        }),
        Class::Peers => codec::encode(&PeersRequest { max: source.short() }),
        Class::Control | Class::Announce => source.bytes().to_vec(),
    };
    (class, bytes)
}

/// An answer of a class that no honest peer would give.
pub(super) fn lie(source: &mut Source<'_>, chains: &[TestChain], class: Class) -> Vec<u8> {
    match class {
        Class::Headers => {
            let chain = &chains[source.below(chains.len())];
            let headers = source
                .list(6, |source| chain.headers[source.below(256) % chain.headers.len()].clone());
            let from = headers.first().map_or(BlockId(id(source, chains)), |first| first.parent);
            let sealers =
                source.list(3, |source| source.list(4, |source| NodeId(id(source, chains))));
            codec::encode(&HeadersAnswer { from, headers, sealers })
        }
        Class::Blocks => {
            let body =
                |source: &mut Source<'_>| (BlockId(id(source, chains)), facts(source, chains));
            codec::encode(&BlocksAnswer { bodies: source.list(4, body) })
        }
        Class::Facts => {
            let chain = &chains[source.below(chains.len())];
            let mut held: Vec<Vec<u8>> = chain.facts.values().cloned().collect();
            held.push(source.bytes().to_vec());
            let facts = held.iter().map(|fact| serde_bytes::Bytes::new(fact)).collect();
            codec::encode(&FactsAnswer { facts, more: source.byte() & 1 == 1 })
        }
        Class::Reconcile => codec::encode(&match source.below(3) {
            0 => ReconcileAnswer::Groups(source.list(70, |source| set(source, chains))),
            1 => ReconcileAnswer::Buckets(source.list(70, |source| set(source, chains))),
            _ => ReconcileAnswer::Ids(facts(source, chains), source.byte() & 1 == 1),
        }),
        _ => {
            let peer = |source: &mut Source<'_>| {
                let address = String::from_utf8_lossy(source.bytes()).into_owned();
                (address, NodeId(id(source, chains)))
            };
            codec::encode(&PeersAnswer { peers: source.list(4, peer) })
        }
    }
}

/// Flips bits of a few bytes.
pub(super) fn spoil(source: &mut Source<'_>, bytes: &mut [u8]) {
    for _ in 0..source.below(4) {
        let (at, mask) = (usize::from(source.short()), source.byte());
        let length = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at % length) {
            *byte ^= mask;
        }
    }
}

/// One more valid block on a chain, of those of these facts that are permitted.
pub(super) fn grow(chain: &mut TestChain, sealer: &TestNode, facts: &[Verified<EncodedFact>]) {
    chain.add(facts);
    let time = chain.draft(&sealer.key, &[]).time.0;
    let (store, mut ids) = (&chain.ledger.store, Vec::new());
    let mut state = chain.ledger.state(time);
    for fact in facts {
        let pending = store.fact_row(&fact.id()).unwrap().is_some_and(|row| {
            !matches!(row.state, cairn_core::ledger::rows::FactState::Sealed(..))
        });
        if !pending || ids.contains(&fact.id()) {
            continue;
        }
        state.load(store, &fact.fact()).unwrap();
        let verdict = state.judge(fact.id(), &fact.fact());
        if let Ok(change) = verdict {
            state.take(fact.id(), change);
            ids.push(fact.id());
        }
    }
    drop(state);
    if !ids.is_empty() {
        chain.seal(&sealer.key, &ids);
    }
}

/// A block with a true seal that breaks some rule, or by chance none.
pub(super) fn forge(source: &mut Source<'_>, chain: &mut TestChain, sealer: &TestNode) {
    let ids = facts(source, std::slice::from_ref(chain));
    let mut header = chain.draft(&sealer.key, &ids);
    let number = source.number();
    match source.below(10) {
        0 => header.height = Height(number),
        1 => header.parent = BlockId(id(source, std::slice::from_ref(chain))),
        2 => header.time = UnixTime(number),
        3 => header.history_root = Hash([number as u8; 32]),
        4 => header.sealers_root = Hash([number as u8; 32]),
        5 => header.facts_root = Hash([number as u8; 32]),
        6 => header.sealer = NodeId([number as u8; 32]),
        7 => header.target = Target(number as u32),
        8 => header.version = number as u8,
        _ => {}
    }
    let header = authority::seal(header, &sealer.key);
    chain.push(header, ids);
}

/// Takes blocks off the end of a chain, and with them whatever was forged on it.
pub(super) fn shorten(chain: &mut TestChain, depth: usize) {
    for _ in 0..depth {
        if chain.ledger.tip().header.height == Height::GENESIS {
            break;
        }
        chain.ledger.disconnect();
    }
    let height = chain.ledger.tip().header.height.0 as usize;
    chain.headers.truncate(height + 1);
}
