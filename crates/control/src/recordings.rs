//! Recordings of a stream: listed, described and deleted.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use headwater_directory::Scope;
use headwater_media::BroadcastId;
use headwater_platform::store::ObjectStore;
use headwater_recordings::{DeleteError, Layout, Summary};
use http::StatusCode;
use tracing::info;

use super::Shared;
use super::answers::{Recording, RecordingPage};
use super::audit::Change;
use super::auth::Caller;
use super::page::Page;
use super::problem::Problem;
use super::response::json_response;

/// The recordings of a stream, newest first
#[utoipa::path(
    get,
    path = "/api/v1/streams/{stream}/recordings",
    operation_id = "listRecordings",
    tag = "recordings",
    params(
        ("stream" = String, Path, description = "Name of the stream.", max_length = 64),
        ("before" = Option<String>, Query, format = "uuid",
            description = "Only recordings that began before this one: the `next` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Recordings of a page; 100 without it."),
    ),
    responses(
        (status = 200, description = "A page. `next` is null on the last one.", body = RecordingPage),
        (status = 400, response = crate::schema::Problem),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn list_recordings(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(stream): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.require(Scope::RecordingsRead)?;
    let stream = parse_name(&stream)?;
    let page: Page<BroadcastId> = Page::parse(query.as_deref(), "before")?;
    let (found, more) = headwater_recordings::list(shared.store()?, &stream, page.cursor, page.limit).await?;
    let next = found.last().filter(|_| more).map(|last| last.broadcast.clone());
    let recordings = found.iter().map(|summary| shared.describe(summary)).collect();
    Ok(json_response(&RecordingPage { next, recordings }))
}

/// Describe a recording
#[utoipa::path(
    get,
    path = "/api/v1/streams/{stream}/recordings/{broadcast}",
    operation_id = "getRecording",
    tag = "recordings",
    params(
        ("stream" = String, Path, description = "Name of the stream.", max_length = 64),
        ("broadcast" = String, Path, description = "Id of the recording.", format = "uuid"),
    ),
    responses(
        (status = 200, description = "The recording.", body = Recording),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn get_recording(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((stream, broadcast)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.require(Scope::RecordingsRead)?;
    let layout = layout_of(&stream, &broadcast)?;
    let found = headwater_recordings::describe(shared.store()?, &layout).await?;
    let found = found.ok_or_else(Problem::no_recording)?;
    Ok(json_response(&shared.describe(&found)))
}

/// Delete a recording with all its media; one that is gone already is fine
#[utoipa::path(
    delete,
    path = "/api/v1/streams/{stream}/recordings/{broadcast}",
    operation_id = "deleteRecording",
    tag = "recordings",
    params(
        ("stream" = String, Path, description = "Name of the stream.", max_length = 64),
        ("broadcast" = String, Path, description = "Id of the recording.", format = "uuid"),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn delete_recording(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((stream, broadcast)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::RecordingsWrite)?;
    let layout = layout_of(&stream, &broadcast)?;
    let deleted = headwater_recordings::delete(shared.store()?, &layout).await;
    shared.control.cache.forget(&layout).await;
    match deleted {
        Ok(()) => {
            info!(stream = %layout.stream, broadcast = %layout.broadcast, "a recording was deleted");
            let resource = format!("{}/{}", layout.stream, layout.broadcast);
            Change { event: "recording.deleted", resource: &resource }.record::<()>(&caller, None, None);
            Ok(StatusCode::NO_CONTENT)
        }
        Err(DeleteError::NotFound) => Ok(StatusCode::NO_CONTENT),
        Err(DeleteError::Live) => Err(Problem::still_live()),
        Err(DeleteError::Store(error)) => Err(error.into()),
    }
}

impl Shared {
    fn store(&self) -> Result<&dyn ObjectStore, Problem> {
        self.control.store.as_deref().ok_or_else(Problem::no_store)
    }

    fn describe(&self, summary: &Summary) -> Recording {
        let folder = self.control.public.folder_of(&summary.stream);
        Recording::new(summary, &format!("{folder}/"))
    }
}

fn layout_of(stream: &str, broadcast: &str) -> Result<Layout, Problem> {
    Ok(Layout { stream: parse_name(stream)?, broadcast: parse_name(broadcast)? })
}

/// Name of a path; one that can't be is the name of nothing.
fn parse_name<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::no_recording())
}
