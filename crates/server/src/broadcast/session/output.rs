//! The worker's output on its way to the viewers.

use std::time::Duration;

use headwater_media::{Epoch, MediaEvent, MediaTime, PartIndex, ResumePoint};
use headwater_runtime::clock;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::drain_boundary::{DrainBoundary, Step};
use super::health::{REPORT_INTERVAL, delay_of};
use super::packaging::Packaging;
use super::pending_commits::PendingCommits;
use super::rendition_sync::RenditionSync;
use super::{Session, Watchdog};
use crate::broadcast::failure::{pipe_broke, server_draining, worker_failed};
use crate::broadcast::{Progress, Response, Responses};
use crate::failure::Failure;
use crate::worker::{FromWorker, OutputError, Stats, WorkerOutput};

/// Output of a session's worker: packaged, held back where it must not be shown yet, shown, and committed.
pub(super) struct SessionOutput<'a> {
    session: &'a Session<'a>,
    turn: Turn,
    /// Cancelled when the publisher has left: epochs given since are those of other turns.
    left: &'a CancellationToken,
    responses: &'a Responses,
    watchdog: &'a Watchdog,
    boundary: DrainBoundary<'a>,
    packaging: Packaging,
    sync: RenditionSync,
    commits: PendingCommits,
    /// The worker's last figures, and when they came.
    measured: (Stats, Instant),
    /// Times at which the proxy is sent statistics.
    reports: Interval,
}

/// Turn of the publisher whose media the output is made of.
pub(super) struct Turn {
    /// Point at which the publisher has begun.
    pub(super) begun: ResumePoint,
    pub(super) epochs: watch::Receiver<Epoch>,
}

/// Thing that happens to a session's output.
enum Happening {
    Boundary(Step),
    /// A segment is stored, or has waited for that long enough.
    Stored(Box<ResumePoint>),
    Worker(Option<FromWorker>),
    ReportDue,
    /// The registry has given the turn another epoch.
    EpochRaised,
}

impl<'a> SessionOutput<'a> {
    /// Output of which nothing has come yet. `left` is cancelled when the publisher has left.
    pub(super) fn new(
        session: &'a Session<'a>,
        turn: Turn,
        responses: &'a Responses,
        watchdog: &'a Watchdog,
        left: &'a CancellationToken,
    ) -> Self {
        let mut reports = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let segment = Duration::from_millis(session.on_air.feed.segment_settings().segment_ms.into());
        Self {
            session,
            turn,
            left,
            responses,
            watchdog,
            boundary: DrainBoundary::new(session, left),
            packaging: Packaging::default(),
            sync: RenditionSync::default(),
            commits: PendingCommits::new(segment),
            measured: (Stats::default(), Instant::now()),
            reports,
        }
    }

    /// Shows the worker's output to the viewers, until the worker has finished. The watch over the worker is kept where it is
    /// fed.
    pub(super) async fn show_all(mut self, worker: &mut WorkerOutput) -> Result<(), Failure> {
        loop {
            match self.next_happening(worker).await? {
                Happening::Boundary(Step::Show(event)) => self.show_aligned(event)?,
                Happening::Boundary(Step::HandOver) => return Err(server_draining()),
                Happening::Stored(resume) => self.say_committed(*resume),
                Happening::ReportDue => self.say_stats(),
                Happening::EpochRaised => self.say_epoch(),
                Happening::Worker(Some(FromWorker::Finished)) => return self.show_rest(),
                Happening::Worker(output) => self.take_output(output)?,
            }
        }
    }

    async fn next_happening(&mut self, worker: &mut WorkerOutput) -> Result<Happening, Failure> {
        tokio::select! {
            biased;
            step = self.boundary.next_step() => Ok(Happening::Boundary(step)),
            resume = self.commits.next_stored() => Ok(Happening::Stored(Box::new(resume))),
            Ok(()) = self.turn.epochs.changed() => Ok(Happening::EpochRaised),
            _ = self.reports.tick() => Ok(Happening::ReportDue),
            output = worker.next_message() => output.map(Happening::Worker).map_err(unreadable),
        }
    }

    /// Takes a message of the worker, which has not finished with it.
    fn take_output(&mut self, output: Option<FromWorker>) -> Result<(), Failure> {
        let made = match output {
            Some(FromWorker::PeriodStart(start)) => self.packaging.begin_period(start)?,
            Some(FromWorker::Frame(frame)) => self.packaging.push_frame(frame)?,
            Some(FromWorker::RenditionEnd(end)) => self.packaging.end_rendition(end)?,
            Some(FromWorker::Stats(stats)) => {
                self.measure(stats);
                Vec::new()
            }
            Some(FromWorker::Failed(failure)) => return Err(failure),
            Some(FromWorker::Ready) => return Err(worker_failed("it started twice")),
            Some(FromWorker::Finished) | None => return Err(worker_failed("it exited without a word")),
        };
        for event in made {
            if let Some(event) = self.boundary.pass_event(event) {
                self.show_aligned(event)?;
            }
        }
        Ok(())
    }

