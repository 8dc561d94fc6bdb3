//! Collector of a period's renditions, on their way out.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use headwater_media::lock::MutexExt;
use headwater_media::{EncodedFrame, PeriodStart, Rendition};

use crate::error::Error;
use crate::fault::{Fault, Flow};
use crate::report::{Report, Sink};

/// Reports the start of a period as soon as every rendition is known, and keeps back the reports that belong behind it.
pub(crate) struct OutputCollector {
    state: Mutex<CollectorState>,
    /// The renditions that viewers have the init segments of, where another producer began the period.
    model: Option<Vec<(Rendition, Bytes)>>,
    sender: ReportSender,
}

/// Sends reports out of the worker, unless it has failed.
#[derive(Clone)]
pub(crate) struct ReportSender {
    sink: Arc<dyn Sink>,
    fault: Arc<Fault>,
}

enum CollectorState {
    /// A place for each rendition; the reports that wait are bounded by how far the tracks of a period may drift apart.
    Waiting {
        start: PeriodStart,
        renditions: Vec<Option<(Rendition, Bytes)>>,
        reports: Vec<Report>,
    },
    Open,
}

impl ReportSender {
    pub(crate) fn new(sink: Arc<dyn Sink>, fault: Arc<Fault>) -> Self {
        Self { sink, fault }
    }

    /// Blocks while the reader of the output is slow.
    pub(crate) fn send_report(&self, report: Report) -> Flow {
        self.fault.check_running()?;
        self.fault.while_writing(|| self.sink.report(report)).map_err(|error| self.fault.fail_with(error))
    }
}

impl OutputCollector {
    /// `start` is without its renditions, of which there will be `count`: those of `model`, where there is one.
    pub(crate) fn new(
        start: PeriodStart,
        count: usize,
        model: Option<Vec<(Rendition, Bytes)>>,
        sender: ReportSender,
    ) -> Self {
        Self {
            state: Mutex::new(CollectorState::Waiting {
                start,
                renditions: vec![None; count],
                reports: Vec::new(),
            }),
            model,
            sender,
        }
    }

    /// Announces a rendition. `place` is its place among all.
    pub(crate) fn announce_rendition(&self, place: usize, rendition: Rendition, init: Bytes) -> Flow {
        let mut state = self.state.lock_ignoring_poison();
        let CollectorState::Waiting { renditions, .. } = &mut *state else { return Ok(()) };
        renditions[place] = Some((rendition, init));
        if renditions.iter().any(Option::is_none) {
            return Ok(());
        }
        let CollectorState::Waiting { mut start, renditions, reports } =
            std::mem::replace(&mut *state, CollectorState::Open)
        else {
            return Ok(());
        };
        start.renditions = renditions.into_iter().flatten().collect();
        if let Some(model) = &self.model
            && let Some((other, _)) = start.renditions.iter().find(|made| !model.contains(made))
        {
            return Err(self
                .sender
                .fault
                .fail_with(Error::PeriodDiffers { rendition: other.id.to_string() }));
        }
        self.sender.send_report(Report::PeriodStart(start))?;
        reports.into_iter().try_for_each(|report| self.sender.send_report(report))
    }

    /// Puts out the next frame of a rendition.
    pub(crate) fn emit_frame(&self, frame: EncodedFrame) -> Flow {
        self.put_out(Report::Frame(frame))
    }

    /// Ends the rendition with this place.
    pub(crate) fn end_rendition(&self, place: usize) -> Flow {
        self.put_out(Report::RenditionEnd(place))
    }

    fn put_out(&self, report: Report) -> Flow {
        let mut state = self.state.lock_ignoring_poison();
        match &mut *state {
            CollectorState::Waiting { reports, .. } => reports.push(report),
            CollectorState::Open => self.sender.send_report(report)?,
        }
        Ok(())
    }

    /// Whether anything of the period was sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state.lock_ignoring_poison(), CollectorState::Open)
    }
}
