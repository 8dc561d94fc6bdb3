//! A broadcast's media on its way through the worker, period after period.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::{
    Grid, Ladder, MediaSequence, Period, PeriodStart, Rendition, SegmentSettings, SourceTime, Tag,
};

use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::output_collector::ReportSender;
use crate::period::{Running, Tools};
use crate::progress::Progress;
use crate::rendition_set::{Model, RenditionSet};
use crate::report::{Report, Sink};

/// Source time between two reports on how the worker keeps up.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// Settings that a worker is given before anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub settings: SegmentSettings,
    /// Of every period that begins here.
    pub ladder: Ladder,
    /// Number of the first segment that is made.
    pub first_sequence: MediaSequence,
    /// The segment boundary where the first period's output starts, when another producer made what is before it. A period
    /// that leaves out segments begins anew.
    pub resume: Option<SourceTime>,
    /// Renditions that viewers of the broadcast know already: every period has them.
    pub kept: Vec<Rendition>,
    /// The period that the first one goes on with, as its first producer began it.
    pub begun_as: Option<PeriodStart>,
}

/// Decodes a publisher's media once and makes every rendition of it.
///
/// Periods and tags are given in order; a call waits while there is enough to do. After an error nothing more
/// can be done.
pub struct Transcoder {
    settings: SegmentSettings,
    next_sequence: MediaSequence,
    resume: Option<SourceTime>,
    begun_as: Option<PeriodStart>,
    rendition_set: RenditionSet,
    tools: Tools,
    running: Option<Running>,
    last_stats: Option<SourceTime>,
}

impl Transcoder {
    /// # Errors
    /// A ladder that is not valid, or a GStreamer that does not start.
    pub fn new(start: Start, sink: impl Sink) -> Result<Self> {
        gst::init().map_err(Error::Init)?;
        start.ladder.validate().map_err(|mistakes| {
            Error::Protocol(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let fault = Arc::<Fault>::default();
        let sender = ReportSender::new(Arc::new(sink), fault.clone());
        let tools =
            Tools { ladder: Arc::new(start.ladder), sender, progress: Arc::<Progress>::default(), fault };
        let settings = start.settings;
        let next_sequence = start.first_sequence;
        let resume = start.resume;
        let rendition_set = RenditionSet::from_known(&start.kept);
        let begun_as = start.begun_as;
        Ok(Self {
            settings,
            next_sequence,
            resume,
            begun_as,
            rendition_set,
            tools,
            running: None,
            last_stats: None,
        })
    }

    /// Ends the period before, and begins this one.
    ///
    /// # Errors
    /// Media that can't be decoded, elements that are missing, fail or freeze.
    pub fn begin_period(&mut self, period: Period) -> Result<()> {
        self.end_period()?;
        if let Some(first) = period.first_sequence.filter(|first| *first > self.next_sequence) {
            // What there was to go on with is lost.
            (self.next_sequence, self.resume, self.begun_as) = (first, None, None);
        }
        let grid = self.period_grid(period.origin)?;
        let begun_as = self.begun_as.take().filter(|begun| begun.number == period.number);
        self.running = Some(match begun_as {
            Some(begun) => self.go_on(period, begun, grid)?,
            None => {
                self.rendition_set = self.rendition_set.next_set(&period, &self.tools.ladder)?;
                Running::start_period(period, self.rendition_set.clone(), grid, None, self.tools.clone())?
            }
        });
        Ok(())
    }

    /// Goes on with a period that viewers have the beginning of: by its renditions and its ladder, not by ours.
    fn go_on(&mut self, period: Period, begun: PeriodStart, grid: Grid) -> Result<Running> {
        let mut tools = self.tools.clone();
        if let Some(ladder) = &begun.ladder {
            tools.ladder = Arc::new(ladder.clone());
        }
        let model = Model::from(begun);
        self.rendition_set = model.rendition_set();
        Running::start_period(period, self.rendition_set.clone(), grid, Some(model), tools)
    }

    /// The period that tags belong to.
    ///
    /// # Errors
    /// Before the first one.
    pub fn period(&self) -> Result<&Period> {
        self.running.as_ref().map(Running::period).ok_or_else(no_period)
    }

    /// Takes an access unit of the running period.
    ///
    /// # Errors
    /// As for [`Self::begin_period`], also of what was given earlier.
    pub fn tag(&mut self, tag: Tag) -> Result<()> {
        let running = self.running.as_mut().ok_or_else(no_period)?;
        let time = tag.time;
        running.push_tag(tag)?;
        self.report_stats(time)
    }

    /// Whether everything given so far went well; for times when nothing is given.
    ///
    /// # Errors
    /// The first failure, once.
    pub fn check(&self) -> Result<()> {
        self.tools.fault.check_running().map_err(|_| self.tools.fault.take_error())
    }

    /// No more media: everything comes out.
    ///
    /// # Errors
    /// As for [`Self::begin_period`].
    pub fn finish(mut self) -> Result<()> {
        self.end_period()
    }

    fn end_period(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            let last = running.finish_period()?;
            self.next_sequence = last.map_or(self.next_sequence, MediaSequence::next);
        }
        Ok(())
    }

    /// Only the first period can have begun elsewhere.
    fn period_grid(&mut self, origin: SourceTime) -> Result<Grid> {
        let first = self.next_sequence;
        let Some(start) = self.resume.take() else { return Ok(Grid::new(origin, first, self.settings)) };
        let grid = Grid::resumed(origin, start, first, self.settings);
        if start < origin || !grid.is_boundary(start.into()) || grid.cell(start.into()) > first.0 {
            return Err(Error::Protocol(format!(
                "{} us is no segment boundary of a period from {} us",
                start.0, origin.0
            )));
        }
        Ok(grid)
    }

    fn report_stats(&mut self, now: SourceTime) -> Result<()> {
        let is_due = self.last_stats.is_none_or(|last| now.since(last) >= STATS_INTERVAL || now < last);
        if !is_due {
            return Ok(());
        }
        self.last_stats = Some(now);
        let stats = Report::Stats(self.tools.progress.read_stats());
        self.tools.sender.send_report(stats).map_err(|_| self.tools.fault.take_error())
    }
}

fn no_period() -> Error {
    Error::Protocol("a tag before any period".into())
}

impl Drop for Transcoder {
    /// Wakes every thread that waits for another, so that the pipelines stop at once.
    fn drop(&mut self) {
        self.tools.fault.fail_with(Error::InputEnded);
    }
}
