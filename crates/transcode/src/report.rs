//! Output of a worker, and the interface that takes it.

use headwater_media::{EncodedFrame, PeriodStart};

use crate::error::Result;
use crate::progress::Stats;

/// Output of a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    PeriodStart(PeriodStart),
    /// In decoding order per rendition.
    Frame(EncodedFrame),
    /// No more frames of the rendition at this position in the period.
    RenditionEnd(usize),
    Stats(Stats),
}

/// Takes what comes out, from any thread, one after the other per rendition. It may block: then everything waits.
pub trait Sink: Send + Sync + 'static {
    /// # Errors
    /// One ends the worker.
    fn report(&self, report: Report) -> Result<()>;
}
