//! Draws a scenario from a seed. Swarm testing (Groce et al., ISSTA 2012): each seed leaves out some
//! kinds of trouble altogether and has more of others, which finds more than a little of all.

use cairn_core::fact::Role;
use cairn_core::store::Table;

use super::{NodePlan, Rules, Scenario, Step, leases};
use crate::attack::Attack;
use crate::evil::Habit;
use crate::random::Random;
use crate::world::Weather;

const HOUR: i64 = 3_600_000;
const MINUTE: u64 = 60_000;
/// Kinds of trouble that a seed can have.
const TROUBLES: usize = 24;

/// The place of attacks among them.
const ATTACK: usize = 17;
/// The place of quarrels between admins.
const FEUD: usize = 22;

struct Draw {
    random: Random,
    nodes: Vec<NodePlan>,
    evil: Vec<usize>,
    /// Who may revoke, the founder first.
    admins: Vec<usize>,
    /// Authors and serials of records, and serials of invites.
    notes: Vec<(usize, u64)>,
    invites: Vec<u64>,
    serial: u64,
    /// How likely each kind of trouble is.
    weights: [u64; TROUBLES],
}

/// The scenario of a seed, with so many nodes if it is given.
pub fn draw(seed: u64, nodes: Option<usize>) -> Scenario {
    let mut random = Random::new(seed ^ 0x7041_5452_4520_3221);
    let rules = rules(&mut random);
    let weather = weather(&mut random);
    let weights = std::array::from_fn(|_| match random.below(2) {
        0 => 0,
        _ => 1 + random.below(5),
    });
    let count = nodes.unwrap_or_else(|| 2 + random.below(6) as usize).max(1);
    let mut draw = Draw {
        random,
        nodes: Vec::new(),
        evil: Vec::new(),
        admins: Vec::new(),
        notes: Vec::new(),
        invites: Vec::new(),
        serial: 0,
        weights,
    };
    let hostile = draw.random.chance(50);
    if hostile {
        draw.weights[ATTACK] = 6 + draw.random.below(12);
    }
    for n in 0..count {
        let plan = draw.node(n, &rules, hostile);
        draw.nodes.push(plan);
    }
    let steps = draw.steps();
    let evil_stays = draw.random.chance(50);
    let quiet = [10 * MINUTE, 10 * MINUTE, 120 * MINUTE, 24 * 60 * MINUTE];
    let quiet = quiet[draw.random.below(4) as usize];
    let mut scenario =
        Scenario { seed, rules, weather, nodes: draw.nodes, steps, evil_stays, quiet };
    theft(&mut scenario);
    leases::lend(&mut scenario);
    scenario
}

/// Now and then the founder's key is stolen, and mostly the recovery key says so; in draws of their
/// own, so that all other seeds stay as they were.
fn theft(scenario: &mut Scenario) {
    let mut random = Random::new(scenario.seed ^ 0x7468_6566_7434);
    let honest: Vec<usize> =
        (1..scenario.nodes.len()).filter(|n| scenario.nodes[*n].evil.is_none()).collect();
    if scenario.rules.open || honest.is_empty() || !random.chance(8) {
        return;
    }
    scenario.rules.recovery = true;
    let count = scenario.steps.len() as u64;
    let stolen = random.below(count) as usize;
    scenario.steps.insert(stolen, Step::Theft { n: random.below(2) as usize });
    let from_tip = scenario.rules.pow.is_none() && random.chance(50);
    for _ in 0..random.below(3) {
        let n = honest[random.below(honest.len() as u64) as usize];
        let at = stolen as u64 + 1 + random.below(count - stolen as u64);
        scenario.steps.insert(at as usize, Step::Recover { n, from_tip });
    }
}

fn rules(random: &mut Random) -> Rules {
    Rules {
        spacing: [100, 1_000, 5_000, 20_000][random.below(4) as usize],
        block_facts_max: [4, 8_192][random.below(2) as usize],
        pow: match random.below(6) {
            0 => Some(0),
            1 => Some(HOUR as u64),
            _ => None,
        },
        open: random.chance(25),
        holder_only: random.chance(25),
        small: random.chance(30),
        recovery: false,
    }
}

