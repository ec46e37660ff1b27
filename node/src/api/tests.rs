//! The API of a real node, asked over HTTP.

use cairn_core::params::Params;
use cairn_core::time::UnixTime;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Request;

use super::*;
use crate::app::{Node, NodeConfig};
use crate::data_dir::DataDir;
use crate::enroll;

struct World {
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
    base: String,
    token: String,
    agent: Agent,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn start(path: std::path::PathBuf, stop: watch::Receiver<bool>) -> Node {
    let dir = DataDir::new(&path);
    let lock = dir.lock().unwrap();
    let founder = enroll::identity(&dir).unwrap().node_id();
    drop(lock);
    let params = Params::private("test", &[founder], UnixTime(1_000)).unwrap();
    enroll::found(&dir, params, Vec::new(), 1, UnixTime::MAX_VALID).unwrap();
    let mut config = NodeConfig::new(path);
    config.listen = ([127, 0, 0, 1], 0).into();
    config.http = Some(([127, 0, 0, 1], 0).into());
    config.seal = false;
    let mut node = Node::start(config).await.unwrap();
    let setup = Setup {
        node: node.handle(),
        token: node.api_token().to_string().into(),
        listen: node.mesh_address(),
        stop,
    };
    let listener = TcpListener::from_std(node.take_http().unwrap()).unwrap();
    tokio::spawn(serve(listener, setup));
    node
}

fn world() -> World {
    let (stop, mut stopping) = watch::channel(false);
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let temp = TempDir::new().unwrap();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let node = start(temp.path().join("node"), stopping.clone()).await;
            let base = format!("http://{}", node.http_address().unwrap());
            tell.send((base, node.api_token().to_string())).unwrap();
            stopping.wait_for(|stop| *stop).await.unwrap();
            node.stop().await.unwrap();
        });
    });
    let (base, token) = told.recv().unwrap();
    let config = Agent::config_builder().http_status_as_error(false);
    World { stop, thread: Some(thread), base, token, agent: config.build().new_agent() }
}

impl World {
    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let document = response.body_mut().read_json().unwrap_or(Value::Null);
        (response.status().as_u16(), document)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, &[], b"")
    }

    fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let shown = format!("Bearer {}", self.token);
        self.send("POST", path, &[("authorization", &shown)], body)
    }
}

#[test]
fn what_is_written_is_durable_and_found_again() {
    let world = world();
    let note = json!({"topic": "note", "text": "hallo"}).to_string();
    let (status, receipt) = world.post("/v1/facts", note.as_bytes());
    assert_eq!((status, &receipt["durable"]), (201, &json!(true)));
    let id = receipt["fact_id"].as_str().unwrap();
    let (status, fact) = world.get(&format!("/v1/facts/{}", &id[..8]));
    assert_eq!((status, &fact["text"]), (200, &json!("hallo")));
    let (_, page) = world.get("/v1/facts?topic=note");
    assert_eq!(page["facts"][0]["fact_id"], id);
    let (_, seen) = world.get(&format!("/get_facts_by_id?ids={id},ff"));
    assert_eq!((seen["facts"].as_array().unwrap().len(), &seen["missing"]), (1, &json!(["ff"])));
}

#[test]
fn writing_needs_the_token_and_reading_the_right_host() {
    let world = world();
    let wrong = format!("Bearer {}", "0".repeat(world.token.len()));
    for headers in [&[][..], &[("authorization", wrong.as_str())]] {
        for path in ["/v1/facts", "/v1/facts/batch", "/v1/peers", "/v1/invites", "/v1/sync"] {
            let (status, problem) = world.send("POST", path, headers, b"{}");
            assert_eq!((status, &problem["code"]), (401, &json!("not-permitted")), "{path}");
        }
    }
    let (status, problem) = world.send("GET", "/v1/status", &[("host", "evil.example")], b"");
    assert_eq!((status, &problem["code"]), (421, &json!("wrong-host")));
    let (_, page) = world.get("/v1/facts?topic=note");
    assert_eq!(page["facts"], json!([]));
}

#[test]
fn requests_that_are_wrong_say_how() {
    let world = world();
    let large = vec![b' '; reply::BODY_BYTES_MAX + 1];
    let answers = [
        ("too-large", world.post("/v1/facts", &large)),
        ("usage", world.post("/v1/facts", b"{")),
        ("malformed", world.post("/v1/facts", b"{\"topic\":\"\",\"text\":\"x\"}")),
        ("not-found", world.get("/v1/facts/abcdef")),
        ("method-not-allowed", world.post("/v1/status", b"")),
        ("free", world.post("/v1/items/saw/release", b"")),
        ("usage", world.get("/v1/facts/%ff")),
        ("malformed", world.get(&format!("/v1/items?after={}", "x".repeat(5_000)))),
    ];
    for (code, (status, problem)) in answers {
        assert_eq!(problem["code"], code);
        assert_eq!(u64::from(status), problem["status"], "{code}");
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{code}");
    }
}

#[test]
fn importing_twice_writes_once_and_names_the_broken_lines() {
    let world = world();
    let mut lines = Vec::new();
    for number in 0..2_500 {
        let line = json!({"topic": "t", "text": number.to_string()});
        lines.extend_from_slice(format!("{line}\n").as_bytes());
    }
    lines.extend_from_slice(b"\xff\n{\"kind\":\"release\"}\n{\"topic\":\"t\",\"text\":\"7\"}");
    for (accepted, duplicate) in [(2_500, 1), (0, 2_501)] {
        let (status, done) = world.post("/v1/facts/batch", &lines);
        assert_eq!(status, 200);
        assert_eq!(done["accepted"], accepted);
        assert_eq!(done["duplicate"], duplicate);
        assert_eq!((&done["refused"], &done["skipped"]), (&json!(1), &json!(1)));
        assert_eq!(done["errors"][0]["line"], 2_501);
        assert_eq!(done["durable"], true);
    }
    let mut export = world.agent.get(format!("{}/v1/export", world.base)).call().unwrap();
    let text = export.body_mut().read_to_string().unwrap();
    let records = text.lines().filter(|line| line.contains("\"kind\":\"record\"")).count();
    assert_eq!(records, 2_500);
}

#[test]
fn events_are_numbered_and_resumable() {
    use std::io::{BufRead as _, BufReader};
    let world = world();
    for text in ["a", "b"] {
        let note = json!({"topic": "t", "text": text}).to_string();
        world.post("/v1/facts", note.as_bytes());
    }
    let follow = |header: &str| {
        let request = world.agent.get(format!("{}/v1/events?since=0", world.base));
        let response = request.header("last-event-id", header).call().unwrap();
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
    };
    let facts = |event: &Value| event["event"] == "fact";
    let all: Vec<Value> = follow("0").filter(facts).take(2).collect();
    let first = all[0]["seq"].as_u64().unwrap();
    let resumed = follow(&first.to_string()).find(facts).unwrap();
    assert_eq!(resumed["seq"], all[1]["seq"]);
    let gap = follow("5").next().unwrap();
    assert_eq!(gap["event"], "gap");
}
