//! What is wrong with this node, in words that its owner can act on: one line per check, each with
//! what, why, and one thing to type.
//!
//! `machine` looks at files, ports, disk and memory, and needs no running node. `running` asks the
//! node, and what it knows of others. `ladder` walks the way to one peer, step by step, and stops at
//! the first that is broken: the steps after the handshake are a `conversation`, and `refusal` says
//! which step a close code ends at. Nothing here changes anything, and what could not be checked is
//! said.

mod conversation;
pub mod ladder;
pub mod machine;
mod refusal;
pub mod running;

use serde_json::{Value, json};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Could not be checked.
    Skip,
    /// As it should be.
    Ok,
    /// It works, but not as it could.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What can be checked by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Area {
    /// The data directory and what it says
    Config,
    /// Who may read the node's secrets
    Keys,
    /// The ports it listens on
    Port,
    /// The wall clock
    Clock,
    /// Room on the disk
    Disk,
    /// Room in memory
    Memory,
    /// The ledger on disk
    Store,
    /// Whether this node belongs to the mesh
    Membership,
    /// Who is connected, and why others are not
    Peers,
    /// Whether others can connect to this node
    Reach,
}

impl Area {
    /// All of them, in the order in which they are told: what others rest on first.
    pub const ALL: [Self; 10] = [
        Self::Config,
        Self::Keys,
        Self::Port,
        Self::Clock,
        Self::Disk,
        Self::Memory,
        Self::Store,
        Self::Membership,
        Self::Peers,
        Self::Reach,
    ];

    /// Its name on the command line and in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Keys => "keys",
            Self::Port => "port",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Membership => "membership",
            Self::Peers => "peers",
            Self::Reach => "reach",
        }
    }

    /// The area with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|area| area.name() == name)
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked: an area, or a step of the ladder.
    pub name: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// The likely cause; empty if all is well.
    pub why: String,
    /// One command to type, or one thing to do; empty if all is well.
    pub next: String,
}

impl Check {
    fn new(name: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self { name, level, what: what.into(), why: String::new(), next: String::new() }
    }

    /// As it should be.
    pub fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, what)
    }

    /// Works, but not as it could.
    pub fn warn(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Warn, what)
    }

    /// Does not work.
    pub fn fail(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Fail, what)
    }

    /// Could not be checked.
    pub fn skip(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Skip, what)
    }

    /// Adds the likely cause.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

/// The worst of some checks; what could not be checked counts as well.
pub fn worst(checks: &[Check]) -> Level {
    checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok).max(Level::Ok)
}

/// The document `cairn.doctor/1`.
pub fn document(checks: &[Check]) -> Value {
    let line = |check: &Check| {
        json!({
            "check": check.name, "level": check.level.name(), "message": check.what,
            "cause": check.why, "hint": check.next,
        })
    };
    json!({
        "schema": "cairn.doctor/1",
        "level": worst(checks).name(),
        "checks": checks.iter().map(line).collect::<Vec<_>>(),
    })
}

/// A span of time for people, in the largest unit of which there are two.
fn span(millis: u64) -> String {
    let units = [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes")];
    let unit = units.into_iter().find(|(unit, _)| millis >= 2 * unit).unwrap_or((1_000, "seconds"));
    format!("{} {}", millis / unit.0, unit.1)
}

/// An amount of memory for people.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides_and_skips_do_not() {
        assert_eq!(worst(&[]), Level::Ok);
        assert_eq!(worst(&[Check::skip("a", "b")]), Level::Ok);
        assert_eq!(worst(&[Check::warn("a", ""), Check::ok("b", "")]), Level::Warn);
        assert_eq!(worst(&[Check::fail("a", ""), Check::warn("b", "")]), Level::Fail);
    }

    #[test]
    fn every_area_is_found_by_its_name() {
        for area in Area::ALL {
            assert_eq!(Area::from_name(area.name()), Some(area));
        }
    }

    #[test]
    fn spans_are_told_in_a_unit_that_people_would_use() {
        let told = [90_000, 7_200_000, 365 * 86_400_000].map(span);
        assert_eq!(told, ["90 seconds", "2 hours", "365 days"]);
    }
}
