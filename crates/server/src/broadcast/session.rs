//! One publisher on a broadcast: one worker, from the first tag to the last part.

use std::io;
use std::time::Duration;

use headwater_hls::MediaEvent;
use headwater_media::{Period, Tag};
use headwater_wire::v1::publish_request::Message as Request;
use headwater_wire::v1::publish_response::Message as Response;
use headwater_wire::v1::worker_output::Message as Output;
use headwater_wire::v1::{self, Failure, failure::Code};
use headwater_wire::{ConvertError, WatchMessage};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{Attachment, Committed, OnAir, Publisher, Settings};
use crate::admission::Reservation;
use crate::failure;
use crate::worker::{Worker, WorkerInput, WorkerOutput};

pub(super) struct Session<'a> {
    pub on_air: &'a OnAir,
    pub settings: &'a Settings,
    pub reservation: &'a Reservation,
    pub stop: &'a CancellationToken,
}

pub(super) enum SessionEnd {
    /// The publisher said goodbye, vanished, was replaced, or the server stops.
    Left,
    /// The publisher was sent away for this.
    Failed(Failure),
}

type Responses = mpsc::Sender<Result<v1::PublishResponse, Status>>;

impl Session<'_> {
    pub(super) async fn run(&self, attachment: Attachment) -> SessionEnd {
        let Attachment { publisher, mut requests, responses } = attachment;
        tracing::info!(publisher = %publisher.id, "publisher attached");
        let end = match self.transcode(&publisher, &mut requests, &responses).await {
            Ok(()) => SessionEnd::Left,
            Err(failure) => {
                tracing::warn!(code = ?failure.code(), message = failure.message, "publisher sent away");
                reject(&responses, failure.clone()).await;
                SessionEnd::Failed(failure)
            }
        };
        tracing::info!(publisher = %publisher.id, "publisher detached");
        end
    }

    async fn transcode(
        &self,
        publisher: &Publisher,
        requests: &mut Streaming<v1::PublishRequest>,
        responses: &Responses,
    ) -> Result<(), Failure> {
        if publisher.replaced.is_cancelled() {
            return Err(failure(Code::StreamInUse, "another encoder has taken this stream over"));
        }
        let mut worker = self.start_worker().await?;
        self.accept(responses).await;
        let fed = {
            let Worker { input, output, .. } = &mut worker;
            let mut shown = std::pin::pin!(self.show(output, responses));
            let fed = tokio::select! {
                fed = self.feed(publisher, requests, input) => fed,
                early = &mut shown => return Err(early.err().unwrap_or_else(|| worker_failed("it stopped by itself"))),
            };
            // Whatever ended the media, what has come is shown.
            let flush = async {
                input.send(end_of_media()).await.map_err(pipe_broke)?;
                shown.await
            };
            match timeout(self.settings.worker_stop_timeout, flush).await {
                Ok(flushed) => fed.and(flushed),
                Err(_) => fed.and(Err(worker_failed("it did not finish in time"))),
            }
        };
        match worker.stop(self.settings.worker_stop_timeout).await {
            Ok(status) => tracing::debug!(%status, "worker exited"),
            Err(error) => tracing::warn!(%error, "the worker's exit status is unknown"),
        }
        fed
    }

    async fn start_worker(&self) -> Result<Worker, Failure> {
        let mut worker = Worker::spawn(&self.settings.worker)
            .map_err(|error| worker_failed(&format!("it could not be started: {error}")))?;
        let start = v1::worker_input::Start {
            settings: Some(self.settings.segments.into()),
            ladder: Some(self.settings.ladder.clone().into()),
            first_sequence: self.on_air.feed.next_sequence().0,
            resume_ms: None,
            kept: self.on_air.feed.renditions().into_iter().map(Into::into).collect(),
        };
        let message = v1::WorkerInput { message: Some(v1::worker_input::Message::Start(start)) };
        match timeout(self.settings.worker_start_timeout, worker.input.send(message)).await {
            Ok(sent) => sent.map_err(pipe_broke)?,
            Err(_) => return Err(worker_failed("it did not start in time")),
        }
        Ok(worker)
    }

    async fn accept(&self, responses: &Responses) {
        let accepted = v1::publish_response::Accepted {
            broadcast: headwater_wire::broadcast_bytes(self.on_air.id),
            first_period: self.on_air.feed.next_period().0,
            settings: Some(self.settings.segments.into()),
        };
        // A proxy that has gone is noticed with its first message.
        let _ = responses.send(Ok(v1::PublishResponse { message: Some(Response::Accepted(accepted)) })).await;
    }

    /// Passes the publisher's media to the worker until there is no more of it.
    async fn feed(
        &self,
        publisher: &Publisher,
        requests: &mut Streaming<v1::PublishRequest>,
        worker: &mut WorkerInput,
    ) -> Result<(), Failure> {
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = publisher.replaced.cancelled() => return Ok(()),
                () = self.stop.cancelled() => return Err(failure(Code::Draining, "this server is stopping")),
            };
            publisher.hear();
            let message = match request {
                Ok(Some(v1::PublishRequest { message: Some(message) })) => message,
                Ok(Some(_)) => continue,
                Ok(None) => return Ok(()),
                Err(status) => {
                    tracing::info!(%status, "the publisher's proxy is gone");
                    return Ok(());
                }
            };
            let Some(message) = media(message).map_err(protocol)? else { return Ok(()) };
            match timeout(self.settings.worker_stall_timeout, worker.send(message)).await {
                Ok(sent) => sent.map_err(pipe_broke)?,
                Err(_) => {
                    return Err(failure(Code::Overloaded, "the transcoder can't keep up with this source"));
                }
            }
        }
    }

    /// Puts what the worker makes before the viewers, until it has finished.
    async fn show(&self, worker: &mut WorkerOutput, responses: &Responses) -> Result<(), Failure> {
        let mut progress = Progress::new();
        let mut last = v1::worker_output::Stats::default();
        loop {
            let message = match timeout(self.settings.worker_stall_timeout, worker.next()).await {
                Ok(message) => message.map_err(pipe_broke)?,
                Err(_) => return Err(worker_failed("it said nothing for too long")),
            };
            match message {
                Some(Output::Event(event)) => {
                    progress.made_something();
                    self.publish(event, responses).await?;
                }
                Some(Output::Stats(stats)) => {
                    self.measure(&stats, &last);
                    last = stats;
                    if progress.stalled(&stats, self.settings.worker_stall_timeout) {
                        return Err(worker_failed("it took media and gave none"));
                    }
                }
                Some(Output::Failed(failure)) => return Err(failure),
                Some(Output::Finished(_)) => return Ok(()),
                None => return Err(worker_failed("it exited without a word")),
            }
        }
    }

    async fn publish(&self, event: v1::MediaEvent, responses: &Responses) -> Result<(), Failure> {
        let event = match WatchMessage::try_from(event) {
            Ok(WatchMessage::Event(event)) => event,
            Ok(WatchMessage::Opening(_)) => return Err(worker_failed("it sent an opening")),
            Err(error) => return Err(worker_failed(&error.to_string())),
        };
        count(&event);
        let committed = self.on_air.feed.publish(event).map_err(|error| worker_failed(&error.to_string()))?;
        if let Some(Committed { period, sequence, end }) = committed {
            let committed = v1::publish_response::Committed {
                period: period.0,
                media_sequence: sequence.0,
                end_us: end.0,
            };
            let message = Some(Response::Committed(committed));
            // The proxy may have gone; the media it sent is shown all the same.
            let _ = responses.try_send(Ok(v1::PublishResponse { message }));
        }
        Ok(())
    }

    fn measure(&self, stats: &v1::worker_output::Stats, last: &v1::worker_output::Stats) {
        self.reservation.measured(stats.cpu_millicores);
        metrics::counter!("headwater_server_frames_total").increment(stats.frames_in - last.frames_in);
        metrics::counter!("headwater_server_frames_dropped_total")
            .increment(stats.frames_dropped - last.frames_dropped);
        metrics::counter!("headwater_server_frames_repeated_total")
            .increment(stats.frames_repeated - last.frames_repeated);
        let behind = stats.newest_in_ms.saturating_sub(stats.newest_out_ms);
        metrics::histogram!("headwater_server_encode_delay_seconds").record(behind as f64 / 1e3);
    }
}

