//! Checks of this machine that need no running node: files and their modes, ports, disk, memory.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cairn_core::time::UnixTime;

use super::{Check, mebibytes, span};
use crate::clock;
use crate::data_dir::DataDir;
use crate::enroll;
use crate::keys::second_copy;
use crate::store::{Profile, Room, free_bytes, noted_damage};

const MIB: u64 = 1024 * 1024;
/// With less than this left, the system may end the node.
const MEMORY_LOW: u64 = 48 * MIB;

/// Whether the data directory says which mesh this node belongs to.
pub fn config(dir: &DataDir) -> Check {
    let path = dir.path().display();
    match enroll::load(dir) {
        Ok(Some(enrollment)) => {
            let (name, node) = (&enrollment.params.name, enrollment.key.node_id());
            Check::ok("config", format!("{path}: node {node} in the mesh \"{name}\""))
        }
        Ok(None) => Check::warn("config", format!("{path} belongs to no mesh"))
            .why("nothing was founded or joined in it yet")
            .next("cairn join INVITE"),
        Err(error) => Check::fail("config", format!("{path} cannot be used"))
            .why(error.to_string())
            .next(error.hint()),
    }
}

/// Whether nobody else can read what is secret.
pub fn keys(dir: &DataDir) -> Check {
    let key = dir.key_file();
    let secret = [(dir.path().to_owned(), "700"), (key.clone(), "600")];
    let next = dir.next_key_file();
    let copies = [second_copy(&key), second_copy(&next)];
    let more = [next, dir.token_file(), dir.mesh_file()].into_iter().chain(copies);
    let secret = secret.into_iter().chain(more.map(|path| (path, "600")));
    let mut there = 0;
    for (path, wanted) in secret {
        let Ok(meta) = fs::metadata(&path) else { continue };
        there += 1;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Check::fail("keys", format!("{path} is open to other users (mode {mode:04o})"))
                .why("whoever reads the key can be this node; it may have been copied already")
                .next(format!("chmod {wanted} {path}"));
        }
    }
    match fs::metadata(&key) {
        Ok(_) => Check::ok("keys", format!("{there} places, all for their owner only")),
        Err(_) => Check::skip("keys", "there is no key yet"),
    }
}

/// Whether a node could listen there.
pub fn ports(mesh: SocketAddr, http: SocketAddr) -> Vec<Check> {
    vec![
        free("UDP", mesh, UdpSocket::bind(mesh).map(drop), "ss -ulpn", "--listen :7071"),
        free("TCP", http, TcpListener::bind(http).map(drop), "ss -tlpn", "--http :7070"),
    ]
}

fn free(what: &str, at: SocketAddr, bound: std::io::Result<()>, who: &str, usual: &str) -> Check {
    use std::io::ErrorKind as Kind;
    let Err(error) = bound else {
        return Check::ok("port", format!("{what} {at} is free"));
    };
    let port = at.port();
    match error.kind() {
        Kind::AddrInUse => Check::fail("port", format!("{what} {at} is in use"))
            .why("another program, or another node, has it")
            .next(format!("{who} 'sport = :{port}'")),
        Kind::AddrNotAvailable => Check::fail("port", format!("{} is not this machine's", at.ip()))
            .why("no interface has that address")
            .next("ip -brief address"),
        Kind::PermissionDenied => {
            Check::fail("port", format!("{what} {at} may not be used by this user"))
                .why("ports below 1024 are the administrator's")
                .next(format!("cairn run {usual}"))
        }
        _ => Check::fail("port", format!("{what} {at} cannot be used"))
            .why(error.to_string())
            .next("ip -brief address"),
    }
}

/// Whether the clock can be right at all.
pub fn clock(wall: UnixTime) -> Check {
    if wall < clock::EARLIEST || wall > UnixTime::MAX_VALID {
        return Check::fail("clock", format!("this machine's clock shows {}", date(wall)))
            .why("there is no battery behind the clock, and nothing has set it since the start")
            .next("timedatectl set-ntp true");
    }
    Check::skip(
        "clock",
        format!("it shows {}; only peers can tell whether that is right", date(wall)),
    )
}

