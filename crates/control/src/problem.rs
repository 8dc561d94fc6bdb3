//! Problems that the API answers with; the detail of each says what to do about it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use headwater_directory::{DirectoryError, Scope};
use headwater_platform::store::StoreError;
use headwater_runtime::http::{PROBLEM_JSON, ProblemDetails};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tracing::{error, warn};
use utoipa::ToSchema;

/// Time after which a request that met an outage of the store is worth repeating.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Answer to a request that was not fulfilled.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    hint: Option<Hint>,
}

/// Header that tells the caller how to ask again.
#[derive(Clone, Copy, Debug)]
enum Hint {
    /// `Retry-After` in seconds.
    RetryAfter(u64),
    /// `WWW-Authenticate` (RFC 6750 §3).
    Bearer,
}

/// Kind of problem: its status, the last part of its URN, and the summary that all problems of the kind share.
#[derive(Debug)]
pub(crate) struct Kind(StatusCode, &'static str, &'static str);

/// Field of a request's body that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer (RFC 6901) to the field.
    pub(crate) pointer: String,
    /// Fault of the value, and which values there are.
    pub(crate) detail: String,
}

/// Body of a problem's answer.
#[derive(Serialize)]
struct ProblemBody {
    #[serde(flatten)]
    details: ProblemDetails,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

const NO_ROUTE: Kind = Kind(StatusCode::NOT_FOUND, "no-route", "Nothing is here");
const METHOD: Kind = Kind(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed");
const OFF_AIR: Kind = Kind(StatusCode::NOT_FOUND, "off-air", "The stream is not on air");
const SERVERS_AWAY: Kind = Kind(StatusCode::SERVICE_UNAVAILABLE, "servers-away", "Servers do not answer");
const OPEN_INPUTS: Kind = Kind(StatusCode::CONFLICT, "open-inputs", "Stream keys are names");
const UNAUTHORIZED: Kind = Kind(StatusCode::UNAUTHORIZED, "unauthorized", "The token is missing or wrong");
const FORBIDDEN: Kind = Kind(StatusCode::FORBIDDEN, "scope", "The token does not give this right");
const OTHER_SITE: Kind = Kind(StatusCode::FORBIDDEN, "other-site", "A page of another site asks");
const NAME_OF_OTHERS: Kind = Kind(StatusCode::FORBIDDEN, "host-name", "The host name may be another one's");
const NO_RECORDING: Kind = Kind(StatusCode::NOT_FOUND, "no-recording", "No such recording");
const LIVE: Kind = Kind(StatusCode::CONFLICT, "live", "Still on air");
const QUERY: Kind = Kind(StatusCode::BAD_REQUEST, "query", "The query is not understood");
const NO_STORE: Kind = Kind(StatusCode::NOT_FOUND, "no-store", "Nothing is stored");
const AWAY: Kind = Kind(StatusCode::SERVICE_UNAVAILABLE, "store-away", "The object store does not answer");
const NO_TOKEN: Kind = Kind(StatusCode::NOT_FOUND, "no-token", "No such access token");
const NO_DIRECTORY: Kind = Kind(StatusCode::NOT_FOUND, "no-directory", "There is no directory");
const DAMAGED: Kind =
    Kind(StatusCode::INTERNAL_SERVER_ERROR, "damaged-document", "A document of the directory can't be read");
const NO_INPUT: Kind = Kind(StatusCode::NOT_FOUND, "no-input", "No such live input");
const INPUT_EXISTS: Kind = Kind(StatusCode::CONFLICT, "input-exists", "There is such a live input already");
const CHANGED: Kind = Kind(StatusCode::CONFLICT, "changed", "It was changed meanwhile");
const READ_ONLY: Kind = Kind(StatusCode::CONFLICT, "read-only", "The live input is one of the configuration");
const STALE: Kind =
    Kind(StatusCode::PRECONDITION_FAILED, "stale", "It is not in the expected state any more");
const MEDIA_TYPE: Kind =
    Kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The body is not announced as JSON");
const TOO_LARGE: Kind = Kind(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large");
const TOO_SLOW: Kind = Kind(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body did not come in time");
const NOT_JSON: Kind = Kind(StatusCode::BAD_REQUEST, "not-json", "The body is not JSON");
const FIELDS: Kind = Kind(StatusCode::UNPROCESSABLE_ENTITY, "fields", "Fields of the body are not accepted");
const KEY_REUSED: Kind = Kind(
    StatusCode::UNPROCESSABLE_ENTITY,
    "idempotency-key-reused",
    "The idempotency key belongs to another request",
);
const BAD_KEY: Kind =
    Kind(StatusCode::BAD_REQUEST, "idempotency-key", "The idempotency key is not understood");
const IN_FLIGHT: Kind =
    Kind(StatusCode::CONFLICT, "in-flight", "The request with this idempotency key is not answered yet");
const TOO_FAST: Kind = Kind(StatusCode::TOO_MANY_REQUESTS, "too-fast", "Too many requests");

impl Problem {
    fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), hint: None }
    }

    fn with_hint(self, hint: Hint) -> Self {
        Self { hint: Some(hint), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.0
    }

    /// Title and detail as one text.
    pub(crate) fn message(&self) -> String {
        let Kind(_, _, title) = self.kind;
        format!("{title}. {}", self.detail)
    }

    /// Fields of the body that were not accepted.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Path that the API does not have.
    pub(crate) fn no_route() -> Self {
        Self::new(&NO_ROUTE, "The paths of this API are described in /api/v1/openapi.json.")
    }

    /// Method that the path does not have.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(&METHOD, "The methods of each path are described in /api/v1/openapi.json.")
    }

    /// Stream that no server has on air.
    pub(crate) fn off_air() -> Self {
        Self::new(
            &OFF_AIR,
            "Nobody publishes it, and no broadcast waits for its publisher: list the streams.",
        )
    }

    /// Stream that one of these servers may have, which do not answer.
    pub(crate) fn servers_away(addresses: &[String]) -> Self {
        let detail = format!("It may be on air at {}, which can't be asked just now.", addresses.join(", "));
        Self::new(&SERVERS_AWAY, detail).with_hint(Hint::RetryAfter(RETRY_INTERVAL.as_secs()))
    }

    /// Block where everybody may publish by choosing a name.
    pub(crate) fn open_inputs() -> Self {
        Self::new(
            &OPEN_INPUTS,
            "With inputs.mode = \"open\" nobody is kept from publishing: set it to \"keys\".",
        )
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "Send Authorization: Bearer with an access token, or with the token of the setting control.token.";
        Self::new(&UNAUTHORIZED, detail).with_hint(Hint::Bearer)
    }

    /// Change that a browser asks for on behalf of a page of another site.
    pub(crate) fn other_site() -> Self {
        Self::new(&OTHER_SITE, "Changes are made by programs, and by pages of this address.")
    }

    /// Request without a token by a host name that leads here and is not known to be this host's.
    pub(crate) fn name_of_others() -> Self {
        let detail = "Ask by an IP address or by localhost, or set control.token and show it.";
        Self::new(&NAME_OF_OTHERS, detail)
    }

    /// Scope that the token of the request lacks.
    pub(crate) fn missing_scope(scope: Scope) -> Self {
        Self::new(&FORBIDDEN, format!("This needs a token with the scope {scope}."))
    }

    /// Query that is not understood, with the reason.
    pub(crate) fn bad_query(detail: String) -> Self {
        Self::new(&QUERY, detail)
    }

    pub(crate) fn no_recording() -> Self {
        Self::new(&NO_RECORDING, "It was never made or has been deleted: list the recordings of the stream.")
    }

    /// Recording whose broadcast is on air.
    pub(crate) fn still_live() -> Self {
        Self::new(&LIVE, "A recording can be deleted when its broadcast has ended: stop the encoder first.")
    }

    /// Installation that stores no recordings.
    pub(crate) fn no_store() -> Self {
        Self::new(&NO_STORE, "There are no recordings, as the setting store.url names no object store.")
    }

    pub(crate) fn store_away() -> Self {
        let detail = "Ask again in a second; the log of this origin says why.";
        Self::new(&AWAY, detail).with_hint(Hint::RetryAfter(RETRY_INTERVAL.as_secs()))
    }

    pub(crate) fn no_token() -> Self {
        Self::new(&NO_TOKEN, "It was never made or has been deleted: list the access tokens.")
    }

    /// Installation that keeps neither live inputs nor tokens.
    pub(crate) fn no_directory() -> Self {
        let detail = "Live inputs and access tokens are kept where directory.url leads: set that and a directory.secret.";
        Self::new(&NO_DIRECTORY, detail)
    }

    pub(crate) fn no_input() -> Self {
        Self::new(&NO_INPUT, "It was never made or has been deleted: list the live inputs.")
    }

    /// Live input that only the configuration file changes.
    pub(crate) fn read_only_input() -> Self {
        Self::new(&READ_ONLY, "Change or delete it in the table [inputs] of the configuration.")
    }

    /// Resource that was changed since the caller read it.
    pub(crate) fn stale() -> Self {
        Self::new(&STALE, "Read it again, and repeat the change with the ETag that it has now.")
    }

    pub(crate) fn media_type() -> Self {
        Self::new(&MEDIA_TYPE, "Send the body as JSON, with Content-Type: application/json.")
    }

    /// Body of more than so many bytes.
    pub(crate) fn too_large(max_bytes: usize) -> Self {
        Self::new(&TOO_LARGE, format!("A body has {max_bytes} bytes at most."))
    }

    pub(crate) fn too_slow(limit: Duration) -> Self {
        Self::new(&TOO_SLOW, format!("Send the whole body within {} s.", limit.as_secs()))
    }

    pub(crate) fn not_json(reason: &str) -> Self {
        Self::new(&NOT_JSON, format!("{reason}."))
    }

    /// Fields that are unknown, of a wrong type, or outside of their bounds.
    pub(crate) fn bad_fields(errors: Vec<FieldError>) -> Self {
        let detail = "The list errors names each field, and the values that it takes.";
        Self { errors, ..Self::new(&FIELDS, detail) }
    }

    pub(crate) fn bad_idempotency_key() -> Self {
        Self::new(&BAD_KEY, "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    }

    /// Idempotency key that came with another body before.
    pub(crate) fn key_reused() -> Self {
        Self::new(&KEY_REUSED, "Use a new Idempotency-Key for each request that is not a repetition.")
    }

    pub(crate) fn key_in_flight() -> Self {
        let detail = "Repeat the request when the first one is answered.";
        Self::new(&IN_FLIGHT, detail).with_hint(Hint::RetryAfter(RETRY_INTERVAL.as_secs()))
    }

    /// Token that asks too often; it is answered again after this time.
    pub(crate) fn too_fast(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = seconds.max(1);
        Self::new(&TOO_FAST, format!("Ask again in {seconds} s.")).with_hint(Hint::RetryAfter(seconds))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Kind(status, name, title) = *self.kind;
        let details = ProblemDetails::new(status, name, title, self.detail.clone());
        let body = ProblemBody { details, errors: self.errors.clone() };
        let json = serde_json::to_string(&body).expect("texts and a number are JSON");
        let headers = [(CONTENT_TYPE, PROBLEM_JSON), (CACHE_CONTROL, "no-store")];
        let mut response = (status, headers, json).into_response();
        let hint = self.hint.map(|hint| match hint {
            Hint::RetryAfter(seconds) => (RETRY_AFTER, seconds.into()),
            Hint::Bearer => (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        });
        response.headers_mut().extend(hint);
        // For an envelope of another kind around it.
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::no_recording(),
            StoreError::Refused(_) | StoreError::Unavailable(_) => {
                warn!(%error, "the object store did not do what the control API was asked for");
                Self::store_away()
            }
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::NoInput(_) => Self::no_input(),
            DirectoryError::InputExists(_) => Self::new(&INPUT_EXISTS, "Choose another name."),
            DirectoryError::Changed => Self::new(
                &CHANGED,
                "Others change it at the same time: read it again, and repeat the change.",
            ),
            DirectoryError::Store(_) | DirectoryError::TooSlow(_) => {
                warn!(%error, "the directory did not do what the control API was asked for");
                Self::store_away()
            }
            DirectoryError::Damaged { .. } | DirectoryError::Seal(_) => {
                error!(%error, "a document of the directory can't be used");
                Self::new(&DAMAGED, "The log of this origin says which document it is, and why.")
            }
        }
    }
}
