//! Streams on air: listed and described, with their publishers, their health and their viewers.

mod answer;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use headwater_directory::Scope;
use headwater_media::StreamId;
use headwater_wire::operator::{BroadcastHistory, BroadcastQuery};
use tracing::warn;

use super::Shared;
use super::auth::Caller;
use super::fleet::{Fleet, Located, Search, Survey};
use super::page::Page;
use super::problem::Problem;
use super::response::json_response;
pub(crate) use answer::{StreamAnswer, StreamHealth, StreamPage};

/// The streams on air, in the order of their names
#[utoipa::path(
    get,
    path = "/api/v1/streams",
    operation_id = "listStreams",
    tag = "streams",
    params(
        ("after" = Option<String>, Query, description = "Only streams after this one: the `next` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Streams of a page; 100 without it."),
    ),
    responses(
        (status = 200, description = "A page. `next` is null on the last one.", body = StreamPage),
        (status = 400, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn list_streams(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.require(Scope::StreamsRead)?;
    let Page { cursor, limit } = Page::<StreamId>::parse(query.as_deref(), "after")?;
    // One more says whether there is another page.
    let query = BroadcastQuery { after: cursor, limit: limit + 1, ..BroadcastQuery::default() };
    let Survey { mut located, unheard } = shared.fleet().survey(&query).await;
    let is_last = located.len() <= limit;
    located.truncate(limit);
    let last = located.last().filter(|_| !is_last);
    let page = StreamPage {
        next: last.map(|last| last.report.stream.to_string()),
        streams: shared.answer_streams(&located).await,
        servers_not_heard: unheard,
    };
    Ok(json_response(&page))
}

/// Describe a stream on air
#[utoipa::path(
    get,
    path = "/api/v1/streams/{stream}",
    operation_id = "getStream",
    tag = "streams",
    params(("stream" = String, Path, description = "Name of the stream.", max_length = 64)),
    responses(
        (status = 200, description = "The stream.", body = StreamAnswer),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn get_stream(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(stream): Path<String>,
) -> Result<Response, Problem> {
    caller.require(Scope::StreamsRead)?;
    let (server, BroadcastHistory { report, .. }) = shared.find_stream(&stream).await?;
    let answers = shared.answer_streams(&[Located { server, report }]).await;
    Ok(json_response(&answers.first().expect("one was asked for")))
}

/// Health of a stream's publisher over the last hour
#[utoipa::path(
    get,
    path = "/api/v1/streams/{stream}/health",
    operation_id = "getStreamHealth",
    tag = "streams",
    params(("stream" = String, Path, description = "Name of the stream.", max_length = 64)),
    responses(
        (status = 200, description = "A sample for every ten seconds.", body = StreamHealth),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn get_health(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(stream): Path<String>,
) -> Result<Response, Problem> {
    caller.require(Scope::StreamsRead)?;
    let (_, history) = shared.find_stream(&stream).await?;
    Ok(json_response(&StreamHealth::from(&history)))
}

impl Shared {
    /// Servers that the API asks.
    pub(crate) fn fleet(&self) -> Fleet<'_> {
        let control = &self.control;
        Fleet {
            registry: control.registry.as_ref(),
            channels: &control.channels,
            known: control.servers.as_ref(),
        }
    }

    async fn find_stream(&self, stream: &str) -> Result<(String, BroadcastHistory), Problem> {
        match self.fleet().find(&parse_stream(stream)?).await {
            Search::OnAir(server, history) => Ok((server, *history)),
            Search::OffAir => Err(Problem::off_air()),
            Search::Unknown(unheard) => Err(Problem::servers_away(&unheard)),
        }
    }

    async fn answer_streams(&self, located: &[Located]) -> Vec<StreamAnswer> {
        let names: Vec<_> = located.iter().map(|located| located.report.stream.clone()).collect();
        let viewers = self.control.registry.viewers(&names).await.unwrap_or_else(|error| {
            warn!(%error, "the registry does not say how many viewers there are");
            vec![None; names.len()]
        });
        located.iter().zip(viewers).map(|(located, viewers)| StreamAnswer::new(located, viewers)).collect()
    }
}

/// Name of a path; one that can't be is the name of nothing.
pub(crate) fn parse_stream(text: &str) -> Result<StreamId, Problem> {
    text.parse().map_err(|_| Problem::off_air())
}
