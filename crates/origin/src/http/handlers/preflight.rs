//! `OPTIONS`: what a page of another site may ask (Fetch standard, CORS preflight).

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
};
use http::{HeaderValue, StatusCode};

use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

pub(crate) fn answer() -> Answer {
    let answer = Answer::new("text/plain", Cache::Seconds(DAY_SECONDS), Bytes::new());
    answer.status(StatusCode::NO_CONTENT).headers([
        (ALLOW, ALLOWED_METHODS),
        (ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("*, Range, If-Range, If-None-Match, Cache-Control"),
        ),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
    ])
}

/// Seconds of a day. The methods never change while a version runs; browsers shorten the time to what they allow.
const DAY_SECONDS: u32 = 86_400;
