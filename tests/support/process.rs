//! Real `cairn` processes: each with its own temporary data directory, on ports that the system
//! chose, spoken to through its command line and its HTTP API as any user would.
//!
//! Nothing waits for a fixed time: `eventually` looks until a deadline. Whatever still runs when a
//! test ends is killed, and the log of each node is shown when the test failed.
//!
//! The binary is `CAIRN_BIN`, else the `cairn` beside the directory of the test executable.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// For a node to answer after its start, on a busy machine.
const START_SECONDS: u64 = 60;
/// For an answer to a single request.
const ANSWER: Duration = Duration::from_secs(30);
/// Lines of a log that are shown.
const LOG_LINES: usize = 60;

/// Looks until there is something; panics, saying what was awaited, after `seconds`.
pub fn eventually<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    within(seconds, || look().ok_or_else(|| what.to_string()))
}

/// Looks until it is as wanted; panics with what was seen last after `seconds`.
pub fn within<T>(seconds: u64, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(last) => {
                assert!(Instant::now() < deadline, "not within {seconds} s: {last}");
                std::thread::sleep(LOOK);
            }
        }
    }
}

/// A number from the environment, for heavier runs.
pub fn count(name: &str, default: usize) -> usize {
    let set = std::env::var(name).ok();
    set.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CAIRN_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("cairn");
    assert!(path.exists(), "no binary at {}; run: cargo xtask test", path.display());
    path
}

/// A command of the binary that sees nothing of this machine's settings.
pub fn command() -> Command {
    wrapped(&[])
}

