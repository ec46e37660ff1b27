//! What a revocation does at once, whatever the chain says yet: links are closed, nobody is let in on
//! the word of a revoked key, the node that is revoked stops writing and sealing, and what its author
//! wrote and no block seals leaves the set.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_bytes::ByteBuf;

use super::conns::Phase;
use super::{Engine, Output};
use crate::conn::ConnId;
use crate::event::Event;
use crate::fact::{self, Body, EncodedFact};
use crate::id::{FactId, NodeId};
use crate::ledger::line::{self, Standing};
use crate::ledger::read::Read;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::{FOR_GOOD, FactState, Known, Meta, height_key};
use crate::limits::INTRODUCTION_BYTES;
use crate::peer::Misbehavior;
use crate::store::{Batch, StoreFault, Table, View};
use crate::time::{Instant, Millis};
use crate::verified::Verified;
use crate::wire::{CloseCode, Control};

/// A peer that is told why it has to go has so long to read why, before its connection is closed.
pub(super) const FAREWELL: Millis = 1_000;
/// Whoever tells us that we are revoked closes the connection within this time, or we do.
const FAREWELL_HEARD: Millis = 5_000;
/// Admissions from a node back to a founder that are looked at.
const VOUCHERS_MAX: usize = 64;
/// Rows of `Table::Conflict` looked at by one input.
const SWEPT_PER_STEP: usize = 1_024;

/// What revocations still ask for.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    /// This node is revoked.
    pub(super) me: bool,
    /// Live connections are to be looked through.
    enforce: bool,
    /// Facts in conflict are to be looked through.
    sweep: bool,
    /// Also for those that a recovery lets in again.
    pub(super) reopen: bool,
    /// Connections that end in a moment.
    farewells: Vec<Farewell>,
}

#[derive(Debug)]
struct Farewell {
    at: Instant,
    conn: ConnId,
    code: CloseCode,
    /// The peer had its say.
    heard: bool,
}

impl Revocations {
    /// As the store tells.
    pub(super) fn load(me: &NodeId, view: &dyn View) -> Result<Self, StoreFault> {
        let sweep = view.get(Table::Meta, &Meta::Sweep.key())?.is_some();
        let reopen = view.get(Table::Meta, &Meta::Reopen.key())?.is_some();
        Ok(Self { me: line::cut_off(view, me)?.is_some(), sweep, reopen, ..Self::default() })
    }

    /// Whether one more frame of a connection that ends in a moment is read: of two that dismiss
    /// each other, each has to hear why.
    pub(super) fn hears_once_more(&mut self, conn: ConnId) -> bool {
        let farewell = self.farewells.iter_mut().find(|farewell| farewell.conn == conn);
        farewell.is_some_and(|farewell| !core::mem::replace(&mut farewell.heard, true))
    }

    /// When the next farewell is over.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.farewells.iter().map(|farewell| farewell.at).min()
    }

    /// Connections that end in a moment.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn farewells(&self) -> usize {
        self.farewells.len()
    }

    /// Whose links are good is to be judged anew.
    pub(super) const fn review(&mut self) {
        self.enforce = true;
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.farewells.retain(|farewell| farewell.conn != conn);
    }
}

impl Engine {
    /// These keys are revoked by facts that have just entered the set.
    pub(super) fn on_revoked(&mut self, keys: &[NodeId]) {
        if keys.is_empty() {
            return;
        }
        self.revocations.enforce = true;
        self.revocations.sweep = true;
        self.revocations.me |= keys.contains(&self.me);
        self.mempool.revoked(keys);
        self.touch_members();
        let news = keys.iter().map(|node| Output::Event(Event::Revoked { node: *node }));
        self.outbox.extend(news);
        self.wake = true;
    }

    /// Why a node may not be linked to: it is revoked, its key was replaced, its admission came to
    /// nothing, or nobody who counts vouches for it.
    pub(super) fn standing(
        &self,
        node: &NodeId,
        view: &dyn View,
    ) -> Result<Result<(), CloseCode>, StoreFault> {
        if self.config.params.admission == crate::params::Admission::Open {
            return Ok(Ok(()));
        }
        if line::cut_off(view, node)?.is_some() {
            return Ok(Err(CloseCode::Revoked));
        }
        let Some(Known::Node { admit, .. }) = view.known(node)? else {
            return Ok(Err(CloseCode::NotMember));
        };
        match line::standing_in_set(view, node)? {
            Standing::Unknown => {}
            Standing::Member => return Ok(Ok(())),
            Standing::Replaced | Standing::Lapsed(_) => return Ok(Err(CloseCode::NotMember)),
            Standing::Revoked => return Ok(Err(CloseCode::Revoked)),
        }
        let admit = admit.map(|id| view.fact(&id)).transpose()?.flatten();
        if let Some((row, admit)) = admit
            && matches!(row.state, FactState::Conflict(..))
        {
            let over = self.is_over(&admit.fact().author, view)?;
            return Ok(Err(over.unwrap_or(CloseCode::NotMember)));
        }
        let ok = self.is_vouched_for(node, view)?;
        Ok(if ok { Ok(()) } else { Err(CloseCode::NotMember) })
    }

