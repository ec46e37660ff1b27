//! Real nodes on a bad network: packets lost, late, doubled and out of order, links that carry one
//! way only, addresses that change, machines that sleep. Afterwards all agree, nothing that was
//! promised is missing, and nobody holds it against anybody.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::process::{Cairn, count, eventually};
use support::relay::{Relay, Weather};

use crate::mesh::{agree, facts, founder, invite, joined, sound};

/// Notes that each node writes in bad weather.
const NOTES: usize = 20;
/// Seconds for agreement after the weather is fine. A connection that was silent for a minute is
/// given up, and its address dialed again within half a minute.
const CALM: u64 = 150;

/// Nodes with the relay between them, all linked. The first one founded the mesh, the others dialed.
struct Scene {
    relay: Relay,
    nodes: Vec<Cairn>,
}

impl Scene {
    fn new(count: usize) -> Self {
        let mut relay = Relay::default();
        let (private, public) = relay.place();
        let mut first = Cairn::at("n0", private);
        let public = public.to_string();
        let founded = first.ok(&["init", "e2e", "--spacing", "200ms", "--address", &public]);
        first.start(&[]);
        let mut nodes = vec![first];
        for number in 1..count {
            let mut node = Cairn::at(&format!("n{number}"), relay.place().0);
            node.ok(&["join", founded["invite"].as_str().unwrap(), "--name", &node.name]);
            node.start(&[]);
            nodes.push(node);
        }
        let scene = Self { relay, nodes };
        scene.linked(60);
        agree(&scene.all(), 60);
        scene
    }

    fn all(&self) -> Vec<&Cairn> {
        self.nodes.iter().collect()
    }

    /// Waits until everybody is linked to everybody.
    fn linked(&self, seconds: u64) {
        eventually("everybody is linked to everybody", seconds, || {
            self.nodes.iter().all(|node| links(node) + 1 == self.nodes.len()).then_some(())
        });
    }

    /// Every node writes while it is as it is. Gives what was promised.
    fn write(&self, label: &str) -> Vec<String> {
        let write = |node: &Cairn| {
            let (client, name) = (node.client(), node.name.clone());
            let label = label.to_string();
            std::thread::spawn(move || -> Vec<String> {
                let note = |number| client.note(&format!("{label} {name} {number}")).unwrap();
                (0..NOTES).map(note).collect()
            })
        };
        let writers: Vec<_> = self.nodes.iter().map(write).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    }

    /// Fine weather: all agree and have what was promised.
    fn heal(&self, promised: &[String]) {
        self.relay.heal();
        let healed = Instant::now();
        agree(&self.all(), CALM);
        eprintln!("agreed {:?} after the weather was fine", healed.elapsed());
        self.kept(promised);
    }

    fn kept(&self, promised: &[String]) {
        for node in &self.nodes {
            let facts = facts(node);
            let lost: Vec<_> = promised.iter().filter(|id| !facts.contains_key(*id)).collect();
            assert!(lost.is_empty(), "{} lost {lost:?}", node.name);
            let peers = node.get("/v1/peers");
            for peer in peers["peers"].as_array().unwrap() {
                // 0x17: misbehavior or rate limit.
                assert_ne!(peer["last_close"]["code"], "0x17", "{}: {peer}", node.name);
            }
        }
        sound(&self.all());
    }
}

fn links(node: &Cairn) -> usize {
    let status = node.try_get("/v1/status").unwrap_or(Value::Null);
    status["peers"]["connected"].as_u64().unwrap_or(0) as usize
}

/// How often a node reached another by dialing.
fn dials(node: &Cairn) -> usize {
    node.logged().matches("Successfully established outbound connection").count()
}

/// Everything is written and agreed on in this weather, before it gets better.
fn works_in(weather: Weather) {
    let scene = Scene::new(3);
    scene.relay.weather(weather);
    let before = scene.relay.carried();
    let started = Instant::now();
    let promised = scene.write("in bad weather");
    agree(&scene.all(), CALM);
    eprintln!("{weather:?}: agreed after {:?}", started.elapsed());
    assert!(scene.relay.carried() > before, "nothing went through the relay");
    scene.heal(&promised);
}

#[test]
fn a_twentieth_of_all_packets_is_lost_and_nobody_minds() {
    works_in(Weather { loss: 5, ..Weather::default() });
}

#[test]
fn a_fifth_of_all_packets_is_lost_and_all_agree_nevertheless() {
    works_in(Weather { loss: 20, ..Weather::default() });
}

#[test]
fn a_long_way_is_only_slow() {
    works_in(Weather { delay: Duration::from_millis(200), ..Weather::default() });
}

