//! Client of `Ingest.Publish`: one call that brings a publisher's media to a server.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::broadcast::PolicyOverrides;
use headwater_media::{Epoch, PublisherFacts, ResumePoint, StreamId, TimelineEvent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::v2::ingest_client::IngestClient;
pub use crate::v2::publish_request::Ground;
use crate::v2::publish_request::{End, Leaving, Message as Request, Open};
use crate::v2::publish_response::Message as Response;
use crate::v2::{self, Failure, PublishRequest, PublishResponse};
use crate::{ConvertError, ServiceChannel};

/// Messages that may be queued for the gRPC call: about a second of media. More would only hide that the server is slow.
pub const MAX_QUEUED_MESSAGES: usize = 128;
/// Bytes of payload that may be queued: a second at 32 Mb/s. A message that is larger than this goes alone.
pub const MAX_QUEUED_BYTES: usize = 4 << 20;

/// Time for which the failure of a worker counts, at its server and at the proxy that tells other servers of it. Media that
/// crashes its worker does so again within seconds; a broadcast that loses one once an hour goes on for ever.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Reason why a server can't be published to.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("the server refused: {}", .0.message)]
    Rejected(Failure),
    #[error("the server can't be reached: {0}")]
    Unreachable(#[from] Status),
    #[error("the server did not answer in time")]
    Timeout,
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] ConvertError),
}

/// Publish call that is open.
pub struct PublishCall {
    requests: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    responses: Streaming<PublishResponse>,
}

/// Queued message, with the room that it takes until it is sent.
struct Queued {
    request: PublishRequest,
    _room: Option<OwnedSemaphorePermit>,
}

impl From<Request> for Queued {
    /// Message without a payload.
    fn from(message: Request) -> Self {
        Self { request: PublishRequest { message: Some(message) }, _room: None }
    }
}

/// First message of a call: the stream, its epoch, and the point to go on at.
#[derive(Clone, Debug)]
pub struct Opening {
    pub stream: StreamId,
    pub epoch: Epoch,
    /// Source of the epoch.
    pub ground: Ground,
    /// Id that tells the publisher's connection from another one with the same key.
    pub publisher: String,
    /// Point to go on at; none for a publisher that begins.
    pub resume: Option<ResumePoint>,
    /// Workers that its media has cost other servers within the [`FAILURE_WINDOW`].
    pub failures: u32,
    /// Facts about the publisher, for operators; none where they are not known.
    pub facts: Option<PublisherFacts>,
    /// Settings of the publisher's live input, for a broadcast that begins.
    pub overrides: PolicyOverrides,
}

/// Answer of a server that takes the publisher.
pub struct Accepted {
    pub call: PublishCall,
    /// Point at which the publisher begins.
    pub resume: ResumePoint,
    /// Epoch of the publisher's turn.
    pub epoch: Epoch,
}

impl PublishCall {
    /// Opens the call, and waits until the server has accepted or rejected it, no longer than `limit`.
    ///
    /// # Errors
    /// When the server rejects the publisher, can't be reached, or does not answer in time.
    pub async fn open(
        channel: ServiceChannel,
        opening: Opening,
        limit: Duration,
    ) -> Result<Accepted, PublishError> {
        timeout(limit, Self::start_call(channel, opening)).await.map_err(|_| PublishError::Timeout)?
    }

    async fn start_call(channel: ServiceChannel, opening: Opening) -> Result<Accepted, PublishError> {
        let Opening { stream, epoch, ground, publisher, resume, failures, facts, overrides } = opening;
        let (requests, media) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let open = Open {
            stream: stream.to_string(),
            epoch: epoch.0,
            publisher,
            resume: resume.map(Into::into),
            failures,
            ground: ground.into(),
            policy: None,
            facts: facts.map(Into::into),
            overrides: Some(overrides.into()),
        };
        // The channel is new and has room.
        let _ = requests.try_send(Request::Open(open).into());
        let media = ReceiverStream::new(media).map(|queued: Queued| queued.request);
        let mut responses = IngestClient::new(channel).publish(media).await?.into_inner();
        match responses.message().await? {
            Some(PublishResponse { message: Some(Response::Accepted(accepted)) }) => {
                let resume = resume_point(accepted.resume)?;
                let epoch = accepted.epoch.map_or(epoch, Epoch);
                let room = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
                Ok(Accepted { call: Self { requests, room, responses }, resume, epoch })
            }
            Some(PublishResponse { message: Some(Response::Rejected(failure)) }) => {
                Err(PublishError::Rejected(failure))
            }
            _ => Err(ConvertError::Missing("accepted").into()),
        }
    }

