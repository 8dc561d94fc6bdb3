//! Live inputs: made, listed, read, changed, given new stream keys, and deleted. Those of the configuration are shown, and
//! changed there only.

mod answer;
mod settings;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use headwater_directory::{DirectoryError, LiveInput, Scope};
use headwater_media::StreamId;
use headwater_runtime::clock;
use headwater_runtime::config::InputMode;
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use tracing::warn;

use super::Shared;
use super::audit::Change;
use super::auth::Caller;
use super::body::{parse_json, read_body};
use super::idempotency::{self, Begun};
use super::page::Page;
use super::precondition::Precondition;
use super::problem::Problem;
use super::response::json_response;
pub(crate) use answer::{LiveInputAnswer, LiveInputPage, ShownKey};
pub(crate) use settings::LiveInputSettings;

/// Attempts of a change that names no expected state, while others change the input too.
const MAX_ATTEMPTS: usize = 5;

/// The live inputs, in the order of their documents
#[utoipa::path(
    get,
    path = "/api/v1/live-inputs",
    operation_id = "listLiveInputs",
    tag = "live inputs",
    params(
        ("after" = Option<String>, Query, description = "Only inputs after this one: the `next` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Inputs of a page; 100 without it."),
    ),
    responses(
        (status = 200, description = "A page. `next` is null on the last one.", body = LiveInputPage),
        (status = 400, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn list_inputs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsRead)?;
    let page: Page<StreamId> = Page::parse(query.as_deref(), "after")?;
    let control = &shared.control;
    let kept = match &control.directory {
        Some(directory) => Some(directory.list_inputs(page.cursor.as_ref(), page.limit).await?),
        None => None,
    };
    let key = shared.shown_key(&caller);
    Ok(json_response(&LiveInputPage::merge(kept, &page, &control.file_inputs, &control.public, key)))
}

/// Make a live input with a new stream key
#[utoipa::path(
    post,
    path = "/api/v1/live-inputs",
    operation_id = "createLiveInput",
    tag = "live inputs",
    params(
        ("Idempotency-Key" = Option<String>, Header, max_length = 255,
            description = "Name of this request: repeated within 24 h, it makes no second input."),
    ),
    request_body = LiveInputSettings,
    responses(
        (status = 201, description = "The input.", body = LiveInputAnswer,
            headers(("ETag" = String), ("Location" = String))),
        (status = 400, response = crate::schema::Problem),
        (status = 404, response = crate::schema::Problem),
        (status = 408, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 413, response = crate::schema::Problem),
        (status = 415, response = crate::schema::Problem),
        (status = 422, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn create_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsWrite)?;
    let directory = shared.directory()?;
    let key = idempotency::key_of(request.headers())?;
    let body = read_body(request).await?;
    let settings: LiveInputSettings = parse_json(&body)?;
    let stored = settings.check()?;
    let pending = match shared.attempts.begin(&caller, key, &body)? {
        Begun::First(pending) => pending,
        // The answer to the first request, except for what has changed since then.
        Begun::Again(uid) => {
            let input = directory.read_input(&uid).await?;
            return Ok(created(&shared, &caller, &input));
        }
    };
    let input = directory.create_input(None, stored, clock::now()).await?;
    pending.finish(&input.uid);
    shared.announce(&input.uid).await;
    let change = Change { event: "live-input.created", resource: input.uid.as_str() };
    change.record(&caller, None, Some(&input.settings));
    Ok(created(&shared, &caller, &input))
}

/// Describe a live input
#[utoipa::path(
    get,
    path = "/api/v1/live-inputs/{uid}",
    operation_id = "getLiveInput",
    tag = "live inputs",
    params(("uid" = String, Path, description = "Name of the input and of its stream.", max_length = 64)),
    responses(
        (status = 200, description = "The input.", body = LiveInputAnswer, headers(("ETag" = String))),
        (status = 404, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn get_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(uid): Path<String>,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsRead)?;
    let uid = parse_uid(&uid)?;
    if shared.control.file_inputs.contains(&uid) {
        return Ok(json_response(&LiveInputAnswer::of_file(&uid, &shared.control.public)));
    }
    let input = shared.input_directory()?.read_input(&uid).await?;
    Ok(shown(&shared, &caller, &input))
}

/// Change settings of a live input (RFC 7396): fields that are given replace, null removes, all else stays
#[utoipa::path(
    patch,
    path = "/api/v1/live-inputs/{uid}",
    operation_id = "updateLiveInput",
    tag = "live inputs",
    params(
        ("uid" = String, Path, description = "Name of the input and of its stream.", max_length = 64),
        ("If-Match" = Option<String>, Header, description = "ETag that the input must still have."),
    ),
    request_body(content = LiveInputSettings, content_type = "application/json"),
    responses(
        (status = 200, description = "The input.", body = LiveInputAnswer, headers(("ETag" = String))),
        (status = 400, response = crate::schema::Problem),
        (status = 404, response = crate::schema::Problem),
        (status = 408, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 412, response = crate::schema::Problem),
        (status = 413, response = crate::schema::Problem),
        (status = 415, response = crate::schema::Problem),
        (status = 422, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn update_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(uid): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsWrite)?;
    let precondition = Precondition::of(request.headers());
    let patch: Map<String, Value> = parse_json(&read_body(request).await?)?;
    let changed = shared.change_input(&caller, &uid, &precondition, &InputChange::Merge(patch)).await?;
    Ok(shown(&shared, &caller, &changed))
}

