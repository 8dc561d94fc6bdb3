//! Problems that the API answers with; the detail of each says what to do about it.

use axum::response::{IntoResponse, Response};
use headwater_platform::store::StoreError;
use headwater_runtime::http::{PROBLEM_JSON, ProblemDetails};
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use tracing::warn;

#[derive(Debug)]
pub(super) enum Problem {
    NoRoute,
    Method,
    Unauthorized,
    NoRecording,
    Live,
    Query(String),
    NoStore,
    Away,
}

impl Problem {
    fn about(&self) -> (StatusCode, &'static str, &'static str, String) {
        let say = |text: &str| text.to_owned();
        match self {
            Self::NoRoute => (
                StatusCode::NOT_FOUND,
                "no-route",
                "Nothing is here",
                say("The paths of this API are described in /api/v1/openapi.json."),
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "Method not allowed",
                say("The methods of each path are described in /api/v1/openapi.json."),
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "The token is missing or wrong",
                say("Send Authorization: Bearer with the token of the setting control.token."),
            ),
            Self::NoRecording => (
                StatusCode::NOT_FOUND,
                "no-recording",
                "No such recording",
                say("It was never made or has been deleted: list the recordings of the stream."),
            ),
            Self::Live => (
                StatusCode::CONFLICT,
                "live",
                "Still on air",
                say("A recording can be deleted when its broadcast has ended: stop the encoder first."),
            ),
            Self::Query(text) => {
                (StatusCode::BAD_REQUEST, "query", "The query is not understood", text.clone())
            }
            Self::NoStore => (
                StatusCode::NOT_FOUND,
                "no-store",
                "Nothing is stored",
                say("There are no recordings, as the setting store.url names no object store."),
            ),
            Self::Away => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-away",
                "The object store does not answer",
                say("Ask again in a second; the log of this origin says why."),
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title, detail) = self.about();
        let headers = [(CONTENT_TYPE, PROBLEM_JSON), (CACHE_CONTROL, "no-store")];
        let answer = (status, headers, ProblemDetails::new(status, name, title, detail).to_json());
        match self {
            Self::Unauthorized => ([(WWW_AUTHENTICATE, "Bearer")], answer).into_response(),
            Self::Away => ([(RETRY_AFTER, "1")], answer).into_response(),
            Self::Method => ([(ALLOW, "GET, HEAD, DELETE")], answer).into_response(),
            _ => answer.into_response(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NoRecording,
            StoreError::Refused(_) | StoreError::Unavailable(_) => {
                warn!(%error, "the object store did not do what the control API was asked for");
                Self::Away
            }
        }
    }
}
