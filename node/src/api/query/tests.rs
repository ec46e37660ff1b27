//! Tests of `query`.

use cairn_core::fact::Role;
use cairn_core::testing::{TestLedger, TestNode, params};

use super::*;

struct World {
    ledger: TestLedger,
    founder: TestNode,
    member: TestNode,
    mesh: MeshId,
}

fn world() -> World {
    let founder = TestNode::new(1, MeshId::ZERO);
    let params = params(&[&founder]);
    let mesh = TestLedger::mesh(&params);
    let (founder, member) = (founder.in_mesh(mesh), TestNode::new(2, mesh));
    let mut ledger = TestLedger::new(params);
    let admit = founder.admit(member.id(), Role::Member);
    ledger.arrive(std::slice::from_ref(&admit));
    let block = ledger.block(&[admit.id()], None);
    ledger.connect(&block).unwrap();
    World { ledger, founder, member, mesh }
}

impl World {
    fn page(&self, filter: &Filter, cursor: Option<Seq>, max: usize) -> (Vec<FactId>, Option<Seq>) {
        let (found, next) = filter.page(&self.ledger.store, &self.mesh, cursor, max).unwrap();
        (found.iter().map(|(_, fact)| fact.id()).collect(), next)
    }

    /// Pages through everything.
    fn all(&self, filter: &Filter, max: usize) -> Vec<FactId> {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = self.page(filter, cursor, max);
            assert!(page.len() <= max);
            ids.extend(page);
            match next {
                Some(next) => cursor = Some(next),
                None => return ids,
            }
        }
    }
}

#[test]
fn a_prefix_finds_the_only_fact_that_begins_with_it() {
    let mut world = world();
    let fact = world.founder.record("note", "x");
    world.ledger.arrive(std::slice::from_ref(&fact));
    let (store, text) = (&world.ledger.store, fact.id().to_string());
    for digits in [6, 7, 8, 33, 63, 64] {
        assert_eq!(fact_id(store, &text[..digits]).unwrap(), fact.id(), "{digits} digits");
    }
    assert_eq!(fact_id(store, &text.to_uppercase()).unwrap(), fact.id());
}

#[test]
fn a_prefix_that_fits_none_or_several_or_is_none_says_so() {
    let mut world = world();
    let mut batch = cairn_core::store::Batch::new();
    for last in [1, 2] {
        let mut id = [0xab; 32];
        id[31] = last;
        batch.put(Table::FactIndex, &id, &[]);
    }
    batch.put(Table::FactIndex, &[0xff; 32], &[]);
    world.ledger.store.apply(&batch);
    let code = |prefix: &str| {
        resolve(&world.ledger.store, Table::FactIndex, "fact", prefix).map_err(|e| e.code)
    };
    assert_eq!(code("ababab"), Err(Code::Ambiguous));
    assert_eq!(code("abababa"), Err(Code::Ambiguous));
    assert_eq!(code("123456"), Err(Code::NotFound));
    assert_eq!(code(&"ff".repeat(32)), Ok([0xff; 32]));
    assert_eq!(code("fffffff"), Ok([0xff; 32]));
    for wrong in ["", "ababa", "xyzxyz", "äöüäöü", &"a".repeat(65)] {
        assert_eq!(code(wrong), Err(Code::Usage), "{wrong}");
    }
}

#[test]
fn blocks_are_found_by_height_and_by_id() {
    let world = world();
    let store = &world.ledger.store;
    let tip = store.block_at(Height(1)).unwrap().unwrap();
    assert_eq!(block_id(store, "1").unwrap(), tip);
    assert_eq!(block_id(store, &tip.to_string()[..9]).unwrap(), tip);
    assert_eq!(block_id(store, "2").unwrap_err().code, Code::NotFound);
    assert_eq!(block_id(store, "123456").unwrap_err().code, Code::NotFound);
}

