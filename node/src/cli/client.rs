//! The HTTP client of the verbs: finds the running node, shows the token of the data dir, turns
//! every failure into a `Problem` with its cause.

use std::io::{self, Read};
use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use super::{Global, place};
use crate::problem::{Code, Problem};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A connection to the running node.
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
    timeout: Duration,
}

/// Percent-encodes a path segment or query value.
pub(super) fn escape(text: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.~".contains(&c);
    text.bytes()
        .map(|c| if plain(c) { char::from(c).to_string() } else { format!("%{c:02X}") })
        .collect()
}

/// Builds `path?a=b&…` from the parameters that are given.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if pairs.is_empty() { path.into() } else { format!("{path}?{}", pairs.join("&")) }
}

impl Client {
    /// The node that the flags, the environment or the data dir name.
    pub(super) fn new(global: &Global) -> Result<Self, Problem> {
        let dir = place::data_dir(global.data_dir.as_deref()).ok();
        let runtime = || {
            let http = dir.as_ref()?.read_runtime()?.http?;
            Some(format!("http://{http}"))
        };
        let base = global.node.clone().or_else(runtime);
        let base = base.unwrap_or_else(|| "http://127.0.0.1:7070".into());
        let base = if base.contains("://") { base } else { format!("http://{base}") };
        let token = dir.as_ref().and_then(|dir| std::fs::read_to_string(dir.token_file()).ok());
        let mut client = Self::to(&base, token);
        if let Some(timeout) = global.timeout {
            client.timeout = timeout;
        }
        Ok(client)
    }

    /// The node at an address.
    pub(super) fn to(base: &str, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("cairn/", env!("CARGO_PKG_VERSION")));
        Self {
            agent: config.build().new_agent(),
            base: base.trim_end_matches('/').into(),
            token: token.map(|token| token.trim().to_string()),
            timeout: CONNECT_TIMEOUT,
        }
    }

    /// The node's address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn failed(&self, error: &ureq::Error) -> Problem {
        let base = &self.base;
        match error {
            ureq::Error::Timeout(_) => Problem::new(
                Code::TimedOut,
                format!("the node at {base} did not answer in time: {error}"),
                "run: cairn status --timeout 60s",
            ),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Problem::new(
                Code::Usage,
                format!("`{base}` is no address of a node: {error}"),
                "give it as http://127.0.0.1:7070",
            ),
            _ => Problem::new(
                Code::NotReachable,
                format!("no node answers at {base}: {error}; it is probably not running"),
                "run: cairn run",
            ),
        }
    }

    fn read_json(&self, mut response: Response<Body>) -> Result<Value, Problem> {
        let status = response.status();
        let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json::<Value>();
        let document = read.map_err(|error| match error {
            ureq::Error::Timeout(_) => self.failed(&error),
            error => Problem::new(
                Code::Failed,
                format!("the answer of {} (status {status}) is no JSON: {error}", self.base),
                "check that the address is a cairn node's: cairn version",
            ),
        })?;
        if status.is_success() {
            return Ok(document);
        }
        Err(Problem::from_json(&document).unwrap_or_else(|| {
            Problem::new(
                Code::Failed,
                format!("{} answered with status {status}", self.base),
                "check that the address is a cairn node's: cairn version",
            )
        }))
    }

    fn get_response(
        &self,
        path: &str,
        timeout: Option<Duration>,
    ) -> Result<Response<Body>, Problem> {
        let request = self.agent.get(self.url(path));
        let request = request.config().timeout_global(timeout).build();
        request.call().map_err(|error| self.failed(&error))
    }

    /// Asks for a document.
    pub(super) fn get(&self, path: &str) -> Result<Value, Problem> {
        self.read_json(self.get_response(path, Some(self.timeout))?)
    }

    /// Asks for something that takes long, such as a check of the whole chain.
    pub(super) fn get_slowly(&self, path: &str) -> Result<Value, Problem> {
        self.read_json(self.get_response(path, None)?)
    }

    /// Asks for a stream, which may go on for ever.
    pub(super) fn stream(&self, path: &str) -> Result<Box<dyn Read>, Problem> {
        let response = self.get_response(path, None)?;
        if !response.status().is_success() {
            return self.read_json(response).map(|_| Box::new(io::empty()) as Box<dyn Read>);
        }
        let (_, body) = response.into_parts();
        Ok(Box::new(body.into_with_config().limit(u64::MAX).reader()))
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token.as_deref().unwrap_or_default())
    }

    /// Asks the node to do something.
    pub(super) fn post(&self, path: &str, document: &Value) -> Result<Value, Problem> {
        // What is promised is durable, which can take a slow card some time.
        let timeout = self.timeout.max(Duration::from_secs(1));
        let request = self.agent.post(self.url(path)).header("authorization", self.authorization());
        let request = request.config().timeout_global(Some(timeout)).build();
        let response = request.send_json(document).map_err(|error| self.failed(&error))?;
        self.read_json(response)
    }

    /// Asks the node to do something that takes long.
    pub(super) fn post_slowly(&self, path: &str, document: &Value) -> Result<Value, Problem> {
        let request = self.agent.post(self.url(path)).header("authorization", self.authorization());
        let response = request.send_json(document).map_err(|error| self.failed(&error))?;
        self.read_json(response)
    }

    /// Sends a stream of lines.
    pub(super) fn post_lines(&self, path: &str, lines: &mut dyn Read) -> Result<Value, Problem> {
        let request = self.agent.post(self.url(path));
        let request = request
            .header("authorization", self.authorization())
            .header("content-type", "application/x-ndjson");
        let mut lines = lines;
        let response =
            request.send(SendBody::from_reader(&mut lines)).map_err(|error| self.failed(&error))?;
        self.read_json(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped_and_missing_ones_left_out() {
        let path = with_query("/v1/facts", &[("topic", Some("a&b ü".into())), ("after", None)]);
        assert_eq!(path, "/v1/facts?topic=a%26b%20%C3%BC");
        assert_eq!(with_query("/x", &[("a", None)]), "/x");
    }
}
