//! What can happen in one step.

use cairn_core::codec;
use cairn_core::conn::{ConnId, DialId, PeerAddr, RequestTag, StreamTag};
use cairn_core::engine::{BatchId, Command, ConnInput, CustodyAction, Input, JobId};
use cairn_core::fact::Role;
use cairn_core::id::MeshId;
use cairn_core::peer::Subject;
use cairn_core::time::UnixTime;
use cairn_core::wire::{CloseCode, Control};

use super::super::Source;
use super::super::peers::{self, announce, forge, grow, lie, make, request, shorten, spoil};
use super::scene::Scene;

/// Connections that peers use, numbered from 0.
pub(super) const CONNS: u64 = 5;

fn conn(source: &mut Source<'_>) -> ConnId {
    ConnId(source.below(CONNS as usize) as u64)
}

impl Scene {
    /// One thing happens. New kinds of inputs are added here.
    pub(super) fn step(&mut self, source: &mut Source<'_>) {
        match source.below(24) {
            0 => self.open(source),
            1 | 2 => self.greet(source),
            3 => self.control(source),
            4 | 5 => {
                let (conn, bytes) = (conn(source), announce(source, &self.chains));
                self.conn(conn, ConnInput::Announce(&bytes));
            }
            6 => self.request(source),
            7..=11 => self.answer(source),
            12 => {
                let (conn, tag) = (conn(source), RequestTag(source.byte().into()));
                self.asked.retain(|(_, other, ..)| *other != tag);
                self.conn(conn, ConnInput::NoAnswer(tag));
            }
            13 => {
                let (conn, by_peer) = (conn(source), source.byte() & 1 == 1);
                self.asked.retain(|(to, ..)| *to != conn);
                self.conn(
                    conn,
                    ConnInput::Closed { code: Some(CloseCode::Full), by_peer, reason: "full" },
                );
            }
            14 => self.spurious(source),
            15 => self.publish(source),
            16 => self.command(source),
            17 | 18 => self.branch(source),
            19 => {
                let upto = source.below(8);
                self.durable(upto);
            }
            20 => {
                if let Some((id, job)) = self.jobs.pop() {
                    self.work(id, job);
                }
            }
            21 => self.pass(u64::from(source.short()) * 2),
            22 => self.settle(),
            _ => {
                if source.byte() & 1 == 1 {
                    self.crash();
                } else {
                    self.pass(u64::from(source.byte()));
                }
            }
        }
    }

    fn open(&mut self, source: &mut Source<'_>) {
        let conn = conn(source);
        let (n, dial) = (source.below(self.nodes.len()), source.byte());
        let node = self.nodes[n].id();
        let address = PeerAddr(format!("192.0.2.{n}:7071"));
        let dial = (dial & 3 == 0).then_some(DialId((dial >> 2).into()));
        self.conn(conn, ConnInput::Opened { node, address, dial, key_exchange: "fuzz" });
    }

    fn greet(&mut self, source: &mut Source<'_>) {
        let conn = conn(source);
        let mut hello = self.hello(source.below(2));
        match source.byte() {
            0 => hello.mesh = MeshId([9; 32]),
            1 => hello.rules = 9,
            2 => hello.protocol = (9, 3),
            3 => hello.introduction = vec![source.bytes().to_vec().into()],
            4 => {
                let admit = self.nodes[0].admit(self.nodes[4].id(), Role::Member);
                hello.introduction = vec![admit.bytes().to_vec().into()];
            }
            5 => hello.tip = peers::tip(source, &self.chains),
            6 => hello.facts = peers::set(source, &self.chains),
            _ => {}
        }
        let mut bytes = codec::encode(&Control::Hello(hello));
        if source.byte() == 0xff {
            spoil(source, &mut bytes);
        }
        self.conn(conn, ConnInput::Control(&bytes));
    }

    fn control(&mut self, source: &mut Source<'_>) {
        let conn = conn(source);
        let bytes = match source.below(3) {
            0 => source.bytes().to_vec(),
            1 => codec::encode(&Control::Pong { nonce: source.number() }),
            _ => codec::encode(&Control::Ping {
                nonce: source.number(),
                tip: peers::tip(source, &self.chains),
                facts: peers::set(source, &self.chains),
            }),
        };
        self.conn(conn, ConnInput::Control(&bytes));
    }

    fn request(&mut self, source: &mut Source<'_>) {
        let conn = conn(source);
        let (class, mut bytes) = request(source, &self.chains);
        if source.byte() == 0xff {
            spoil(source, &mut bytes);
        }
        self.streams += 1;
        let stream = StreamTag(self.streams);
        self.conn(conn, ConnInput::Request { stream, class, bytes: &bytes });
    }

