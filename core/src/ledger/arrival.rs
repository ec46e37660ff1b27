//! Verified facts enter the set. Whether one does depends on the set alone, never on the chain, so
//! that all sets can become equal whatever order facts come in.
//!
//! The rule is monotone: what a key may bring in (`Known`) only ever grows with the set. A fact by
//! a key that is not known stays outside until the key is, and so does an `Invite` or `Admit` by a
//! key that may not make it: were it inside without effect, the set would have to be walked again
//! when its author becomes an admin. `Revoke` is the same: it counts for good, whoever is revoked
//! later, unless a `Recover` takes it from its author; so which keys are revoked depends on nothing
//! but the set.
//!
//! Many facts make one batch; later ones see earlier ones. Not here: what waits outside.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::overlay::Overlay;
use super::read::Read;
use super::rows::{FactRow, FactState, Known, Meta, Recovered, Seq, SetRow, half, key, text_key};
use crate::codec;
use crate::fact::{Body, EncodedFact, Fact, Recover, Role};
use crate::id::{FactId, NodeId};
use crate::params::{Admission, Params, Recovery};
use crate::store::{Batch, StoreFault, Table, View};
use crate::verified::Verified;

/// What became of one fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// It entered, with this number.
    Entered(Seq),
    /// It is in the set already.
    Duplicate,
    /// Nothing in the set lets its author bring it in (yet).
    Stranger(NodeId),
    /// Its author was revoked: it is only taken for a block that names it.
    Revoked(NodeId),
}

/// Rows that a record becomes, and about as many bytes of keys and values beside its own.
const ROWS_PER_FACT: usize = 6;
const INDEX_BYTES_PER_FACT: usize = 200;

/// Facts on their way into the set.
pub struct Arrival<'v> {
    view: &'v dyn View,
    open: bool,
    set: SetRow,
    batch: Batch,
    entered: BTreeSet<FactId>,
    /// Every author asked for so far; bounded by the facts of one call.
    known: BTreeMap<NodeId, Option<Known>>,
    /// Which keys are revoked, with what this arrival changes.
    cuts: Overlay<'v>,
    /// Asked for so far; forgotten when something changes.
    revoked: BTreeMap<NodeId, Option<FactId>>,
    recovery: Recovery,
    recovered: bool,
    fallen: BTreeSet<NodeId>,
    risen: BTreeSet<NodeId>,
}

/// The result of an `Arrival`.
#[derive(Debug)]
pub struct Entry {
    /// What to write.
    pub batch: Batch,
    /// The set afterwards.
    pub set: SetRow,
    /// Keys that may bring in more than before: facts of theirs that wait outside may enter now.
    pub risen: Vec<NodeId>,
    /// Keys that were not revoked before.
    pub fallen: Vec<NodeId>,
    /// Whether keys that were may not be any more.
    pub recovered: bool,
}

impl<'v> Arrival<'v> {
    /// Nothing entered yet. `view` must show the result of every earlier arrival.
    ///
    /// # Errors
    /// `StoreFault` if the view fails; so for all methods.
    pub fn new(params: &Params, view: &'v dyn View) -> Result<Self, StoreFault> {
        Ok(Self {
            view,
            open: params.admission == Admission::Open,
            set: view.set_row()?,
            batch: Batch::new(),
            entered: BTreeSet::new(),
            known: BTreeMap::new(),
            cuts: Overlay::new(view),
            revoked: BTreeMap::new(),
            recovery: params.recovery.clone(),
            recovered: false,
            fallen: BTreeSet::new(),
            risen: BTreeSet::new(),
        })
    }

    /// Room for so many facts that are so long together.
    pub fn reserve(&mut self, facts: usize, bytes: usize) {
        self.batch.reserve(ROWS_PER_FACT * facts, bytes + INDEX_BYTES_PER_FACT * facts);
    }

    /// Takes a fact in, if the set lets it.
    ///
    /// # Errors
    /// `StoreFault`; then this arrival must be dropped.
    pub fn add(&mut self, encoded: &Verified<EncodedFact>) -> Result<Arrived, StoreFault> {
        self.take(encoded, false)
    }

    /// The same for a fact that a block names, which is taken though its author was revoked.
    ///
    /// # Errors
    /// As for `add`.
    pub fn add_named(&mut self, encoded: &Verified<EncodedFact>) -> Result<Arrived, StoreFault> {
        self.take(encoded, true)
    }

