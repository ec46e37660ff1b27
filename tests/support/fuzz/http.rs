//! The API as clients see it: whatever they ask of a real node is answered, with what the content
//! type says or with a problem document, and never with the node's own fault.
//!
//! An input is what a client sends: a line with method, path and query (and perhaps the last event
//! that it saw), then the body. `{fact}` and the like stand for ids of this node, which no fuzzer
//! would find.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use cairn_core::engine::State;
use cairn_core::fact::{EncodedFact, Fact};
use cairn_core::params::Params;
use cairn_core::time::UnixTime;
use cairn_node::api::lines::NewRecord;
use cairn_node::api::{self, Setup};
use cairn_node::app::{Node, NodeConfig};
use cairn_node::data_dir::DataDir;
use cairn_node::enroll;
use cairn_node::keys::NodeKey;
use cairn_node::problem::Code;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tower_service::Service as _;

/// Inputs that one node answers; then a new one is made, so that its ledger stays small.
const INPUTS_MAX: usize = 4_096;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the news is listened to, which never ends by itself.
const NEWS: Duration = Duration::from_millis(2);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An answer that has come to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A node with its API.
struct Served {
    node: Node,
    router: Router,
    bound: SocketAddr,
    token: String,
    _stop: watch::Sender<bool>,
}

impl Served {
    async fn start(folder: &TempDir, seal: bool) -> Self {
        let mut config = NodeConfig::new(folder.path().join("node"));
        config.listen = ([127, 0, 0, 1], 0).into();
        config.http = Some(([127, 0, 0, 1], 0).into());
        config.verify_threads = 1;
        config.seal = seal;
        let node = Node::start(config).await.unwrap();
        let (bound, token) = (node.http_address().unwrap(), node.api_token().to_string());
        let (stop, stopping) = watch::channel(false);
        let (node_token, listen) = (token.clone().into(), node.mesh_address());
        let setup = Setup { node: node.handle(), token: node_token, listen, stop: stopping };
        Self { router: api::router(setup, bound), node, bound, token, _stop: stop }
    }

