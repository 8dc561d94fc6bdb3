//! Packaging of the worker's frames: the session has each frame in hand here, before it is part of anything.

use bytes::Bytes;
use headwater_hls::{Packager, PackagingError};
use headwater_media::{EncodedFrame, MediaEvent, PeriodStart};
use headwater_wire::ConvertError;
use headwater_wire::v2::worker_output::{Frame, RenditionEnd};
use headwater_wire::v2::{Failure, media_event};

use crate::broadcast::failure::worker_failed;

/// Packager of a session's frames. Frames that do not fit are the worker's failure.
#[derive(Default)]
pub(super) struct Packaging(Packager);

impl Packaging {
    pub(super) fn begin(&mut self, start: media_event::PeriodStart) -> Result<Vec<MediaEvent>, Failure> {
        let start = PeriodStart::try_from(start).map_err(misread)?;
        self.0.begin(&start).map_err(misfit)?;
        Ok(vec![MediaEvent::PeriodStart(start)])
    }

    /// Takes the next frame and gives the events that it completes, in order.
    pub(super) fn push(&mut self, frame: Frame) -> Result<Vec<MediaEvent>, Failure> {
        let mut frame = EncodedFrame::try_from(frame).map_err(misread)?;
        // As a slice of the bytes that were read from the pipe, it would hold more than its length while its part is open.
        frame.payload = Bytes::copy_from_slice(&frame.payload);
        self.0.push(frame).map_err(misfit)
    }

    pub(super) fn end(&mut self, end: RenditionEnd) -> Result<Vec<MediaEvent>, Failure> {
        self.0.end(end.rendition as usize).map_err(misfit)
    }

    /// Checks that the worker has left nothing open.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        self.0.check_ended().map_err(misfit)
    }
}

fn misread(error: ConvertError) -> Failure {
    worker_failed(&error.to_string())
}

fn misfit(error: PackagingError) -> Failure {
    worker_failed(&error.to_string())
}
