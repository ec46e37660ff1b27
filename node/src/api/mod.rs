//! The HTTP API: what people's and programs' questions look like. Queries read the store's views on
//! blocking threads and never wait for the engine; commands go through the node's handle and are
//! answered when they are durable.
//!
//! Bounds: requests of 1 MiB (`reply`), streams line by line (`lines`), lists by pages (`query`), a
//! fixed number of reads at one time (`Context::read`).
//!
//! Not here: who may listen where (`cli::run` refuses everything that is not loopback).

pub mod addresses;
mod batch;
mod blocks;
mod doctor;
pub mod dto;
mod events;
mod export;
mod facts;
pub mod guard;
mod health;
mod invites;
mod items;
pub mod lines;
mod members;
mod peers;
pub mod query;
mod recovery;
pub mod reply;
mod seed_routes;
pub mod verify;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use cairn_core::id::ContentHash;
use cairn_core::store::View;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use zeroize::Zeroizing;

pub(crate) use peers::is_address;

use crate::handle::NodeHandle;
use crate::problem::{Code, Problem};

/// Reads of the store that run at one time; more wait their turn.
const READS_MAX: usize = 16;

struct Inner {
    node: NodeHandle,
    token: Zeroizing<String>,
    bound: SocketAddr,
    listen: SocketAddr,
    reads: Semaphore,
    checks: Semaphore,
    doctor: Semaphore,
    importing: Mutex<HashSet<ContentHash>>,
    stop: watch::Receiver<bool>,
    started: std::time::Instant,
}

/// What every route is given. Clones are the same.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// What the API of one node needs to know.
pub struct Setup {
    /// The node.
    pub node: NodeHandle,
    /// What those who may write show.
    pub token: Zeroizing<String>,
    /// Where the node listens for peers; told in invites.
    pub listen: SocketAddr,
    /// Becomes true when the node stops: streams end.
    pub stop: watch::Receiver<bool>,
}

impl Context {
    fn new(setup: Setup, bound: SocketAddr) -> Self {
        Self(Arc::new(Inner {
            node: setup.node,
            token: setup.token,
            bound,
            listen: setup.listen,
            reads: Semaphore::new(READS_MAX),
            checks: Semaphore::new(1),
            doctor: Semaphore::new(1),
            importing: Mutex::new(HashSet::new()),
            stop: setup.stop,
            started: std::time::Instant::now(),
        }))
    }

    fn node(&self) -> &NodeHandle {
        &self.0.node
    }

    fn token(&self) -> &str {
        &self.0.token
    }

    fn bound(&self) -> SocketAddr {
        self.0.bound
    }

    /// Runs a query on a thread that may wait for the disk.
    async fn read<T, F>(&self, query: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&dyn View) -> Result<T, Problem> + Send + 'static,
    {
        let _permit = self.0.reads.acquire().await.map_err(|_| stopping())?;
        let node = self.0.node.clone();
        let done = tokio::task::spawn_blocking(move || query(&node.view())).await;
        done.unwrap_or_else(|_| Err(stopping()))
    }

    /// Waits until the node stops.
    async fn stopped(&self) {
        let mut stop = self.0.stop.clone();
        // An error means that whoever would say so has ended already.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

fn stopping() -> Problem {
    Problem::from(cairn_core::engine::Refusal::Stopping)
}

async fn no_route() -> Problem {
    Problem::new(Code::NotFound, "there is no such route", "begin with /v1/status")
}

async fn no_method() -> Problem {
    Problem::new(Code::Method, "this route does not know that method", "GET reads, POST writes")
}

fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/status", get(health::status))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/facts", get(facts::list).post(facts::add))
        .route("/v1/facts/batch", post(batch::import))
        .route("/v1/facts/{id}", get(facts::get))
        .route("/v1/facts/{id}/relations", get(facts::relations))
        .route("/v1/items", get(items::list))
        .route("/v1/items/{item}", get(items::get))
        .route("/v1/items/{item}/history", get(items::history))
        .route("/v1/items/{item}/request", post(items::request))
        .route("/v1/items/{item}/release", post(items::release))
        .route("/v1/items/{item}/transfer", post(items::transfer))
        .route("/v1/blocks/{block}", get(blocks::get))
        .route("/v1/headers", get(blocks::headers))
        .route("/v1/chain/tip", get(blocks::tip))
        .route("/v1/chain/forks", get(blocks::forks))
        .route("/v1/chain/reorgs", get(blocks::reorgs))
        .route("/v1/chain/verify", get(blocks::verify))
        .route("/v1/peers", get(peers::list).post(peers::add))
        .route("/v1/peers/{peer}/remove", post(peers::remove))
        .route("/v1/peers/{peer}/ping", post(peers::ping))
        .route("/v1/peers/{peer}/ban", post(peers::ban))
        .route("/v1/peers/{peer}/unban", post(peers::unban))
        .route("/v1/sync", post(peers::sync))
        .route("/v1/members", get(members::list))
        .route("/v1/members/{node}/revoke", post(members::revoke))
        .route("/v1/members/{node}/name", post(members::rename))
        .route("/v1/members/{node}/lease", post(members::lease))
        .route("/v1/recovery/statement", post(recovery::prepare))
        .route("/v1/recovery", post(recovery::publish))
        .route("/v1/key/rotate", post(members::rotate))
        .route("/v1/invites", get(invites::list).post(invites::create))
        .route("/v1/invites/{invite}/revoke", post(invites::revoke))
        .route("/v1/doctor", get(doctor::look).post(doctor::examine))
        .route("/v1/doctor/peer", post(doctor::peer))
        .route("/v1/events", get(events::follow))
        .route("/v1/export", get(export::export))
        .merge(seed_routes::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

/// The whole API, asked at the address `bound`.
pub fn router(setup: Setup, bound: SocketAddr) -> Router {
    let context = Context::new(setup, bound);
    let guard = axum::middleware::from_fn_with_state(context.clone(), guard::guard);
    routes().layer(guard).with_state(context)
}

/// Serves the API until the node stops.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, setup: Setup) -> std::io::Result<()> {
    let mut stop = setup.stop.clone();
    let router = router(setup, listener.local_addr()?);
    let stopped = async move {
        // An error means that whoever would say so has ended already.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

#[cfg(test)]
mod tests;
