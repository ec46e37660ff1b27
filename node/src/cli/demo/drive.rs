//! A client of one demo node. It works through the node's HTTP API like any other program, on a
//! thread that may wait.

use std::sync::Arc;

use serde_json::Value;

use crate::cli::client;
use crate::cli::run::Served;
use crate::problem::{Code, Problem};

/// One demo node's API.
#[derive(Clone)]
pub(super) struct Client(Arc<client::Client>);

impl Client {
    pub(super) fn of(served: &Served) -> Option<Self> {
        let http = served.node.http_address()?;
        let token = served.node.api_token().to_string();
        let client = client::Client::to(&format!("http://{http}"), Some(token));
        Some(Self(Arc::new(client)))
    }

    /// The node's address.
    pub(super) fn base(&self) -> &str {
        self.0.base()
    }

    async fn call(
        &self,
        ask: impl FnOnce(&client::Client) -> Result<Value, Problem> + Send + 'static,
    ) -> Result<Value, Problem> {
        let client = self.0.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&client)).await;
        let ended = || Problem::new(Code::Failed, "the demo is ending", "");
        asked.unwrap_or_else(|_| Err(ended()))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Problem> {
        let path = path.to_string();
        self.call(move |client| client.get(&path)).await
    }

    pub(super) async fn post(&self, path: &str, document: Value) -> Result<Value, Problem> {
        let path = path.to_string();
        self.call(move |client| client.post(&path, &document)).await
    }
}