    /// Sends a request, if it is one at all.
    async fn ask(&mut self, line: &str, body: &[u8]) -> Option<Answer> {
        let mut words = line.split(' ');
        let mut request = Request::builder()
            .method(words.next()?)
            .uri(words.next()?)
            .header(header::HOST, self.bound.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(seen) = words.next() {
            request = request.header("last-event-id", seen);
        }
        let request = request.body(Body::from(body.to_vec())).ok()?;
        let answered = timeout(PATIENCE, self.router.call(request)).await;
        let (head, body) = answered.expect("no answer in time").unwrap().into_parts();
        let is_news = kind(&head.headers).starts_with("text/event-stream");
        let patience = if is_news { NEWS } else { PATIENCE };
        let body = match timeout(patience, to_bytes(body, ANSWER_BYTES_MAX)).await {
            Ok(body) => body.expect("the answer broke off").to_vec(),
            Err(_) => {
                assert!(is_news, "an answer without end");
                Vec::new()
            }
        };
        Some(Answer { status: head.status, headers: head.headers, body })
    }

    /// Sends a request that must be answered with a document.
    async fn expect(&mut self, line: &str, body: &str) -> Value {
        let answer = self.ask(line, body.as_bytes()).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{line}: {text}");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

fn kind(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

/// A record that its author signed elsewhere, in base64.
fn signed(key: &NodeKey, params: &Params) -> String {
    use base64::Engine as _;
    let (topic, media_type) = ("note".into(), "text/plain".into());
    let record = NewRecord { topic, media_type, bytes: b"from elsewhere".to_vec() };
    let fact = Fact { author: key.node_id(), time: UnixTime(7), body: record.body() };
    let fact = EncodedFact::sign(fact, &enroll::mesh_id(params), key.signing()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(fact.bytes())
}

/// Facts of most kinds, and blocks of them; what stands for what.
async fn fill(served: &mut Served) -> Vec<(&'static str, String)> {
    let note = json!({"topic": "note", "text": "hello"}).to_string();
    let first = served.expect("POST /v1/facts", &note).await;
    let fact = first["fact_id"].as_str().unwrap().to_string();
    let other = json!({"topic": "bytes", "base64": "/wA="}).to_string();
    let other = served.expect("POST /v1/facts", &other).await;
    let other = other["fact_id"].as_str().unwrap().to_string();
    let relation = json!({"subject": &fact, "predicate": "corrects", "object": &other});
    served.expect("POST /v1/facts", &relation.to_string()).await;
    for line in ["/saw/request", "/drill/request", "/drill/release"] {
        served.expect(&format!("POST /v1/items{line}"), "").await;
    }
    let node = served.node.handle().node_id().to_string();
    served.expect(&format!("POST /v1/members/{node}/name"), r#"{"name":"ada"}"#).await;
    let made = served.expect("POST /v1/invites", "").await;
    let last = format!("GET /v1/facts/{}", made["fact_id"].as_str().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while served.expect(&last, "").await["state"] != "sealed" {
        assert!(Instant::now() < deadline, "nothing is sealed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let invites = served.expect("GET /v1/invites", "").await;
    let invite = invites["invites"][0]["key"].as_str().unwrap().to_string();
    let tip = served.expect("GET /v1/chain/tip", "").await;
    let block = tip["id"].as_str().unwrap().to_string();
    vec![
        ("{fact}", fact),
        ("{other}", other),
        ("{node}", node),
        ("{invite}", invite),
        ("{block}", block),
    ]
}

/// A node that is asked, and what it runs on.
struct Fixture {
    served: Served,
    names: Vec<(&'static str, String)>,
    asked: usize,
    runtime: Runtime,
    _folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let dir = DataDir::new(folder.path().join("node"));
        let lock = dir.lock().unwrap();
        let key = enroll::identity(&dir).unwrap();
        drop(lock);
        let mut params = Params::private("test", &[key.node_id()], UnixTime(1_000)).unwrap();
        params.spacing = 10;
        let signed = signed(&key, &params);
        enroll::found(&dir, params, Vec::new(), 1, UnixTime::MAX_VALID).unwrap();
        let (served, mut names) = runtime.block_on(async {
            let mut first = Served::start(&folder, true).await;
            let names = fill(&mut first).await;
            drop(first.router);
            first.node.stop().await.unwrap();
            // It seals no more: an answer depends on what was asked, not on when.
            (Served::start(&folder, false).await, names)
        });
        names.push(("{signed}", signed));
        Self { served, names, asked: 0, runtime, _folder: folder }
    }

    fn replace(&self, text: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
        let put = |text: String, (name, id): &(&str, String)| text.replace(name, id);
        self.names.iter().fold(text.to_string(), put).into_bytes()
    }

    fn is_used_up(&self) -> bool {
        let state = self.served.node.handle().status().state;
        self.asked >= INPUTS_MAX || matches!(state, State::Revoked | State::Stopping)
    }

    fn end(self) {
        drop(self.served.router);
        let _ = self.runtime.block_on(self.served.node.stop());
    }
}

static FIXTURE: Mutex<Option<Fixture>> = Mutex::new(None);

/// A problem says what, why and what to do next.
fn assert_is_problem(answer: &Answer) {
    let kind = kind(&answer.headers);
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(kind, "application/problem+json", "{}: {text}", answer.status);
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["status"], answer.status.as_u16());
    assert!(document["code"].as_str().and_then(Code::from_name).is_some(), "{text}");
    for field in ["title", "detail", "hint"] {
        assert!(document[field].as_str().is_some_and(|said| !said.is_empty()), "{text}");
    }
}

fn check(line: &str, answer: &Answer) {
    // Not ready is what it is asked for.
    let may_fail = line.contains("/readyz");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!answer.status.is_server_error() || may_fail, "{line}: {} {text}", answer.status);
    if line.starts_with("HEAD ") {
        return;
    }
    match kind(&answer.headers) {
        _ if !answer.status.is_success() && !may_fail => assert_is_problem(answer),
        "application/json" => {
            serde_json::from_slice::<Value>(&answer.body).expect("a document");
        }
        "application/x-ndjson" => text.lines().for_each(|line| {
            serde_json::from_str::<Value>(line).expect("a document");
        }),
        _ => {}
    }
}

/// One request.
pub(super) fn http(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, body) = data.split_at(end);
    let mut place = FIXTURE.lock().unwrap_or_else(PoisonError::into_inner);
    let fixture = place.get_or_insert_with(Fixture::new);
    let (line, body) = (fixture.replace(line), fixture.replace(body.get(1..).unwrap_or_default()));
    let Ok(line) = String::from_utf8(line) else { return };
    fixture.asked += 1;
    let answer = fixture.runtime.block_on(fixture.served.ask(&line, &body));
    if let Some(answer) = answer {
        check(&line, &answer);
    }
    if fixture.is_used_up()
        && let Some(used) = place.take()
    {
        used.end();
    }
}

/// Stops the node, if there is one, and removes its files.
pub(super) fn finish() {
    let mut place = FIXTURE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fixture) = place.take() {
        fixture.end();
    }
}
