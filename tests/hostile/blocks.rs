//! Chains that break a rule, one rule each, served by a founder of the mesh: its sealer could make
//! them, so nothing but the rule stands in their way.

use cairn_core::block::{Header, Seal, facts_root, sealers_root};
use cairn_core::codec;
use cairn_core::fact::Role;
use cairn_core::id::{BlockId, FactId, Hash, NodeId};
use cairn_core::seal::authority;
use cairn_core::signature::SigningKey;
use cairn_core::testing::{TestChain, TestNode};
use cairn_core::time::UnixTime;
use cairn_core::wire::{Class, CloseCode, HeadersAnswer};
use cairn_core::work::{Height, Target};

use crate::attacker::Attacker;
use crate::scene::{Scene, member, until};

/// How a header is spoiled before it is sealed.
type Spoil = fn(&mut Header);

/// A chain of one good block and then one that a test spoils before it is sealed.
fn spoiled(scene: &Scene, spoil: impl FnOnce(&mut Header)) -> TestChain {
    let mut chain = scene.chain();
    let by = member(0, scene.mesh());
    let (first, second) = (by.record("note", "first"), by.record("note", "second"));
    chain.add(&[first.clone(), second.clone()]);
    chain.seal(&by.key, &[first.id()]);
    let mut header = chain.draft(&by.key, &[second.id()]);
    spoil(&mut header);
    chain.push(authority::seal(header, &by.key), vec![second.id()]);
    chain
}

/// The victim closes with 0x17, its tip and its peer's are untouched by the last block.
fn punished(scene: &Scene, chain: &TestChain, what: &str) {
    let mut attacker = Attacker::join(scene, &scene.chain());
    attacker.boast(chain);
    assert_eq!(attacker.closed(chain), Some(CloseCode::Misbehavior), "{what}");
    let tip = scene.victim().handle().status().tip;
    assert_ne!(tip.id, chain.last(), "{what}");
}

#[test]
fn a_header_that_breaks_a_rule_blames_who_sent_it() {
    let scene = Scene::new();
    let cases: [(&str, Spoil); 13] = [
        ("another version", |h| h.version = 2),
        ("a height skipped", |h| h.height = Height(7)),
        ("history that is not its own", |h| h.history_root = Hash([1; 32])),
        ("state where none is", |h| h.state_root = Hash([1; 32])),
        ("sealers that came with no list", |h| h.sealers_root = Hash([1; 32])),
        ("a target under authority", |h| h.target = Target(0x207f_ffff)),
        ("before its turn", |h| h.time = UnixTime(h.time.0 - 1)),
        ("long before its parent", |h| h.time = UnixTime(1)),
        ("after the year 9999", |h| h.time = UnixTime::MAX_VALID.after(1)),
        ("at the end of time", |h| h.time = UnixTime(u64::MAX)),
        ("an unknown parent", |h| h.parent = BlockId([3; 32])),
        ("a parent that is itself", |h| h.parent = BlockId::ZERO),
        ("the height of genesis", |h| h.height = Height(0)),
    ];
    for (what, spoil) in cases {
        let chain = spoiled(&scene, spoil);
        // Sealed by whoever serves it, so only the rule is broken.
        let time = chain.headers.last().unwrap().time;
        let early = time > cairn_node::clock::wall().after(120_000);
        if early {
            // Nobody is to blame for a clock that is ahead; it is not taken either.
            let mut attacker = Attacker::join(&scene, &scene.chain());
            attacker.boast(&chain);
            let first = chain.headers[1].id();
            attacker
                .serve_until(&chain, what, |_| scene.victim().handle().status().tip.id == first);
        } else {
            punished(&scene, &chain, what);
        }
    }
    scene.agreed();
}

#[test]
fn a_seal_that_is_none_blames_who_sent_it() {
    let scene = Scene::new();
    let stranger = SigningKey::from_seed([98; 32]);
    let seals: [(&str, &dyn Fn(Header) -> Header); 4] = [
        ("by nobody's sealer", &|header| authority::seal(header, &stranger)),
        ("changed after it was sealed", &|mut header| {
            header.facts_root = Hash([5; 32]);
            header
        }),
        ("work instead of a signature", &|mut header| {
            header.seal = Seal::Pow(7);
            header
        }),
        ("a second genesis", &|mut header| {
            header.seal = Seal::Genesis(Hash([0; 32]));
            header
        }),
    ];
    for (what, seal) in seals {
        let mut chain = spoiled(&scene, |_| {});
        let header = seal(chain.headers.pop().unwrap());
        chain.push(header, Vec::new());
        punished(&scene, &chain, what);
    }
    // In another's name.
    let mut chain = spoiled(&scene, |_| {});
    let mut header = chain.headers.pop().unwrap();
    header.sealer = scene.victim().handle().node_id();
    header.time = header.time.after(60_000);
    chain.push(header, Vec::new());
    punished(&scene, &chain, "in the victim's name");
    scene.agreed();
}