pub(super) fn date(time: UnixTime) -> String {
    let millis = i64::try_from(time.0).ok();
    let stamp = millis.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(
        || format!("{} ms", time.0),
        |stamp| stamp.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// Whether the disk under the data directory has room.
pub fn disk(dir: &DataDir) -> Check {
    let room = Room::new(Profile::default(), None);
    let mut path = dir.path();
    while !path.exists() {
        let Some(parent) = path.parent() else { break };
        path = parent;
    }
    room_at(path, free_bytes(path), room.reserve, false)
}

pub(super) fn room_at(path: &Path, free: u64, reserve: u64, short: bool) -> Check {
    let path = path.display();
    let (left, kept) = (mebibytes(free), mebibytes(reserve));
    if short || free < reserve {
        return Check::fail("disk", format!("{left} free at {path}: the node only reads"))
            .why(format!("the disk is full, or --disk-limit is reached: it keeps {kept} free"))
            .next(format!("df -h {path}"));
    }
    if free < 4 * reserve {
        return Check::warn("disk", format!("{left} free at {path}"))
            .why(format!("below {kept} the node only reads"))
            .next(format!("df -h {path}"));
    }
    Check::ok("disk", format!("{} GiB free at {path}", free / (1024 * MIB)))
}

/// A number of bytes in one of the kernel's tables of `Name:  123 kB`.
fn of_kernel(table: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(table).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Whether there is memory left; `own` adds what this process takes.
pub fn memory(own: bool) -> Check {
    let Some(left) = of_kernel("/proc/meminfo", "MemAvailable") else {
        return Check::skip("memory", "this system does not tell how much memory is left");
    };
    let taken = own.then(|| of_kernel("/proc/self/status", "VmRSS")).flatten();
    let taken =
        taken.map_or_else(String::new, |taken| format!("the node takes {}, ", mebibytes(taken)));
    let what = format!("{taken}{} are left", mebibytes(left));
    if left < MEMORY_LOW {
        return Check::warn("memory", what)
            .why("the system may end the node when none is left")
            .next("cairn run --profile tiny");
    }
    Check::ok("memory", what)
}

/// What the files beside the store say of it, without opening it.
pub fn store(dir: &DataDir) -> Check {
    let path = dir.store();
    if let Some(reason) = noted_damage(&path) {
        return Check::warn("store", format!("{} is damaged", path.display()))
            .why(reason)
            .next("cairn run");
    }
    if path.exists() {
        return Check::skip("store", "checked by the node when it starts, and it is not running");
    }
    Check::skip("store", format!("{} is not there yet", path.display()))
}

/// A clock that is not that of so many peers.
pub(super) fn clock_apart(ahead: u64, behind: u64, peers: usize) -> Check {
    let (far, way) = if ahead > 0 { (ahead, "ahead of") } else { (behind, "behind") };
    let what = format!("this machine's clock is {} {way} the clock of {peers} peers", span(far));
    let check = Check::fail("clock", what);
    if peers < 3 {
        return check.why("that clock is wrong, or this one").next("date -u");
    }
    check.why("it was set wrongly, or never").next("timedatectl set-ntp true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_key_that_others_can_read_is_named_with_the_command_that_mends_it() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(temp.path());
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(keys(&dir).level, Level::Skip);
        fs::write(dir.key_file(), "x").unwrap();
        fs::set_permissions(dir.key_file(), fs::Permissions::from_mode(0o640)).unwrap();
        let check = keys(&dir);
        assert_eq!(check.level, Level::Fail);
        assert_eq!(check.next, format!("chmod 600 {}", dir.key_file().display()));
        fs::set_permissions(dir.key_file(), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(keys(&dir).level, Level::Ok);
        let copy = second_copy(&dir.next_key_file());
        fs::write(&copy, "x").unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o604)).unwrap();
        assert_eq!(keys(&dir).next, format!("chmod 600 {}", copy.display()));
    }

    #[test]
    fn a_port_of_the_administrators_is_mended_by_the_usual_one() {
        let denied = || Err(std::io::ErrorKind::PermissionDenied.into());
        let at = "127.0.0.1:80".parse().unwrap();
        let next = |usual| free("TCP", at, denied(), "ss -tlpn", usual).next;
        assert_eq!(next("--http :7070"), "cairn run --http :7070");
        assert_eq!(next("--listen :7071"), "cairn run --listen :7071");
    }

    #[test]
    fn a_port_in_use_says_how_to_see_by_whom() {
        let (mesh, http) = (UdpSocket::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
        let mesh = mesh.unwrap().local_addr().unwrap();
        let taken = http.unwrap();
        let http = taken.local_addr().unwrap();
        let checks = ports(mesh, http);
        assert_eq!((checks[0].level, checks[1].level), (Level::Ok, Level::Fail));
        assert_eq!(checks[1].next, format!("ss -tlpn 'sport = :{}'", http.port()));
    }

    #[test]
    fn a_clock_of_1970_fails_and_a_later_one_is_for_peers_to_judge() {
        assert_eq!(clock(UnixTime(5)).level, Level::Fail);
        assert_eq!(clock(clock::EARLIEST).level, Level::Skip);
    }

    #[test]
    fn a_disk_below_its_reserve_fails_and_one_near_it_warns() {
        let at = |free, short| room_at(Path::new("/x"), free, 100 * MIB, short).level;
        assert_eq!(at(99 * MIB, false), Level::Fail);
        assert_eq!(at(399 * MIB, false), Level::Warn);
        assert_eq!(at(400 * MIB, false), Level::Ok);
        assert_eq!(at(u64::MAX, true), Level::Fail, "a limit that the operator set");
    }
}