fn weather(random: &mut Random) -> Weather {
    Weather {
        latency: [(1, 30), (1, 1), (20, 400), (1, 3_000)][random.below(4) as usize],
        loss: [0, 0, 3, 20][random.below(4) as usize],
        announce_loss: [0, 0, 20, 100][random.below(4) as usize],
        request_loss: [0, 0, 2, 30][random.below(4) as usize],
        bandwidth: [0, 0, 100, 2][random.below(4) as usize],
        fsync: [(1, 20), (1, 1), (50, 4_000)][random.below(3) as usize],
    }
}

impl Draw {
    fn node(&mut self, n: usize, rules: &Rules, hostile: bool) -> NodePlan {
        let random = &mut self.random;
        let mut dial: Vec<usize> = (1..n).filter(|_| random.chance(30)).collect();
        dial.extend((n > 0).then_some(0));
        // At least the second of a hostile mesh is.
        let evil = n > 0 && hostile && (n == 1 || random.chance(30));
        let habits = |random: &mut Random| {
            let often = [10, 25, 50][random.below(3) as usize];
            Habit::ALL.into_iter().filter(|_| random.chance(often)).collect::<Vec<_>>()
        };
        if evil {
            self.evil.push(n);
        }
        let roles = [Role::Sealer, Role::Sealer, Role::Sealer, Role::Admin, Role::Member];
        let role = match n {
            0 => Some(Role::Admin),
            _ if rules.open && random.chance(60) => None,
            _ => Some(roles[random.below(5) as usize]),
        };
        if role == Some(Role::Admin) {
            self.admins.push(n);
        }
        NodePlan {
            role,
            by_invite: random.chance(30),
            dial,
            late: n > 1 && random.chance(30),
            evil: evil.then(|| (habits(random), [5, 30, 100][random.below(3) as usize])),
            absent: false,
        }
    }

    fn any(&mut self) -> usize {
        self.random.below(self.nodes.len() as u64) as usize
    }

    fn two(&mut self) -> (usize, usize) {
        let (a, b) = (self.any(), self.any());
        (a, if a == b { (a + 1) % self.nodes.len() } else { b })
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..10 + self.random.below(40) {
            if self.random.chance(45) {
                self.trouble(&mut steps);
            } else {
                let act = self.act();
                steps.push(act);
            }
            let spans = [1, 50, 700, 5_000, 40_000, 40_000, 200_000];
            let span = spans[self.random.below(7) as usize];
            steps.push(Step::Wait(1 + self.random.below(span)));
        }
        steps
    }

    fn act(&mut self) -> Step {
        let n = self.any();
        let item = self.random.below(2) as usize;
        match self.random.below(17) {
            0..6 => {
                self.serial += 1;
                let author = if self.random.chance(10) { self.any() } else { n };
                let most = [6, 6, 6, 60, 400][self.random.below(5) as usize];
                let count = 1 + self.random.below(most);
                self.notes.push((author, self.serial));
                Step::Note { n, author, serial: self.serial, count }
            }
            6 | 14 => Step::Relate { n, from: self.note(), to: self.note() },
            15 => {
                self.serial += 1;
                Step::Name { n, whom: self.any(), serial: self.serial }
            }
            16 => {
                let who = (0..self.nodes.len()).filter(|_| self.random.chance(60)).collect();
                Step::Race { who, item }
            }
            7..10 => Step::Request { n, item },
            10 => Step::Release { n, item },
            11 => Step::Transfer { n, item, to: self.any() },
            12 => Step::Sync { n },
            _ => {
                self.serial += 1;
                self.invites.push(self.serial);
                Step::Invite { n, serial: self.serial }
            }
        }
    }

    /// A record that somebody wrote, or now and then one that nobody did.
    fn note(&mut self) -> (usize, u64) {
        let at = self.random.below(self.notes.len() as u64 + 1) as usize;
        self.notes.get(at).copied().unwrap_or((0, 0))
    }

    /// Who revokes, and whom: mostly the founder somebody else; nearly never him.
    fn revocation(&mut self) -> Step {
        let at = self.random.below(2 * self.admins.len() as u64) as usize;
        let n = self.admins.get(at).copied().unwrap_or(0);
        let whom = if self.random.chance(90) {
            1 + self.random.below(self.nodes.len() as u64) as usize
        } else {
            0
        };
        let whom = whom.min(self.nodes.len() - 1);
        // Others may only leave.
        if self.random.chance(25) {
            Step::Revoke { n: whom, whom }
        } else {
            Step::Revoke { n, whom }
        }
    }

