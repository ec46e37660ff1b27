//! Two live nodes with one key: a restored backup, or a copied card.
//!
//! Each start of a node has a number that nobody can foresee, its run, told in the hello. Who has a
//! link to a key and accepts another of it in another run keeps both, doubts the older one (mostly it
//! is what a restart left behind) and says so to both. A node that hears so makes a challenge; what
//! it says about its own key, and what is answered, is passed on to the other link of that key. An
//! answer that is signed by the key, names another run and answers the challenge at hand proves a
//! live twin: nobody else can make it, and none from before the challenge will do. Two twins that
//! meet have proof by the handshake.
//!
//! A node with a twin seals nothing, so that it does not contradict it, and goes on with all else. It
//! asks anew every minute; when nobody has answered for three, it seals again.
//!
//! Bounds: two links a key; what is said is within the rate of control frames.

use alloc::vec::Vec;

use super::conns::Conns;
use super::{Engine, Output};
use crate::conn::ConnId;
use crate::event::Event;
use crate::hash::Tag;
use crate::id::NodeId;
use crate::time::{Instant, Millis};
use crate::wire::{Challenge, CloseCode, Control, Run, Statement, Twin};

/// Links to one key, if their runs differ.
const LINKS_PER_KEY: usize = 2;
/// The older of two links is closed if nothing comes from it for so long.
const DOUBT: Millis = 10_000;
/// A node that has a twin asks for it so often.
const ASK_INTERVAL: Millis = 60_000;
/// A twin of which nothing was heard for so long is gone.
const GONE: Millis = 3 * ASK_INTERVAL;
/// A challenge holds at least so long, so that nobody can replace it while the answer is on its way.
const CHALLENGE_HOLDS: Millis = 30_000;

/// What this node knows of a twin.
#[derive(Debug)]
pub(super) struct Twins {
    seed: [u8; 32],
    /// This start of this node.
    pub(super) run: Run,
    /// The challenge at hand, its number, and when it was made.
    challenge: (Challenge, u64, Instant),
    /// Until when there is a twin as far as we know, and when to ask for it next.
    known: Option<(Instant, Instant)>,
}

/// The number of this order that follows from a seed.
fn number(seed: &[u8; 32], order: u64) -> [u8; 16] {
    let digest = Tag::Run.hasher().chain(seed).chain(&order.to_le_bytes()).finish();
    let mut number = [0; 16];
    number.copy_from_slice(&digest[..16]);
    number
}

impl Twins {
    /// No twin is known. `seed` is never used twice.
    pub(super) fn new(seed: [u8; 32], now: Instant) -> Self {
        let challenge = (number(&seed, 1), 1, now);
        Self { seed, run: Run(number(&seed, 0)), challenge, known: None }
    }

    /// Whether there is a twin, as far as we know.
    pub(super) const fn is_known(&self) -> bool {
        self.known.is_some()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.known.map(|(until, ask)| until.min(ask))
    }

    fn renew(&mut self, now: Instant) {
        let order = self.challenge.1 + 1;
        self.challenge = (number(&self.seed, order), order, now);
    }
}

/// Accepted links to a key but for one.
fn others(conns: &Conns, node: &NodeId, but: ConnId) -> Vec<ConnId> {
    let to_node = conns.accepted().filter(|(id, conn)| *id != but && conn.node == *node);
    to_node.map(|(id, _)| id).collect()
}

impl Engine {
    /// Of two links to a node in one run the one stays that the lower of both dialled; of two in the
    /// same direction the new one, because the old one may be dead without our knowing. Of links to
    /// different runs of a key the newest two stay.
    pub(super) fn prefer_link(&mut self, new: ConnId, run: Run) -> Result<(), CloseCode> {
        let Some((node, dialled)) = self.conns.get(new).map(|c| (c.node, c.dial.is_some())) else {
            return Ok(());
        };
        let others = others(&self.conns, &node, new);
        let same_run = |id: &&ConnId| self.conns.get(**id).is_some_and(|conn| conn.run == run);
        let replaced = match others.iter().find(same_run) {
            Some(same) => {
                let old_dialled = self.conns.get(*same).is_some_and(|conn| conn.dial.is_some());
                let preferred = (self.me, self.twins.run) < (node, run);
                if dialled != old_dialled && dialled != preferred {
                    return Err(CloseCode::Duplicate);
                }
                Some(*same)
            }
            None if others.len() >= LINKS_PER_KEY => others.first().copied(),
            None => None,
        };
        if let Some(old) = replaced {
            self.book.keep(new);
            self.close(old, CloseCode::Duplicate);
        }
        Ok(())
    }

