//! The session of a publisher on a broadcast, with a worker of its own, from the first tag to the last part.

mod dismissed;
mod drain_boundary;
mod health;
mod input;
mod output;
mod packaging;
mod pending_commits;
mod rendition_sync;
mod watchdog;

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use headwater_media::{Epoch, ResumePoint};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::failure::{pipe_broke, publisher_replaced, stopped_by_itself, unfinished_media};
use super::worker_failures::WorkerFailures;
use super::{Attachment, BroadcastSettings, OnAir, Progress, Publisher, Requests, Response, Responses};
use crate::admission::Reservation;
use crate::failure::{Code, Failure};
use crate::worker::{ToWorker, TranscodeSpec, Worker, WorkerInput};
use input::SessionInput;
use output::{SessionOutput, Turn};
use watchdog::Watchdog;

/// Longest time for which a worker makes segments after the end of its media: it holds a few seconds at most. Beyond it, the
/// worker makes them up, or is slower than any machine that took a broadcast.
const MAX_FLUSH_TIME: Duration = Duration::from_secs(120);
/// Longest time in which a lost worker exits. A crashed worker has done so, and its status says how; a worker that is stuck
/// never does, and its successor waits for this.
const LOST_WORKER_EXIT: Duration = Duration::from_millis(100);

pub(super) struct Session<'a> {
    pub on_air: &'a OnAir,
    pub settings: &'a BroadcastSettings,
    pub reservation: &'a Reservation,
    pub failures: &'a WorkerFailures,
    /// Whether another server may go on with the broadcast when this one stops.
    pub others_may_come: bool,
    /// Cancelled when the server stops.
    pub stop: &'a CancellationToken,
    /// Cancelled when another server owns the stream.
    pub fenced: &'a CancellationToken,
}

pub(super) enum SessionEnd {
    /// The publisher said goodbye, or vanished.
    PublisherLeft,
    /// The publisher was sent away for this.
    Failed(Failure),
}

impl SessionEnd {
    /// Whether the publisher's proxy opens another call now.
    pub(super) fn is_broken_off(&self) -> bool {
        let Self::Failed(cause) = self else { return false };
        matches!(cause.code, Code::WorkerFailed | Code::StreamInUse | Code::PeriodDiffers | Code::NoCapacity)
    }
}

/// How a session's media ended.
enum InputEnd {
    /// The publisher gives no more: it has left, or has to.
    Ended(Result<(), Failure>),
    /// The worker does not read any more. It may have said why.
    PipeBroke(io::Error),
    /// The worker gives no more, or its output is not wanted any more.
    WorkerLost(Failure),
}

