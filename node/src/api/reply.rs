//! How answers and problems are sent, and how requests are taken apart: bounded, and with every
//! refusal as a problem document (RFC 9457).

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_core::id::{IdParseError, NodeId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::facts::PAGE_MAX;
use crate::problem::{Code, Problem};

/// Most bytes of a request that is no stream.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let document = json!({
            "type": format!("urn:cairn:problem:{}", self.code.name()),
            "title": self.code.name().replace('-', " "),
            "status": status.as_u16(),
            "detail": self.message,
            "code": self.code.name(),
            "hint": self.hint,
        });
        let mut response = (status, document.to_string()).into_response();
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A JSON request of at most `BODY_BYTES_MAX`; an empty one stands for `{}`.
pub struct Posted<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| {
            Problem::new(
                Code::TooLarge,
                format!("the request has more than {BODY_BYTES_MAX} bytes, or broke off"),
                "send many records as lines to /v1/facts/batch",
            )
        })?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let parsed = serde_json::from_slice(bytes);
        parsed.map(Self).map_err(|error| {
            let message = format!("the request is not the JSON that is expected: {error}");
            Problem::new(Code::Usage, message, "correct the field and try again")
        })
    }
}

/// The parameters after the `?`.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::usage(format!("a parameter is wrong: {error}"))),
        }
    }
}

/// The name in a path: an id, a peer, an item.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => {
                let why = format!("the path is wrong: {}", error.body_text());
                Err(Problem::new(Code::Usage, why, "write names as UTF-8 with %XX for other bytes"))
            }
        }
    }
}

/// The number of things to put on a page: as asked for, between 1 and `max`.
pub fn limit(asked: Option<usize>, default: usize, max: usize) -> usize {
    asked.unwrap_or(default).clamp(1, max)
}

/// A page of a list that is ordered by key.
#[derive(Deserialize)]
pub struct PageByKey {
    limit: Option<usize>,
    after: Option<String>,
}

impl PageByKey {
    /// The key that the page comes after, if it is not the first, and how many fit.
    ///
    /// # Errors
    /// A `usage` problem if that is no key.
    pub fn read(self) -> Result<(Option<NodeId>, usize), Problem> {
        let after = self.after.map(|text| text.parse()).transpose();
        let after = after.map_err(|error: IdParseError| Problem::usage(error.to_string()))?;
        Ok((after, limit(self.limit, PAGE_MAX, PAGE_MAX)))
    }
}