    /// Shows the events that may be shown now that this one has come.
    fn show_aligned(&mut self, event: MediaEvent) -> Result<(), Failure> {
        self.watchdog.note_output();
        count_part(&event, self.watchdog);
        self.sync.push_event(event)?;
        while let Some(event) = self.sync.pop_aligned(self.session.on_air.feed.next_uncommitted()) {
            self.show_event(event)?;
        }
        Ok(())
    }

    /// Shows the events that wait for other renditions, of which nothing more comes.
    fn show_rest(&mut self) -> Result<(), Failure> {
        self.packaging.check_finished()?;
        while let Some(event) = self.sync.pop_rest() {
            self.show_event(event)?;
        }
        Ok(())
    }

    /// A segment's date is said before its first part.
    fn show_event(&mut self, event: MediaEvent) -> Result<(), Failure> {
        if let MediaEvent::Part { index: PartIndex(0), start, .. } = event {
            self.show_drift(start)?;
        }
        let committed =
            self.session.on_air.publish_event(event).map_err(|error| worker_failed(&error.to_string()))?;
        if let Some(commit) = committed {
            self.commits.add_commit(commit);
        }
        Ok(())
    }

    fn show_drift(&self, from: MediaTime) -> Result<(), Failure> {
        let on_air = self.session.on_air;
        let Some((period, shown)) = on_air.feed.known_drift() else { return Ok(()) };
        match self.watchdog.drift_at(period, from) {
            Some(drift) if drift != shown => {
                let event = MediaEvent::Drift { period, from, drift };
                on_air.publish_event(event).map(drop).map_err(|error| worker_failed(&error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The proxy may have gone; the media it sent is shown all the same.
    fn say_committed(&self, resume: ResumePoint) {
        let epoch = self.epoch();
        self.responses.say(Response::Committed(Progress { resume, epoch }));
    }

    /// The epoch of the publisher's turn, while that lasts.
    fn epoch(&self) -> Option<Epoch> {
        self.session.epoch_for(self.responses).filter(|_| !self.left.is_cancelled())
    }

    /// Until the proxy knows the epoch, it can't go on from this turn at another server.
    fn say_epoch(&self) {
        if let Some(epoch) = self.epoch() {
            let resume = self.turn.begun.clone();
            self.responses.say(Response::Accepted(Progress { resume, epoch: Some(epoch) }));
        }
    }

    fn say_stats(&self) {
        if let Some(stats) = self.watchdog.health.next_report() {
            self.session.on_air.source.record_stats(clock::now(), &stats);
            self.responses.say(Response::Stats(stats));
        }
    }

    fn measure(&mut self, stats: Stats) {
        let (last, then) = std::mem::replace(&mut self.measured, (stats, Instant::now()));
        self.watchdog.health.record_progress(&stats, &last, then.elapsed());
        // The first second is spent on starting, and a pause costs nothing: neither says what this broadcast needs.
        let made_us = stats.newest_out_us.saturating_sub(last.newest_out_us);
        if last.newest_out_us > 0 && made_us > 0 {
            self.session.reservation.measured(stats.cpu_millicores);
            let seconds = then.elapsed().as_secs_f64();
            metrics::histogram!("headwater_server_encode_speed").record(made_us as f64 / 1e6 / seconds);
        }
        let frames = |name, now: u64, before| metrics::counter!(name).increment(now.saturating_sub(before));
        frames("headwater_server_frames_total", stats.frames_in, last.frames_in);
        frames("headwater_server_frames_dropped_total", stats.frames_dropped, last.frames_dropped);
        self.session.on_air.source.count_dropped(stats.frames_dropped.saturating_sub(last.frames_dropped));
        frames("headwater_server_frames_repeated_total", stats.frames_repeated, last.frames_repeated);
        if let Some(delay) = delay_of(&stats) {
            metrics::histogram!("headwater_server_encode_delay_seconds").record(delay.as_secs_f64());
        }
    }
}

/// Commits all that is whole, whatever has ended the output: the proxy takes the refusal that follows for the last word. An
/// owner that is fenced says nothing, as another server may have made the same segments.
impl Drop for SessionOutput<'_> {
    fn drop(&mut self) {
        if let Some(resume) = self.commits.take_last()
            && !self.session.fenced.is_cancelled()
        {
            self.say_committed(resume);
        }
    }
}

fn unreadable(error: OutputError) -> Failure {
    match error {
        OutputError::Pipe(error) => pipe_broke(&error),
        OutputError::Message(error) => worker_failed(&error.to_string()),
    }
}

fn count_part(event: &MediaEvent, watchdog: &Watchdog) {
    if let MediaEvent::Part { bytes, start, duration, .. } = event {
        metrics::counter!("headwater_server_parts_total").increment(1);
        metrics::counter!("headwater_server_part_bytes_total").increment(bytes.len() as u64);
        let end = *start + *duration;
        watchdog.note_end(end);
        metrics::histogram!("headwater_server_part_delay_seconds")
            .record(watchdog.delay_at(end).as_secs_f64());
    }
}
