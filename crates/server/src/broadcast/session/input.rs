//! A publisher's media on its way to the worker.

use std::pin::pin;
use std::task::Poll;

use futures::{StreamExt, poll};
use headwater_media::TimelineEvent;
use headwater_wire::ConvertError;
use tokio::time::timeout;

use super::{InputEnd, Session, Watchdog};
use crate::broadcast::failure::{ends_here, publisher_replaced, worker_failed, worker_overloaded};
use crate::broadcast::{Publisher, Request, Requests};
use crate::failure::{Code, Failure};
use crate::worker::{ToWorker, WorkerInput};

/// Input of a session from its publisher.
pub(super) struct SessionInput<'a> {
    session: &'a Session<'a>,
    publisher: &'a Publisher,
    requests: &'a mut Requests,
    watchdog: &'a Watchdog,
}

impl<'a> SessionInput<'a> {
    /// Input of which nothing was taken yet.
    pub(super) fn new(
        session: &'a Session<'a>,
        publisher: &'a Publisher,
        requests: &'a mut Requests,
        watchdog: &'a Watchdog,
    ) -> Self {
        Self { session, publisher, requests, watchdog }
    }

    /// Passes the publisher's media to the worker until there is no more of it.
    pub(super) async fn feed_worker(mut self, worker: &mut WorkerInput) -> InputEnd {
        loop {
            let media = match self.next_message().await {
                Next::Media(media) => media,
                Next::Goodbye => return InputEnd::Ended(Ok(())),
                Next::Broken => return self.wait_for_return().await,
                Next::Replaced => return end_replaced(self.publisher),
                Next::Dismissed(failure) => return InputEnd::Ended(Err(failure)),
                Next::Stop => return InputEnd::Ended(Err(ends_here())),
                Next::Wrong(error) => {
                    return InputEnd::Ended(Err(Failure::new(Code::Protocol, error.to_string())));
                }
            };
            if let TimelineEvent::Period(period) = &media
                && period.number >= self.session.on_air.feed.next_period()
            {
                self.publisher.count_period();
            }
            self.watchdog.health.record_input(&media);
            let sent = self.send_media(media, worker).await;
            self.watchdog.health.record_taken();
            if let Err(end) = sent {
                return end;
            }
        }
    }

    /// Gives the worker media. If the worker gives output meanwhile but takes no input, this waits once more: it is either
    /// slow or has just got stuck.
    async fn send_media(&mut self, media: TimelineEvent, worker: &mut WorkerInput) -> Result<(), InputEnd> {
        let limit = self.session.settings.worker_stall_timeout;
        let watchdog = self.watchdog;
        watchdog.note_input(&media);
        let mut sending = pin!(worker.send_message(ToWorker::Media(media)));
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
        Err(InputEnd::Ended(Err(worker_overloaded())))
    }

    /// Waits for media of the publisher, or the end of it.
    async fn next_message(&mut self) -> Next {
        loop {
            let request = tokio::select! {
                request = hear_publisher(self.publisher, self.requests) => request,
                () = self.publisher.wait_until_replaced() => return Next::Replaced,
                failure = self.publisher.dismissal.wait_for_reason() => return Next::Dismissed(failure),
                () = self.session.stops_alone() => return Next::Stop,
            };
            match request {
                Some(Ok(Request::Media(media))) => return Next::Media(media),
                Some(Ok(Request::Facts(facts))) => {
                    self.session.on_air.source.update_facts(self.publisher.id(), facts);
                }
                Some(Ok(Request::Leaving)) => {
                    tracing::info!("the publisher was asked to connect again");
                    self.publisher.note_leaving();
                }
                Some(Ok(Request::End { reason })) => {
                    tracing::info!(reason, "the publisher has ended");
                    return Next::Goodbye;
                }
                Some(Ok(Request::Unknown)) => {}
                Some(Err(error)) => return Next::Wrong(error),
                None => return Next::Broken,
            }
        }
    }

    /// Waits whether the proxy opens another call, here or at another server: then the worker must not end the segment
    /// that it has begun. When nobody does, the publisher has left.
    async fn wait_for_return(&mut self) -> InputEnd {
        self.publisher.note_gone();
        tokio::select! {
            () = self.publisher.wait_until_replaced() => end_replaced(self.publisher),
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
    requests: &mut Requests,
) -> Option<Result<Request, ConvertError>> {
    let mut next = requests.next();
    if let Poll::Ready(request) = poll!(&mut next) {
        publisher.note_ahead();
        return request;
    }
    publisher.note_listening();
    let request = next.await;
    publisher.note_heard();
    request
}

/// Next thing that a session hears of its publisher.
enum Next {
    Media(TimelineEvent),
    Goodbye,
    /// The call ended without a goodbye.
    Broken,
    Replaced,
    /// An operator has ended the publication.
    Dismissed(Failure),
    /// This server stops, and there is no other.
    Stop,
    Wrong(ConvertError),
}

fn end_replaced(publisher: &Publisher) -> InputEnd {
    if publisher.is_back() {
        // It sends again what was not committed.
        InputEnd::WorkerLost(publisher_replaced())
    } else {
        InputEnd::Ended(Err(publisher_replaced()))
    }
}
