//! A publisher's media on its way to the worker.

use headwater_media::{Period, Tag};
use headwater_wire::ConvertError;
use headwater_wire::v1::publish_request::{End, Message as Request};
use headwater_wire::v1::worker_input::Message as Input;
use headwater_wire::v1::{self, Failure, failure::Code};
use tokio::time::timeout;
use tonic::Streaming;

use super::{Fed, Pulse, Session, input, replaced, worker_failed};
use crate::broadcast::Publisher;
use crate::failure;
use crate::worker::WorkerInput;

impl Session<'_> {
    /// Passes the publisher's media to the worker until there is no more of it.
    pub(super) async fn feed(
        &self,
        publisher: &Publisher,
        requests: &mut Streaming<v1::PublishRequest>,
        worker: &mut WorkerInput,
        pulse: &Pulse,
    ) -> Fed {
        loop {
            let message = match self.next(publisher, requests).await {
                Ok(Some(message)) => message,
                Ok(None) => return Fed::Ended(Ok(())),
                // It goes on elsewhere, from the last commit: what the worker has begun would only be in the way.
                Err(failure) if failure.code() == Code::Draining => return Fed::WorkerLost(failure),
                Err(failure) => return Fed::Ended(Err(failure)),
            };
            pulse.fed(&message);
            let sent = timeout(self.settings.worker_stall_timeout, worker.send(input(message))).await;
            if pulse.fed_in_vain() > self.settings.worker_stall_timeout {
                return Fed::WorkerLost(worker_failed("it took media and gave none"));
            }
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Fed::PipeBroke(error),
                Err(_) => return Fed::Ended(Err(overloaded())),
            }
        }
    }

    /// What the publisher sends next; `None` when it has left.
    async fn next(
        &self,
        publisher: &Publisher,
        requests: &mut Streaming<v1::PublishRequest>,
    ) -> Result<Option<Input>, Failure> {
        loop {
            publisher.listen();
            let request = tokio::select! {
                request = requests.message() => request,
                () = publisher.replaced() => return Err(replaced()),
                () = self.stop.cancelled() => return Err(failure(Code::Draining, "this server is stopping")),
            };
            publisher.busy();
            match request {
                Ok(Some(v1::PublishRequest { message: Some(message) })) => {
                    return media(message).map_err(|error| failure(Code::Protocol, error.to_string()));
                }
                // A message of a newer proxy.
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(status) => {
                    tracing::info!(%status, "the publisher's proxy is gone");
                    return Ok(None);
                }
            }
        }
    }
}

/// What the worker gets of a publisher's message; `None` at the end.
fn media(message: Request) -> Result<Option<Input>, ConvertError> {
    Ok(Some(match message {
        Request::Period(period) => Input::Period(Period::try_from(period)?.into()),
        Request::Tag(tag) => Input::Tag(Tag::try_from(tag)?.into()),
        Request::End(End { reason }) => {
            tracing::info!(reason, "the publisher has ended");
            return Ok(None);
        }
        Request::Open(_) => {
            let reason = "a call is opened once".into();
            return Err(ConvertError::Invalid { field: "open", reason });
        }
    }))
}

fn overloaded() -> Failure {
    failure(
        Code::Overloaded,
        "the transcoder can't keep up with this source: lower its frame rate or picture size",
    )
}
