//! Plays a scenario. Whatever must not be, panics.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use cairn_core::engine::{Command, CustodyAction};
use cairn_core::fact::{EncodedFact, Role};
use cairn_core::id::NodeId;
use cairn_core::signature::SigningKey;
use cairn_core::testing::TestNode;
use cairn_core::time::UnixTime;
use cairn_core::verified::Verified;
use cairn_core::work::Height;

use super::{Scenario, Step, demand, tally};
use crate::evil::Evil;
use crate::mesh::{key, recover};
use crate::world::{Tally, World};

const ITEMS: [&str; 2] = ["drill", "laptop-001"];
/// Keys of invites, away from those of nodes.
const INVITE_KEYS: usize = 1_000;

/// A power cut while a node writes waits so long for it to write.
const WRITES_WITHIN: u64 = 10_000;

/// What came of a scenario.
#[derive(Debug, Clone)]
pub struct Played {
    /// What its world saw.
    pub tally: Tally,
    /// A hash of every input.
    pub trace: u64,
}

pub(super) struct Play<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) world: World,
    /// Which simulated node each planned one is, once it has joined.
    pub(super) joined: Vec<bool>,
    pub(super) left: Vec<bool>,
    /// The furthest that any clock was ahead.
    pub(super) ahead: u64,
}

fn admission(
    scenario: &Scenario,
    world: &World,
    n: usize,
    role: Role,
) -> Vec<Verified<EncodedFact>> {
    let mesh = world.mesh();
    let founder = TestNode { key: key(0), mesh };
    if scenario.nodes[n].by_invite && role != Role::Admin {
        let secret = TestNode { key: key(INVITE_KEYS + n), mesh };
        let invite = founder.invite(secret.id(), role, 1, u64::MAX / 2);
        vec![invite, secret.admit(key(n).node_id(), role)]
    } else {
        vec![founder.admit(key(n).node_id(), role)]
    }
}

impl<'a> Play<'a> {
    fn new(scenario: &'a Scenario, verbose: bool) -> Self {
        let mut world = World::new(scenario.seed, scenario.rules.params());
        world.weather = scenario.weather;
        world.verbose = verbose;
        for (n, plan) in scenario.nodes.iter().enumerate() {
            let facts = match plan.role.filter(|_| n > 0) {
                Some(role) => admission(scenario, &world, n, role),
                None => Vec::new(),
            };
            world.add_sleeper(key(n), &plan.dial, &facts);
            world.configure(n, |config| scenario.rules.limit(&mut config.limits));
            if let Some((habits, rate)) = &plan.evil {
                world.corrupt(n, Evil::new(habits, *rate, scenario.seed ^ n as u64));
            }
        }
        tally::scenario(&mut world.tally, scenario);
        let count = scenario.nodes.len();
        let (joined, left) = (vec![false; count], vec![false; count]);
        let mut play = Self { scenario, world, joined, left, ahead: 0 };
        for n in 0..count {
            if !scenario.nodes[n].late {
                play.join(n);
            }
        }
        play
    }

    fn join(&mut self, n: usize) {
        if !self.scenario.nodes[n].absent && !self.joined[n] {
            self.joined[n] = true;
            self.world.start(n);
        }
    }

    pub(super) fn is_up(&self, n: usize) -> bool {
        self.world.nodes[n].engine().is_some()
    }

    pub(super) fn start(&mut self, n: usize) {
        if self.joined[n] && !self.left[n] && !self.is_up(n) {
            self.world.start(n);
        }
    }

    /// People do something; whoever is not there does not.
    fn act(&mut self, step: &Step) {
        let mesh = self.world.mesh();
        let author = |n: usize| TestNode { key: key(n), mesh };
        let id = |n: usize| key(n).node_id();
        let custody = |item: usize, action| Command::Custody {
            item: ITEMS[item].into(),
            action,
            note: String::new(),
        };
        let (n, command) = match *step {
            Step::Note { n, author: by, serial, count } => {
                let note = |i| author(by).record("note", &text(serial, i));
                (n, Command::Publish((0..count).map(note).collect()))
            }
            Step::Relate { n, from, to } => {
                let first = |(by, serial)| author(by).record("note", &text(serial, 0)).id();
                (n, Command::Publish(vec![author(n).relate(first(from), first(to))]))
            }
            Step::Request { n, item } => (n, custody(item, CustodyAction::Request)),
            Step::Race { ref who, item } => {
                for n in who.iter().filter(|n| self.is_up(**n)).copied().collect::<Vec<_>>() {
                    self.world.command(n, custody(item, CustodyAction::Request));
                }
                return;
            }
            Step::Release { n, item } => (n, custody(item, CustodyAction::Release)),
            Step::Transfer { n, item, to } => (n, custody(item, CustodyAction::Transfer(id(to)))),
            Step::Invite { n, serial } => {
                let (role, uses, expires) = (Role::Sealer, 2, UnixTime(u64::MAX / 2));
                let (key, lease) = (invite_key(serial), None);
                (n, Command::Invite { key, role, uses, expires, lease })
            }
            Step::Name { n, whom, serial } => {
                (n, Command::Name { node: id(whom), name: format!("name {serial}") })
            }
            Step::Revoke { n, whom } => (n, Command::Revoke { key: id(whom) }),
            Step::Lease { n, whom, blocks } => {
                let tip = self.world.nodes[n].engine().map(|engine| engine.status().tip.height.0);
                // The next block has the lease.
                let end = |blocks| Height(tip.unwrap_or_default() + 2 + blocks);
                (n, Command::Lease { node: id(whom), until: blocks.map(end) })
            }
            Step::Feud { a, b } => {
                if self.is_up(b) {
                    self.world.command(b, Command::Revoke { key: id(a) });
                }
                (a, Command::Revoke { key: id(b) })
            }
            Step::RevokeInvite { n, serial } => (n, Command::Revoke { key: invite_key(serial) }),
            Step::Theft { n } => {
                let others = 1..self.scenario.nodes.len();
                (n, Command::Publish(others.map(|whom| author(0).revoke(id(whom))).collect()))
            }
            Step::Recover { n, from_tip } => return self.recover(n, from_tip),
            Step::Sync { n } => (n, Command::Sync),
            Step::Stop { n } => (n, Command::Stop),
            _ => return,
        };
        if self.is_up(n) {
            self.world.command(n, command);
        }
    }