/// Whether a worker that takes media gives any.
struct Progress {
    last_output: Instant,
    fed_at_last_output: Option<u64>,
}

impl Progress {
    fn new() -> Self {
        Self { last_output: Instant::now(), fed_at_last_output: None }
    }

    fn made_something(&mut self) {
        *self = Self::new();
    }

    fn stalled(&mut self, stats: &v1::worker_output::Stats, limit: Duration) -> bool {
        let fed_before = *self.fed_at_last_output.get_or_insert(stats.frames_in);
        if stats.frames_in == fed_before {
            self.last_output = Instant::now();
        }
        self.last_output.elapsed() > limit
    }
}

/// What the worker gets of a publisher's message; `None` at the end.
fn media(message: Request) -> Result<Option<v1::WorkerInput>, ConvertError> {
    let message = match message {
        Request::Period(period) => v1::worker_input::Message::Period(Period::try_from(period)?.into()),
        Request::Tag(tag) => v1::worker_input::Message::Tag(Tag::try_from(tag)?.into()),
        Request::End(v1::publish_request::End { reason }) => {
            tracing::info!(reason, "the publisher has ended");
            return Ok(None);
        }
        Request::Open(_) => {
            let reason = "a call is opened once".into();
            return Err(ConvertError::Invalid { field: "open", reason });
        }
    };
    Ok(Some(v1::WorkerInput { message: Some(message) }))
}

fn count(event: &MediaEvent) {
    if let MediaEvent::Part { bytes, .. } = event {
        metrics::counter!("headwater_server_parts_total").increment(1);
        metrics::counter!("headwater_server_part_bytes_total").increment(bytes.len() as u64);
    }
}

fn end_of_media() -> v1::WorkerInput {
    v1::WorkerInput { message: Some(v1::worker_input::Message::End(v1::worker_input::End {})) }
}

fn protocol(error: ConvertError) -> Failure {
    failure(Code::Protocol, error.to_string())
}

fn pipe_broke(error: io::Error) -> Failure {
    worker_failed(&format!("its pipe broke: {error}"))
}

fn worker_failed(how: &str) -> Failure {
    failure(Code::WorkerFailed, format!("the transcoder failed: {how}"))
}

async fn reject(responses: &Responses, failure: Failure) {
    let message = Some(Response::Rejected(failure));
    // A proxy that has gone needs no word.
    let _ = responses.send(Ok(v1::PublishResponse { message })).await;
}