#[test]
fn a_body_that_breaks_a_rule_blames_who_sent_it() {
    let scene = Scene::with(|params| params.block_facts_max = 3, |_| {});
    let by = member(0, scene.mesh());
    let stray = [1, 2, 3, 4].map(|n| FactId([n; 32]));
    let lists: [(&str, Vec<FactId>); 3] = [
        ("no facts", Vec::new()),
        ("more facts than a block may have", stray.to_vec()),
        ("a fact twice", vec![stray[0], stray[1], stray[0]]),
    ];
    for (what, facts) in lists {
        let mut chain = scene.chain();
        let mut header = chain.draft(&by.key, &[]);
        header.facts_root = facts_root(&facts);
        chain.push(authority::seal(header, &by.key), facts);
        punished(&scene, &chain, what);
    }
    assert_eq!(scene.victim().handle().status().wanted, 0);
    let mut chain = spoiled(&scene, |_| {});
    chain.bodies.insert(chain.last(), stray[..1].to_vec());
    punished(&scene, &chain, "not the list in the header");
    scene.agreed();
}

/// A block of these facts on the tip whatever the rules say of them.
fn forced(chain: &mut TestChain, by: &TestNode, facts: &[FactId]) {
    let mut header = chain.draft(&by.key, &[]);
    header.facts_root = facts_root(facts);
    chain.push(authority::seal(header, &by.key), facts.to_vec());
}

#[test]
fn a_block_of_facts_that_are_not_permitted_blames_its_sender_and_keeps_the_facts() {
    let scene = Scene::new();
    let mesh = scene.mesh();
    let (by, other) = (member(0, mesh), member(1, mesh));
    let note = by.record("note", "sealed twice");
    let (mine, theirs) = (by.request("drill", None), other.request("drill", None));
    let release = other.release("saw", mine.id());
    let newcomer = TestNode::new(70, mesh);
    let admit = by.admit(newcomer.id(), Role::Sealer);
    let facts = [note, mine, theirs, release, admit].map(|fact| (fact.id(), fact));
    let id = |n: usize| facts[n].0;
    let fresh = || {
        let mut chain = scene.chain();
        chain.add(&facts.each_ref().map(|(_, fact)| fact.clone()));
        chain
    };
    let mut twice = fresh();
    twice.seal(&by.key, &[id(0)]);
    forced(&mut twice, &by, &[id(0)]);
    let mut held = fresh();
    forced(&mut held, &by, &[id(1), id(2)]);
    let mut loose = fresh();
    forced(&mut loose, &by, &[id(3)]);
    // It makes a sealer of the newcomer and says that nothing changed.
    let mut unsaid = fresh();
    forced(&mut unsaid, &by, &[id(4)]);
    let cases = [
        ("an item given to two", held),
        ("a release of what is not held", loose),
        ("sealers that are not those that follow", unsaid),
        // Last, because its first block is good and stays.
        ("sealed before", twice),
    ];
    for (what, chain) in cases {
        punished(&scene, &chain, what);
    }
    // Facts are true whatever a block makes of them.
    until("the facts stay", || facts.iter().all(|(id, _)| Scene::has(scene.victim(), id)));
    scene.agreed();
}

#[test]
fn sealers_made_up_by_a_sealer_are_found_out_with_the_body() {
    let scene = Scene::new();
    let by = member(0, scene.mesh());
    let mut chain = scene.chain();
    let note = by.record("note", "x");
    chain.add(std::slice::from_ref(&note));
    let mut header = chain.draft(&by.key, &[note.id()]);
    let only_me: Vec<NodeId> = vec![by.id()];
    header.sealers_root = sealers_root(&only_me);
    let header = authority::seal(header, &by.key);
    chain.push(header.clone(), vec![note.id()]);
    let mut attacker = Attacker::join(&scene, &scene.chain());
    attacker.boast(&chain);
    let genesis = chain.headers[0].id();
    let closed = attacker.closed_by(|class, bytes| match class {
        Class::Headers => Some(codec::encode(&HeadersAnswer {
            from: genesis,
            headers: vec![header.clone()],
            sealers: vec![only_me.clone()],
        })),
        _ => chain.answer(class, bytes),
    });
    assert_eq!(closed, Some(CloseCode::Misbehavior));
    scene.agreed();
}

#[test]
fn headers_that_fit_no_question_are_no_crime_and_of_no_use() {
    let scene = Scene::new();
    let chain = spoiled(&scene, |_| {});
    let mut attacker = Attacker::join(&scene, &scene.chain());
    attacker.boast(&chain);
    let unknown = BlockId([9; 32]);
    let stray =
        HeadersAnswer { from: unknown, headers: chain.headers[1..].to_vec(), sealers: vec![] };
    attacker.answer_once(&chain, Class::Headers, codec::encode(&stray));
    scene.unharmed();
    // The same peer may come with the truth.
    let mut longer = chain.clone();
    let by = member(0, scene.mesh());
    longer.headers.truncate(2);
    let note = by.record("note", "third");
    longer.add(std::slice::from_ref(&note));
    longer.seal(&by.key, &[note.id()]);
    attacker.boast(&longer);
    attacker.serve_until(&longer, "the true chain is taken", |_| {
        scene.victim().handle().status().tip.id == longer.last()
    });
    scene.agreed();
}

#[test]
fn a_good_chain_of_the_same_attacker_is_taken() {
    let scene = Scene::new();
    let mut chain = scene.chain();
    let by = member(0, scene.mesh());
    for n in 0..5 {
        let note = by.record("note", &format!("{n}"));
        chain.add(std::slice::from_ref(&note));
        chain.seal(&by.key, &[note.id()]);
    }
    let mut attacker = Attacker::join(&scene, &chain);
    attacker.boast(&chain);
    attacker.serve_until(&chain, "both have the chain", |_| {
        [scene.victim(), scene.honest()]
            .iter()
            .all(|node| node.handle().status().tip.id == chain.last())
    });
    scene.agreed();
}
