//! Failover: a publisher moves from a lost server to another one, and the encoder is told nothing. Stations between the
//! server's death and the next server's first commit:
//!
//! 1. `PublishCall::next_response` or `send_event` fails (connection, pings, rejection): `Publisher::fail_over` begins.
//! 2. `lost_server` maps the failure to the server's fate: it gives up, is silent, or has only lost the worker.
//! 3. `Router::replace_server` claims the stream for a server; `Publisher::buffer_input` keeps media meanwhile.
//! 4. In it `PublishCall::open` brings that server the resume point; the server starts a worker and answers `Accepted`.
//! 5. `Publisher::replay_events` sends that server all events that are kept from the point on (`Replay::events_from`).
//! 6. The server's first `Committed` reaches `Publisher::handle_response`, which trims the replay buffer.
//! 7. Origins hear of the new owner, watch it and wake their viewers: `origin::mirror::follow`.

use std::pin::pin;

use headwater_media::{Epoch, Loss};
use headwater_registry::ServerId;
use headwater_wire::publish::PublishError;
use headwater_wire::v2::{Failure, failure::Code};
use tokio::time::{Instant, timeout};

use crate::refusal::{self, Refusal};
use crate::routing::{Fate, LostServer, PublishSpec, RoutingError};
use crate::source::Source;

use super::Publisher;
use super::end::EndReason;
use super::replay::Replayed;

/// Servers in a row that may be lost without a commit: by then the media is the likely cause. Failures of workers are
/// counted by their server.
const MAX_LOSSES_IN_A_ROW: u32 = 10;

impl<S: Source> Publisher<'_, S> {
    /// Moves to another server after this error, or to the same one where only its worker has failed, and sends the
    /// media that no server has finished. Media that the encoder sends meanwhile is kept.
    ///
    /// An error says that no server can go on with this publisher, or that nothing was kept for one.
    pub(super) async fn fail_over(&mut self, error: PublishError) -> Result<(), EndReason> {
        let began = Instant::now();
        let mut cause = error;
        loop {
            tracing::warn!(%cause, server = %self.server, "the server is lost");
            if matches!(&cause, PublishError::Rejected(failure) if failure.code() == Code::WorkerFailed) {
                self.spec.failures.record(&self.server);
            }
            if !matches!(cause, PublishError::Rejected(_)) {
                // A refusal comes after all commits; a server that is not heard may have made all that it was sent.
                self.resume.free = self.replay.first_unseen(&self.resume);
            }
            if is_refused_period(&cause) {
                self.replay.restart_period(&mut self.resume);
                self.losses += 1;
            }
            let lost = lost_server(&cause, &self.server, self.epoch);
            self.losses += u32::from(lost.as_ref().is_some_and(|lost| lost.fate != Fate::Alive));
            let Some(lost) = lost.filter(|_| self.losses <= MAX_LOSSES_IN_A_ROW && self.replay.is_on())
            else {
                return Err(self.final_reason(&cause));
            };
            self.find_server(lost).await?;
            match self.replay_events().await {
                Ok(tags) => {
                    metrics::counter!("headwater_proxy_failovers_total").increment(1);
                    metrics::histogram!("headwater_proxy_failover_seconds")
                        .record(began.elapsed().as_secs_f64());
                    tracing::info!(server = %self.server, epoch = %self.epoch, tags, "gone on with another call");
                    return Ok(());
                }
                Err(ReplayError::Server(error)) => cause = error,
                Err(ReplayError::Publisher(reason)) => return Err(reason),
            }
        }
    }

    /// Finds another server, and keeps the encoder's media meanwhile.
    async fn find_server(&mut self, lost: LostServer) -> Result<(), EndReason> {
        let spec = PublishSpec { resume: Some(self.resume.clone()), ..self.spec.clone() };
        let context = self.context;
        let mut search = pin!(context.router.replace_server(&spec, lost));
        let assignment = loop {
            tokio::select! {
                assignment = &mut search => break assignment,
                read = self.read_input() => read?,
            }
            self.process_input().await?;
            self.buffer_input()?;
        };
        let assignment = assignment.map_err(|error| match &error {
            RoutingError::Failure(failure) if self.is_leaving() && has_successor(failure) => {
                EndReason::Reconnected
            }
            _ => EndReason::Unserved {
                reason: refusal::metric_label(&error),
                refusal: Refusal::no_server(&error),
            },
        })?;
        self.call = assignment.call;
        self.server = assignment.server;
        self.epoch = assignment.epoch;
        self.resume = assignment.resume;
        Ok(())
    }

    /// Reason for the end of a publisher that no other server would serve better.
    fn final_reason(&self, cause: &PublishError) -> EndReason {
        match cause {
            PublishError::Rejected(failure) if self.is_leaving() && has_successor(failure) => {
                EndReason::Reconnected
            }
            _ => EndReason::Unserved {
                reason: refusal::dismissal_label(cause),
                refusal: Refusal::lost_server(cause),
            },
        }
    }

    /// Sends all events from the point at which the new server begins, and counts them.
    async fn replay_events(&mut self) -> Result<usize, ReplayError> {
        let Replayed { events, lost } = self.replay.events_from(&mut self.resume);
        if let Some(Loss { tags, duration }) = lost {
            tracing::error!(
                seconds = duration.as_secs_f64(),
                tags,
                "media was lost, as no server was there for so long: raise proxy.replay_duration and proxy.replay_memory"
            );
        }
        let count = events.len();
        if self.is_leaving() {
            // The publisher's new connection may come at any time.
            let _ = timeout(self.context.stall_timeout, self.call.announce_leaving()).await;
        }
        for event in events {
            match timeout(self.context.stall_timeout, self.call.send_event(event)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ReplayError::Server(self.read_final_status().await)),
                Err(_) => return Err(ReplayError::Publisher(EndReason::stalled())),
            }
        }
        Ok(count)
    }
}

/// Failure to send a new server what is kept.
enum ReplayError {
    /// This server is lost, too.
    Server(PublishError),
    /// The publisher ends.
    Publisher(EndReason),
}

/// Whether another publisher has the stream: for one that was asked to connect again, that is its new connection.
fn has_successor(failure: &Failure) -> bool {
    failure.code() == Code::StreamInUse
}

/// Server that was lost with the call; none where no other server would fare better.
fn lost_server(error: &PublishError, server: &ServerId, epoch: Epoch) -> Option<LostServer> {
    let fate = match error {
        PublishError::Rejected(failure) => server_fate(failure)?,
        PublishError::Unreachable(_) | PublishError::Timeout | PublishError::Protocol(_) => Fate::Silent,
    };
    Some(LostServer { server: server.clone(), epoch, fate })
}

/// Whether the server can't go on with the period, though it would with another one.
fn is_refused_period(error: &PublishError) -> bool {
    matches!(error, PublishError::Rejected(failure) if failure.code() == Code::PeriodDiffers)
}

/// Fate of a server by its own words; none where the publisher is to blame, or has lost the stream.
fn server_fate(failure: &Failure) -> Option<Fate> {
    match failure.code() {
        // The server goes away, or can't start a worker.
        Code::Draining | Code::NoCapacity => Some(Fate::GivesUp),
        // Another server has the stream: the search finds out whether for another publisher.
        Code::Fenced => Some(Fate::GivesUp),
        // The server is there, and counts how often this happens.
        Code::WorkerFailed => Some(Fate::Alive),
        // The server takes the same media as a new period.
        Code::PeriodDiffers => Some(Fate::Alive),
        _ => None,
    }
}
