//! One member sends as much as the network takes, class by class: it gets what its rate allows, the
//! victim's memory stays where it was, and others are served meanwhile. How fast they are served
//! depends on the machine and is printed, not judged: `docs/performance.md` has figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cairn_core::codec;
use cairn_core::engine::Published;
use cairn_core::limits::Limits;
use cairn_core::testing::TestChain;
use cairn_core::wire::{
    Announce, BlocksRequest, Class, Control, FactsRequest, HeadersRequest, PeersRequest,
    ReconcileRequest,
};
use cairn_node::handle::{Draft, DraftBody};
use quinn::{Connection, SendStream};
use support::process::count;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::facts::made_up;
use crate::floods::memory;
use crate::raw::{Raw, honest_frame, stream};
use crate::scene::{PATIENCE, Scene};

/// Facts and pings that are timed, quiet and in each flood; `CAIRN_TIMED` in the environment.
const TIMED: usize = 12;
/// Requests that the attacker has open at a time; what is more waits for a place.
const ABREAST: usize = 16;
/// What a flood may leave in memory, with all that an honest node does besides.
const MEMORY: u64 = 64 << 20;

/// A message of a class that costs the victim as much as any.
fn costly(class: Class, chain: &TestChain) -> Vec<u8> {
    let unknown = || (0..1_024).map(made_up).collect();
    match class {
        Class::Control => {
            codec::encode(&Control::Ping { nonce: 1, tip: chain.tip(), facts: chain.set() })
        }
        Class::Announce => codec::encode(&Announce::Facts(unknown())),
        Class::Headers => {
            codec::encode(&HeadersRequest { locator: vec![chain.last(); 32], max: 2_000 })
        }
        Class::Blocks => codec::encode(&BlocksRequest { ids: vec![chain.last(); 64] }),
        Class::Facts => codec::encode(&FactsRequest { ids: unknown() }),
        Class::Reconcile => codec::encode(&ReconcileRequest::Buckets((0..64).collect())),
        Class::Peers => codec::encode(&PeersRequest { max: 64 }),
    }
}

type Tasks = Vec<JoinHandle<()>>;

