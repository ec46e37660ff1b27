//! What comes in over HTTP and by the command line.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use cairn_core::testing::TestNode;
use serde_json::Value;
use support::process::{Cairn, Ran};

fn node() -> Cairn {
    let mut node = Cairn::new("victim");
    node.ok(&["init", "home", "--spacing", "1s"]);
    node.start(&[]);
    node
}

fn http(node: &Cairn) -> SocketAddr {
    let runtime = fs::read(node.dir().join("runtime.json")).unwrap();
    let runtime: Value = serde_json::from_slice(&runtime).unwrap();
    runtime["http"].as_str().unwrap().parse().unwrap()
}

fn token(node: &Cairn) -> String {
    let token = fs::read_to_string(node.dir().join("api.token")).unwrap();
    format!("Authorization: Bearer {}\r\n", token.trim())
}

/// Sends a request as it stands: the status and the document of the answer.
fn raw(node: &Cairn, head: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(http(node)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    let head = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // The other side may answer before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn post(node: &Cairn, path: &str, body: &[u8]) -> (u16, Value) {
    let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{}", http(node), token(node));
    raw(node, &head, body)
}

/// A problem document says what, why and what next.
#[track_caller]
fn problem((status, document): &(u16, Value), expected: u16, code: &str) {
    assert_eq!((*status, document["code"].as_str()), (expected, Some(code)), "{document}");
    assert_eq!(document["status"], expected);
    for field in ["type", "title", "detail", "hint"] {
        assert!(document[field].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    }
}

#[test]
fn each_bad_request_has_its_status_and_code_and_the_node_goes_on() {
    let node = node();
    let big = format!("{{\"topic\":\"t\",\"text\":\"{}\"}}", "x".repeat(2 << 20));
    problem(&post(&node, "/v1/facts", big.as_bytes()), 413, "too-large");
    for body in [&b"{"[..], b"[]", b"\xff\xfe", b"{\"topic\":5}", b"nonsense"] {
        problem(&post(&node, "/v1/facts", body), 400, "usage");
    }
    let wide = format!("{{\"topic\":\"t\",\"text\":\"{}\"}}", "x".repeat(17 * 1024));
    let topic = format!("{{\"topic\":\"{}\",\"text\":\"x\"}}", "t".repeat(300));
    for body in [
        "{\"text\":\"no topic\"}",
        "{\"topic\":\"\",\"text\":\"empty\"}",
        "{\"topic\":\"t\"}",
        "{\"topic\":\"t\",\"base64\":\"*\"}",
        "{\"signed\":\"AAAA\"}",
        &wide,
        &topic,
    ] {
        problem(&post(&node, "/v1/facts", body.as_bytes()), 422, "malformed");
    }
    let host = http(&node);
    let write = format!("POST /v1/facts HTTP/1.1\r\nHost: {host}\r\n");
    let body = b"{\"topic\":\"t\",\"text\":\"x\"}";
    problem(&raw(&node, &write, body), 401, "not-permitted");
    let wrong = format!("{write}Authorization: Bearer {}\r\n", "0".repeat(64));
    problem(&raw(&node, &wrong, body), 401, "not-permitted");
    for name in ["evil.example", "evil.example:7070", "127.0.0.1", "127.0.0.1.evil.example:80"] {
        let head = format!("GET /v1/status HTTP/1.1\r\nHost: {name}\r\n");
        problem(&raw(&node, &head, b""), 421, "wrong-host");
    }
    let get = |path: &str| raw(&node, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"), b"");
    problem(&get(&format!("/v1/facts/{}", "0".repeat(64))), 404, "not-found");
    problem(&get("/v1/no/such/route"), 404, "not-found");
    problem(&get("/v1/facts?limit=many"), 400, "usage");
    let absent = get("/v1/blocks/99999999");
    problem(&absent, 404, "not-found");
    // None of it did any harm.
    assert_eq!(post(&node, "/v1/facts", body).0, 201);
    assert_eq!(node.ok(&["fact", "list", "--topic", "t"])["facts"].as_array().unwrap().len(), 1);
}

#[test]
fn broken_lines_of_an_import_are_named_and_the_others_are_kept() {
    let node = node();
    let long = format!("{{\"topic\":\"t\",\"text\":\"{}\"}}", "x".repeat(40 * 1024));
    let lines: [&[u8]; 8] = [
        b"{\"topic\":\"t\",\"text\":\"one\"}",
        b"{\"topic\":\"t\",\"text\":\"\xff\"}",
        b"{\"topic\":\"t\",\"text\":\"three\"}",
        long.as_bytes(),
        b"{\"topic\":\"\",\"text\":\"five\"}",
        b"{broken",
        b"{\"kind\":\"release\",\"item\":\"x\"}",
        b"{\"topic\":\"t\",\"text\":\"eight\"}",
    ];
    let (status, document) = post(&node, "/v1/facts/batch", &lines.join(&b'\n'));
    assert_eq!(status, 200, "{document}");
    let count = |name: &str| document[name].as_u64().unwrap();
    assert_eq!((count("accepted"), count("refused"), count("skipped")), (3, 4, 1));
    let named: Vec<u64> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["line"].as_u64().unwrap())
        .collect();
    assert_eq!(named, [2, 4, 5, 6]);
    assert!(document["errors"][0]["message"].as_str().unwrap().contains("UTF-8"));
    assert!(document["errors"][1]["message"].as_str().unwrap().contains("32768"));
    assert_eq!(node.ok(&["fact", "list", "--topic", "t"])["facts"].as_array().unwrap().len(), 3);
}

/// A command fails with this exit status and an error document with this code.
#[track_caller]
fn fails(ran: &Ran, exit: i32, code: &str) {
    assert_eq!(ran.code, Some(exit), "{ran:?}");
    let document = ran.json();
    assert_eq!(document["schema"], "cairn.error/1", "{ran:?}");
    assert_eq!(document["code"], code, "{ran:?}");
    for field in ["message", "hint"] {
        assert!(document[field].as_str().is_some_and(|text| !text.is_empty()), "{ran:?}");
    }
}

#[test]
fn each_bad_command_has_its_exit_status_and_error_document() {
    let node = node();
    let unknown = "f".repeat(64);
    fails(&node.cli(&["fact", "get", &unknown]), 4, "not-found");
    fails(&node.cli(&["fact", "get", "abc"]), 2, "usage");
    fails(&node.cli(&["fact", "get", "not hex at all"]), 2, "usage");
    fails(&node.cli(&["chain", "show", "999999"]), 4, "not-found");
    fails(&node.cli(&["fact", "add", "--topic", "", "x"]), 5, "malformed");
    fails(&node.cli(&["fact", "add", "--topic", &"t".repeat(500), "x"]), 5, "malformed");
    fails(&node.cli(&["note", &"x".repeat(17 * 1024)]), 5, "malformed");
    fails(&node.cli(&["item", "request", "no spaces allowed"]), 5, "malformed");
    fails(&node.cli(&["item", "request", &"i".repeat(300)]), 5, "malformed");
    fails(&node.cli(&["item", "release", "drill"]), 5, "free");
    fails(&node.cli(&["no-such-verb"]), 2, "usage");
    fails(&node.cli(&["note"]), 2, "usage");
    let missing = node.cli(&["import", "/nowhere/at/all.jsonl"]);
    fails(&missing, 4, "not-found");
    // The token of another data directory.
    let other = Cairn::new("other");
    other.ok(&["init", "elsewhere"]);
    let url = format!("http://{}", http(&node));
    fs::write(other.dir().join("api.token"), "0".repeat(64)).unwrap();
    fails(&other.cli(&["--node", &url, "note", "x"]), 7, "not-permitted");
    let none = Cairn::new("none");
    fails(&none.cli(&["--node", &url, "note", "x"]), 7, "not-permitted");
    fails(&none.cli(&["--node", "http://127.0.0.1:1", "status"]), 3, "node-not-reachable");
    assert_eq!(node.ok(&["note", "after all that"])["durable"], true);
}

/// Two facts by the node's own key whose ids begin alike: six hex digits are 24 bits, so some
/// thousand tries find them.
fn alike(node: &Cairn) -> (String, [Vec<u8>; 2]) {
    let dir = cairn_node::data_dir::DataDir::new(node.dir());
    let key = cairn_node::keys::load(&dir.key_file()).unwrap().unwrap().signing().clone();
    let mesh = node.get("/v1/status")["mesh"]["id"].as_str().unwrap().parse().unwrap();
    let author = TestNode { key, mesh };
    let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
    for n in 0u64.. {
        let fact = author.record("t", &format!("{n}"));
        let prefix = fact.id().to_string()[..6].to_string();
        if let Some(first) = seen.insert(prefix.clone(), fact.bytes().to_vec()) {
            return (prefix, [first, fact.bytes().to_vec()]);
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn an_id_cut_so_short_that_it_fits_two_is_ambiguous() {
    let node = node();
    let (prefix, facts) = alike(&node);
    let client = node.client();
    for fact in facts {
        let signed = base64(&fact);
        let (status, document) =
            client.post("/v1/facts", &format!("{{\"signed\":\"{signed}\"}}")).unwrap();
        assert_eq!(status, 201, "{document}");
    }
    fails(&node.cli(&["fact", "get", &prefix]), 2, "ambiguous-id");
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..part.len()].copy_from_slice(part);
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place > part.len() { '=' } else { char::from(letter) });
        }
    }
    text
}
