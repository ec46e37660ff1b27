//! A network between real nodes with bad weather: every node has a private address, where it
//! listens, and a public one, which is all that others ever learn of it. A packet to a public
//! address leaves the relay from the sender's public one, so that addresses which nodes tell each
//! other lead through the relay too, and no pair of nodes meets behind its back.
//!
//! Packets can be lost, doubled, late, out of order, and stopped in one direction or both; a node's
//! public address can change like behind a router that was restarted.
//!
//! Private addresses are 127.0.1.n, public ones 127.0.2.n with the same port at first: all of 127/8
//! is loopback on Linux, without any configuration.

mod late;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::random::Random;
use late::{Late, Packet};

/// The largest UDP packet.
const PACKET: usize = 65_536;
/// How soon a thread notices that the relay ends, or that its socket is nobody's address any more.
const NOTICE: Duration = Duration::from_millis(100);
/// Ports tried until one is free on both addresses.
const TRIES: usize = 64;

/// What happens to every packet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Of a hundred packets, so many are lost.
    pub loss: u64,
    /// Of a hundred packets, so many arrive twice.
    pub doubled: u64,
    /// Every packet takes this long.
    pub delay: Duration,
    /// And up to this much longer, each its own time, so that they overtake each other.
    pub jitter: Duration,
}

/// Packets as they were sent; none are kept before somebody asks.
type Record = Arc<Mutex<Option<Vec<Vec<u8>>>>>;

struct Place {
    private: SocketAddr,
    public: Arc<UdpSocket>,
}

struct Net {
    places: Vec<Place>,
    /// Who is not heard by whom.
    cut: HashSet<(usize, usize)>,
    weather: Weather,
    random: Random,
}

impl Net {
    /// The way of a packet that came from a private address to the public address of `to`: the
    /// socket it leaves from, and where it goes.
    fn way(&self, from: SocketAddr, to: usize) -> Option<(Arc<UdpSocket>, SocketAddr)> {
        let sender = self.places.iter().position(|place| place.private == from)?;
        let open = !self.cut.contains(&(sender, to));
        open.then(|| (self.places[sender].public.clone(), self.places[to].private))
    }

    /// How late each copy of a packet is; no copy if it is lost.
    fn copies(&mut self) -> Vec<Duration> {
        let weather = self.weather;
        if self.random.chance(weather.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.random.chance(weather.doubled));
        let jitter = weather.jitter.as_micros() as u64;
        let mut late = || weather.delay + Duration::from_micros(self.random.below(jitter + 1));
        std::iter::repeat_with(&mut late).take(copies).collect()
    }
}

/// The relay; its threads end when it is dropped.
pub struct Relay {
    net: Arc<Mutex<Net>>,
    stop: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
    record: Record,
    late: Late,
    threads: Vec<JoinHandle<()>>,
}

impl Default for Relay {
    fn default() -> Self {
        let net = Net {
            places: Vec::new(),
            cut: HashSet::new(),
            weather: Weather::default(),
            random: Random::new(7),
        };
        let net = Arc::new(Mutex::new(net));
        let (late, postman) = Late::start();
        let (stop, carried, record) = <(Arc<_>, Arc<_>, Record)>::default();
        Self { net, stop, carried, record, late, threads: vec![postman] }
    }
}

impl Relay {
    /// A new place: where its node listens, and where others find it.
    pub fn place(&mut self) -> (SocketAddr, SocketAddr) {
        let number = self.net.lock().unwrap().places.len();
        let host = u8::try_from(number + 1).unwrap();
        let (private, socket) = (0..TRIES).find_map(|_| pair(host)).unwrap();
        let public = socket.local_addr().unwrap();
        let socket = Arc::new(socket);
        self.net.lock().unwrap().places.push(Place { private, public: socket.clone() });
        self.carry(number, socket);
        (private, public)
    }

    /// Gives a node another public port. Nothing that is sent to the old one arrives any more.
    pub fn rebind(&mut self, number: usize) {
        let socket = Arc::new(socket(u8::try_from(number + 1).unwrap()));
        self.net.lock().unwrap().places[number].public = socket.clone();
        self.carry(number, socket);
    }

    fn carry(&mut self, number: usize, socket: Arc<UdpSocket>) {
        let carrier = Carrier {
            number,
            socket,
            net: self.net.clone(),
            stop: self.stop.clone(),
            carried: self.carried.clone(),
            record: self.record.clone(),
            late: self.late.clone(),
        };
        self.threads.push(std::thread::spawn(move || carrier.run()));
    }

    /// Changes the weather.
    pub fn weather(&self, weather: Weather) {
        self.net.lock().unwrap().weather = weather;
    }

    /// Packets that found their way so far, lost ones not counted.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// From now on keeps every packet that a node sends, as it was sent.
    pub fn record(&self) {
        *self.record.lock().unwrap() = Some(Vec::new());
    }

    /// The packets since `record` or the last call.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        self.record.lock().unwrap().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Cuts every link between the two groups, by the order in which places were made.
    pub fn cut(&self, one: &[usize], other: &[usize]) {
        self.silence(one, other);
        self.silence(other, one);
    }

    /// Nothing that these send arrives at those; the other direction stays.
    pub fn silence(&self, these: &[usize], those: &[usize]) {
        let mut net = self.net.lock().unwrap();
        net.cut.extend(these.iter().flat_map(|a| those.iter().map(move |b| (*a, *b))));
    }

    /// Makes every link whole and the weather fine.
    pub fn heal(&self) {
        let mut net = self.net.lock().unwrap();
        net.cut.clear();
        net.weather = Weather::default();
    }
}

fn socket(host: u8) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 2, host), 0)).unwrap();
    socket.set_read_timeout(Some(NOTICE)).unwrap();
    socket
}

/// A port that is free on both addresses; the node takes the private one right after.
fn pair(host: u8) -> Option<(SocketAddr, UdpSocket)> {
    let socket = socket(host);
    let port = socket.local_addr().unwrap().port();
    let private = SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), port));
    UdpSocket::bind(private).ok()?;
    Some((private, socket))
}

/// Takes what is sent to a public address.
struct Carrier {
    number: usize,
    socket: Arc<UdpSocket>,
    net: Arc<Mutex<Net>>,
    stop: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
    record: Record,
    late: Late,
}

impl Carrier {
    fn run(&self) {
        let mut packet = vec![0; PACKET];
        while !self.stop.load(Ordering::Relaxed) {
            let received = self.socket.recv_from(&mut packet);
            let mut net = self.net.lock().unwrap();
            if !Arc::ptr_eq(&net.places[self.number].public, &self.socket) {
                return;
            }
            let Ok((length, from)) = received else {
                continue;
            };
            if let Some(record) = self.record.lock().unwrap().as_mut() {
                record.push(packet[..length].to_vec());
            }
            let Some((socket, to)) = net.way(from, self.number) else {
                continue;
            };
            let copies = net.copies();
            drop(net);
            for late in copies {
                self.carried.fetch_add(1, Ordering::Relaxed);
                let bytes = packet[..length].to_vec();
                self.late.send(late, Packet { socket: socket.clone(), to, bytes });
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.late.stop();
        for thread in self.threads.drain(..) {
            // Its panic has been shown already.
            let _ = thread.join();
        }
    }
}
