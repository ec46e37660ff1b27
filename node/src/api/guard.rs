//! Who may ask: requests name a host that this node is (a web page that rebinds its name to
//! 127.0.0.1 does not), and everything that writes shows the token of the data dir.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Context;
use crate::problem::{Code, Problem};

/// Whether a `Host` header can mean a listener: a loopback name or the bound address, with its port.
pub fn is_own_host(host: &str, bound: SocketAddr) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    let own = [bound.ip().to_string(), format!("[{}]", bound.ip())];
    let loopback = ["127.0.0.1", "[::1]"].contains(&name) || name.eq_ignore_ascii_case("localhost");
    port == Some(bound.port()) && (loopback || own.iter().any(|ip| ip == name))
}

/// Whether a request only reads.
fn reads(method: &Method, uri: &Uri) -> bool {
    // A read whose ids do not fit an address.
    let by_ids = *method == Method::POST && uri.path() == "/get_facts_by_id";
    by_ids || matches!(*method, Method::GET | Method::HEAD)
}

/// Compares without telling by its duration how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

fn check(context: &Context, request: &Request) -> Result<(), Problem> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str());
    let host = text(header::HOST).or(host).unwrap_or_default();
    if !is_own_host(host, context.bound()) {
        return Err(Problem::new(
            Code::WrongHost,
            format!("`{host}` is not a name of this node"),
            format!("use http://{}", context.bound()),
        ));
    }
    if reads(request.method(), request.uri()) {
        return Ok(());
    }
    let shown = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if shown.is_some_and(|token| same(token.trim().as_bytes(), context.token().as_bytes())) {
        return Ok(());
    }
    Err(Problem::new(
        Code::NotPermitted,
        "this changes the node, and the token of its data dir is missing or wrong",
        "use the data dir of the running node: cairn --data-dir PATH …",
    ))
}

/// The middleware in front of every route.
pub async fn guard(State(context): State<Context>, request: Request, next: Next) -> Response {
    match check(&context, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_with_the_right_port_are_own_hosts() {
        let bound = "127.0.0.1:7070".parse().unwrap();
        for own in ["localhost:7070", "LOCALHOST:7070", "127.0.0.1:7070", "[::1]:7070"] {
            assert!(is_own_host(own, bound), "{own}");
        }
        for other in [
            "",
            "localhost",
            "localhost:80",
            "evil.example:7070",
            "127.0.0.1.evil:7070",
            "127.0.0.1:07070x",
            "[::1]",
            "::1:7070",
            "localhost:7070:7070",
        ] {
            assert!(!is_own_host(other, bound), "{other}");
        }
        assert!(is_own_host("localhost", "127.0.0.1:80".parse().unwrap()));
        assert!(is_own_host("[::1]", "[::1]:80".parse().unwrap()));
    }

    #[test]
    fn every_post_but_the_read_of_ids_writes() {
        let uri = |path: &'static str| Uri::from_static(path);
        assert!(reads(&Method::GET, &uri("/v1/facts")));
        assert!(reads(&Method::POST, &uri("/get_facts_by_id")));
        assert!(!reads(&Method::POST, &uri("/v1/facts")));
        assert!(!reads(&Method::DELETE, &uri("/v1/facts")));
    }

    #[test]
    fn tokens_are_the_same_only_in_whole() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"ab", b"abc") && !same(b"", b"abc"));
    }
}