#[test]
fn packets_that_overtake_each_other_and_come_twice_change_nothing() {
    let (delay, jitter) = (Duration::from_millis(10), Duration::from_millis(120));
    works_in(Weather { loss: 2, doubled: 20, delay, jitter });
}

#[test]
fn a_node_that_was_cut_off_catches_up_and_is_caught_up_with() {
    let scene = Scene::new(3);
    scene.relay.cut(&[0], &[1, 2]);
    let mut promised = scene.write("apart");
    agree(&[&scene.nodes[1], &scene.nodes[2]], 60);
    let total = |number: usize| scene.nodes[number].get("/v1/status")["facts"]["total"].as_u64();
    assert_eq!(total(1), total(0).map(|facts| facts + NOTES as u64), "it was not cut off");
    scene.heal(&promised);
    promised.extend(scene.write("together again"));
    agree(&scene.all(), 60);
    scene.kept(&promised);
}

#[test]
fn a_node_that_hears_but_is_not_heard_loses_nothing() {
    let scene = Scene::new(3);
    scene.relay.silence(&[0], &[1, 2]);
    let promised = scene.write("one way");
    agree(&[&scene.nodes[1], &scene.nodes[2]], 60);
    let total = |number: usize| scene.nodes[number].get("/v1/status")["facts"]["total"].as_u64();
    assert_eq!(total(1), total(0).map(|facts| facts + NOTES as u64), "it was heard");
    scene.heal(&promised);
}

/// The node that dialed the only link of two, and the other.
fn dialer(scene: &Scene) -> (usize, usize) {
    let dialed = |node: &Cairn| {
        let peers = node.get("/v1/peers");
        let mut live = peers["peers"].as_array().unwrap().iter();
        live.any(|peer| peer["connected"] == true && peer["direction"] == "outbound")
    };
    if dialed(&scene.nodes[0]) { (0, 1) } else { (1, 0) }
}

/// Seconds until a note of one node is at the other.
fn passes(scene: &Scene, from: usize, to: usize, seconds: u64) -> Duration {
    let started = Instant::now();
    let id = scene.nodes[from].client().note(&format!("from {from} at {started:?}")).unwrap();
    let path = format!("/v1/facts/{id}");
    eventually("the note is there", seconds, || scene.nodes[to].try_get(&path));
    started.elapsed()
}

#[test]
fn a_link_survives_a_new_address_of_the_one_who_dialed() {
    let mut scene = Scene::new(2);
    let (dialer, other) = dialer(&scene);
    let before: Vec<usize> = scene.nodes.iter().map(dials).collect();
    scene.relay.rebind(dialer);
    // Others learn the new address from the first packet that comes from there.
    let there = passes(&scene, dialer, other, 20);
    let back = passes(&scene, other, dialer, 20);
    eprintln!("new address: {there:?} there, {back:?} back");
    let after: Vec<usize> = scene.nodes.iter().map(dials).collect();
    assert_eq!(before, after, "the same link");
    scene.heal(&[]);
}

#[test]
fn a_link_to_an_address_that_is_gone_is_made_anew() {
    let mut scene = Scene::new(2);
    let (dialer, other) = dialer(&scene);
    scene.relay.rebind(other);
    // Nobody is told: the silence must be noticed, and the one who moved can still dial.
    let took = passes(&scene, other, dialer, CALM);
    eprintln!("a new link after {took:?}");
    scene.linked(CALM);
    scene.heal(&[]);
}

#[test]
fn a_machine_that_slept_comes_back_without_a_restart() {
    let a = founder("a", "200ms");
    let invite = invite(&a);
    let (b, c) = (joined("b", &invite), joined("c", &invite));
    let all = [&a, &b, &c];
    eventually("everybody is linked to everybody", 60, || {
        all.iter().all(|node| links(node) == 2).then_some(())
    });
    agree(&all, 60);
    b.signal(Signal::STOP);
    let asleep = Instant::now();
    let mut promised: Vec<String> = (0..NOTES)
        .map(|number| a.client().note(&format!("while b sleeps, {number}")).unwrap())
        .collect();
    eventually("the others gave b up", 120, || (links(&a) + links(&c) == 2).then_some(()));
    agree(&[&a, &c], 60);
    let sleep = count("CAIRN_SLEEP", 0) as u64;
    eventually("it slept enough", sleep + 30, || {
        (asleep.elapsed().as_secs() >= sleep).then_some(())
    });
    b.signal(Signal::CONT);
    let woken = Instant::now();
    promised.push(b.client().note("awake").unwrap());
    agree(&all, CALM);
    eprintln!("all agree {:?} after it woke", woken.elapsed());
    for node in all {
        let facts = facts(node);
        assert!(promised.iter().all(|id| facts.contains_key(id)), "{}", node.name);
    }
    sound(&all);
}
