//! The worker's output on its way to the viewers.

use std::time::Duration;

use headwater_media::{MediaEvent, MediaTime, PartIndex, ResumePoint};
use headwater_wire::v2::Failure;
use headwater_wire::v2::publish_response::{Committed, Message as Response};
use headwater_wire::v2::worker_output::{Message as Output, Stats};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::drain_boundary::{DrainBoundary, Step};
use super::packaging::Packaging;
use super::pending_commits::PendingCommits;
use super::rendition_sync::RenditionSync;
use super::{Session, Watchdog};
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
        watchdog: &Watchdog,
        left: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut commits = PendingCommits::new(self.segment());
        let shown = self.show_with(&mut commits, worker, responses, watchdog, left).await;
        if let Some(resume) = commits.take_last() {
            self.say_committed(responses, resume);
        }
        shown
    }

    async fn show_with(
        &self,
        commits: &mut PendingCommits,
        worker: &mut WorkerOutput,
        responses: &Responses,
        watchdog: &Watchdog,
        left: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut last = (Stats::default(), Instant::now());
        let mut boundary = DrainBoundary::new(self, left);
        let mut sync = RenditionSync::default();
        let mut packaging = Packaging::default();
        loop {
            let output = tokio::select! {
                biased;
                event = boundary.next_step() => match event {
                    Step::Show(event) => {
                        self.show_next(event, &mut sync, commits, watchdog)?;
                        continue;
                    }
                    Step::HandOver => return Err(draining()),
                },
                resume = commits.next_stored() => {
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
                    while let Some(event) = sync.pop_rest() {
                        self.show_event(event, commits, watchdog)?;
                    }
                    return Ok(());
                }
                Some(Output::Ready(_)) => return Err(worker_failed("it started twice")),
                None => return Err(worker_failed("it exited without a word")),
            };
            for event in made {
                if let Some(event) = boundary.pass_event(event) {
                    self.show_next(event, &mut sync, commits, watchdog)?;
                }
            }
        }
    }

    /// Shows the events that may be shown now that this one has come.
    fn show_next(
        &self,
        event: MediaEvent,
        sync: &mut RenditionSync,
        commits: &mut PendingCommits,
        watchdog: &Watchdog,
    ) -> Result<(), Failure> {
        watchdog.note_output();
        count(&event, watchdog);
        sync.push_event(event)?;
        while let Some(event) = sync.pop_aligned(self.on_air.feed.next_uncommitted()) {
            self.show_event(event, commits, watchdog)?;
        }
        Ok(())
    }

    /// A segment's date is said before its first part.
    fn show_event(
        &self,
        event: MediaEvent,
        commits: &mut PendingCommits,
        watchdog: &Watchdog,
    ) -> Result<(), Failure> {
        if let MediaEvent::Part { index: PartIndex(0), start, .. } = event {
            self.show_drift(start, watchdog)?;
        }
        let committed = self.on_air.publish(event).map_err(|error| worker_failed(&error.to_string()))?;
        if let Some(commit) = committed {
            commits.add_commit(commit);
        }
        Ok(())
    }

    /// The proxy may have gone; the media it sent is shown all the same.
    fn say_committed(&self, responses: &Responses, resume: ResumePoint) {
        let resume = Some(resume.into());
        let epoch = self.epoch_for(responses);
        responses.say(Response::Committed(Committed { resume, epoch }));
    }

    fn show_drift(&self, from: MediaTime, watchdog: &Watchdog) -> Result<(), Failure> {
        let Some((period, shown)) = self.on_air.feed.drift() else { return Ok(()) };
        match watchdog.drift_at(period, from) {
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

fn count(event: &MediaEvent, watchdog: &Watchdog) {
    if let MediaEvent::Part { bytes, start, duration, .. } = event {
        metrics::counter!("headwater_server_parts_total").increment(1);
        metrics::counter!("headwater_server_part_bytes_total").increment(bytes.len() as u64);
        let end = *start + *duration;
        watchdog.note_end(end);
        metrics::histogram!("headwater_server_part_delay_seconds")
            .record(watchdog.delay_at(end).as_secs_f64());
    }
}
