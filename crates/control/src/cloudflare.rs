//! Live inputs as Cloudflare Stream's API has them, so that a program written for that needs another base URL only. Requests
//! and answers have Cloudflare's paths, fields, envelope and statuses; the rest is what `/api/v1` does.

mod envelope;
mod fields;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use axum::routing::get;
use headwater_directory::{MAX_PAGE_INPUTS, Scope};
use http::HeaderMap;
use serde::Serialize;

use super::Shared;
use super::auth::Caller;
use super::body::{parse_json, read_body};
use super::live_inputs::{InputChange, LiveInputAnswer, ShownKey};
use super::page::Page;
use super::precondition::Precondition;
use super::problem::Problem;
pub(crate) use envelope::wrap_problem;
use envelope::wrap_result;
use fields::Fields;

/// Live inputs of a list, at most: each costs a read of the store.
const MAX_LIST_INPUTS: usize = 1_000;

/// Answer to a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InputList {
    live_inputs: Vec<LiveInputAnswer>,
    range: usize,
    total: usize,
}

/// Routes for callers that are known, without the envelope of their problems.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let input = get(get_input).put(update_input).delete(delete_input);
    Router::new()
        .route("/client/v4/accounts/{account}/stream/live_inputs", get(list_inputs).post(create_input))
        .route("/client/v4/accounts/{account}/stream/live_inputs/{uid}", input)
}

async fn create_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut messages = Vec::new();
    let parse = |body: &[u8]| {
        let fields = Fields::check(parse_json(body)?)?;
        messages = fields.messages();
        fields.into_settings()
    };
    let input = shared.make_input(&caller, request, parse).await?;
    Ok(wrap_result(&shared.describe_input(&caller, &input).await.answer, messages))
}

/// Keys are not listed, as Cloudflare does not list them.
async fn list_inputs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsRead)?;
    let mut page = Page { cursor: fields::cursor_of(query.as_deref())?, limit: MAX_PAGE_INPUTS };
    let mut live_inputs = Vec::new();
    loop {
        let listed = shared.list_page(&page, ShownKey::Mask).await?;
        live_inputs.extend(listed.live_inputs);
        page.cursor = listed.next;
        if page.cursor.is_none() || live_inputs.len() >= MAX_LIST_INPUTS {
            break;
        }
    }
    let rest = page.cursor.map(|last| format!("There are more live inputs: list them with ?after={last}."));
    let number = live_inputs.len();
    Ok(wrap_result(&InputList { live_inputs, range: number, total: number }, rest.into_iter().collect()))
}

async fn get_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((_, uid)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let found = shared.find_input(&caller, &uid).await?;
    Ok(wrap_result(&found.answer, Vec::new()))
}

/// Fields that are given replace; all else stays.
async fn update_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((_, uid)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let precondition = Precondition::of(request.headers());
    caller.require(Scope::InputsWrite)?;
    let fields = Fields::check(parse_json(&read_body(request).await?)?)?;
    let messages = fields.messages();
    let change = InputChange::Replace(fields.known);
    let changed = shared.change_input(&caller, &uid, &precondition, &change).await?;
    Ok(wrap_result(&shared.describe_input(&caller, &changed).await.answer, messages))
}

async fn delete_input(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((_, uid)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Scope::InputsWrite)?;
    shared.change_input(&caller, &uid, &Precondition::of(&headers), &InputChange::Delete).await?;
    Ok(wrap_result(&"", Vec::new()))
}
