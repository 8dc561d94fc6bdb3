//! A publisher's media on its way to the worker.

use std::pin::pin;
use std::task::Poll;

use futures::poll;
use headwater_media::{Period, PeriodNumber};
use headwater_wire::v2::publish_request::{End, Message as Request};
use headwater_wire::v2::worker_input::Message as Input;
use headwater_wire::v2::{self, failure::Code};
use headwater_wire::{ConvertError, tag_of};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{InputEnd, Session, Watchdog, input};
use crate::broadcast::Publisher;
use crate::broadcast::failure::{ends_here, overloaded, replaced, worker_failed};
use crate::failure;
use crate::worker::WorkerInput;

/// Input of a session from its publisher.
pub(super) struct SessionInput<'a> {
    session: &'a Session<'a>,
    publisher: &'a Publisher,
    requests: &'a mut Streaming<v2::PublishRequest>,
    watchdog: &'a Watchdog,
    /// The period that tags belong to.
    period: Option<Period>,
}

impl<'a> SessionInput<'a> {
    /// Input of which nothing was taken yet.
    pub(super) fn new(
        session: &'a Session<'a>,
        publisher: &'a Publisher,
        requests: &'a mut Streaming<v2::PublishRequest>,
        watchdog: &'a Watchdog,
    ) -> Self {
        Self { session, publisher, requests, watchdog, period: None }
    }

    /// Passes the publisher's media to the worker until there is no more of it.
    pub(super) async fn feed_worker(mut self, worker: &mut WorkerInput) -> InputEnd {
        loop {
            let message = match self.next_message().await {
                Next::Media(message) => message,
                Next::Goodbye => return InputEnd::Ended(Ok(())),
                Next::Broken => return self.wait_for_return().await,
                Next::Replaced => return end_replaced(self.publisher),
                Next::Stop => return InputEnd::Ended(Err(ends_here())),
                Next::Wrong(error) => {
                    return InputEnd::Ended(Err(failure(Code::Protocol, error.to_string())));
                }
            };
            if let Input::Period(period) = &message
                && PeriodNumber(period.number) >= self.session.on_air.feed.next_period()
            {
                self.publisher.begins_period();
            }
            if let Err(end) = self.send_message(message, worker).await {
                return end;
            }
        }
    }

    /// Gives the worker a message. If the worker gives output meanwhile but takes no input, this waits once more: it is either
    /// slow or has just got stuck.
    async fn send_message(&self, message: Input, worker: &mut WorkerInput) -> Result<(), InputEnd> {
        let limit = self.session.settings.worker_stall_timeout;
        let watchdog = self.watchdog;
        watchdog.note_input(&message);
        let mut sending = pin!(worker.send(input(message)));
        for _ in 0..2 {
            let sent = timeout(limit, &mut sending).await;
            if watchdog.time_without_output() >= limit {
                return Err(InputEnd::WorkerLost(worker_failed("it took media and gave none")));
            }
            if let Ok(sent) = sent {
                return sent.map_err(InputEnd::PipeBroke);
            }
            watchdog.note_offer();
        }
        Err(InputEnd::Ended(Err(overloaded())))
    }

    /// Waits for media of the publisher, or the end of it.
    async fn next_message(&mut self) -> Next {
        loop {
            let request = tokio::select! {
                request = hear_publisher(self.publisher, self.requests) => request,
                () = self.publisher.replaced() => return Next::Replaced,
                () = self.session.stops_alone() => return Next::Stop,
            };
            match request {
                Ok(Some(v2::PublishRequest { message: Some(Request::Leaving(_)) })) => {
                    tracing::info!("the publisher was asked to connect again");
                    self.publisher.leaving();
                }
                Ok(Some(v2::PublishRequest { message: Some(message) })) => {
                    return check_message(message, &mut self.period).unwrap_or_else(Next::Wrong);
                }
                // A message of a newer proxy.
                Ok(Some(_)) => {}
                Ok(None) => return Next::Broken,
                Err(status) => {
                    tracing::info!(%status, "the publisher's proxy is gone");
                    return Next::Broken;
                }
            }
        }
    }

    /// Waits whether the proxy opens another call, here or at another server: then the worker must not end the segment
    /// that it has begun. When nobody does, the publisher has left.
    async fn wait_for_return(&self) -> InputEnd {
        self.publisher.gone();
        tokio::select! {
            () = self.publisher.replaced() => end_replaced(self.publisher),
            // Another server's claim is noticed within a third of it.
            () = tokio::time::sleep(self.session.settings.lease) => InputEnd::Ended(Ok(())),
            () = self.session.stops_alone() => InputEnd::Ended(Err(ends_here())),
        }
    }
}

impl Session<'_> {
    /// Waits until this server stops, if the broadcast can't go on elsewhere. If it can, media is taken until
    /// [`SessionOutput`](super::output::SessionOutput) has come to a place where another server begins.
    async fn stops_alone(&self) {
        if self.others_may_come { std::future::pending().await } else { self.stop.cancelled().await }
    }
}

/// The publisher's next message. Can be cancelled without loss.
async fn hear_publisher(
    publisher: &Publisher,
    requests: &mut Streaming<v2::PublishRequest>,
) -> Result<Option<v2::PublishRequest>, Status> {
    let mut message = pin!(requests.message());
    if let Poll::Ready(message) = poll!(&mut message) {
        publisher.ahead();
        return message;
    }
    publisher.listen();
    let message = message.await;
    publisher.heard();
    message
}

/// Next thing that a session hears of its publisher.
#[expect(clippy::large_enum_variant, reason = "one at a time, which is passed on at once")]
enum Next {
    Media(Input),
    Goodbye,
    /// The call ended without a goodbye.
    Broken,
    Replaced,
    /// This server stops, and there is no other.
    Stop,
    Wrong(ConvertError),
}

fn end_replaced(publisher: &Publisher) -> InputEnd {
    if publisher.is_back() {
        // It sends again what was not committed.
        InputEnd::WorkerLost(replaced())
    } else {
        InputEnd::Ended(Err(replaced()))
    }
}

fn check_message(message: Request, current: &mut Option<Period>) -> Result<Next, ConvertError> {
    Ok(Next::Media(match message {
        Request::Period(period) => Input::Period(current.insert(period.try_into()?).clone().into()),
        Request::Tag(tag) => {
            let period = current.as_ref().ok_or(ConvertError::Missing("period"))?;
            Input::Tag(tag_of(period, tag)?.into())
        }
        Request::End(End { reason }) => {
            tracing::info!(reason, "the publisher has ended");
            return Ok(Next::Goodbye);
        }
        Request::Open(_) | Request::Leaving(_) => {
            let reason = "a call is opened once".into();
            return Err(ConvertError::Invalid { field: "open", reason });
        }
    }))
}
