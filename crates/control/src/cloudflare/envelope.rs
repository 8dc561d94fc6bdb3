//! The envelope of Cloudflare's answers: `result`, `success`, `errors` and `messages`.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use serde::Serialize;

use crate::problem::{FieldError, Problem};
use crate::response::json_response;

/// Codes of errors, as Cloudflare Stream gives them.
const AUTHENTICATION_ERROR: u32 = 10_000;
const INTERNAL_ERROR: u32 = 10_001;
const NOT_FOUND: u32 = 10_003;
const BAD_REQUEST: u32 = 10_005;
/// Code of messages, which are texts for people.
const NOTICE: u32 = 10_100;

#[derive(Serialize)]
struct Envelope<T> {
    result: T,
    success: bool,
    errors: Vec<Notice>,
    messages: Vec<Notice>,
}

#[derive(Serialize)]
struct Notice {
    code: u32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
}

/// Place of an error in the request's body.
#[derive(Serialize)]
struct Source {
    pointer: String,
}

/// Answer with a result, and what the caller should be told beside it.
pub(crate) fn wrap_result(result: &impl Serialize, messages: Vec<String>) -> Response {
    let notice = |message| Notice { code: NOTICE, message, source: None };
    let messages = messages.into_iter().map(notice).collect();
    json_response(&Envelope { result, success: true, errors: Vec::new(), messages })
}

/// Answers a request that ends in a problem with that problem in the envelope. Headers stay.
pub(crate) async fn wrap_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Arc<Problem>>().cloned() else { return response };
    let errors = list_errors(&problem);
    let body = json_response(&Envelope { result: (), success: false, errors, messages: Vec::new() });
    let mut headers = response.headers().clone();
    headers.remove(CONTENT_LENGTH);
    headers.extend(body.headers().clone());
    let mut wrapped = (status_of(&problem), body).into_response();
    *wrapped.headers_mut() = headers;
    wrapped
}

/// Cloudflare does not tell bodies that can't be read from those that can't be accepted.
fn status_of(problem: &Problem) -> StatusCode {
    match problem.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    }
}

/// The errors of the fields, or the problem itself where it is none of fields.
fn list_errors(problem: &Problem) -> Vec<Notice> {
    let code = match problem.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AUTHENTICATION_ERROR,
        StatusCode::NOT_FOUND => NOT_FOUND,
        status if status.is_server_error() => INTERNAL_ERROR,
        _ => BAD_REQUEST,
    };
    if problem.errors().is_empty() {
        return vec![Notice { code, message: problem.message(), source: None }];
    }
    let notice = |FieldError { pointer, detail }: FieldError| Notice {
        code,
        message: format!("{pointer}: {detail}"),
        source: Some(Source { pointer }),
    };
    problem.errors().iter().cloned().map(notice).collect()
}
