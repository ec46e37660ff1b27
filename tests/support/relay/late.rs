//! Packets on their way: each leaves when its time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most packets on their way; more are lost, as in any router.
const PACKETS_MAX: usize = 100_000;

/// A packet, the socket it leaves from, and where it goes.
pub(super) struct Packet {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl Packet {
    fn leave(&self) {
        // A packet that cannot be sent is lost, as on any network.
        let _ = self.socket.send_to(&self.bytes, self.to);
    }
}

/// A packet in the queue, ordered by its time; the number keeps those of one time in order.
struct Waiting(Instant, u64, Packet);

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

#[derive(Default)]
struct Queue {
    waiting: BinaryHeap<Reverse<Waiting>>,
    number: u64,
    stop: bool,
}

/// The queue of packets and its thread.
#[derive(Clone, Default)]
pub(super) struct Late(Arc<(Mutex<Queue>, Condvar)>);

impl Late {
    /// Starts the thread, which ends after `stop`.
    pub(super) fn start() -> (Self, JoinHandle<()>) {
        let late = Self::default();
        let thread = late.clone();
        (late, std::thread::spawn(move || thread.run()))
    }

    /// Sends a packet after a while.
    pub(super) fn send(&self, after: Duration, packet: Packet) {
        if after.is_zero() {
            packet.leave();
            return;
        }
        let (queue, changed) = &*self.0;
        let mut queue = queue.lock().unwrap();
        if queue.waiting.len() < PACKETS_MAX {
            queue.number += 1;
            let number = queue.number;
            queue.waiting.push(Reverse(Waiting(Instant::now() + after, number, packet)));
            changed.notify_one();
        }
    }

    /// Forgets what is on its way and ends the thread.
    pub(super) fn stop(&self) {
        self.0.0.lock().unwrap().stop = true;
        self.0.1.notify_one();
    }

    fn run(&self) {
        let (queue, changed) = &*self.0;
        let mut queue = queue.lock().unwrap();
        while !queue.stop {
            let now = Instant::now();
            let next = queue.waiting.peek().map(|Reverse(next)| next.0);
            queue = match next {
                None => changed.wait(queue).unwrap(),
                Some(at) if at > now => changed.wait_timeout(queue, at - now).unwrap().0,
                Some(_) => {
                    let Reverse(Waiting(_, _, packet)) = queue.waiting.pop().unwrap();
                    packet.leave();
                    queue
                }
            };
        }
    }
}
