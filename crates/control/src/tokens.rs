//! Access tokens: made, listed and deleted.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use headwater_directory::{AccessToken, NewToken, Scope};
use headwater_media::UnixMillis;
use headwater_runtime::clock::{self, rfc3339};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::audit::Change;
use super::auth::Caller;
use super::body::{parse_json, read_body};
use super::page::Page;
use super::problem::{FieldError, Problem};
use super::response::json_response;

/// Characters of a token's name, at most.
const MAX_NAME_LENGTH: usize = 100;

/// Access token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    /// Name by which people tell tokens apart.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Rights that the token gives; its maker must have each of them.
    #[schema(value_type = Vec<String>, min_items = 1, example = json!(["inputs:read", "inputs:write"]))]
    scopes: Vec<Scope>,
    /// Seconds until the token is not accepted any more; it does not expire without them.
    #[schema(minimum = 1)]
    expires_in: Option<u32>,
}

/// Access token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenAnswer {
    /// Public name of the token, which audit events show.
    id: String,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// Time at which the token was made.
    #[schema(format = "date-time", required)]
    created: Option<String>,
    /// Time from which the token is not accepted any more; null where it does not expire.
    #[schema(format = "date-time", required)]
    expires: Option<String>,
    /// The token itself, in the answer to its making only.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Page of access tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPage {
    /// The `after` of the next page; null where this one is the last.
    #[schema(required)]
    next: Option<String>,
    /// In the order of their ids.
    tokens: Vec<TokenAnswer>,
}

/// Make an access token; its text is shown in this answer and never again
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    operation_id = "createToken",
    tag = "tokens",
    request_body = NewTokenBody,
    responses(
        (status = 201, description = "The token, with its text.", body = TokenAnswer),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn create_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::TokensWrite)?;
    let directory = shared.directory()?;
    let body: NewTokenBody = parse_json(&read_body(request).await?)?;
    let now = clock::now();
    let new = body.check(now)?;
    // A token that may make tokens could otherwise give itself every right.
    new.scopes.iter().try_for_each(|scope| caller.require(*scope))?;
    let (token, text) = directory.create_token(new, now).await?;
    let mut answer = TokenAnswer::new(token);
    Change { event: "token.created", resource: &answer.id }.record(&caller, None, Some(&answer));
    answer.token = Some(text.expose());
    Ok((StatusCode::CREATED, json_response(&answer)).into_response())
}

/// The access tokens, without their texts
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    operation_id = "listTokens",
    tag = "tokens",
    params(
        ("after" = Option<String>, Query, description = "Only tokens after this one: the `next` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Tokens of a page; 100 without it."),
    ),
    responses(
        (status = 200, description = "A page. `next` is null on the last one.", body = TokenPage),
        (status = 400, response = crate::schema::Problem),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn list_tokens(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.require(Scope::TokensWrite)?;
    let page: Page<String> = Page::parse(query.as_deref(), "after")?;
    let all = shared.directory()?.list_tokens().await?;
    let mut rest = all.into_iter().filter(|token| page.cursor.as_ref().is_none_or(|after| token.id > *after));
    let tokens: Vec<_> = rest.by_ref().take(page.limit).map(TokenAnswer::new).collect();
    let more = rest.next().is_some();
    let next = tokens.last().filter(|_| more).map(|last| last.id.clone());
    Ok(json_response(&TokenPage { next, tokens }))
}

/// Delete an access token; other origins go on to accept it for some seconds
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    operation_id = "deleteToken",
    tag = "tokens",
    params(("id" = String, Path, description = "Public name of the token.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn delete_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::TokensWrite)?;
    let directory = shared.directory()?;
    // A mistyped id must not look like a token that was revoked.
    let known = directory.describe_token(&id).await?;
    let before = known.map(TokenAnswer::new).ok_or_else(Problem::no_token)?;
    directory.delete_token(&id).await?;
    shared.tokens.forget_all();
    Change { event: "token.deleted", resource: &id }.record(&caller, Some(&before), None);
    Ok(StatusCode::NO_CONTENT)
}

impl NewTokenBody {
    /// Token of the fields, unless some are out of bounds.
    fn check(self, now: UnixMillis) -> Result<NewToken, Problem> {
        let mut errors = Vec::new();
        let mut refuse = |pointer: &str, detail: String| {
            errors.push(FieldError { pointer: pointer.into(), detail });
        };
        if !(1..=MAX_NAME_LENGTH).contains(&self.name.chars().count()) {
            refuse("/name", format!("a name has 1 to {MAX_NAME_LENGTH} characters"));
        }
        if self.scopes.is_empty() {
            refuse("/scopes", "a token gives one right at least".into());
        }
        if self.expires_in == Some(0) {
            refuse("/expiresIn", "a token is accepted for 1 second at least".into());
        }
        if !errors.is_empty() {
            return Err(Problem::bad_fields(errors));
        }
        let expires = self.expires_in.map(|seconds| UnixMillis(now.0 + u64::from(seconds) * 1_000));
        Ok(NewToken { name: self.name, scopes: self.scopes, expires })
    }
}

impl TokenAnswer {
    fn new(token: AccessToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            created: rfc3339(UnixMillis(token.created)),
            expires: token.expires.and_then(|expires| rfc3339(UnixMillis(expires))),
            token: None,
        }
    }
}
