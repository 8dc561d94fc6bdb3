//! `headwater.v2.Ingest`: a call for each publisher.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::broadcast::{Policy, PolicyOverrides, PublisherReport};
use headwater_media::{Epoch, PublisherFacts, ResumePoint};
use headwater_registry::EPOCH_LIMIT;
use headwater_wire::v2::ingest_server::Ingest;
use headwater_wire::v2::publish_request::{Message as Request, Open};
use headwater_wire::v2::{PublishRequest, PublishResponse};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request as Call, Response as Answer, Status, Streaming};

use super::messages::check_requests;
use super::stream_id;
use crate::broadcast::{Applicant, Attachment, Broadcasts, Response, Responses};
use crate::failure::Failure;

/// Answers that may wait for a slow proxy. Commits come twice a segment at most and statistics every two seconds, so this is
/// half a minute of them.
const RESPONSE_BACKLOG: usize = 64;
/// Longest time until the first message of a call; proxies send it in their first packet.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct IngestService(pub Arc<Broadcasts>);

#[tonic::async_trait]
impl Ingest for IngestService {
    type PublishStream = Pin<Box<dyn Stream<Item = Result<PublishResponse, Status>> + Send>>;

    async fn publish(
        &self,
        call: Call<Streaming<PublishRequest>>,
    ) -> Result<Answer<Self::PublishStream>, Status> {
        let proxy = call.remote_addr().map(|address| address.ip().to_string()).unwrap_or_default();
        let mut requests = call.into_inner();
        let opened = timeout(OPEN_TIMEOUT, open(&mut requests, proxy)).await;
        let opening =
            opened.map_err(|_| Status::deadline_exceeded("a Publish call begins with `open`"))??;
        let (responses, answer) = mpsc::channel(RESPONSE_BACKLOG);
        let responses = Responses::new(responses);
        if let Err(failure) = self.attach(&opening, requests, responses.clone()).await {
            let Applicant { stream, epoch, .. } = opening.applicant;
            tracing::info!(%stream, %epoch, code = ?failure.code, message = failure.message, "publish refused");
            responses.say(Response::Rejected(failure));
        }
        let answer = ReceiverStream::new(answer).map(|response| Ok(response.into()));
        Ok(Answer::new(Box::pin(answer)))
    }
}

/// The first message of a call.
struct Opening {
    applicant: Applicant,
    failures: u32,
    report: PublisherReport,
}

impl IngestService {
    /// Queues the call at its broadcast, which answers `accepted` when it is this publisher's turn.
    async fn attach(
        &self,
        Opening { applicant, failures, report }: &Opening,
        requests: Streaming<PublishRequest>,
        responses: Responses,
    ) -> Result<(), Failure> {
        let (on_air, publisher) = self.0.open_call(applicant).await?;
        on_air.source.set_publisher(publisher.id(), report.clone());
        let resume = applicant.resume.clone();
        let failures = *failures;
        let requests = check_requests(requests);
        on_air.attach_publisher(Attachment { publisher, resume, failures, requests, responses }).await
    }
}

async fn open(requests: &mut Streaming<PublishRequest>, proxy: String) -> Result<Opening, Status> {
    match requests.message().await? {
        Some(PublishRequest { message: Some(Request::Open(open)) }) => {
            let source = open.ground().into();
            let Open { stream, epoch, publisher, resume, failures, policy, facts, overrides, .. } = open;
            let resume = resume.map(ResumePoint::try_from).transpose()?;
            let policy = policy.map(Policy::try_from).transpose()?;
            let overrides = overrides.map(PolicyOverrides::try_from).transpose()?.unwrap_or_default();
            let stream = stream_id(&stream)?;
            let epoch = self::epoch(epoch)?;
            let applicant = Applicant { stream, epoch, source, publisher, resume, policy, overrides };
            // Facts that can't be read are no reason to refuse a publisher.
            let facts = facts.and_then(|facts| PublisherFacts::try_from(facts).ok());
            Ok(Opening { applicant, failures, report: PublisherReport { facts, proxy } })
        }
        _ => Err(Status::invalid_argument("the first message of a Publish call is `open`")),
    }
}

fn epoch(number: u64) -> Result<Epoch, Status> {
    let epoch = Some(Epoch(number)).filter(|epoch| *epoch < EPOCH_LIMIT);
    epoch.ok_or_else(|| Status::invalid_argument("the field `epoch` is wrong: epochs are below 2^53"))
}