    /// Whether no revoked key stands between a key and what the chain says of members.
    pub(super) fn is_vouched_for(&self, key: &NodeId, view: &dyn View) -> Result<bool, StoreFault> {
        let mut next = *key;
        for _ in 0..VOUCHERS_MAX {
            if line::cut_off(view, &next)?.is_some() {
                return Ok(false);
            }
            match line::standing_in_set(view, &next)? {
                Standing::Unknown => {}
                standing => return Ok(standing == Standing::Member),
            }
            let Some(voucher) = self.voucher(&next, view)? else {
                return Ok(true);
            };
            if matches!(voucher.fact().body, Body::Recover(_)) {
                return Ok(true);
            }
            next = voucher.fact().author;
        }
        Ok(false)
    }

    /// The fact by which a key is known; none for founders and strangers.
    fn voucher(
        &self,
        key: &NodeId,
        view: &dyn View,
    ) -> Result<Option<Verified<EncodedFact>>, StoreFault> {
        let id = match view.known(key)? {
            Some(Known::Node { admit: Some(id), .. } | Known::Invite { fact: id, .. }) => id,
            _ => return Ok(None),
        };
        Ok(view.fact(&id)?.map(|(_, fact)| fact))
    }

    /// The facts that make a key known, from the nearest founder down; those nearest to the key if
    /// they do not fit into `room` bytes.
    pub(super) fn vouchers(
        &self,
        key: &NodeId,
        room: usize,
        view: &dyn View,
    ) -> Result<Vec<ByteBuf>, StoreFault> {
        let mut facts: Vec<ByteBuf> = Vec::new();
        let (mut bytes, mut next) = (0, *key);
        while let Some(fact) = self.voucher(&next, view)? {
            bytes += fact.bytes().len() + 4;
            if bytes > room {
                break;
            }
            next = fact.fact().author;
            facts.push(ByteBuf::from(fact.bytes()));
            // Nobody admitted its author but the recovery keys.
            if matches!(fact.fact().body, Body::Recover(_)) {
                break;
            }
        }
        facts.reverse();
        Ok(facts)
    }

    /// Looks at one link again: if its peer does not belong any more, all of them are looked at.
    pub(super) fn review_standing(
        &mut self,
        conn: ConnId,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        if let Some(node) = self.conns.get(conn).map(|conn| conn.node)
            && self.standing(&node, view)?.is_err()
        {
            self.revocations.enforce = true;
            self.wake = true;
        }
        Ok(())
    }

    /// Closes the links of those who do not belong any more; whether there were any. Who was admitted
    /// by a revoked admin keeps its link until we have caught up: the block that seals the admission
    /// may be on its way, and after a long absence from that very peer.
    pub(super) fn enforce_revocations(&mut self, view: &dyn View) -> Result<bool, StoreFault> {
        if !core::mem::take(&mut self.revocations.enforce) {
            return Ok(false);
        }
        let before = self.outbox.len();
        self.revocations.me = line::cut_off(view, &self.me)?.is_some();
        let behind = self.headers.behind(|id| self.chain.agrees_with(id));
        let current = self.is_caught_up() && !behind;
        let live = self.conns.iter().filter(|(_, conn)| conn.phase != Phase::Closing);
        let live: Vec<(ConnId, NodeId, bool)> =
            live.map(|(id, conn)| (id, conn.node, conn.phase == Phase::Accepted)).collect();
        for (id, node, accepted) in live {
            match self.standing(&node, view)? {
                Err(CloseCode::Revoked) => self.dismiss(id, &node, view)?,
                Err(code) if accepted && current => self.turn_away(id, code, view)?,
                Err(_) if accepted => self.revocations.enforce = true,
                Err(_) => {}
                Ok(()) => self.end_trial(id),
            }
        }
        Ok(self.outbox.len() > before)
    }

    /// Shows a revoked peer the proof that it is, and closes the connection a moment later.
    pub(super) fn dismiss(
        &mut self,
        conn: ConnId,
        node: &NodeId,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        let Some(id) = line::cut_off(view, node)? else {
            self.close(conn, CloseCode::Revoked);
            return Ok(());
        };
        if let Some((_, revoke)) = view.fact(&id)? {
            let room = INTRODUCTION_BYTES.saturating_sub(revoke.bytes().len() + 4);
            let mut proof = self.vouchers(&revoke.fact().author, room, view)?;
            proof.push(ByteBuf::from(revoke.bytes()));
            self.send_control(conn, &Control::Revoked { proof });
        }
        self.farewell(conn, FAREWELL, CloseCode::Revoked);
        Ok(())
    }

