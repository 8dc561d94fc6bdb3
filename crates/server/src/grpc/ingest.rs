//! `headwater.v1.Ingest`: one call a publisher.

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::ResumePoint;
use headwater_media::{Epoch, StreamId};
use headwater_wire::v1::ingest_server::Ingest;
use headwater_wire::v1::publish_request::{Message as Request, Open};
use headwater_wire::v1::publish_response::Message as Response;
use headwater_wire::v1::{Failure, PublishRequest, PublishResponse};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response as Answer, Status, Streaming};

use super::stream_id;
use crate::broadcast::{Attachment, Broadcasts, Responses};

/// Answers that may wait for a slow proxy. Commits come twice a segment at most, so this is minutes of them.
const RESPONSE_BACKLOG: usize = 64;
/// How long a call may take to say what it is about; proxies do it in their first packet.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct IngestService(pub Arc<Broadcasts>);

#[tonic::async_trait]
impl Ingest for IngestService {
    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        call: Call<Streaming<PublishRequest>>,
    ) -> Result<Answer<Self::PublishStream>, Status> {
        let mut requests = call.into_inner();
        let opened = timeout(OPEN_TIMEOUT, open(&mut requests)).await;
        let opening =
            opened.map_err(|_| Status::deadline_exceeded("a Publish call begins with `open`"))??;
        let (responses, answer) = mpsc::channel(RESPONSE_BACKLOG);
        let responses = Responses(responses);
        if let Err(failure) = self.attach(&opening, requests, responses.clone()).await {
            let Opening { stream, epoch, .. } = opening;
            tracing::info!(%stream, %epoch, code = ?failure.code(), message = failure.message, "publish refused");
            responses.say(Response::Rejected(failure));
        }
        Ok(Answer::new(ReceiverStream::new(answer)))
    }
}

/// What a call is about.
struct Opening {
    stream: StreamId,
    epoch: Epoch,
    publisher: String,
    resume: Option<ResumePoint>,
    failures: u32,
}

impl IngestService {
    /// Queues the call at its broadcast, which answers `accepted` when it is this publisher's turn.
    async fn attach(
        &self,
        Opening { stream, epoch, publisher, resume, failures }: &Opening,
        requests: Streaming<PublishRequest>,
        responses: Responses,
    ) -> Result<(), Failure> {
        let (on_air, publisher) = self.0.open(stream, *epoch, publisher, resume.as_ref()).await?;
        let (resume, failures) = (resume.clone(), *failures);
        on_air.attach(Attachment { publisher, resume, failures, requests, responses }).await
    }
}

async fn open(requests: &mut Streaming<PublishRequest>) -> Result<Opening, Status> {
    match requests.message().await? {
        Some(PublishRequest { message: Some(Request::Open(open)) }) => {
            let Open { stream, epoch, publisher, resume, failures } = open;
            let resume = resume.map(ResumePoint::try_from).transpose()?;
            Ok(Opening { stream: stream_id(&stream)?, epoch: Epoch(epoch), publisher, resume, failures })
        }
        _ => Err(Status::invalid_argument("the first message of a Publish call is `open`")),
    }
}
