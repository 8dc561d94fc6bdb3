//! Operators' hold on publishers: a publication is ended, and a live input blocked until its block is lifted.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use headwater_directory::{Block, LiveInput, Scope};
use headwater_media::StreamId;
use headwater_runtime::clock::{self, rfc3339};
use headwater_runtime::config::InputMode;
use headwater_wire::operator::Disconnected;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;

use crate::Shared;
use crate::audit::Change;
use crate::auth::Caller;
use crate::body::{parse_json, read_body};
use crate::fleet::Search;
use crate::problem::{FieldError, Problem};
use crate::response::json_response;
use crate::streams::parse_stream;

/// Characters of a reason at most: encoders show it in one line.
const MAX_REASON_CHARS: usize = 200;

/// Reason in words, for the publisher.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reason {
    /// Text that the publisher's encoder shows.
    #[schema(max_length = 200)]
    reason: String,
}

/// Outcome of ending a publication.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    /// Addresses of proxies that have not confirmed within two seconds that they have ended the publisher.
    proxies_not_confirmed: Vec<String>,
    /// Addresses of servers that did not answer, where nobody else is known to have the stream.
    servers_not_heard: Vec<String>,
}

/// Block of a live input.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BlockAnswer {
    /// Reason that the publisher is told.
    reason: String,
    /// Time of the block.
    #[schema(format = "date-time", required)]
    since: Option<String>,
}

/// Live input with its block.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockedStream {
    /// Name of the live input, and of its stream.
    uid: String,
    /// Block; null where there is none.
    #[schema(required)]
    blocked: Option<BlockAnswer>,
    #[serde(flatten)]
    ended: Ended,
}

/// End the publication of a stream; its encoder may come back
#[utoipa::path(
    post,
    path = "/api/v1/streams/{stream}/disconnect",
    operation_id = "disconnectStream",
    tag = "streams",
    params(("stream" = String, Path, description = "Name of the stream.", max_length = 64)),
    request_body(content = Option<Reason>, content_type = "application/json"),
    responses(
        (status = 200, description = "The publisher's proxy has ended it, or there is no publisher any more.", body = Ended),
        (status = 202, description = "It was told, and has not confirmed yet.", body = Ended),
        (status = 404, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn disconnect_stream(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(stream): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::StreamsControl)?;
    let stream = parse_stream(&stream)?;
    let reason = read_reason(request).await?;
    let ended = match shared.end_publication(&stream, &reason, false).await {
        Some(ended) => ended,
        None => return Err(Problem::off_air()),
    };
    let change = Change { event: "stream.disconnected", resource: stream.as_str() };
    change.record(&caller, None, Some(&reason));
    Ok((ended.status(), json_response(&ended)).into_response())
}

/// Block a live input: its publisher is ended, and nobody may publish it until the block is lifted
#[utoipa::path(
    post,
    path = "/api/v1/streams/{stream}/block",
    operation_id = "blockStream",
    tag = "streams",
    params(("stream" = String, Path, description = "Name of the live input and of its stream.", max_length = 64)),
    request_body(content = Option<Reason>, content_type = "application/json"),
    responses(
        (status = 200, description = "It is blocked, and nobody publishes it any more.", body = BlockedStream),
        (status = 202, description = "It is blocked, and its publisher may not have been ended yet.", body = BlockedStream),
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn block_stream(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(stream): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::StreamsControl)?;
    let uid = shared.check_blockable(&stream)?;
    let reason = read_reason(request).await?;
    let block = Block { reason: reason.clone(), since: clock::now() };
    let input = shared.set_block(&caller, &uid, Some(block)).await?;
    // A stream that is off air has nobody to be ended.
    let ended = shared.end_publication(&uid, &reason, true).await.unwrap_or_default();
    Ok((ended.status(), json_response(&BlockedStream::new(&input, ended))).into_response())
}

/// Lift the block of a live input
#[utoipa::path(
    post,
    path = "/api/v1/streams/{stream}/unblock",
    operation_id = "unblockStream",
    tag = "streams",
    params(("stream" = String, Path, description = "Name of the live input and of its stream.", max_length = 64)),
    responses(
        (status = 200, description = "It is not blocked.", body = BlockedStream),
        (status = 404, response = crate::schema::Problem),
        (status = 409, response = crate::schema::Problem),
        (status = 500, response = crate::schema::Problem),
    ),
)]
pub(crate) async fn unblock_stream(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(stream): Path<String>,
) -> Result<Response, Problem> {
    caller.require(Scope::StreamsControl)?;
    let uid = shared.check_blockable(&stream)?;
    let input = shared.set_block(&caller, &uid, None).await?;
    Ok(json_response(&BlockedStream::new(&input, Ended::default())))
}

