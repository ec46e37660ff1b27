//! Finding other nodes of the mesh on the same network without being told of any.
//!
//! A node asks by multicast who is there, and whoever is of its mesh answers with a port. What is
//! heard is an unverified address: that of the packet itself, so nobody can send others elsewhere.
//! The engine dials it like any other that it heard of, and nobody else than a member of the mesh
//! answers there. What an onlooker learns: that a node runs, its port, and a hash of the mesh's id,
//! which says something only to who knows the id.
//!
//! Cost: questions grow rare (1 s, 2 s, … up to an hour; a minute while nobody is connected), and
//! are left out when another node asked in the meantime.
//!
//! Why not a library: docs/adr/0027-lan-discovery.md.

mod known;
mod service;
mod socket;

use std::net::SocketAddr;
use std::time::Duration;

use cairn_core::engine::{Command, PeerAddr};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::handle::NodeHandle;
use crate::keys;
use known::Known;
use service::{Heard, Service};
use socket::Group;

/// The largest packet that is read.
const PACKET: usize = 1_500;
/// Between the first two questions; doubled each time.
const FIRST: Duration = Duration::from_secs(1);
/// Longest time between two questions of a node without peers, and between two looks at whether it
/// has some, and at the interfaces.
const ALONE: Duration = Duration::from_secs(60);
/// Longest time between two questions of a node with peers.
const LINKED: Duration = Duration::from_secs(3_600);
/// Between two answers, whoever asks (RFC 6762, section 6).
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// Starts looking for other nodes and answering those who look; ends with the task.
pub(crate) fn start(node: NodeHandle) -> JoinHandle<()> {
    tokio::spawn(async move {
        match Lan::open(node) {
            Ok(lan) => lan.run().await,
            Err(error) => tracing::warn!(%error, "nodes on this network are not looked for"),
        }
    })
}

struct Lan {
    node: NodeHandle,
    group: Group,
    service: Service,
    known: Known,
    /// Before an answer, so that not everybody speaks at once.
    delay: Duration,
    /// The next question, and how long after it the one after that.
    ask_at: Instant,
    wait: Duration,
    look_at: Instant,
    answer_at: Option<Instant>,
    answered: Option<Instant>,
}

impl Lan {
    fn open(node: NodeHandle) -> std::io::Result<Self> {
        let name = keys::random::<8>().map_err(std::io::Error::other)?;
        let now = Instant::now();
        Ok(Self {
            group: Group::open()?,
            service: Service::new(&node.mesh(), name, node.listen().port()),
            known: Known::new(now.into_std()),
            // RFC 6762, section 6: 20 to 120 ms, at random.
            delay: Duration::from_millis(20 + u64::from(name[0]) * 100 / 255),
            ask_at: now,
            wait: FIRST,
            look_at: now,
            answer_at: None,
            answered: None,
            node,
        })
    }

    async fn run(mut self) {
        let mut packet = [0; PACKET];
        loop {
            let next = [Some(self.ask_at), Some(self.look_at), self.answer_at];
            let next = next.into_iter().flatten().min().unwrap_or(self.look_at);
            tokio::select! {
                received = self.group.receive(&mut packet) => match received {
                    Ok((length, from)) => self.heard(&packet[..length], from).await,
                    // Such as an interface that went down; then there is nothing to read at once.
                    Err(error) => {
                        tracing::debug!(%error, "multicast");
                        tokio::time::sleep(FIRST).await;
                    }
                },
                () = sleep_until(next) => self.due().await,
            }
        }
    }

    async fn heard(&mut self, packet: &[u8], from: SocketAddr) {
        let Heard { asked, ports } = self.service.read(packet);
        let now = Instant::now();
        if asked && self.answer_at.is_none() {
            let soonest = self.answered.map_or(now, |answered| answered + ANSWER_INTERVAL);
            self.answer_at = Some(soonest.max(now) + self.delay);
            // Whoever answers is heard by all, so the next question can wait.
            self.ask_at = self.ask_at.max(now + self.wait / 2);
        }
        for port in ports {
            let address = SocketAddr::new(from.ip(), port);
            if self.known.hear(address, now.into_std()) {
                tracing::debug!(%address, "another node is on this network");
                let hear = Command::Hear(PeerAddr(address.to_string()));
                // Refused only by a node that stops.
                let _ = self.node.command(hear).await;
            }
        }
    }

    async fn due(&mut self) {
        let now = Instant::now();
        if self.look_at <= now {
            self.look(now);
        }
        if self.answer_at.is_some_and(|at| at <= now) {
            (self.answer_at, self.answered) = (None, Some(now));
            self.send(self.service.announcement()).await;
        }
        if self.ask_at <= now {
            self.ask_at = now + self.wait;
            self.wait = (self.wait * 2).min(LINKED);
            // This node hears it too, and answers: who asks tells of itself as well.
            self.send(Service::question()).await;
        }
    }

    /// Whether there are other interfaces than before, and whether it is time to hurry.
    fn look(&mut self, now: Instant) {
        self.look_at = now + ALONE;
        if self.group.refresh(self.node.listen().ip()) {
            (self.ask_at, self.wait) = (now, FIRST);
        }
        if !self.node.peers().iter().any(|peer| peer.connected) {
            self.ask_at = self.ask_at.min(now + ALONE);
            self.wait = self.wait.min(ALONE);
        }
    }

    async fn send(&self, packet: Result<Vec<u8>, simple_dns::SimpleDnsError>) {
        match packet {
            Ok(packet) => self.group.send(&packet).await,
            Err(error) => tracing::debug!(%error, "no packet"),
        }
    }
}

#[cfg(test)]
mod tests;
