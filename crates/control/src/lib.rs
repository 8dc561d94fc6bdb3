//! The control API: what operators and their programs do with recordings. JSON over HTTP, errors as
//! `application/problem+json` (RFC 9457), described by `/api/v1/openapi.json`.

mod answers;
mod auth;
mod problem;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use headwater_media::{BroadcastId, StreamId};
use headwater_platform::store::ObjectStore;
use headwater_recordings::{DeleteError, Layout, Summary};
use headwater_runtime::config::Secret;
use headwater_runtime::http::{Handler, Patience, Versions, query};
use headwater_runtime::listener::Listener;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::info;

pub use answers::{Recording, RecordingPage};
use problem::Problem;

/// Operators and their programs; more are a mistake or an attack. Of more, idle ones give way.
pub const MAX_CONNECTIONS: usize = 256;

/// Recordings of a page, at most and where the query names no number.
const PAGE_RECORDINGS: usize = 100;

/// Cache that holds something of recordings.
#[async_trait]
pub trait RecordingCache: Send + Sync + 'static {
    /// Forgets a recording that was deleted.
    async fn forget(&self, layout: &Layout);
}

/// Recordings that the API works on, and who may use it.
pub struct Control {
    /// The store of recordings; none where nothing is stored.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// Cache that is told of deletions.
    pub cache: Arc<dyn RecordingCache>,
    /// Without it, nobody has to show one: the listener is on a loopback address then.
    pub token: Option<Secret>,
    /// Beginning of paths to media: the URL at which viewers reach the origins, or nothing.
    pub public_url: String,
}

/// Answers until `drain` is cancelled, and then until the requests under way are answered.
///
/// # Errors
/// When the listener is broken.
pub async fn serve(control: Control, listener: Listener, drain: CancellationToken) -> io::Result<()> {
    info!(address = %listener.local_addr(), "the control API listens");
    let api = Arc::new(Api(router(Arc::new(control))));
    headwater_runtime::http::serve(api, listener, Versions::Http1, Patience::OPERATORS, drain).await
}

/// The API as its listener knows it.
struct Api(Router);

impl Handler for Api {
    type Body = axum::body::Body;

    async fn handle(&self, _from: IpAddr, request: Request<Incoming>) -> Response {
        match self.0.clone().call(request).await {
            Ok(response) => response,
            Err(impossible) => match impossible {},
        }
    }
}

fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/api/v1/streams/{stream}/recordings", get(list))
        .route("/api/v1/streams/{stream}/recordings/{broadcast}", get(one).delete(delete))
        .layer(from_fn_with_state(control.clone(), auth::check))
        .route("/api/v1/openapi.json", get(openapi))
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::Method)
        .with_state(control)
}

/// The recordings of a stream, newest first, a page at a time.
async fn list(
    State(control): State<Arc<Control>>,
    Path(stream): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let stream = parsed::<StreamId>(&stream)?;
    let Page { before, limit } = Page::parse(query.as_deref().unwrap_or_default())?;
    let store = control.store()?;
    let (found, more) = headwater_recordings::list(store, &stream, before, limit).await?;
    let next = found.last().filter(|_| more).map(|last| last.broadcast.clone());
    let recordings = found.iter().map(|summary| control.describe(summary)).collect();
    Ok(answer(&RecordingPage { next, recordings }))
}

async fn one(
    State(control): State<Arc<Control>>,
    Path((stream, broadcast)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let layout = layout(&stream, &broadcast)?;
    let found = headwater_recordings::describe(control.store()?, &layout).await?;
    let found = found.ok_or(Problem::NoRecording)?;
    Ok(answer(&control.describe(&found)))
}

/// Deletes a recording; one that is gone already is fine.
async fn delete(
    State(control): State<Arc<Control>>,
    Path((stream, broadcast)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let layout = layout(&stream, &broadcast)?;
    let deleted = headwater_recordings::delete(control.store()?, &layout).await;
    control.cache.forget(&layout).await;
    match deleted {
        Ok(()) => {
            info!(stream = %layout.stream, broadcast = %layout.broadcast, "a recording was deleted");
            Ok(StatusCode::NO_CONTENT)
        }
        Err(DeleteError::NotFound) => Ok(StatusCode::NO_CONTENT),
        Err(DeleteError::Live) => Err(Problem::Live),
        Err(DeleteError::Store(error)) => Err(error.into()),
    }
}

async fn openapi() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=60")];
    (headers, include_str!("openapi.json")).into_response()
}

impl Control {
    fn store(&self) -> Result<&dyn ObjectStore, Problem> {
        self.store.as_deref().ok_or(Problem::NoStore)
    }

    fn describe(&self, summary: &Summary) -> Recording {
        Recording::new(summary, &format!("{}/{}/", self.public_url, summary.stream))
    }
}

/// Which part of a list is wanted.
struct Page {
    before: Option<BroadcastId>,
    limit: usize,
}

impl Page {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut page = Self { before: None, limit: PAGE_RECORDINGS };
        for (name, value) in query::pairs(query) {
            match &*name {
                "before" => page.before = Some(parsed(&value)?),
                "limit" => {
                    let limit = value;
                    let within = limit.parse().ok().filter(|limit| (1..=PAGE_RECORDINGS).contains(limit));
                    page.limit = within
                        .ok_or(Problem::Query(format!("limit is a number from 1 to {PAGE_RECORDINGS}")))?;
                }
                _ => {
                    return Err(Problem::Query(format!("{name:?} is not known: there are before and limit")));
                }
            }
        }
        Ok(page)
    }
}

fn layout(stream: &str, broadcast: &str) -> Result<Layout, Problem> {
    Ok(Layout { stream: parsed(stream)?, broadcast: parsed(broadcast)? })
}

/// A name of the path or the query; one that can't be is the name of nothing.
fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::NoRecording)
}

fn answer(body: &impl Serialize) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    let json = serde_json::to_string(body).expect("names, texts and numbers are JSON");
    (headers, json).into_response()
}

#[cfg(test)]
mod tests;
