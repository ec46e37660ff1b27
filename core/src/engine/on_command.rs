//! What the node's user asks for. A refusal changes nothing and is told at once; everything that
//! was done is told when it is durable.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::promises::Promise;
use super::{Command, CommandId, CustodyAction, Engine, Output, Published, Receipt, Refusal};
use crate::conn::PeerAddr;
use crate::fact::{self, Body, BodyError, EncodedFact, Fact, Role};
use crate::id::{FactId, NodeId};
use crate::ledger::arrival::Arrived;
use crate::ledger::read::Read;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::Known;
use crate::ledger::state::State;
use crate::mempool::Wish;
use crate::params::Admission;
use crate::peer::Source;
use crate::signature::Signature;
use crate::store::{Batch, StoreFault, View};
use crate::verified::Verified;
use crate::wire::CloseCode;

impl Engine {
    pub(super) fn on_command(
        &mut self,
        id: CommandId,
        command: Command,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<(), StoreFault> {
        let result = match self.refused_now(&command) {
            Some(refusal) => Err(refusal),
            None => match self.carry_out(id, command, view, batch)? {
                Some(result) => result,
                None => return Ok(()),
            },
        };
        match result {
            // Nothing was done, so there is nothing to wait for.
            Err(_) => self.outbox.push_back(Output::Reply(id, result)),
            Ok(_) => self.fresh.push(Promise::Reply(id, result)),
        }
        Ok(())
    }

    /// Does what is asked; none if a peer has to answer.
    fn carry_out(
        &mut self,
        id: CommandId,
        command: Command,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Option<Result<Receipt, Refusal>>, StoreFault> {
        // Who was revoked by a stolen key is who has to say so.
        let may = matches!(command, Command::Recover(_)) || !self.revocations.me;
        if command.writes() && !may {
            return Ok(Some(Err(Refusal::Revoked)));
        }
        let result = match command {
            Command::Publish(facts) => self.publish(facts, view, batch)?,
            Command::Custody { item, action, note } => {
                self.change_custody(&item, action, &note, view, batch)?
            }
            Command::Invite { key, role, uses, expires, lease } => {
                let admin =
                    matches!(view.known(&self.me)?, Some(Known::Node { role: Role::Admin, .. }));
                if !admin {
                    return Ok(Some(Err(Refusal::NotAdmin)));
                }
                let body = Body::Invite { key, role, uses, expires, lease };
                self.make_permitted(body, view, batch)?
            }
            Command::Revoke { key } => {
                self.make_permitted(Body::Revoke { node: key }, view, batch)?
            }
            Command::Name { node, name } => {
                self.make_permitted(Body::Name { node, name: &name }, view, batch)?
            }
            Command::Lease { node, until } => {
                self.make_permitted(Body::Lease { node, until }, view, batch)?
            }
            Command::Rotate { key, signature } => self.rotate(key, signature, view, batch)?,
            Command::Recover(recovery) => {
                self.make_permitted(Body::Recover(recovery.statement()), view, batch)?
            }
            Command::Sync => {
                self.schedule.hurry(self.now.instant);
                self.headers.unsettle();
                self.ping_soon();
                Ok(Receipt::Done)
            }
            Command::Hear(address) => {
                if self.book.learn(&address, Source::Lan, None) {
                    self.touch_peers();
                }
                Ok(Receipt::Done)
            }
            Command::CheckReach => {
                self.check_reach();
                Ok(Receipt::Done)
            }
            Command::AddPeer(address, pin) => self.add_peer(&address, pin),
            Command::PingPeer(node) => return self.ping_for(id, node, view),
            Command::RemovePeer(address) => self.forget_address(address),
            Command::Ban { subject, length, reason } => self.ban(subject, length, &reason),
            Command::Unban(subject) => self.unban(&subject),
            Command::Stop => {
                self.stopping = true;
                self.next_save = self.now.instant;
                self.book.touch();
                let open: Vec<_> = self.conns.iter().map(|(conn, _)| conn).collect();
                open.into_iter().for_each(|conn| self.close(conn, CloseCode::ShuttingDown));
                Ok(Receipt::Done)
            }
        };
        Ok(Some(result))
    }

    fn add_peer(&mut self, address: &PeerAddr, pin: Option<NodeId>) -> Result<Receipt, Refusal> {
        if !self.book.learn(address, Source::Given, pin) {
            let most = self.config.limits.addresses_given;
            let what = alloc::format!(
                "{address} is not an address (host:port), or {most} are kept already"
            );
            return Err(Refusal::Malformed(what));
        }
        self.book.hurry(address);
        self.touch_peers();
        Ok(Receipt::Done)
    }

    fn publish(
        &mut self,
        facts: Vec<Verified<EncodedFact>>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<Receipt, Refusal>, StoreFault> {
        // What can only end in conflict is refused at once.
        let everybody = self.config.params.admission == Admission::Open;
        if !everybody && facts.iter().any(|fact| fact.fact().author == self.me) {
            match view.known(&self.me)? {
                Some(Known::Node { role: Role::Reader, .. }) => return Ok(Err(Refusal::Reader)),
                Some(_) if self.standing(&self.me, view)?.is_err() => {
                    let since = self.lapsed(&self.me, view)?;
                    return Ok(Err(since.map_or(Refusal::NotMember, Refusal::Lapsed)));
                }
                _ => {}
            }
        }
        let ids: Vec<FactId> = facts.iter().map(|fact| fact.id()).collect();
        let outcomes = self.arrive(facts, None, view, batch)?;
        let told = ids.into_iter().zip(outcomes).map(|(id, outcome)| match outcome {
            Arrived::Entered(_) => Published::Accepted(id),
            Arrived::Duplicate => Published::Duplicate(id),
            Arrived::Stranger(author) => Published::Refused(id, Refusal::UnknownAuthor(author)),
            Arrived::Revoked(author) => Published::Refused(id, Refusal::AuthorRevoked(author)),
        });
        Ok(Ok(Receipt::Published(told.collect())))
    }

    fn rotate(
        &mut self,
        key: NodeId,
        signature: Signature,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<Receipt, Refusal>, StoreFault> {
        if let Some(Known::Node { admit: Some(id), .. }) = view.known(&key)?
            && view.fact(&id)?.is_some_and(|(_, fact)| fact.fact().author == self.me)
        {
            return Ok(Ok(Receipt::Made(id)));
        }
        match view.member(&self.me)?.map(|member| member.role) {
            Some(role) => self.make_permitted(Body::Rotate { key, role, signature }, view, batch),
            None => Ok(Err(Refusal::NotMember)),
        }
    }

    /// Judges a fact about who belongs before it is made; what may still come true is made.
    fn make_permitted(
        &mut self,
        body: Body<'_>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<Receipt, Refusal>, StoreFault> {
        if let Err(error) = body.check() {
            return Ok(Err(Refusal::Malformed(error.to_string())));
        }
        if !body.is_agreed(&self.mesh, &self.me) {
            return Ok(Err(Refusal::Rule(FactReject::NoQuorum.to_string())));
        }
        let fact = Fact { author: self.me, time: self.now.wall, body };
        let mut state = self.state_ahead();
        state.load(view, &fact)?;
        match state.judge(FactId::ZERO, &fact).map(|_| ()) {
            // Our own admission may not be sealed yet.
            Ok(()) | Err(FactReject::NotMember) => self.make(body, view, batch),
            Err(reject) => Ok(Err(self.refusal(reject, view)?)),
        }
    }

    /// The state for judging what no block seals yet.
    fn state_ahead(&self) -> State<'_> {
        let Some(entry) = self.chain.tree.entry(&self.chain.tip().id) else {
            unreachable!("the tip is always in the tree")
        };
        State::ahead(&self.config.params, entry.header(), self.chain_time())
    }

    /// Signs a fact of our own and takes it in.
    fn make(
        &mut self,
        body: Body<'_>,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<Receipt, Refusal>, StoreFault> {
        let fact = Fact { author: self.me, time: self.now.wall, body };
        let fact = match EncodedFact::sign(fact, &self.mesh, &self.config.key) {
            Ok(fact) => fact,
            Err(error) => return Ok(Err(Refusal::Malformed(error.to_string()))),
        };
        let id = fact.id();
        match self.arrive(alloc::vec![fact], None, view, batch)?.first() {
            Some(Arrived::Stranger(_)) => Ok(Err(Refusal::NotMember)),
            _ => Ok(Ok(Receipt::Made(id))),
        }
    }

    fn change_custody(
        &mut self,
        item: &str,
        action: CustodyAction,
        note: &str,
        view: &dyn View,
        batch: &mut Batch,
    ) -> Result<Result<Receipt, Refusal>, StoreFault> {
        // Checked before anything is looked up by it.
        if !fact::is_item(item) {
            return Ok(Err(Refusal::Malformed(BodyError::Item.to_string())));
        }
        let state = self.state_ahead();
        let wish = Wish { author: self.me, time: self.now.wall, item, action, note };
        let body = match self.mempool.custody(state, view, &wish)? {
            Ok(fact) => fact.body,
            Err(reject) => return Ok(Err(self.refusal(reject, view)?)),
        };
        self.make(body, view, batch)
    }

    /// A rule that forbids what was asked, with the names that people use.
    fn refusal(&self, reject: FactReject, view: &dyn View) -> Result<Refusal, StoreFault> {
        Ok(match reject {
            FactReject::Held { item, holder }
            | FactReject::Superseded { item, holder: Some(holder) } => {
                Refusal::Held { item, holder, name: self.name_of(&holder, view)? }
            }
            FactReject::Free { item } | FactReject::Superseded { item, holder: None } => {
                Refusal::Free { item }
            }
            FactReject::NotHolder { item, holder } => {
                Refusal::NotHolder { item, holder, name: self.name_of(&holder, view)? }
            }
            FactReject::NotMember => Refusal::NotMember,
            FactReject::Reader => Refusal::Reader,
            FactReject::Revoked | FactReject::Deposed => Refusal::Revoked,
            FactReject::NotAdmin => Refusal::NotAdmin,
            FactReject::Lapsed(since) => Refusal::Lapsed(since),
            other => Refusal::Rule(other.to_string()),
        })
    }

    /// What people call a node; its id if nobody named it.
    fn name_of(&self, node: &NodeId, view: &dyn View) -> Result<String, StoreFault> {
        Ok(view.member(node)?.map_or_else(|| node.to_string(), |member| member.name))
    }
}
