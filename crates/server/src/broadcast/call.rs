//! The Publish call of a publisher, as its broadcast has it: checked messages come in, and responses go out.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use headwater_media::{Epoch, PublisherFacts, PublisherStats, ResumePoint, TimelineEvent};
use headwater_wire::ConvertError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Publisher;
use crate::failure::Failure;

/// Longest time in which a proxy takes its last response; its call is about to be closed anyway.
const LAST_RESPONSE_LIMIT: Duration = Duration::from_secs(1);

/// Publish call that waits for its turn on a broadcast, with both of its directions.
pub(crate) struct Attachment {
    pub(crate) publisher: Publisher,
    /// The point at which it goes on, if it was interrupted on its way to this server or to another one.
    pub(crate) resume: Option<ResumePoint>,
    /// Number of workers that its media has cost lately on other servers.
    pub(crate) failures: u32,
    pub(crate) requests: Requests,
    pub(crate) responses: Responses,
}

/// Messages of a publisher. They end when the call breaks.
pub(crate) type Requests = Pin<Box<dyn Stream<Item = Result<Request, ConvertError>> + Send>>;

/// Message of a publisher.
#[derive(Debug)]
pub(crate) enum Request {
    /// A period, or a tag of the last one.
    Media(TimelineEvent),
    /// Facts about the publisher have changed.
    Facts(PublisherFacts),
    /// The publisher was asked to connect again.
    Leaving,
    /// The publisher gives no more, for this reason.
    End { reason: String },
    /// A message that only a newer proxy knows.
    Unknown,
}

/// Response to a publisher.
#[derive(Debug)]
pub(crate) enum Response {
    /// It is its turn, from this point on.
    Accepted(Progress),
    /// Media before this point need not be sent again.
    Committed(Progress),
    /// Health of its source and of the encoder.
    Stats(PublisherStats),
    /// It is not its turn, or not any more.
    Rejected(Failure),
}

/// Point that a publisher has come to.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) resume: ResumePoint,
    /// Epoch of the publisher's turn; none when that is over.
    pub(crate) epoch: Option<Epoch>,
}

/// Responses of a Publish call.
#[derive(Clone)]
pub(crate) struct Responses {
    proxy: mpsc::Sender<Response>,
    /// Cancelled when the turn of the proxy's publisher is over.
    replaced: CancellationToken,
}

impl Responses {
    /// Responses to a call that waits for its turn.
    pub(crate) fn new(proxy: mpsc::Sender<Response>) -> Self {
        Self { proxy, replaced: CancellationToken::new() }
    }

    /// The same responses, as long as it is this publisher's turn.
    pub(crate) fn to(&self, publisher: &Publisher) -> Self {
        Self { proxy: self.proxy.clone(), replaced: publisher.replaced.clone() }
    }

    /// Whether the epoch of the broadcast is that of its publisher's turn.
    pub(crate) fn is_its_turn(&self) -> bool {
        !self.replaced.is_cancelled()
    }

    /// Sends a response unless the proxy takes none, or has gone.
    pub(crate) fn say(&self, response: Response) {
        let _ = self.proxy.try_send(response);
    }

    /// Says why the call ends; waits a moment for a proxy that is slow.
    pub(crate) async fn reject(&self, failure: Failure) {
        let _ = self.proxy.send_timeout(Response::Rejected(failure), LAST_RESPONSE_LIMIT).await;
    }
}
