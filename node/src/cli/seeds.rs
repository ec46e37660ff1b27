//! Seed peers: places to dial when nobody else can be reached. The file's shape is the one that
//! earlier systems documented; the environment adds one more.

use std::path::Path;

use crate::app::NodeConfig;
use crate::problem::{Code, Problem};

/// Most bytes of a file of seeds.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The port of an address that names none.
const DEFAULT_PORT: u16 = super::run::MESH_PORT;

/// An address to dial: `host:port`, `ip:port`, `[v6]:port`, `:port` and `port` (this machine), or
/// a host alone with the usual port.
///
/// # Errors
/// What was expected.
pub fn peer(text: &str) -> Result<String, String> {
    let text = text.trim();
    let port = text.strip_prefix(':').unwrap_or(text);
    let full = if port.parse::<u16>().is_ok() {
        format!("127.0.0.1:{port}")
    } else if crate::api::is_address(text) {
        text.to_string()
    } else {
        format!("{text}:{DEFAULT_PORT}")
    };
    if crate::api::is_address(&full) {
        Ok(full)
    } else {
        Err(format!("`{text}` is no address; write HOST:PORT, [IPV6]:PORT or PORT"))
    }
}

/// The seed in `BOOTSTRAP_PEER`, if there is one.
pub(super) fn from_environment() -> Result<Vec<String>, Problem> {
    match std::env::var("BOOTSTRAP_PEER") {
        Ok(text) if !text.trim().is_empty() => {
            let wrong = |error| {
                Problem::new(
                    Code::Config,
                    format!("BOOTSTRAP_PEER: {error}"),
                    "write it as: BOOTSTRAP_PEER=HOST:PORT",
                )
            };
            Ok(vec![peer(&text).map_err(wrong)?])
        }
        _ => Ok(Vec::new()),
    }
}

/// What a file of seeds says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SeedFile {
    seeds: Vec<String>,
    outbound_wanted: Option<u64>,
    outbound_max: Option<u64>,
    connect_seconds: Option<u64>,
    interval_seconds: Option<u64>,
}

/// Removes a comment that is not inside quotes.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let comment = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '#' && !quoted
    });
    comment.map_or(line, |(at, _)| &line[..at])
}

impl SeedFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        use std::io::Read as _;
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| Problem::file("cannot read", path, &error))?;
        Self::parse(&text).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            Problem::new(Code::Config, message, "correct the file, or leave --seed-peers out")
        })
    }

    /// Parses the part of TOML that this file needs: numbers, and one list of strings that may
    /// span lines.
    ///
    /// # Errors
    /// The line, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut file = Self::default();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let mut statement = without_comment(line).trim().to_string();
            if statement.is_empty() {
                continue;
            }
            while statement.contains('[') && !statement.ends_with(']') {
                let (_, more) = lines.next().ok_or("the list of seed_peers does not end")?;
                statement.push_str(without_comment(more).trim());
            }
            file.set(&statement).map_err(|error| format!("line {}: {error}", number + 1))?;
        }
        Ok(file)
    }

    fn set(&mut self, statement: &str) -> Result<(), String> {
        let (name, value) = statement.split_once('=').ok_or("expected NAME = VALUE")?;
        let (name, value) = (name.trim(), value.trim());
        let count = || value.parse::<u64>().map_err(|_| format!("{name} must be a number"));
        match name {
            "seed_peers" => self.seeds = list(value)?,
            "min_outbound_connections" => self.outbound_wanted = Some(count()?),
            "max_outbound_connections" => self.outbound_max = Some(count()?),
            "connection_timeout_seconds" => self.connect_seconds = Some(count()?),
            "reconnection_interval_seconds" => self.interval_seconds = Some(count()?),
            _ => return Err(format!("`{name}` is not known here")),
        }
        Ok(())
    }

    /// Puts it into a node's configuration.
    pub fn apply(self, config: &mut NodeConfig) {
        config.seeds.extend(self.seeds);
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let limits = &mut config.limits;
        if let Some(max) = self.outbound_max {
            limits.outbound_max = size(max);
        }
        let wanted = self.outbound_wanted.map_or(limits.outbound_wanted, size);
        limits.outbound_wanted = wanted.min(limits.outbound_max);
        if let Some(seconds) = self.connect_seconds {
            limits.hello_timeout = seconds.saturating_mul(1_000).max(1);
        }
        if let Some(seconds) = self.interval_seconds {
            limits.dial_interval = seconds.saturating_mul(1_000).max(1);
        }
    }
}

fn list(value: &str) -> Result<Vec<String>, String> {
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or("seed_peers must be a list")?;
    let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
    let unquoted = items.map(|item| {
        let text = item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        peer(text.ok_or_else(|| format!("{item} must be in quotes"))?)
    });
    unquoted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_may_leave_out_what_is_usual() {
        assert_eq!(peer("9000"), Ok("127.0.0.1:9000".into()));
        assert_eq!(peer(":9000"), Ok("127.0.0.1:9000".into()));
        assert_eq!(peer("a.example"), Ok("a.example:7071".into()));
        assert_eq!(peer("[::1]:9"), Ok("[::1]:9".into()));
        for wrong in ["", "a:b", "a:0", "a b"] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_documented_file_is_read_as_it_stands() {
        let file = SeedFile::parse(
            "# seeds\nseed_peers = [\n  \"16.163.123.221:7072\", # one\n  \"[::1]:7072\",\n]\n\
             min_outbound_connections = 8\nmax_outbound_connections = 16\n\
             connection_timeout_seconds = 10\nreconnection_interval_seconds = 30\n",
        );
        let file = file.unwrap();
        assert_eq!(file.seeds, ["16.163.123.221:7072", "[::1]:7072"]);
        let mut config = NodeConfig::new("/nowhere");
        file.apply(&mut config);
        assert_eq!((config.limits.outbound_wanted, config.limits.outbound_max), (8, 16));
        assert_eq!((config.limits.hello_timeout, config.limits.dial_interval), (10_000, 30_000));
    }

    #[test]
    fn no_more_is_wanted_than_may_be() {
        let mut config = NodeConfig::new("/nowhere");
        SeedFile::parse("max_outbound_connections = 3").unwrap().apply(&mut config);
        assert_eq!((config.limits.outbound_wanted, config.limits.outbound_max), (3, 3));
    }

    #[test]
    fn mistakes_in_the_file_name_their_line() {
        for (text, why) in [
            ("\nseed_peer = []", "line 2: `seed_peer` is not known"),
            ("seed_peers = [a:1]", "quotes"),
            ("seed_peers = [\"a:1\"", "does not end"),
            ("max_outbound_connections = many", "number"),
            ("nonsense", "NAME = VALUE"),
        ] {
            let error = SeedFile::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