    /// Two admins revoke each other, on different sides of a split or not.
    fn feud(&mut self, steps: &mut Vec<Step>) {
        let at = 1 + self.random.below(self.admins.len() as u64) as usize;
        let Some(a) = self.admins.get(at).copied() else {
            return;
        };
        let b = self.admins[at - 1];
        if self.random.chance(60) {
            let mut left: Vec<usize> =
                (0..self.nodes.len()).filter(|_| self.random.chance(50)).collect();
            left.retain(|n| *n != b && *n != a);
            left.push(a);
            steps.push(Step::Split { left });
            steps.push(Step::Wait(self.random.below(100_000)));
        }
        steps.push(Step::Feud { a, b });
    }

    /// Adds what goes wrong.
    fn trouble(&mut self, steps: &mut Vec<Step>) {
        let total: u64 = self.weights.iter().sum();
        let mut at = self.random.below(total);
        let kind = self.weights.iter().position(|weight| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        if kind == Some(FEUD) {
            return self.feud(steps);
        }
        let step = kind.and_then(|kind| self.trouble_of(kind));
        steps.extend(step);
    }

    fn trouble_of(&mut self, kind: usize) -> Option<Step> {
        let n = self.any();
        Some(match kind {
            0 => {
                let writing = self.random.chance(70);
                let kept = [0, 0, 1, 3][self.random.below(4) as usize];
                Step::Crash { n, kept, writing }
            }
            1 => Step::Kill { n },
            2 => Step::Stop { n },
            3 if n > 0 => Step::Leave { n },
            4 => Step::Wipe { n },
            5 => {
                let most = [1_000, 50_000, 600_000][self.random.below(3) as usize];
                let span = 1 + self.random.below(most);
                Step::Sleep { n, span, stands_still: self.random.chance(50) }
            }
            6 => self.clock(n),
            7 => {
                let (a, b) = self.two();
                Step::Cut { a, b }
            }
            8 => {
                let (a, b) = self.two();
                Step::CutOneWay { a, b }
            }
            9 => {
                let left = (0..self.nodes.len()).filter(|_| self.random.chance(50)).collect();
                Step::Split { left }
            }
            10 | 11 => Step::Heal,
            12 => {
                let (a, b) = self.two();
                Step::Sever { a, b }
            }
            13 => Step::Weather(weather(&mut self.random)),
            14 => Step::DiskFull { n, full: self.random.chance(60) },
            15 => {
                let table = Table::ALL[self.random.below(Table::ALL.len() as u64) as usize];
                let most = [2, 30, 200][self.random.below(3) as usize];
                Step::Rot { n, table, reads: self.random.below(most) as u32 }
            }
            16 => Step::Join { n },
            ATTACK => Step::Attack { n: self.attacker()?, attack: self.attack() },
            18 | 19 => Step::ReadOnly { n, on: self.random.chance(60) },
            20 => self.revocation(),
            21 => {
                let at = self.random.below(self.invites.len() as u64) as usize;
                Step::RevokeInvite { n: 0, serial: *self.invites.get(at)? }
            }
            _ => Step::Start { n },
        })
    }

    fn clock(&mut self, n: usize) -> Step {
        let skew = match self.random.below(6) {
            // 1970.
            0 => -56 * 365 * 24 * HOUR,
            1 => HOUR / 2,
            2 => -HOUR,
            3 => 100_000,
            _ => 0,
        };
        let unconfirmed = skew < -24 * HOUR || self.random.chance(20);
        Step::Clock { n, skew, unconfirmed }
    }

    fn attacker(&mut self) -> Option<usize> {
        let n = self.random.below(self.evil.len() as u64) as usize;
        self.evil.get(n).copied()
    }

    fn attack(&mut self) -> Attack {
        let random = &mut self.random;
        let count = 1 + random.below(30) as u32;
        match random.below(11) {
            0 => Attack::Equivocate,
            1 => Attack::Rebase { depth: 1 + random.below(20), beyond: random.below(40) },
            2 => Attack::Future { ahead: [1_000, 90_000, 3_600_000][random.below(3) as usize] },
            3 => Attack::RequestFlood { count: count * 20 },
            4 => Attack::Garbage { count },
            5 => Attack::UnknownFacts { count },
            6 => Attack::BadFacts { count },
            7 => Attack::GroundIds { count: count.min(8) },
            8 => Attack::ImpossibleCustody,
            9 => Attack::Replay,
            _ => Attack::Redial { count },
        }
    }
}
