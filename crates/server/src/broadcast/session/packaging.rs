//! Packaging of the worker's frames: the session has each frame in hand here, before it is part of anything.

use bytes::Bytes;
use headwater_hls::{Packager, PackagingError};
use headwater_media::{EncodedFrame, MediaEvent, PeriodStart};

use crate::broadcast::failure::worker_failed;
use crate::failure::Failure;

/// Packager of a session's frames. Frames that do not fit are the worker's failure.
#[derive(Default)]
pub(super) struct Packaging(Packager);

impl Packaging {
    pub(super) fn begin_period(&mut self, start: PeriodStart) -> Result<Vec<MediaEvent>, Failure> {
        self.0.begin(&start).map_err(misfit)?;
        Ok(vec![MediaEvent::PeriodStart(start)])
    }

    /// Takes the next frame and gives the events that it completes, in order.
    pub(super) fn push_frame(&mut self, mut frame: EncodedFrame) -> Result<Vec<MediaEvent>, Failure> {
        // As a slice of the bytes that were read from the pipe, it would hold more than its length while its part is open.
        frame.payload = Bytes::copy_from_slice(&frame.payload);
        self.0.push(frame).map_err(misfit)
    }

    pub(super) fn end_rendition(&mut self, rendition: usize) -> Result<Vec<MediaEvent>, Failure> {
        self.0.end(rendition).map_err(misfit)
    }

    /// Checks that the worker has left nothing open.
    pub(super) fn check_finished(&self) -> Result<(), Failure> {
        self.0.check_ended().map_err(misfit)
    }
}

fn misfit(error: PackagingError) -> Failure {
    worker_failed(&error.to_string())
}
