//! Answers of JSON, which no cache keeps.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

pub(crate) fn json_response(body: &impl Serialize) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    let json = serde_json::to_string(body).expect("names, texts and numbers are JSON");
    (headers, json).into_response()
}
