//! `headwater.v1.Ingest`: one call a publisher.

use std::sync::Arc;

use headwater_media::{Epoch, StreamId};
use headwater_wire::v1::ingest_server::Ingest;
use headwater_wire::v1::publish_request::{Message as Request, Open};
use headwater_wire::v1::publish_response::Message as Response;
use headwater_wire::v1::{Failure, PublishRequest, PublishResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response as Answer, Status, Streaming};

use super::stream_id;
use crate::broadcast::{Attachment, Broadcasts, Publisher};

/// Answers that may wait for a slow proxy. Commits come twice a segment at most, so this is minutes of them.
const RESPONSE_BACKLOG: usize = 64;

pub(crate) struct IngestService(pub Arc<Broadcasts>);

#[tonic::async_trait]
impl Ingest for IngestService {
    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(&self, call: Call<Streaming<PublishRequest>>) -> Result<Answer<Self::PublishStream>, Status> {
        let mut requests = call.into_inner();
        let (stream, epoch, publisher) = open(&mut requests).await?;
        let (responses, answer) = mpsc::channel(RESPONSE_BACKLOG);
        if let Err(failure) = self.attach(&stream, epoch, publisher, requests, &responses).await {
            tracing::info!(%stream, code = ?failure.code(), message = failure.message, "publish refused");
            // The channel is new and has room.
            let _ = responses.try_send(Ok(PublishResponse { message: Some(Response::Rejected(failure)) }));
        }
        Ok(Answer::new(ReceiverStream::new(answer)))
    }
}

impl IngestService {
    /// Queues the call at its broadcast, which answers `accepted` when it is this publisher's turn.
    async fn attach(
        &self,
        stream: &StreamId,
        epoch: Epoch,
        publisher: Publisher,
        requests: Streaming<PublishRequest>,
        responses: &mpsc::Sender<Result<PublishResponse, Status>>,
    ) -> Result<(), Failure> {
        let on_air = self.0.open(stream, epoch, &publisher)?;
        on_air.attach(Attachment { publisher, requests, responses: responses.clone() }).await
    }
}

async fn open(requests: &mut Streaming<PublishRequest>) -> Result<(StreamId, Epoch, Publisher), Status> {
    match requests.message().await? {
        Some(PublishRequest { message: Some(Request::Open(Open { stream, epoch, publisher })) }) => {
            Ok((stream_id(&stream)?, Epoch(epoch), Publisher::new(&publisher)))
        }
        _ => Err(Status::invalid_argument("the first message of a Publish call is `open`")),
    }
}