    /// Answers a request: honestly from one of the chains, spoiled, or with a lie.
    fn answer(&mut self, source: &mut Source<'_>) {
        if self.asked.is_empty() {
            return;
        }
        let at = source.byte();
        let (conn, tag, class, asked) = self.asked.remove(usize::from(at >> 3) % self.asked.len());
        let honest = self.chains[usize::from(at & 1)].answer(class, &asked).unwrap_or_default();
        let bytes = match at & 0b110 {
            0 => lie(source, &self.chains, class),
            2 => {
                let mut bytes = honest;
                spoil(source, &mut bytes);
                bytes
            }
            _ => honest,
        };
        self.conn(conn, ConnInput::Answer { tag, bytes: &bytes });
    }

    /// Reports that nobody waits for: they must be harmless.
    fn spurious(&mut self, source: &mut Source<'_>) {
        let number = source.number();
        match source.below(5) {
            0 => self.input(Input::DialFailed(DialId(number))),
            1 if !self.jobs.iter().any(|(id, _)| id.0 == number) => {
                self.input(Input::Verified(JobId(number), Vec::new()));
            }
            2 if !self.jobs.iter().any(|(id, _)| id.0 == number) => {
                self.input(Input::Sealed(JobId(number), None));
            }
            3 if self.batches.iter().all(|id| id.0 > number) => {
                self.input(Input::Durable(BatchId(number)));
            }
            _ => self.input(Input::Tick),
        }
    }

    fn publish(&mut self, source: &mut Source<'_>) {
        let fact = make(source, &self.nodes, self.disk.view(), &self.made);
        self.made.push(fact.clone());
        let command = self.next_command();
        self.input(Input::Command(command, Command::Publish(vec![fact])));
    }

    fn command(&mut self, source: &mut Source<'_>) {
        let action = match source.below(3) {
            0 => CustodyAction::Request,
            1 => CustodyAction::Release,
            _ => CustodyAction::Transfer(self.nodes[source.below(self.nodes.len())].id()),
        };
        let command = match source.below(10) {
            0 => Command::Sync,
            1 => Command::Invite {
                key: self.nodes[source.below(self.nodes.len())].id(),
                role: [Role::Member, Role::Sealer, Role::Admin][source.below(3)],
                uses: source.byte().into(),
                expires: UnixTime(source.number()),
                lease: None,
            },
            2 => {
                let text = String::from_utf8_lossy(source.bytes()).into_owned();
                Command::AddPeer(PeerAddr(text), None)
            }
            8 => Command::Revoke { key: self.nodes[source.below(self.nodes.len())].id() },
            9 => {
                let node = self.nodes[source.below(self.nodes.len())].id();
                let name = String::from_utf8_lossy(source.bytes()).into_owned();
                Command::Name { node, name }
            }
            3 if source.byte() == 0xff => Command::Stop,
            4 => Command::PingPeer(self.nodes[source.below(self.nodes.len())].id()),
            5 => {
                let node = self.nodes[source.below(self.nodes.len())].id();
                let subject = match source.byte() {
                    n if n & 1 == 1 => Subject::Node(node),
                    n => Subject::at([192, 0, 2, n / 2].into()),
                };
                let length = u64::from(source.short());
                Command::Ban { subject, length, reason: String::new() }
            }
            _ => {
                let item = ["saw", "drill", "no item"][source.below(3)].into();
                let note = String::from_utf8_lossy(source.bytes()).into_owned();
                Command::Custody { item, action, note }
            }
        };
        let id = self.next_command();
        self.input(Input::Command(id, command));
    }

    /// The peers' chains change.
    fn branch(&mut self, source: &mut Source<'_>) {
        let which = source.below(2);
        let fact = make(source, &self.nodes, &self.chains[which].ledger.store, &self.made);
        self.made.push(fact);
        let what = source.below(6);
        if self.pow && what > 1 {
            return;
        }
        // Founders seal; the engine's own key is among them, as after a restored backup.
        let sealer = self.nodes[[0, 2, 3, 1][source.below(16).saturating_sub(12)]].clone();
        let recent = self.made.len().saturating_sub(4);
        let (made, chain) = (&self.made[recent..], &mut self.chains[which]);
        match what {
            0 | 1 => chain.add(made),
            2 => shorten(chain, source.below(6)),
            3 => forge(source, chain, &sealer),
            4 => grow(chain, &sealer, made),
            _ => {
                let twin = self.chains[which].clone();
                self.chains[1 - which] = twin;
            }
        }
    }
}
