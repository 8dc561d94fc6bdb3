//! The JPEG of a canvas.

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use headwater_media::lock::MutexExt;

use super::sheet::Canvas;
use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::pipeline::{Blame, Drain, Pipeline, PipelineInput, Tail, make_element};

/// Of 100. A picture of 640x360 takes 30 to 50 KB; more is not seen at these sizes.
const QUALITY_PERCENT: i32 = 80;

pub(super) fn encode_jpeg(canvas: Canvas) -> Result<Vec<u8>> {
    let fault = Arc::new(Fault::default());
    let caps = canvas.info.to_caps().map_err(|_| Error::Packaging("a canvas has no caps".into()))?;
    let input = PipelineInput::new("JPEG input", Some(&caps), 1, &fault);
    let encoder = make_element("jpegenc", "JPEG encoder")?;
    encoder.set_property("quality", QUALITY_PERCENT);
    let made = Arc::new(Made::default());
    let tail = Tail::new("JPEG encoder's output", made.clone(), &fault);
    let chain = [input.source_element(), encoder, tail.sink_element()];
    let _pipeline = Pipeline::start_chain("encoding a JPEG", &chain, Blame::Worker, &fault)?;
    let mut buffer = canvas.buffer;
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    let flown =
        input.push_buffer(buffer).and_then(|()| input.end_stream()).and_then(|()| tail.wait_for_end());
    flown.map_err(|_| fault.take_error())?;
    let bytes = std::mem::take(&mut *made.0.lock_ignoring_poison());
    if bytes.is_empty() {
        return Err(Error::Packaging("the JPEG encoder gave nothing".into()));
    }
    Ok(bytes)
}

#[derive(Default)]
struct Made(Mutex<Vec<u8>>);

impl Drain for Made {
    fn take_sample(&self, sample: &gst::Sample) -> Flow {
        if let Some(Ok(bytes)) = sample.buffer().map(gst::BufferRef::map_readable) {
            self.0.lock_ignoring_poison().extend_from_slice(&bytes);
        }
        Ok(())
    }

    fn end_stream(&self) -> Flow {
        Ok(())
    }
}