#[test]
fn nodes_are_found_by_id_beginning_or_name() {
    let world = world();
    let store = &world.ledger.store;
    let (id, member) = (world.member.id(), world.ledger.store.member(&world.member.id()));
    let name = member.unwrap().unwrap().name;
    for text in [id.to_string(), id.to_string()[..14].to_string(), name] {
        assert_eq!(node_id(store, &text).unwrap(), id, "{text}");
    }
    let stranger = TestNode::new(9, world.mesh).id();
    assert_eq!(node_id(store, &stranger.to_string()).unwrap(), stranger);
    for wrong in ["", "nobody", "cairn1", "cairn1qqqqqqqqqq"] {
        assert_eq!(node_id(store, wrong).unwrap_err().code, Code::NotFound, "{wrong}");
    }
}

#[test]
fn pages_of_any_size_give_every_fact_once_in_order() {
    let mut world = world();
    let facts: Vec<_> = (0..700).map(|i| world.founder.record("t", &i.to_string())).collect();
    world.ledger.arrive(&facts);
    let ids: Vec<FactId> = facts.iter().map(|fact| fact.id()).collect();
    let newest: Vec<FactId> = ids.iter().rev().copied().collect();
    for (topic, author) in [(Some("t"), None), (None, Some(world.founder.id())), (None, None)] {
        for max in [1, 7, 699, 1_000] {
            let mut filter = Filter { topic: topic.map(Into::into), author, ..Filter::default() };
            // The admission came first: it is no record of the topic.
            let seen = world.all(&filter, max);
            assert_eq!(seen[..700], newest, "newest first by {max}");
            filter.ascending = true;
            let seen = world.all(&filter, max);
            assert_eq!(seen[seen.len() - 700..], ids, "ascending by {max}");
        }
    }
}

#[test]
fn filters_combine_and_sparse_pages_go_on() {
    let mut world = world();
    let record = |time, topic| cairn_core::fact::Body::Record {
        topic,
        media_type: "text/plain",
        bytes: time,
    };
    let wanted = world.member.fact(50, record(b"a", "t"));
    let facts = [
        world.member.fact(49, record(b"b", "t")),
        wanted.clone(),
        world.founder.fact(60, record(b"c", "t")),
        world.member.fact(60, record(b"d", "other")),
        // A topic that begins like another is another.
        world.member.fact(60, record(b"e", "tt")),
    ];
    world.ledger.arrive(&facts);
    let filter = Filter {
        topic: Some("t".into()),
        author: Some(world.member.id()),
        since: Some(50),
        ascending: false,
    };
    assert_eq!(world.all(&filter, 1), [wanted.id()]);
}

#[test]
fn corroboration_counts_other_authors_not_repetitions() {
    let mut world = world();
    let body =
        cairn_core::fact::Body::Record { topic: "t", media_type: "text/plain", bytes: b"seen" };
    let (founder, member) = (world.founder.id(), world.member.id());
    let facts = [1, 2].map(|time| world.founder.fact(time, body));
    world.ledger.arrive(&facts);
    let content = facts[0].fact().content_hash();
    let count = |world: &World, author| corroboration(&world.ledger.store, &content, author);
    assert_eq!(count(&world, &founder), Ok(0));
    assert_eq!(said_before(&world.ledger.store, &content, &founder), Ok(true));
    assert_eq!(said_before(&world.ledger.store, &content, &member), Ok(false));
    let other = world.member.fact(3, body);
    world.ledger.arrive(&[other]);
    assert_eq!(count(&world, &founder), Ok(1));
    assert_eq!(count(&world, &member), Ok(1));
}

#[test]
fn relations_are_found_from_both_sides() {
    let mut world = world();
    let (a, b) = (world.founder.record("t", "a"), world.founder.record("t", "b"));
    let relation = world.member.relate(a.id(), b.id());
    world.ledger.arrive(&[a.clone(), b.clone(), relation.clone()]);
    let ids = |id: FactId, side| -> Vec<FactId> {
        let found = relations(&world.ledger.store, &world.mesh, &id, side, Seq(0), 10).unwrap();
        found.iter().map(|(_, fact)| fact.id()).collect()
    };
    assert_eq!(ids(a.id(), Side::From), [relation.id()]);
    assert_eq!(ids(b.id(), Side::To), [relation.id()]);
    assert!(ids(a.id(), Side::To).is_empty() && ids(b.id(), Side::From).is_empty());
}