    fn take(
        &mut self,
        encoded: &Verified<EncodedFact>,
        named: bool,
    ) -> Result<Arrived, StoreFault> {
        let id = encoded.id();
        if self.entered.contains(&id) || self.view.get(Table::FactIndex, id.as_bytes())?.is_some() {
            return Ok(Arrived::Duplicate);
        }
        let fact = encoded.fact();
        let author = self.known(&fact.author)?;
        let permitted = match &fact.body {
            Body::Recover(recover) => recover.is_by(&self.recovery),
            _ => may_make(author.as_ref(), &fact),
        };
        // In an open mesh too, who admits whom must not depend on the order in which facts come.
        if !permitted && (!self.open || fact.body.is_membership()) {
            return Ok(Arrived::Stranger(fact.author));
        }
        if !named && !fact.body.is_lasting() && self.revoked(&fact.author)?.is_some() {
            return Ok(Arrived::Revoked(fact.author));
        }
        self.entered.insert(id);
        self.set.summary.add(&id);
        self.set.bytes += encoded.bytes().len() as u64;
        let seq = Seq(self.set.summary.count);
        self.write(seq, encoded, &fact);
        if permitted {
            self.grant(id, &fact)?;
        }
        Ok(Arrived::Entered(seq))
    }

    /// What to write, and what changed.
    pub fn finish(mut self) -> Entry {
        if !self.entered.is_empty() {
            let set = codec::encode(&self.set);
            self.batch.put(Table::Meta, &Meta::Set.key(), &set);
        }
        if !self.fallen.is_empty() {
            // What is in conflict for another reason leaves the set too: from the first row on.
            self.batch.put(Table::Meta, &Meta::Sweep.key(), &[]);
        }
        if self.recovered {
            self.batch.put(Table::Meta, &Meta::Reopen.key(), &[]);
        }
        self.batch.append(self.cuts.into_batch());
        Entry {
            batch: self.batch,
            set: self.set,
            risen: self.risen.into_iter().collect(),
            fallen: self.fallen.into_iter().collect(),
            recovered: self.recovered,
        }
    }

    /// The fact that revoked a key. Where everybody may write there is nothing to take away.
    fn revoked(&mut self, node: &NodeId) -> Result<Option<FactId>, StoreFault> {
        if self.open {
            return Ok(None);
        }
        if let Some(revoked) = self.revoked.get(node) {
            return Ok(*revoked);
        }
        let revoked = self.cuts.revoked(node)?;
        self.revoked.insert(*node, revoked);
        Ok(revoked)
    }

    fn revoke(&mut self, id: FactId, by: NodeId, node: NodeId) -> Result<(), StoreFault> {
        if self.open {
            return Ok(());
        }
        let before = self.revoked(&node)?;
        self.note_least(Table::Revoked, node.as_bytes(), id)?;
        self.note_least(Table::Revoker, &key(&[node.as_bytes(), by.as_bytes()]), id)?;
        self.revoked.clear();
        if before.is_none() && self.revoked(&node)?.is_some() {
            self.fallen.insert(node);
        }
        Ok(())
    }

    /// Of several the least, so that what is stored does not depend on the order of arrival.
    fn note_least(&mut self, table: Table, key: &[u8], id: FactId) -> Result<(), StoreFault> {
        let before: Option<FactId> = self.cuts.row(table, key)?;
        if before.is_none_or(|before| id < before) {
            self.cuts.put_row(table, key, &id);
        }
        Ok(())
    }

    fn recover(&mut self, id: FactId, recover: &Recover<'_>) -> Result<(), StoreFault> {
        if self.open {
            return Ok(());
        }
        for node in recover.ended.iter() {
            let before = self.revoked(&node)?;
            self.note_least(Table::Revoked, node.as_bytes(), id)?;
            let row = match self.cuts.recovered(&node)? {
                None => Recovered { by: id, kept: recover.kept.iter().collect() },
                Some(Recovered { by, mut kept }) => {
                    kept.retain(|key| recover.kept.contains(key));
                    Recovered { by: by.min(id), kept }
                }
            };
            self.cuts.put_row(Table::Recovered, node.as_bytes(), &row);
            self.fallen.extend(before.is_none().then_some(node));
        }
        self.revoked.clear();
        self.recovered = true;
        Ok(())
    }

    fn known(&mut self, node: &NodeId) -> Result<Option<Known>, StoreFault> {
        if let Some(known) = self.known.get(node) {
            return Ok(known.clone());
        }
        let known = self.view.known(node)?;
        self.known.insert(*node, known.clone());
        Ok(known)
    }

