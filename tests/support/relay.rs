//! A network between real nodes that can be cut: every node has a private address, where it
//! listens, and a public one, which is all that others ever learn of it. A packet to a public
//! address leaves the relay from the sender's public one, so that addresses which nodes tell each
//! other lead through the relay too, and no pair of nodes meets behind its back.
//!
//! Private addresses are 127.0.1.n, public ones 127.0.2.n with the same port: all of 127/8 is
//! loopback on Linux, without any configuration.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The largest UDP packet.
const PACKET: usize = 65_536;
/// How soon a thread notices that the relay ends.
const NOTICE: Duration = Duration::from_millis(100);
/// Ports tried until one is free on both addresses.
const TRIES: usize = 64;

struct Place {
    private: SocketAddr,
    public: SocketAddr,
    socket: UdpSocket,
}

#[derive(Default)]
struct Net {
    places: Vec<Arc<Place>>,
    /// Pairs that cannot hear each other.
    cut: HashSet<(usize, usize)>,
}

impl Net {
    /// The way of a packet that came from a private address to the public address of `to`.
    fn way(&self, from: SocketAddr, to: usize) -> Option<(Arc<Place>, Arc<Place>)> {
        let sender = self.places.iter().position(|place| place.private == from)?;
        let open = !self.cut.contains(&(sender, to));
        open.then(|| (self.places[sender].clone(), self.places[to].clone()))
    }
}

/// The relay; its threads end when it is dropped.
#[derive(Default)]
pub struct Relay {
    net: Arc<Mutex<Net>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// A new place: where its node listens, and where others find it.
    pub fn place(&mut self) -> (SocketAddr, SocketAddr) {
        let number = self.threads.len();
        let host = u8::try_from(number + 1).unwrap();
        let place = Arc::new((0..TRIES).find_map(|_| place(host)).unwrap());
        let addresses = (place.private, place.public);
        self.net.lock().unwrap().places.push(place.clone());
        let (net, stop) = (self.net.clone(), self.stop.clone());
        self.threads.push(std::thread::spawn(move || carry(number, &place, &net, &stop)));
        addresses
    }

    /// Cuts every link between the two groups, by the order in which places were made.
    pub fn cut(&self, one: &[usize], other: &[usize]) {
        let mut net = self.net.lock().unwrap();
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            net.cut.extend([(a, b), (b, a)]);
        }
    }

    /// Makes every link whole.
    pub fn heal(&self) {
        self.net.lock().unwrap().cut.clear();
    }
}

/// A port that is free on both addresses; the node takes the private one right after.
fn place(host: u8) -> Option<Place> {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 2, host), 0)).unwrap();
    socket.set_read_timeout(Some(NOTICE)).unwrap();
    let public = socket.local_addr().unwrap();
    let private = SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), public.port()));
    UdpSocket::bind(private).ok()?;
    Some(Place { private, public, socket })
}

fn carry(number: usize, place: &Place, net: &Mutex<Net>, stop: &AtomicBool) {
    let mut packet = vec![0; PACKET];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = place.socket.recv_from(&mut packet) else {
            continue;
        };
        let way = net.lock().unwrap().way(from, number);
        if let Some((sender, receiver)) = way {
            // A packet that cannot be sent is lost, as on any network.
            let _ = sender.socket.send_to(&packet[..length], receiver.private);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic has been shown already.
            let _ = thread.join();
        }
    }
}