    /// Sends an event. Waits while the server is slower than the publisher.
    ///
    /// # Errors
    /// When the call has ended.
    pub async fn send_event(&self, event: TimelineEvent) -> Result<(), CallEnded> {
        let room = self.room.clone().acquire_many_owned(payload_bytes(&event)).await;
        let _room = Some(room.expect("nobody closes the semaphore"));
        let request = PublishRequest { message: Some(event.into()) };
        self.requests.send(Queued { request, _room }).await.map_err(|_| CallEnded)
    }

    /// Sends facts about the publisher that have changed.
    ///
    /// # Errors
    /// When the call has ended.
    pub async fn send_facts(&self, facts: PublisherFacts) -> Result<(), CallEnded> {
        self.requests.send(Request::Facts(facts.into()).into()).await.map_err(|_| CallEnded)
    }

    /// Sends `Leaving`: the publisher was asked to connect again, and the next publisher takes its place.
    ///
    /// # Errors
    /// When the call has ended.
    pub async fn announce_leaving(&self) -> Result<(), CallEnded> {
        self.requests.send(Request::Leaving(Leaving {}).into()).await.map_err(|_| CallEnded)
    }

    /// Whether nothing more can be sent.
    pub fn is_over(&self) -> bool {
        self.requests.is_closed()
    }

    /// Next response of the server.
    ///
    /// # Errors
    /// When the call has ended, with the reason if there was one.
    pub async fn next_response(&mut self) -> Result<Response, PublishError> {
        loop {
            match self.responses.message().await? {
                Some(PublishResponse { message: Some(message) }) => return Ok(message),
                Some(PublishResponse { message: None }) => {}
                None => return Err(Status::unavailable("the server ended the call").into()),
            }
        }
    }

    /// Sends `End`: no more media comes.
    ///
    /// # Errors
    /// When the call has ended.
    pub async fn send_end(&self, reason: &'static str) -> Result<(), CallEnded> {
        let end = Request::End(End { reason: reason.into() });
        self.requests.send(end.into()).await.map_err(|_| CallEnded)
    }

    /// Next response after `End`; none when the server has worked off all media, and so has ended the call.
    ///
    /// # Errors
    /// When the call breaks before that.
    pub async fn next_final_response(&mut self) -> Result<Option<Response>, PublishError> {
        loop {
            match self.responses.message().await? {
                Some(PublishResponse { message: None }) => {}
                response => return Ok(response.and_then(|response| response.message)),
            }
        }
    }

    /// Sends `End`, and waits until the server has worked off all media: hanging up would take back the media that is
    /// still on its way.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn finish(self, reason: &'static str, limit: Duration) -> Result<(), Elapsed> {
        let Self { requests, mut responses, .. } = self;
        let end = Request::End(End { reason: reason.into() }).into();
        let finished = async {
            // A server that is gone needs no goodbye.
            let _ = requests.send(end).await;
            drop(requests);
            while let Ok(Some(_)) = responses.message().await {}
        };
        timeout(limit, finished).await
    }
}

/// Bytes of payload, no more than there is room for.
fn payload_bytes(event: &TimelineEvent) -> u32 {
    let bytes = match event {
        TimelineEvent::Period(period) => period.tracks.iter().map(|track| track.configuration.len()).sum(),
        TimelineEvent::Tag(tag) => tag.payload.len(),
    };
    bytes.min(MAX_QUEUED_BYTES) as u32
}

/// End of a call by the server; [`PublishCall::next_response`] returns the reason.
#[derive(Debug)]
pub struct CallEnded;

/// Resume point of a response: another server would go on there.
///
/// # Errors
/// When the message holds no such point, or a wrong one.
pub fn resume_point(message: Option<v2::ResumePoint>) -> Result<ResumePoint, ConvertError> {
    message.ok_or(ConvertError::Missing("resume"))?.try_into()
}

#[cfg(test)]
mod tests {
    use headwater_media::{Period, PeriodNumber, SourceTime, UnixMillis};

    use super::*;

    fn period(video: Option<usize>, audio: Option<usize>) -> TimelineEvent {
        let config = |length| vec![0; length].into();
        TimelineEvent::Period(Period {
            number: PeriodNumber(0),
            first_sequence: None,
            origin: SourceTime(0),
            wall_clock: UnixMillis(0),
            tracks: Period::tracks_of(video.map(config), audio.map(config)),
        })
    }

    #[test]
    fn a_periods_configuration_takes_room_and_never_more_than_there_is() {
        assert_eq!(payload_bytes(&period(None, None)), 0);
        assert_eq!(payload_bytes(&period(Some(40), Some(2))), 42);
        assert_eq!(payload_bytes(&period(Some(MAX_QUEUED_BYTES), Some(2))), MAX_QUEUED_BYTES as u32);
    }
}