/// The same, run by another program that gets the binary and its arguments after its own.
fn wrapped(wrapper: &[String]) -> Command {
    let mut command = match wrapper {
        [] => Command::new(binary()),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(binary());
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let mine = text.starts_with("CAIRN_") && text != "CAIRN_LOG";
        if mine || text.starts_with("XDG_") || text == "BOOTSTRAP_PEER" {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// How a command of the command line ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON document that it printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One node: a data directory, and its process if it runs.
pub struct Cairn {
    /// What the mesh calls it.
    pub name: String,
    home: TempDir,
    child: Option<Child>,
    wrapper: Vec<String>,
    lan: bool,
    listen: SocketAddr,
    http: SocketAddr,
    agent: Agent,
}

impl Cairn {
    /// A node that has no files yet and does not run.
    pub fn new(name: &str) -> Self {
        Self::at(name, "127.0.0.1:0".parse().unwrap())
    }

    /// The same, to listen for peers there.
    pub fn at(name: &str, listen: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(5)));
        Self {
            name: name.into(),
            home: TempDir::with_prefix(format!("cairn-e2e-{name}-")).unwrap(),
            child: None,
            wrapper: Vec::new(),
            lan: false,
            listen,
            http: "127.0.0.1:0".parse().unwrap(),
            agent: agent.build().new_agent(),
        }
    }

    /// Its data directory.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// What it logged since it was made.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// From its next start on, this program runs it: it gets the binary and its arguments after its
    /// own, and must become it, keeping the process id. Nothing: it runs by itself.
    pub fn under(&mut self, wrapper: Vec<String>) {
        self.wrapper = wrapper;
    }

    /// From its next start on, it finds others on this machine's network by itself.
    pub fn on_the_lan(&mut self) {
        self.lan = true;
    }

    /// Where it listens for peers; port 0 before its first start.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// A file beside the data directory.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A command on this node's data directory.
    pub fn command(&self, args: &[&str]) -> Command {
        self.with(command(), args)
    }

    fn with(&self, mut command: Command, args: &[&str]) -> Command {
        command.arg("--data-dir").arg(self.dir()).args(args).env("HOME", self.home.path());
        command
    }

    /// Runs a command with `--json`.
    pub fn cli(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).arg("--json"))
    }

    /// Runs a command with `--json` that must work, and gives its document.
    pub fn ok(&self, args: &[&str]) -> Value {
        let ran = self.cli(args);
        assert_eq!(ran.code, Some(0), "{} {args:?}: {ran:?}", self.name);
        ran.json()
    }

    /// Starts it with these flags of `run`, on the ports it had before, and waits for its API.
    pub fn start(&mut self, flags: &[&str]) {
        let started = self.launch(flags);
        assert!(started.is_ok(), "{} ended at once: {started:?}", self.name);
    }

    /// The same, but it may end before it serves its API.
    ///
    /// # Errors
    /// How it ended.
    pub fn launch(&mut self, flags: &[&str]) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let (listen, http) = (self.listen.to_string(), self.http.to_string());
        let args = ["run", "--listen", &listen, "--http", &http];
        let mut command = self.with(wrapped(&self.wrapper), &args);
        if !self.lan {
            command.arg("--no-lan");
        }
        command.args(flags).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.child = Some(child);
        let what = format!("{} serves its API", self.name);
        let ended = eventually(&what, START_SECONDS, || {
            if let Some(ended) = self.child.as_mut().unwrap().try_wait().unwrap() {
                return Some(Err(ended));
            }
            let file = File::open(self.dir().join("runtime.json")).ok()?;
            let runtime: Value = serde_json::from_reader(file).ok()?;
            if runtime["pid"] != pid {
                return None;
            }
            self.listen = runtime["mesh"].as_str()?.parse().unwrap();
            self.http = runtime["http"].as_str()?.parse().unwrap();
            self.try_get("/healthz").map(|_| Ok(()))
        });
        if ended.is_err() {
            self.child = None;
        }
        ended
    }

    /// Whether its process is there.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Sends a signal to its process.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        kill_process(pid.and_then(Pid::from_raw).unwrap(), signal).unwrap();
    }

    /// Waits for its process to end by itself: the exit status and how long that took.
    pub fn wait(&mut self, seconds: u64) -> (Option<i32>, Duration) {
        let (start, mut child) = (Instant::now(), self.child.take().unwrap());
        let what = format!("{} ends", self.name);
        let status = eventually(&what, seconds, || child.try_wait().unwrap());
        (status.code(), start.elapsed())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and a clean end.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let (code, took) = self.wait(20);
        assert_eq!(code, Some(0), "{} after {took:?}", self.name);
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// What a GET answers, if the node is there and says yes.
    pub fn try_get(&self, path: &str) -> Option<Value> {
        let request = self.agent.get(self.url(path)).config().timeout_global(Some(ANSWER));
        let mut response = request.build().call().ok()?;
        if !response.status().is_success() {
            return None;
        }
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_string().ok()?;
        Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// What a GET answers.
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("{}: GET {path} failed", self.name))
    }

    /// A client that may write, for another thread; it survives the node.
    pub fn client(&self) -> Client {
        let token = fs::read_to_string(self.dir().join("api.token")).unwrap();
        Client { agent: self.agent.clone(), base: self.url(""), token: token.trim().into() }
    }

    /// Its id; it runs.
    pub fn node_id(&self) -> String {
        self.get("/v1/status")["node_id"].as_str().unwrap().into()
    }

    /// What it shows of the node with this id.
    pub fn peer(&self, id: &str) -> Option<Value> {
        let peers = self.get("/v1/peers");
        peers["peers"].as_array().unwrap().iter().find(|peer| peer["node_id"] == id).cloned()
    }

    /// The height of its tip.
    pub fn height(&self) -> u64 {
        self.get("/v1/chain/tip")["height"].as_u64().unwrap()
    }
}

impl Drop for Cairn {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- log of {} ({})\n{}", self.name, self.listen, tail.join("\n"));
        }
    }
}

/// A client of one node's HTTP API that shows its token.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    token: String,
}

impl Client {
    /// Posts a body: the status and the document of the answer; none if there was no whole answer.
    pub fn post(&self, path: &str, body: &str) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json");
        let mut response = request.send(body).ok()?;
        let document = response.body_mut().read_json().ok()?;
        Some((response.status().as_u16(), document))
    }

    /// Posts a note; its fact id if the node promised to keep it.
    pub fn note(&self, text: &str) -> Option<String> {
        let body = serde_json::json!({"topic": "note", "text": text}).to_string();
        let (status, receipt) = self.post("/v1/facts", &body)?;
        (status == 201 && receipt["durable"] == true)
            .then(|| receipt["fact_id"].as_str().unwrap().to_string())
    }
}
