//! While the disk has no room to spare: the engine writes nothing. It serves what it holds, follows
//! headers (in memory, so that it knows how far behind it is), and refuses what its user wants to
//! write. Facts, bodies and reconciliations are not asked for, and nothing is sealed or connected.
//!
//! Who knows the disk tells (`Input::ReadOnly`); nothing here measures anything. What comes back
//! once there is room: everything that peers hold, by the ordinary ways of catching up.

use alloc::vec::Vec;

use super::{Engine, JobId, Output, Refusal};
use crate::event::Event;
use crate::fact::FactVerdict;
use crate::peer::Misbehavior;

use super::input::Command;

impl Engine {
    /// The disk has no more room for the ledger, or has it again.
    pub(super) fn on_read_only(&mut self, read_only: bool) {
        if self.read_only == read_only {
            return;
        }
        self.read_only = read_only;
        self.outbox.push_back(Output::Event(Event::ReadOnly(read_only)));
        if read_only {
            self.end_session();
            return;
        }
        let now = self.now.instant;
        // Nobody withheld anything in the meantime: there is a whole patience to catch up in.
        (self.progress, self.behind_since) = (now, now);
        self.next_retry = now;
        self.schedule.hurry(now);
        self.headers.unsettle();
        self.sealing.retry();
        self.ping_soon();
        self.wake = true;
    }

    /// Why a command cannot be carried out, if it cannot.
    pub(super) fn refused_now(&self, command: &Command) -> Option<Refusal> {
        match self.stopping {
            true => Some(Refusal::Stopping),
            false => (self.read_only && command.writes()).then_some(Refusal::ReadOnly),
        }
    }

    /// Verdicts on facts that there is no room for any more: they are asked for again once there
    /// is. A bad one is the peer's fault in any case.
    pub(super) fn postpone(&mut self, job: JobId, verdicts: Vec<FactVerdict>) {
        let Some((conn, node, count)) = self.verifying.remove(&job) else {
            return;
        };
        self.verifying_facts -= count;
        for verdict in verdicts {
            match verdict {
                Ok(fact) => self.wanted.ask_again(&fact.id(), conn),
                Err(id) => {
                    self.wanted.retry_elsewhere(&id, conn);
                    self.accuse_of(conn, node, Misbehavior::Signature);
                }
            }
        }
    }
}