impl Session<'_> {
    pub(super) async fn run(&self, attachment: Attachment) -> SessionEnd {
        let Attachment { publisher, resume, failures, requests, responses } = attachment;
        self.failures.come_with(failures);
        if resume.is_some() {
            // Its proxy sends again what was not made.
            self.on_air.set_cut_short(false);
        }
        let id = publisher.id().clone();
        tracing::info!(publisher = %id, "publisher attached");
        let transcoded = tokio::select! {
            biased;
            // The worker is killed: what it would still make is somebody else's to show.
            () = self.fenced.cancelled() => Err(Failure::new(Code::Fenced, "another server has this stream now: reconnect")),
            transcoded = self.transcode(publisher, resume, requests, &responses) => transcoded,
        };
        let end = match transcoded {
            Ok(()) => SessionEnd::PublisherLeft,
            Err(failure) => {
                if failure.code == Code::WorkerFailed {
                    self.failures.note_failure();
                    self.on_air.set_cut_short(true);
                }
                tracing::warn!(code = ?failure.code, message = failure.message, "publisher sent away");
                responses.reject(failure.clone()).await;
                SessionEnd::Failed(failure)
            }
        };
        tracing::info!(publisher = %id, "publisher detached");
        end
    }

    async fn transcode(
        &self,
        publisher: Publisher,
        resume: Option<ResumePoint>,
        mut requests: Requests,
        responses: &Responses,
    ) -> Result<(), Failure> {
        if publisher.is_replaced() {
            return Err(publisher_replaced());
        }
        if let Some(failure) = publisher.dismissal.reason() {
            return Err(failure);
        }
        let knows_where = resume.is_some() || self.on_air.feed.is_new();
        let from = self.starting_point_for(resume)?;
        let epochs = self.on_air.feed.epochs();
        let started = self.settings.starter.start_worker(&self.spec_for(&from)).await;
        let responses = &responses.to(&publisher);
        let turn = Turn { begun: from.begun(), epochs };
        if started.is_ok() || !knows_where {
            // Where the publisher goes on: here, or at a server that can start a worker.
            let epoch = self.epoch_for(responses);
            responses.say(Response::Accepted(Progress { resume: turn.begun.clone(), epoch }));
        }
        let mut worker = started?;
        let (transcoded, exit_limit) =
            self.run_worker(&mut worker, turn, publisher, &mut requests, responses).await;
        if transcoded.as_ref().is_err_and(|failure| failure.code == Code::Draining) {
            // Killed at once: the next server waits for nothing but the word, and what is left in there is in the way.
            drop(worker);
            return transcoded;
        }
        stop_worker(worker, exit_limit).await;
        transcoded
    }

    /// Passes media through the worker until there is no more of it. Gives the time in which the worker has to exit, too.
    async fn run_worker(
        &self,
        worker: &mut Worker,
        turn: Turn,
        publisher: Publisher,
        requests: &mut Requests,
        responses: &Responses,
    ) -> (Result<(), Failure>, Duration) {
        let watchdog = Watchdog::default();
        let left = CancellationToken::new();
        let Worker { input, output, .. } = worker;
        let shown = SessionOutput::new(self, turn, responses, &watchdog, &left);
        let mut shown = pin!(shown.show_all(output));
        let dismissal = publisher.dismissal.clone();
        let given = SessionInput::new(self, &publisher, requests, &watchdog);
        let end = tokio::select! {
            biased;
            early = &mut shown => InputEnd::WorkerLost(early.err().unwrap_or_else(stopped_by_itself)),
            // Before the input, which ends with the dismissal.
            never = dismissed::tell_proxy(&dismissal, responses) => match never {},
            end = given.feed_worker(input) => end,
        };
        // The next publisher may come while the last media of this one is worked on.
        drop(publisher);
        if let InputEnd::Ended(_) = end {
            left.cancel();
        }
        let exit_limit = match end {
            InputEnd::WorkerLost(_) => LOST_WORKER_EXIT,
            InputEnd::Ended(_) | InputEnd::PipeBroke(_) => self.settings.worker_stop_timeout,
        };
        let flush = self.flush_worker(end, input, &watchdog, shown);
        let (transcoded, ()) = tokio::join!(flush, dismissed::wait_for_call_end(&dismissal, requests));
        (transcoded, exit_limit)
    }

    /// The epoch of a publisher's turn, as its proxy is to know it; none when its turn is over.
    fn epoch_for(&self, responses: &Responses) -> Option<Epoch> {
        responses.is_its_turn().then(|| self.on_air.feed.epoch())
    }

    /// The point at which the publisher begins. An interrupted publisher goes on only if no other one has gone on there.
    fn starting_point_for(&self, resume: Option<ResumePoint>) -> Result<ResumePoint, Failure> {
        let Some(resume) = resume else { return Ok(self.on_air.feed.starting_point()) };
        let feed = &self.on_air.feed;
        feed.resume_at(&resume).or_else(|| feed.skip_lost(&resume)).ok_or_else(|| {
            Failure::new(Code::CannotResume, "the broadcast has gone on meanwhile: publish again")
        })
    }

    /// The first message to a worker that begins at this point.
    fn spec_for(&self, from: &ResumePoint) -> TranscodeSpec {
        TranscodeSpec {
            settings: from.settings,
            ladder: self.on_air.feed.policy().ladder.clone(),
            first_sequence: from.next_sequence,
            resume: from.start,
            kept: from.kept.clone(),
            begun_as: from.begun_as.clone(),
        }
    }

    /// Shows the worker's output after the end of the media, whatever ended it, as long as the worker can be trusted.
    async fn flush_worker(
        &self,
        end: InputEnd,
        worker: &mut WorkerInput,
        watchdog: &Watchdog,
        shown: Pin<&mut impl Future<Output = Result<(), Failure>>>,
    ) -> Result<(), Failure> {
        match end {
            InputEnd::WorkerLost(failure) => Err(failure),
            InputEnd::PipeBroke(error) => match self.wait_for_rest(watchdog, shown).await {
                Some(Err(last_words)) => Err(last_words),
                Some(Ok(())) | None => Err(pipe_broke(&error)),
            },
            InputEnd::Ended(end) => {
                let flush = async {
                    let sent = worker.send_message(ToWorker::End).await;
                    shown.await.and(sent.map_err(|error| pipe_broke(&error)))
                };
                let flushed = self.wait_for_rest(watchdog, flush).await;
                end.and(flushed.unwrap_or_else(|| Err(unfinished_media(watchdog.unmade_media()))))
            }
        }
    }

    /// Waits for the rest of the worker's output, for as long as there is some: under load it takes longer than it should, and
    /// it is the publisher's media. None where the worker is given up.
    async fn wait_for_rest<T>(&self, watchdog: &Watchdog, done: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let limit = self.settings.worker_stop_timeout;
        let mut done = pin!(done);
        loop {
            let until = (watchdog.last_output_since(began) + limit).min(began + MAX_FLUSH_TIME.max(limit));
            if let Ok(done) = timeout_at(until, &mut done).await {
                return Some(done);
            }
            if watchdog.last_output_since(began) + limit <= Instant::now()
                || until == began + MAX_FLUSH_TIME.max(limit)
            {
                return None;
            }
        }
    }
}

async fn stop_worker(worker: Worker, limit: Duration) {
    match worker.stop(limit).await {
        Ok(status) if status.success() => tracing::debug!("worker exited"),
        Ok(status) => tracing::warn!(%status, "worker exited"),
        Err(error) => tracing::warn!(%error, "the worker's exit status is unknown"),
    }
}
