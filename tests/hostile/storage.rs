//! Disks that are full, read-only, taken, too new or damaged; ports that are taken.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cairn_core::ledger::rows::Meta;
use cairn_core::store::{Batch, STORE_FORMAT, Table};
use cairn_node::store::{Profile, Store};
use serde_json::Value;
use support::process::{Cairn, Ran, binary, command, eventually};
use support::small_disk::SmallDisk;

/// Runs `run` on a directory until it ends by itself: the exit status and the error document.
fn run(dir: &Path, flags: &[&str]) -> (Option<i32>, Value) {
    let mut command = command();
    command.args(["--json", "--data-dir"]).arg(dir).args(["run", "--http", "127.0.0.1:0"]);
    if !flags.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    let ran = Ran::of(command.args(flags));
    let document = ran.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
    (ran.code, document.unwrap_or_else(|| panic!("no error document: {ran:?}")))
}

/// The error says what, why and what next.
#[track_caller]
fn fails((exit, document): &(Option<i32>, Value), expected: i32, code: &str, words: &[&str]) {
    assert_eq!(*exit, Some(expected), "{document}");
    assert_eq!(document["schema"], "cairn.error/1");
    assert_eq!(document["code"], code, "{document}");
    let text = format!("{} {}", document["message"], document["hint"]);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    assert!(!document["hint"].as_str().unwrap().is_empty(), "{document}");
}

fn founded(name: &str) -> Cairn {
    let node = Cairn::new(name);
    node.ok(&["init", "home", "--spacing", "1s"]);
    node
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let node = founded("ports");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = udp.local_addr().unwrap().to_string();
    fails(
        &run(&node.dir(), &["--listen", &taken]),
        9,
        "network",
        &[&taken, "--listen", "ss -ulpn"],
    );
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = tcp.local_addr().unwrap().to_string();
    let mut command = command();
    command.args(["--json", "--data-dir"]).arg(node.dir());
    let ran = Ran::of(command.args(["run", "--listen", "127.0.0.1:0", "--http", &taken]));
    fails(&(ran.code, ran.json()), 9, "network", &[&taken, "--http"]);
}

#[test]
fn a_directory_in_use_names_the_process_and_that_one_goes_on() {
    let mut node = founded("taken");
    node.start(&[]);
    let runtime = fs::read(node.dir().join("runtime.json")).unwrap();
    let runtime: Value = serde_json::from_slice(&runtime).unwrap();
    let pid = format!("process {}", runtime["pid"]);
    fails(&run(&node.dir(), &[]), 8, "storage", &[&pid, "--data-dir"]);
    assert_eq!(node.ok(&["note", "still here"])["durable"], true);
    node.stop();
}

#[test]
fn a_file_in_place_of_the_directory_is_named() {
    let node = Cairn::new("file");
    let file = node.file("data", "not a directory");
    let name = file.to_str().unwrap();
    fails(&run(&file, &[]), 78, "config", &[name, "--data-dir"]);
    fails(&run(&file.join("below"), &[]), 78, "config", &[name, "--data-dir"]);
}