/// Delete a live input; its stream key opens nothing from then on
#[utoipa::path(
    delete,
    path = "/api/v1/live-inputs/{uid}",
    operation_id = "deleteLiveInput",
    tag = "live inputs",
    params(
        ("uid" = String, Path, description = "Name of the input and of its stream.", max_length = 64),
        ("If-Match" = Option<String>, Header, description = "ETag that the input must still have."),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 412, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn delete_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::InputsWrite)?;
    shared.change_input(&caller, &uid, &Precondition::of(&headers), &InputChange::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a live input a new stream key; the old one opens nothing from then on
#[utoipa::path(
    post,
    path = "/api/v1/live-inputs/{uid}/rotate-key",
    operation_id = "rotateLiveInputKey",
    tag = "live inputs",
    params(
        ("uid" = String, Path, description = "Name of the input and of its stream.", max_length = 64),
        ("If-Match" = Option<String>, Header, description = "ETag that the input must still have."),
    ),
    responses(
        (status = 200, description = "The input.", body = LiveInputAnswer, headers(("ETag" = String))),
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 412, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn rotate_key(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsWrite)?;
    let precondition = Precondition::of(&headers);
    let rotated = shared.change_input(&caller, &uid, &precondition, &InputChange::RotateKey).await?;
    Ok(shown(&shared, &caller, &rotated))
}

/// Change of a live input that is there.
enum InputChange {
    /// Settings of a merge patch (RFC 7396).
    Merge(Map<String, Value>),
    RotateKey,
    Delete,
}

impl InputChange {
    fn event(&self) -> &'static str {
        match self {
            Self::Merge(_) => "live-input.changed",
            Self::RotateKey => "live-input.key-rotated",
            Self::Delete => "live-input.deleted",
        }
    }
}

impl Shared {
    /// Changes a live input if it is in the expected state, and audits that. The input is answered as it is afterwards, or
    /// as it was before it was deleted.
    async fn change_input(
        &self,
        caller: &Caller,
        uid: &str,
        precondition: &Precondition,
        change: &InputChange,
    ) -> Result<LiveInput, Problem> {
        let uid = parse_uid(uid)?;
        if self.control.file_inputs.contains(&uid) {
            return Err(Problem::read_only_input());
        }
        for _ in 0..MAX_ATTEMPTS {
            let before = self.input_directory()?.read_input(&uid).await?;
            precondition.check(before.revision)?;
            match self.apply_change(&before, change).await? {
                Ok(after) => {
                    let left = (!matches!(change, InputChange::Delete)).then_some(&after.settings);
                    let audited = Change { event: change.event(), resource: uid.as_str() };
                    audited.record(caller, Some(&before.settings), left);
                    self.announce(&uid).await;
                    return Ok(after);
                }
                Err(DirectoryError::Changed) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(DirectoryError::Changed.into())
    }

    /// Applies a change to an input that must still be as it was read.
    async fn apply_change(
        &self,
        before: &LiveInput,
        change: &InputChange,
    ) -> Result<Result<LiveInput, DirectoryError>, Problem> {
        let directory = self.input_directory()?;
        let uid = &before.uid;
        let expected = Some(before.revision);
        Ok(match change {
            InputChange::Merge(patch) => {
                let settings = LiveInputSettings::from(&before.settings).merge(patch)?.check()?;
                let replace = |current: &mut _| *current = settings.clone();
                directory.change_input(uid, expected, clock::now(), replace).await
            }
            InputChange::RotateKey => directory.rotate_key(uid, expected, clock::now()).await,
            InputChange::Delete => directory.delete_input(uid, expected).await.map(|()| before.clone()),
        })
    }

    /// Tells the services of a changed input. They find it out by themselves where the registry does not answer.
    async fn announce(&self, uid: &StreamId) {
        if let Err(error) = self.control.registry.announce_input(uid).await {
            warn!(%uid, %error, "the registry could not be told of a changed live input: services find it out later");
        }
    }

    fn shown_key(&self, caller: &Caller) -> ShownKey {
        match self.control.input_mode {
            _ if !caller.allows(Scope::InputsKeys) => ShownKey::Mask,
            InputMode::Open => ShownKey::StreamName,
            InputMode::Keys => ShownKey::Secret,
        }
    }

    /// Directory for one input: without a directory there is no such input.
    fn input_directory(&self) -> Result<&headwater_directory::Directory, Problem> {
        self.control.directory.as_ref().ok_or_else(Problem::no_input)
    }
}

fn created(shared: &Shared, caller: &Caller, input: &LiveInput) -> Response {
    let location = format!("/api/v1/live-inputs/{}", input.uid);
    (StatusCode::CREATED, [(LOCATION, location)], shown(shared, caller, input)).into_response()
}

/// Answer with an input, its ETag, and its stream key if the caller may see that.
fn shown(shared: &Shared, caller: &Caller, input: &LiveInput) -> Response {
    let key = shared.shown_key(caller);
    let mut response = json_response(&LiveInputAnswer::new(input, &shared.control.public, key));
    let etag = HeaderValue::from_str(&format!("\"{}\"", input.revision)).expect("digits in quotes");
    response.headers_mut().insert(ETAG, etag);
    response
}

/// Uid of a path; one that can't be is the name of nothing.
fn parse_uid(text: &str) -> Result<StreamId, Problem> {
    text.parse().map_err(|_| Problem::no_input())
}