    /// Nothing more is heard from a connection, which ends in a moment.
    pub(super) fn farewell(&mut self, id: ConnId, after: Millis, code: CloseCode) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if conn.phase != Phase::Closing {
            conn.phase = Phase::Closing;
            self.forget_conn(id);
            self.touch_peers();
            let at = self.now.instant.after(after);
            self.revocations.farewells.push(Farewell { at, conn: id, code, heard: false });
        }
    }

    /// Ends the connections whose farewell is over.
    pub(super) fn end_farewells(&mut self) {
        let now = self.now.instant;
        for farewell in core::mem::take(&mut self.revocations.farewells) {
            if farewell.at <= now {
                let Farewell { conn, code, .. } = farewell;
                self.outbox.push_back(Output::Close(conn, code, String::new()));
            } else {
                self.revocations.farewells.push(farewell);
            }
        }
    }

    /// A peer says that we are revoked. It is believed only as far as it proves it.
    pub(super) fn on_told_revoked(
        &mut self,
        conn: ConnId,
        proof: &[ByteBuf],
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let Some(facts) = self.read_membership_facts(proof) else {
            self.accuse(conn, Misbehavior::FalseRevocation);
            return Ok(());
        };
        let mut mine = false;
        for fact in &facts {
            match fact.fact().body {
                Body::Revoke { node } => mine |= line::is_same(view, &node, &self.me)?,
                Body::Recover(recover) => {
                    for key in recover.ended.iter() {
                        mine |= line::is_same(view, &key, &self.me)?;
                    }
                }
                _ => {}
            }
        }
        if !mine {
            self.accuse(conn, Misbehavior::FalseRevocation);
            return Ok(());
        }
        self.farewell(conn, FAREWELL_HEARD, CloseCode::Revoked);
        // Without room it is not remembered; the next peer tells it again.
        if !self.read_only {
            self.arrive(facts, None, view, batch)?;
        }
        Ok(())
    }

    /// Facts about who belongs, as peers show them before anything else; none if one of them is
    /// something else or not signed, or they are too many.
    pub(super) fn read_membership_facts(
        &self,
        shown: &[ByteBuf],
    ) -> Option<Vec<Verified<EncodedFact>>> {
        let total: usize = shown.iter().map(|bytes| bytes.len()).sum();
        if total > INTRODUCTION_BYTES {
            return None;
        }
        let read = |bytes: &ByteBuf| {
            let fact = EncodedFact::parse(&self.mesh, bytes).ok()?;
            let fact = fact::verify(&self.mesh, fact).ok()?;
            fact.fact().body.is_lasting().then_some(fact)
        };
        shown.iter().map(read).collect()
    }

    /// Whether what a stranger shows hangs on a revoked key, as far as no block seals it.
    pub(super) fn hangs_on_revoked(
        &self,
        facts: &[Verified<EncodedFact>],
        view: &dyn View,
    ) -> Result<bool, StoreFault> {
        for fact in facts {
            let state = view.fact_row(&fact.id())?.map(|row| row.state);
            let sealed = matches!(state, Some(FactState::Sealed(..)));
            if !sealed && !self.is_vouched_for(&fact.fact().author, view)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes facts out of the set that were in conflict before their author was revoked; what is
    /// pending is judged by the mempool. Returns whether anything was written.
    pub(super) fn sweep_revoked(
        &mut self,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<bool, StoreFault> {
        let from = view.get(Table::Meta, &Meta::Sweep.key())?.filter(|_| self.revocations.sweep);
        let Some(from) = from else {
            self.revocations.sweep = false;
            return Ok(false);
        };
        let rows = view.scan(Table::Conflict, &from, &height_key(FOR_GOOD), SWEPT_PER_STEP)?;
        let mut authors: BTreeMap<NodeId, bool> = BTreeMap::new();
        let mut leaving = Vec::new();
        for (_, value) in &rows {
            let id = FactId::from_slice(value);
            let found = id.map(|id| view.fact(&id)).transpose()?.flatten();
            let Some(fact) = found.map(|(_, fact)| fact) else {
                continue;
            };
            let said = fact.fact();
            let revoked = match authors.get(&said.author) {
                Some(revoked) => *revoked,
                None => view.revoked(&said.author)?.is_some(),
            };
            authors.insert(said.author, revoked);
            if revoked && !said.body.is_lasting() {
                leaving.push((fact.id(), FactReject::Revoked));
            }
        }
        self.mark_conflicts(leaving, view, batch)?;
        match rows.last() {
            Some((last, _)) if rows.len() == SWEPT_PER_STEP => {
                let next = crate::ledger::rows::key(&[last, &[0]]);
                batch.put(Table::Meta, &Meta::Sweep.key(), &next);
            }
            _ => {
                batch.delete(Table::Meta, &Meta::Sweep.key());
                self.revocations.sweep = false;
            }
        }
        Ok(true)
    }
}