    fn recover(&mut self, n: usize, from_tip: bool) {
        if !self.is_up(n) || n == 0 {
            return;
        }
        let nodes = self.scenario.nodes.iter().enumerate().skip(1);
        let seals = nodes.filter(|(_, plan)| plan.role.is_some_and(Role::seals));
        let seats: Vec<usize> = seals.map(|(n, _)| n).collect();
        let tip = self.world.nodes[n].engine().map(|engine| engine.status().tip.id);
        recover(&mut self.world, n, &seats, tip.filter(|_| from_tip));
    }

    fn trouble(&mut self, step: &Step) {
        let world = &mut self.world;
        match *step {
            Step::Crash { n, kept, writing } if world.nodes[n].engine().is_some() => {
                if writing {
                    world.run_until_it_writes(n, WRITES_WITHIN);
                }
                if world.nodes[n].engine().is_some() {
                    world.crash_keeping(n, kept);
                }
            }
            Step::Kill { n } if world.nodes[n].engine().is_some() => world.kill(n),
            Step::Leave { n } if !self.left[n] => {
                self.left[n] = true;
                world.fault("node left for ever");
                if world.nodes[n].engine().is_some() {
                    world.crash(n);
                }
            }
            Step::Wipe { n } if self.joined[n] && world.nodes[n].engine().is_none() => {
                world.wipe(n);
            }
            Step::Sleep { n, span, stands_still }
                if world.nodes[n].engine().is_some() && !world.is_asleep(n) =>
            {
                world.sleep(n, span, stands_still);
            }
            Step::Clock { n, skew, unconfirmed } => {
                self.ahead = self.ahead.max(skew.max(0) as u64);
                world.nodes[n].clocks.unconfirmed = unconfirmed;
                world.set_clock(n, skew);
            }
            Step::Cut { a, b } => world.cut(a, b),
            Step::CutOneWay { a, b } => world.cut_one_way(a, b),
            Step::Split { ref left } => {
                let others = (0..world.nodes.len()).filter(|n| !left.contains(n));
                let right: Vec<usize> = others.collect();
                world.split(left, &right);
            }
            Step::Heal => world.heal(),
            Step::Sever { a, b } => world.sever(a, b),
            Step::Weather(weather) => world.weather = weather,
            Step::ReadOnly { n, on } => world.set_scarce(n, on),
            Step::DiskFull { n, full } => world.fill_disk(n, full),
            Step::Rot { n, table, reads } if n > 0 => world.rot(n, table, reads),
            Step::Attack { n, attack } => world.attack(n, attack),
            Step::Join { n } => self.join(n),
            Step::Start { n } => self.start(n),
            _ => {}
        }
    }

    fn rage(&mut self) {
        for step in &self.scenario.steps {
            if self.world.verbose {
                eprintln!("{:>9} ms  --  {step:?}", self.world.now());
            }
            if let Step::Wait(span) = step {
                self.world.run(*span);
                (0..self.joined.len()).for_each(|n| self.world.poke(n));
            } else {
                tally::step(&mut self.world.tally, step);
                self.act(step);
                self.trouble(step);
            }
        }
    }
}

fn invite_key(serial: u64) -> NodeId {
    let mut seed = [0xee; 32];
    seed[..8].copy_from_slice(&serial.to_be_bytes());
    SigningKey::from_seed(seed).node_id()
}

fn text(serial: u64, i: u64) -> String {
    format!("note {serial}.{i}")
}

/// Plays a scenario to its end. Panics if something is not as it must be.
pub fn play(scenario: &Scenario, verbose: bool) -> Played {
    let mut play = Play::new(scenario, verbose);
    play.rage();
    demand::heal(&mut play);
    demand::everything(&mut play);
    Played { tally: play.world.tally, trace: play.world.trace }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static CAUGHT: RefCell<bool> = const { RefCell::new(false) };
}

/// As `play`; what must not be comes back in words, with its place in the code.
///
/// # Errors
/// The message of the panic.
pub fn try_play(scenario: &Scenario) -> Result<Played, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CAUGHT.with_borrow(|caught| *caught) {
                LAST_PANIC.set(Some(info.to_string()));
            } else {
                usual(info);
            }
        }));
    });
    CAUGHT.set(true);
    let played = panic::catch_unwind(AssertUnwindSafe(|| play(scenario, false)));
    CAUGHT.set(false);
    played.map_err(|_| LAST_PANIC.take().unwrap_or_default())
}