    fn write(&mut self, seq: Seq, encoded: &EncodedFact, fact: &Fact<'_>) {
        let (id, seq_key, batch) = (encoded.id(), seq.key(), &mut self.batch);
        let state = FactState::Pending;
        let row = codec::encode(&FactRow { seq, state });
        batch.put(Table::Fact, &seq_key, encoded.bytes());
        batch.put(Table::FactIndex, id.as_bytes(), &row);
        batch.put(Table::Pending, &seq_key, id.as_bytes());
        let content = fact.content_hash();
        let content_key = key(&[half(content.as_bytes()), &seq_key]);
        batch.put(Table::Content, &content_key, &[]);
        match fact.body {
            Body::Record { topic, .. } => {
                let author_key = key(&[half(fact.author.as_bytes()), &seq_key]);
                batch.put(Table::Topic, &text_key(topic, seq), &[]);
                batch.put(Table::Author, &author_key, &[]);
            }
            Body::Relation { subject, object, .. } => {
                let from = key(&[subject.as_bytes(), &seq_key]);
                let to = key(&[object.as_bytes(), &seq_key]);
                batch.put(Table::RelationFrom, &from, &[]);
                batch.put(Table::RelationTo, &to, &[]);
            }
            Body::Request { item, .. }
            | Body::Release { item, .. }
            | Body::Transfer { item, .. } => {
                batch.put(Table::ItemFacts, &text_key(item, seq), &[]);
            }
            Body::Invite { .. }
            | Body::Admit { .. }
            | Body::Revoke { .. }
            | Body::Rotate { .. }
            | Body::Recover(_)
            | Body::Lease { .. }
            | Body::Name { .. } => {}
        }
    }

    /// What a permitted fact about who belongs lets its subject bring in, or takes from it.
    fn grant(&mut self, id: FactId, fact: &Fact<'_>) -> Result<(), StoreFault> {
        let (subject, granted) = match fact.body {
            Body::Admit { node, role, .. } | Body::Rotate { key: node, role, .. } => {
                let admit = Some(id);
                let invite = None;
                (node, Known::Node { role, admit, recovered: false, invite })
            }
            Body::Invite { key, role, .. } => (key, Known::Invite { fact: id, role }),
            Body::Revoke { node } => return self.revoke(id, fact.author, node),
            Body::Recover(recover) => {
                self.recover(id, &recover)?;
                let (role, admit) = (Role::Admin, Some(id));
                (fact.author, Known::Node { role, admit, recovered: true, invite: None })
            }
            _ => return Ok(()),
        };
        let before = self.known(&subject)?;
        let now = join(before.clone(), granted);
        if before.as_ref() != Some(&now) {
            let row = codec::encode(&now);
            self.batch.put(Table::Known, subject.as_bytes(), &row);
            self.known.insert(subject, Some(now));
            self.risen.insert(subject);
        }
        Ok(())
    }
}

/// Whether a key that is known for this reason may bring a body into the set.
fn may_make(known: Option<&Known>, fact: &Fact<'_>) -> bool {
    let (node, invite) = match known {
        None => return false,
        Some(Known::Node { role, invite, .. }) => (Some(*role), *invite),
        Some(Known::Invite { role, .. }) => (None, Some(*role)),
    };
    match &fact.body {
        Body::Invite { .. } => node == Some(Role::Admin),
        // Several invites may share a key; the chain knows one of them and is strict.
        Body::Admit { role, .. } => node == Some(Role::Admin) || invite.is_some_and(|i| *role <= i),
        // A node passes on what it is, or less: which of the two it is, the chain judges.
        Body::Rotate { role, .. } => node.is_some_and(|own| *role <= own),
        // Judged by who signed, not by its author.
        Body::Recover(_) => false,
        Body::Revoke { node: subject } => {
            node == Some(Role::Admin) || (node.is_some() && *subject == fact.author)
        }
        _ => true,
    }
}

/// The least that lets a key bring in what either reason does.
fn join(before: Option<Known>, granted: Known) -> Known {
    match (before, granted) {
        (None, granted) => granted,
        (
            Some(Known::Node { role, admit, recovered, invite }),
            Known::Node { role: new_role, admit: new_admit, recovered: by_recovery, .. },
        ) => {
            let (old, new) = ((role, recovered), (new_role, by_recovery));
            let least = new == old && recovered && new_admit < admit;
            let (admit, recovered) =
                if new > old || least { (new_admit, by_recovery) } else { (admit, recovered) };
            Known::Node { role: role.max(new_role), admit, recovered, invite }
        }
        (
            Some(Known::Node { role, admit, recovered, invite }),
            Known::Invite { role: gives, .. },
        ) => Known::Node { role, admit, recovered, invite: invite.max(Some(gives)) },
        (Some(Known::Invite { role: gives, .. }), Known::Node { role, admit, recovered, .. }) => {
            Known::Node { role, admit, recovered, invite: Some(gives) }
        }
        (Some(Known::Invite { fact, role }), Known::Invite { fact: new, role: gives }) => {
            Known::Invite { fact: if gives > role { new } else { fact }, role: role.max(gives) }
        }
    }
}
