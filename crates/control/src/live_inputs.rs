//! Live inputs: made, listed, read, changed, given new stream keys, and deleted. Those of the configuration are shown, and
//! changed there only.

mod answer;
mod operations;
mod settings;
mod status;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use headwater_directory::Scope;
use headwater_media::StreamId;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::Shared;
use super::auth::Caller;
use super::body::{parse_json, read_body};
use super::page::Page;
use super::precondition::Precondition;
use super::problem::Problem;
use super::response::json_response;
pub(crate) use answer::{LiveInputAnswer, LiveInputPage, ShownKey};
pub(crate) use operations::InputChange;
pub(crate) use settings::LiveInputSettings;

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
    Ok(json_response(&shared.list_page(&page, shared.shown_key(&caller)).await?))
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
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn create_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let input = shared.make_input(&caller, request, parse_json).await?;
    let location = format!("/api/v1/live-inputs/{}", input.uid);
    Ok((StatusCode::CREATED, [(LOCATION, location)], shared.describe_input(&caller, &input).await)
        .into_response())
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
    Ok(shared.find_input(&caller, &uid).await?.into_response())
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
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 412, response = crate::schema::Problem),
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
    Ok(shared.describe_input(&caller, &changed).await.into_response())
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
    Ok(shared.describe_input(&caller, &rotated).await.into_response())
}