    /// A link was accepted: its node may be our twin, or that of another link.
    pub(super) fn look_for_twins(&mut self, new: ConnId, node: NodeId) {
        if node == self.me {
            self.on_twin_seen();
        }
        let others = others(&self.conns, &node, new);
        for old in &others {
            if let Some(conn) = self.conns.get_mut(*old) {
                conn.silent = true;
                conn.doubted = Some(self.now.instant.after(DOUBT));
            }
        }
        if !others.is_empty() {
            others.iter().chain([&new]).for_each(|id| self.say_twin(*id, Twin::Met));
        }
    }

    fn say_twin(&mut self, conn: ConnId, message: Twin) {
        self.send_control(conn, &Control::Twin(message));
    }

    /// A frame about twins on an accepted link.
    pub(super) fn on_twin(&mut self, conn: ConnId, message: Twin) {
        match message {
            Twin::Met => {
                let now = self.now.instant;
                if now.since(self.twins.challenge.2) >= CHALLENGE_HOLDS {
                    self.twins.renew(now);
                }
                self.ask_for_twin(conn);
            }
            Twin::Ask { node, challenge } if node == self.me => {
                let (key, run) = (&self.config.key, self.twins.run);
                let statement = Statement::sign(key, &self.mesh, challenge, run);
                self.say_twin(conn, Twin::Here(statement));
            }
            Twin::Here(statement) if statement.node == self.me => {
                let fresh = statement.challenge == self.twins.challenge.0;
                if fresh && statement.run != self.twins.run && statement.check(&self.mesh) {
                    self.on_twin_seen();
                }
            }
            Twin::Ask { node, .. } | Twin::Here(Statement { node, .. }) => {
                // About its own key a peer may speak to the other link of that key.
                if self.conns.get(conn).is_some_and(|peer| peer.node == node) {
                    for other in others(&self.conns, &node, conn) {
                        self.say_twin(other, message.clone());
                    }
                }
            }
        }
    }

    fn ask_for_twin(&mut self, conn: ConnId) {
        let ask = Twin::Ask { node: self.me, challenge: self.twins.challenge.0 };
        self.say_twin(conn, ask);
    }

    fn on_twin_seen(&mut self) {
        let now = self.now.instant;
        if self.twins.known.is_none() {
            self.outbox.push_back(Output::Event(Event::Twin(true)));
        }
        let ask = self.twins.known.map_or(now.after(ASK_INTERVAL), |(_, ask)| ask);
        self.twins.known = Some((now.after(GONE), ask));
    }

    /// Closes doubted links from which nothing came, asks for a twin, and notices that it is gone.
    pub(super) fn review_twins(&mut self) {
        let now = self.now.instant;
        let late =
            self.conns.accepted().filter(|(_, conn)| conn.doubted.is_some_and(|at| at <= now));
        let dead: Vec<ConnId> = late.map(|(id, _)| id).collect();
        for id in dead {
            self.close(id, CloseCode::Duplicate);
            self.touch_peers();
        }
        match self.twins.known {
            Some((until, _)) if until <= now => {
                self.twins.known = None;
                self.outbox.push_back(Output::Event(Event::Twin(false)));
                // There may be something to seal.
                self.wake = true;
            }
            Some((until, ask)) if ask <= now => {
                self.twins.known = Some((until, now.after(ASK_INTERVAL)));
                self.twins.renew(now);
                self.conns.accepted_ids().into_iter().for_each(|id| self.ask_for_twin(id));
            }
            _ => {}
        }
    }
}