/// What an attacker did.
#[derive(Default)]
struct Flood {
    over: AtomicBool,
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Flood {
    fn more(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// One frame after the other on a stream that never ends.
    async fn frames(self: Arc<Self>, connection: Connection, mut send: SendStream, frame: Vec<u8>) {
        while self.more() && send.write_all(&frame).await.is_ok() {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        // Until the connection is gone: the end of this stream would end it.
        connection.closed().await;
    }

    /// Requests without a pause.
    async fn requests(self: Arc<Self>, connection: Connection, request: Vec<u8>) {
        while self.more() {
            let Ok((mut send, mut recv)) = connection.open_bi().await else {
                return;
            };
            self.sent.fetch_add(1, Ordering::Relaxed);
            let written = send.write_all(&request).await;
            let _ = send.finish();
            if written.is_ok() && recv.read_to_end(2 << 20).await.is_ok() {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Starts a flood of one class by a member, on threads of its own; it lasts no longer than its
/// connection.
fn flood(
    own: &Runtime,
    raw: Raw,
    class: Class,
    chain: &TestChain,
) -> (Arc<Flood>, Connection, Tasks) {
    let (flood, message) = (Arc::<Flood>::default(), costly(class, chain));
    let (connection, (control, pongs), endpoint) = raw.into_parts();
    let frames = |send| flood.clone().frames(connection.clone(), send, honest_frame(&message));
    let (mut tasks, mut quiet): (Tasks, _) = (Vec::new(), None);
    match class {
        Class::Control => tasks.push(own.spawn(frames(control))),
        Class::Announce => {
            let send = own.block_on(async {
                let mut send = connection.open_uni().await.unwrap();
                send.write_all(&[class as u8, 1]).await.unwrap();
                send
            });
            tasks.push(own.spawn(frames(send)));
            quiet = Some(control);
        }
        _ => {
            let request = stream(class as u8, message.len() as u32, &message);
            let asking = || flood.clone().requests(connection.clone(), request.clone());
            tasks.extend((0..ABREAST).map(|_| own.spawn(asking())));
            quiet = Some(control);
        }
    }
    let open = connection.clone();
    tasks.push(own.spawn(async move {
        open.closed().await;
        // Until then nobody reads the pongs, which must not stop the victim.
        drop((quiet, pongs, endpoint));
    }));
    (flood, connection, tasks)
}

/// Median and longest time of something, in milliseconds.
fn timed(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    (ms(times[times.len() / 2]), ms(times[times.len() - 1]))
}

/// How long the facts of the honest peer take until the victim has them.
fn facts(scene: &Scene, label: &str) -> Vec<Duration> {
    let write = |number| {
        let body = DraftBody::Record {
            topic: "note".into(),
            media_type: "text/plain".into(),
            bytes: format!("{label} {number}").into_bytes(),
        };
        let start = Instant::now();
        let publish = scene.honest().handle();
        let publish = publish.sign_and_publish(vec![Draft { time: None, body }]);
        let written = scene.runtime.block_on(publish).unwrap();
        let Ok(Published::Accepted(id)) = written[0] else { panic!("{written:?}") };
        while !Scene::has(scene.victim(), &id) {
            assert!(start.elapsed() < PATIENCE, "the victim never heard of it");
            std::thread::sleep(Duration::from_millis(1));
        }
        start.elapsed()
    };
    (0..count("CAIRN_TIMED", TIMED)).map(write).collect()
}

/// How long another member's pings take.
fn pings(other: &mut Raw, chain: &TestChain) -> Vec<Duration> {
    let ping = |_| {
        let start = Instant::now();
        other.is_heard(chain);
        start.elapsed()
    };
    (0..count("CAIRN_TIMED", TIMED)).map(ping).collect()
}

/// Answers that a rate allows in a time.
fn allowed(class: Class, time: Duration) -> Option<u64> {
    let (rate, burst) = class.rate(&Limits::default().rates);
    let earned = f64::from(rate) * time.as_secs_f64();
    class.is_request().then(|| u64::from(burst) + earned as u64 + 1)
}

#[test]
fn a_flood_of_any_class_is_cut_to_its_rate_and_others_are_served_meanwhile() {
    let scene = Scene::new();
    let chain = scene.chain();
    let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let own = own.unwrap();
    let mut other = Raw::join(&scene, &chain, 1);
    facts(&scene, "warm");
    let quiet = (timed(facts(&scene, "quiet")), timed(pings(&mut other, &chain)));
    eprintln!("quiet: fact {:.1?} ms, ping {:.1?} ms (median, worst)", quiet.0, quiet.1);
    for class in Class::ALL {
        let raw = Raw::join(&scene, &chain, 0);
        let (before, start) = (memory(), Instant::now());
        let (flood, connection, tasks) = flood(&own, raw, class, &chain);
        crate::scene::until("the flood rises", || flood.sent.load(Ordering::Relaxed) > 50);
        let fact = timed(facts(&scene, &format!("{class:?}")));
        let ping = timed(pings(&mut other, &chain));
        flood.over.store(true, Ordering::Relaxed);
        let took = start.elapsed();
        let grown = memory().saturating_sub(before);
        let sent = flood.sent.load(Ordering::Relaxed);
        let answered = flood.answered.load(Ordering::Relaxed);
        eprintln!(
            "{class:?}: fact {fact:.1?} ms, ping {ping:.1?} ms, {sent} sent and {answered} answered in \
             {took:.1?}, {} KiB more",
            grown >> 10
        );
        assert!(grown < MEMORY, "{class:?}: {grown} bytes");
        assert!(scene.victim().handle().status().wanted <= Limits::default().wants as u64);
        if let Some(allowed) = allowed(class, took) {
            assert!(answered <= allowed, "{class:?}: {answered} answered, {allowed} allowed");
        }
        connection.close(0u32.into(), b"");
        for task in tasks {
            own.block_on(async { tokio::time::timeout(PATIENCE, task).await.expect("it ends") })
                .unwrap();
        }
        scene.unharmed();
    }
}