impl Shared {
    /// Name of a live input that can be blocked.
    fn check_blockable(&self, uid: &str) -> Result<StreamId, Problem> {
        if self.control.input_mode == InputMode::Open {
            return Err(Problem::open_inputs());
        }
        self.parse_changeable(uid)
    }

    /// Blocks a live input or lifts its block, audits that, and tells the services.
    async fn set_block(
        &self,
        caller: &Caller,
        uid: &StreamId,
        block: Option<Block>,
    ) -> Result<LiveInput, Problem> {
        let event = if block.is_some() { "live-input.blocked" } else { "live-input.unblocked" };
        let directory = self.input_directory()?;
        let before = directory.read_input(uid).await?;
        let after = directory.set_block(uid, block).await?;
        let reason_of = |input: &LiveInput| input.blocked.as_ref().map(|block| block.reason.clone());
        let audited = Change { event, resource: uid.as_str() };
        audited.record(caller, reason_of(&before).as_ref(), reason_of(&after).as_ref());
        self.announce(uid).await;
        Ok(after)
    }

    /// Ends the publication of a stream; none where it is off air.
    async fn end_publication(&self, stream: &StreamId, reason: &str, blocked: bool) -> Option<Ended> {
        let fleet = self.fleet();
        let (server, history) = match fleet.find(stream).await {
            Search::OnAir(server, history) => (server, history),
            Search::OffAir => return None,
            Search::Unknown(servers_not_heard) => {
                return Some(Ended { servers_not_heard, ..Ended::default() });
            }
        };
        match fleet.disconnect(&server, stream, reason, blocked).await {
            Ok(None) => Some(Ended::default()),
            Ok(Some(Disconnected { proxy, confirmed })) => {
                let proxies_not_confirmed = if confirmed { Vec::new() } else { vec![proxy] };
                Some(Ended { proxies_not_confirmed, ..Ended::default() })
            }
            Err(error) => {
                warn!(%stream, server, %error, "a server does not say whether it has disconnected a publisher");
                let proxy = history.report.publisher.map(|publisher| publisher.proxy);
                Some(Ended {
                    proxies_not_confirmed: proxy.into_iter().collect(),
                    servers_not_heard: vec![server],
                })
            }
        }
    }
}

impl Ended {
    fn status(&self) -> StatusCode {
        let is_sure = self.proxies_not_confirmed.is_empty() && self.servers_not_heard.is_empty();
        if is_sure { StatusCode::OK } else { StatusCode::ACCEPTED }
    }
}

impl From<&Block> for BlockAnswer {
    fn from(Block { reason, since }: &Block) -> Self {
        Self { reason: reason.clone(), since: rfc3339(*since) }
    }
}

impl BlockedStream {
    fn new(input: &LiveInput, ended: Ended) -> Self {
        Self { uid: input.uid.to_string(), blocked: input.blocked.as_ref().map(BlockAnswer::from), ended }
    }
}

/// Reason of a request, whose body may be left out.
async fn read_reason(request: Request) -> Result<String, Problem> {
    use hyper::body::Body as _;
    if request.body().is_end_stream() {
        return Ok(String::new());
    }
    let Reason { reason } = parse_json(&read_body(request).await?)?;
    if reason.chars().count() > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        let detail = format!("a line of {MAX_REASON_CHARS} characters at most");
        return Err(Problem::bad_fields(vec![FieldError { pointer: "/reason".into(), detail }]));
    }
    Ok(reason)
}
