//! Collector of a period's renditions, on their way out.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use headwater_media::{EncodedFrame, PeriodStart, Rendition};

use crate::error::Error;
use crate::fault::{Fault, Flow};
use crate::{Report, Sink};

/// Says when a period starts, as soon as every rendition is known, and keeps back what belongs behind that.
pub(crate) struct Outlet {
    gate: Mutex<Gate>,
    /// The renditions that viewers have the init segments of, where another producer began the period.
    model: Option<Vec<(Rendition, Bytes)>>,
    way: Way,
}

/// The way out of the worker.
#[derive(Clone)]
pub(crate) struct Way {
    sink: Arc<dyn Sink>,
    fault: Arc<Fault>,
}

enum Gate {
    /// A place for each rendition; the reports that wait are bounded by how far the tracks of a period may drift apart.
    Waiting {
        start: PeriodStart,
        renditions: Vec<Option<(Rendition, Bytes)>>,
        reports: Vec<Report>,
    },
    Open,
}

impl Way {
    pub(crate) fn new(sink: Arc<dyn Sink>, fault: Arc<Fault>) -> Self {
        Self { sink, fault }
    }

    /// Blocks while the reader of the output is slow.
    pub(crate) fn send(&self, report: Report) -> Flow {
        self.fault.check()?;
        self.fault.while_writing(|| self.sink.report(report)).map_err(|error| self.fault.fail(error))
    }
}

impl Outlet {
    /// `start` is without its renditions, of which there will be `count`: those of `model`, where there is one.
    pub(crate) fn new(
        start: PeriodStart,
        count: usize,
        model: Option<Vec<(Rendition, Bytes)>>,
        way: Way,
    ) -> Self {
        Self {
            gate: Mutex::new(Gate::Waiting { start, renditions: vec![None; count], reports: Vec::new() }),
            model,
            way,
        }
    }

    /// Announces a rendition. `place` is its place among all.
    pub(crate) fn announce(&self, place: usize, rendition: Rendition, init: Bytes) -> Flow {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let Gate::Waiting { renditions, .. } = &mut *gate else { return Ok(()) };
        renditions[place] = Some((rendition, init));
        if renditions.iter().any(Option::is_none) {
            return Ok(());
        }
        let Gate::Waiting { mut start, renditions, reports } = std::mem::replace(&mut *gate, Gate::Open)
        else {
            return Ok(());
        };
        start.renditions = renditions.into_iter().flatten().collect();
        if let Some(model) = &self.model
            && let Some((other, _)) = start.renditions.iter().find(|made| !model.contains(made))
        {
            return Err(self.way.fault.fail(Error::PeriodDiffers { rendition: other.id.to_string() }));
        }
        self.way.send(Report::PeriodStart(start))?;
        reports.into_iter().try_for_each(|report| self.way.send(report))
    }

    /// Puts out the next frame of a rendition.
    pub(crate) fn emit(&self, frame: EncodedFrame) -> Flow {
        self.put_out(Report::Frame(frame))
    }

    /// Ends the rendition with this place.
    pub(crate) fn end(&self, place: usize) -> Flow {
        self.put_out(Report::RenditionEnd(place))
    }

    fn put_out(&self, report: Report) -> Flow {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *gate {
            Gate::Waiting { reports, .. } => reports.push(report),
            Gate::Open => self.way.send(report)?,
        }
        Ok(())
    }

    /// Whether anything of the period was sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.gate.lock().unwrap_or_else(PoisonError::into_inner), Gate::Open)
    }
}
