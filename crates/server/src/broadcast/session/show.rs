//! The worker's output on its way to the viewers.

use std::time::Duration;

use headwater_media::{MediaEvent, MediaTime, PartIndex, ResumePoint};
use headwater_wire::v2::Failure;
use headwater_wire::v2::publish_response::{Committed, Message as Response};
use headwater_wire::v2::worker_output::{Message as Output, Stats};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::commits::Commits;
use super::last::{Leave, Step};
use super::packaging::Packaging;
use super::{Pulse, Session};
use crate::broadcast::Responses;
use crate::broadcast::failure::{draining, pipe_broke, worker_failed};
use crate::worker::WorkerOutput;

impl Session<'_> {
    /// Shows the worker's output to the viewers, until the worker has finished. The watch over the worker is kept where it is
    /// fed.
    pub(super) async fn show(
        &self,
        worker: &mut WorkerOutput,
        responses: &Responses,
        pulse: &Pulse,
        left: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut commits = Commits::new(self.segment());
        let shown = self.show_with(&mut commits, worker, responses, pulse, left).await;
        if let Some(resume) = commits.last() {
            self.say_committed(responses, resume);
        }
        shown
    }

    async fn show_with(
        &self,
        commits: &mut Commits,
        worker: &mut WorkerOutput,
        responses: &Responses,
        pulse: &Pulse,
        left: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut last = (Stats::default(), Instant::now());
        let mut leave = Leave::new(self, left);
        let mut ahead = Ahead::default();
        let mut packaging = Packaging::default();
        loop {
            let output = tokio::select! {
                biased;
                event = leave.step() => match event {
                    Step::Show(event) => {
                        self.show_next(event, &mut ahead, commits, pulse)?;
                        continue;
                    }
                    Step::Leave => return Err(draining()),
                },
                resume = commits.next() => {
                    self.say_committed(responses, resume);
                    continue;
                }
                output = worker.next() => output.map_err(|error| pipe_broke(&error))?,
            };
            let made = match output {
                Some(Output::PeriodStart(start)) => packaging.begin(start)?,
                Some(Output::Frame(frame)) => packaging.push(frame)?,
                Some(Output::RenditionEnd(end)) => packaging.end(end)?,
                Some(Output::Stats(stats)) => {
                    let now = Instant::now();
                    self.measure(&stats, &last.0, (now - last.1).as_secs_f64());
                    last = (stats, now);
                    continue;
                }
                Some(Output::Failed(failure)) => return Err(failure),
                Some(Output::Finished(_)) => {
                    packaging.finish()?;
                    while let Some(event) = ahead.rest() {
                        self.show_event(event, commits, pulse)?;
                    }
                    return Ok(());
                }
                Some(Output::Ready(_)) => return Err(worker_failed("it started twice")),
                None => return Err(worker_failed("it exited without a word")),
            };
            for event in made {
                if let Some(event) = leave.pass(event) {
                    self.show_next(event, &mut ahead, commits, pulse)?;
                }
            }
        }
    }

    /// Shows the events that may be shown now that this one has come.
    fn show_next(
        &self,
        event: MediaEvent,
        ahead: &mut Ahead,
        commits: &mut Commits,
        pulse: &Pulse,
    ) -> Result<(), Failure> {
        pulse.gave();
        count(&event, pulse);
        ahead.push(event)?;
        while let Some(event) = ahead.next(self.on_air.feed.next_uncommitted()) {
            self.show_event(event, commits, pulse)?;
        }
        Ok(())
    }

    /// A segment's date is said before its first part.
    fn show_event(&self, event: MediaEvent, commits: &mut Commits, pulse: &Pulse) -> Result<(), Failure> {
        if let MediaEvent::Part { index: PartIndex(0), start, .. } = event {
            self.show_drift(start, pulse)?;
        }
        let committed = self.on_air.publish(event).map_err(|error| worker_failed(&error.to_string()))?;
        if let Some(commit) = committed {
            commits.push(commit);
        }
        Ok(())
    }

    /// The proxy may have gone; the media it sent is shown all the same.
    fn say_committed(&self, responses: &Responses, resume: ResumePoint) {
        let resume = Some(resume.into());
        let epoch = self.epoch_for(responses);
        responses.say(Response::Committed(Committed { resume, epoch }));
    }

    fn show_drift(&self, from: MediaTime, pulse: &Pulse) -> Result<(), Failure> {
        let Some((period, shown)) = self.on_air.feed.drift() else { return Ok(()) };
        match pulse.drift(period, from) {
            Some(drift) if drift != shown => {
                let event = MediaEvent::Drift { period, from, drift };
                self.on_air.publish(event).map(drop).map_err(|error| worker_failed(&error.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn segment(&self) -> Duration {
        Duration::from_millis(self.on_air.feed.settings().segment_ms.into())
    }

    fn measure(&self, stats: &Stats, last: &Stats, seconds: f64) {
        // The first second is spent on starting, and a pause costs nothing: neither says what this broadcast needs.
        let made_us = stats.newest_out_us.saturating_sub(last.newest_out_us);
        if last.newest_out_us > 0 && made_us > 0 {
            self.reservation.measured(stats.cpu_millicores);
            metrics::histogram!("headwater_server_encode_speed").record(made_us as f64 / 1e6 / seconds);
        }
        let frames = |name, now: u64, before| metrics::counter!(name).increment(now.saturating_sub(before));
        frames("headwater_server_frames_total", stats.frames_in, last.frames_in);
        frames("headwater_server_frames_dropped_total", stats.frames_dropped, last.frames_dropped);
        frames("headwater_server_frames_repeated_total", stats.frames_repeated, last.frames_repeated);
        // A period whose first picture is still to come is not behind by its whole timeline.
        if stats.newest_out_us > 0 {
            let behind_us = stats.newest_in_us.saturating_sub(stats.newest_out_us);
            metrics::histogram!("headwater_server_encode_delay_seconds").record(behind_us as f64 / 1e6);
        }
    }
}

fn count(event: &MediaEvent, pulse: &Pulse) {
    if let MediaEvent::Part { bytes, start, duration, .. } = event {
        metrics::counter!("headwater_server_parts_total").increment(1);
        metrics::counter!("headwater_server_part_bytes_total").increment(bytes.len() as u64);
        let end = *start + *duration;
        pulse.reached(end);
        metrics::histogram!("headwater_server_part_delay_seconds").record(pulse.delay(end).as_secs_f64());
    }
}
