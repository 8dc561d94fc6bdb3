//! Bodies of requests: JSON within bounds, of known fields only. A fault is answered with the field that has it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use tokio::time::timeout;

use crate::problem::{FieldError, Problem};

/// Bytes of a body, at most; a live input with all that its settings may hold has a fiftieth of it.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Time for a whole body after its headers: without a limit a caller that stops in the middle would keep its connection.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Media types that a body may be announced as.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// Reads the body of a request that must be announced as JSON, so that no page of another site can have a browser send it.
pub(crate) async fn read_body(request: Request) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::media_type());
    }
    let body = timeout(BODY_TIME, read_bounded(request.into_body())).await;
    body.unwrap_or_else(|_| Err(Problem::too_slow(BODY_TIME)))
}

async fn read_bounded(body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(MAX_BODY_BYTES);
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    // The other error is a connection that broke, on which nobody hears the answer.
    to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| too_large())
}

fn is_json(headers: &HeaderMap) -> bool {
    let announced = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = announced.split(';').next().unwrap_or_default().trim();
    MEDIA_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known))
}

/// Value of a JSON text.
pub(crate) fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        if error.inner().is_data() {
            Problem::bad_fields(vec![field_error(&error)])
        } else {
            Problem::not_json(&error.inner().to_string())
        }
    })?;
    reader.end().map_err(|error| Problem::not_json(&error.to_string()))?;
    Ok(value)
}

/// Value of JSON that was parsed before.
pub(crate) fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| Problem::bad_fields(vec![field_error(&error)]))
}

fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let text = error.inner().to_string();
    let detail = text.split(" at line ").next().unwrap_or_default();
    FieldError { pointer: pointer_to(error.path()), detail: detail.into() }
}

/// JSON pointer (RFC 6901 §3) to a path.
fn pointer_to(path: &Path) -> String {
    let names = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    names.map(|name| format!("/{name}")).collect()
}