/// A program that is not root cannot write what is not its own; root is not stopped by modes, so it
/// runs the command as somebody else.
fn as_nobody() -> Option<Command> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    Some(command)
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    // Where everybody may look, as the test's own directories are not.
    let home = tempfile::Builder::new().prefix("cairn-locked-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("cairn");
    let dir = home.path().join("data");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = match as_nobody() {
        Some(mut command) => {
            fs::copy(binary(), &program).unwrap();
            command.arg(&program);
            command
        }
        None => Command::new(binary()),
    };
    command.args(["--json", "--data-dir"]).arg(&dir).stdin(Stdio::null());
    let ran = Ran::of(command.args(["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]));
    let name = dir.to_str().unwrap();
    fails(&(ran.code, ran.json()), 8, "storage", &[name, "cannot be written", "ls -ld"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

/// Stores of this node that were moved away.
fn quarantined(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains("db.bad-")).collect()
}

fn overwrite(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            overwrite(&path);
        } else {
            let length = fs::metadata(&path).unwrap().len();
            fs::write(&path, vec![0xa5; length.min(1 << 20) as usize]).unwrap();
        }
    }
}

#[test]
fn a_damaged_store_is_kept_by_the_last_node_and_replaced_where_there_are_peers() {
    let mut founder = Cairn::new("founder");
    let invite = founder.ok(&["init", "home", "--spacing", "1s"]);
    founder.start(&[]);
    let peer = founder.listen().to_string();
    let mut joiner = Cairn::new("joiner");
    joiner.ok(&["join", invite["invite"].as_str().unwrap()]);
    joiner.start(&["--peer", &peer]);
    let id = founder.client().note("worth keeping").unwrap();
    let there = |node: &Cairn| node.try_get(&format!("/v1/facts/{id}"));
    eventually("the joiner has it", 60, || there(&joiner));
    joiner.stop();
    overwrite(&joiner.dir().join("db"));
    joiner.start(&["--peer", &peer]);
    eventually("the joiner has it again", 60, || there(&joiner));
    assert_eq!(quarantined(&joiner.dir()).len(), 1);
    founder.stop();
    // The founder knows nobody to refill it from: it must not throw its copy away.
    overwrite(&founder.dir().join("db"));
    let failed = run(&founder.dir(), &[]);
    fails(&failed, 8, "storage", &["damaged", "mv "]);
    assert!(quarantined(&founder.dir()).is_empty());
    joiner.stop();
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_left_alone() {
    let mut node = founded("newer");
    node.start(&[]);
    node.stop();
    let mut newer = Batch::new();
    newer.put(Table::Meta, &Meta::Format.key(), &[STORE_FORMAT + 1]);
    let store = Store::open(&node.dir().join("db"), Profile::Small).unwrap();
    store.commit(&newer).unwrap();
    store.persist().unwrap();
    drop(store);
    fails(&run(&node.dir(), &[]), 8, "storage", &["format 2", "newer"]);
    assert!(quarantined(&node.dir()).is_empty());
}

/// Where nothing may be mounted, a limit on the size of files stands for the full disk.
fn without_mounting(node: &mut Cairn) {
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";
    let mut limited = Command::new("sh");
    limited.args(["-c", script, "sh"]).arg(binary()).args(["--json", "--data-dir"]);
    limited.arg(node.dir()).args(["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let ran = Ran::of(limited.stdin(Stdio::null()));
    fails(&(ran.code, ran.json()), 8, "storage", &["db"]);
    node.start(&[]);
    assert!(node.client().note("there is room again").is_some());
    node.stop();
}

#[test]
fn a_disk_that_fills_up_stops_writing_and_loses_nothing_that_was_acknowledged() {
    let mut node = founded("full");
    let Some(disk) = SmallDisk::mount(node.dir().with_file_name("small-disk"), "64m") else {
        return without_mounting(&mut node);
    };
    let store = disk.path().join("db");
    let flags = ["--db", store.to_str().unwrap(), "--profile", "tiny"];
    node.start(&flags);
    let client = node.client();
    let text = "x".repeat(12_000);
    let kept: Vec<String> = (0..9_000).map_while(|n| client.note(&format!("{n} {text}"))).collect();
    assert!(kept.len() > 100, "{}", kept.len());
    assert!(kept.len() < 9_000, "the disk was never full");
    assert_eq!(node.get("/v1/status")["state"], "read-only");
    let log = fs::read_to_string(node.dir().with_file_name("log")).unwrap();
    assert!(log.contains("no room to spare"), "{log}");
    // Also after a start without room.
    node.stop();
    disk.fill(8 << 20);
    node.start(&flags);
    eventually("it sees that there is no room", 30, || client_refused(&node));
    disk.grow("300m");
    eventually("there is room again", 30, || node.client().note("there is room again"));
    for id in &kept {
        assert!(node.try_get(&format!("/v1/facts/{id}")).is_some(), "{id} was acknowledged");
    }
    node.stop();
}

fn client_refused(node: &Cairn) -> Option<()> {
    let body = r#"{"topic": "note", "text": "is there room?"}"#;
    let (status, _) = node.client().post("/v1/facts", body)?;
    (status == 507).then_some(())
}
