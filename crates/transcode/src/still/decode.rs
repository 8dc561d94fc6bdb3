//! Decoded picture.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use headwater_hls::cmaf::read::{self, Placed};
use headwater_media::VIDEO_TIMESCALE;
use headwater_media::lock::MutexExt;
use headwater_wire::v2::still_request::Picture;

use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::pipeline::{Blame, Drain, Pipeline, PipelineInput, Tail, running_time};
use crate::video::{decoder_caps, make_decoder};

/// Frames that wait for the decoder.
const QUEUE_BUFFERS: u64 = 16;
/// Frames may be shown before their decode time where the muxer's clock says so; GStreamer has no times below zero.
const LEAD_MS: u64 = 10_000;

/// The frame that is shown at the wanted time, or the one before it; the first one where all come later.
pub(super) fn decode_picture(picture: &Picture) -> Result<gst::Sample> {
    let record = read::avc_record(&picture.init)
        .ok_or_else(|| damaged_media("the init segment has no H.264 track"))?;
    let frames = read::samples(&picture.media).map_err(|error| damaged_media(&error.to_string()))?;
    let first = frames.first().ok_or_else(|| damaged_media("it holds no whole frame"))?;
    if !first.keyframe {
        return Err(damaged_media("it does not begin with a keyframe"));
    }
    let start = first.decode_time;
    let wanted = ticks_to_clock(picture.offset_us.saturating_mul(u64::from(VIDEO_TIMESCALE)) / 1_000_000);
    let needed =
        frames.iter().take_while(|frame| frame.decode_time == start || clock_time(frame, start) <= wanted);
    run(&Bytes::copy_from_slice(record), picture, needed, start, wanted)
}

fn run<'a>(
    record: &Bytes,
    picture: &Picture,
    frames: impl Iterator<Item = &'a Placed>,
    start: u64,
    wanted: gst::ClockTime,
) -> Result<gst::Sample> {
    let fault = Arc::new(Fault::default());
    let chosen = Arc::new(Chosen { wanted, best: Mutex::default() });
    let input = PipelineInput::new("picture input", Some(&decoder_caps(record)), QUEUE_BUFFERS, &fault);
    let tail = Tail::new("picture decoder's output", chosen.clone(), &fault);
    let chain = [input.source_element(), make_decoder()?, tail.sink_element()];
    let pipeline = Pipeline::start_chain("decoding a picture", &chain, Blame::Source, &fault)?;
    let mut all = frames.into_iter().map(|frame| frame_buffer(picture, frame, start));
    let flown = all.try_for_each(|buffer| input.push_buffer(buffer));
    flown
        .and_then(|()| input.end_stream())
        .and_then(|()| tail.wait_for_end())
        .map_err(|_| fault.take_error())?;
    drop(pipeline);
    let best = chosen.lock_sample().take();
    best.map(|(_, sample)| sample).ok_or_else(|| damaged_media("no frame of it could be decoded"))
}

fn frame_buffer(picture: &Picture, frame: &Placed, start: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(picture.media.slice(frame.data.clone()));
    let unit = buffer.make_mut();
    unit.set_dts(clock_time(frame, start));
    let shown = frame.decode_time.saturating_add_signed(frame.composition_offset.into());
    // Before `start`, it is shown at once.
    unit.set_pts(ticks_to_clock(shown.saturating_sub(start)));
    if !frame.keyframe {
        unit.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    buffer
}

fn clock_time(frame: &Placed, start: u64) -> gst::ClockTime {
    ticks_to_clock(frame.decode_time.saturating_sub(start))
}

/// Ticks from the first frame as the pipeline sees them.
fn ticks_to_clock(ticks: u64) -> gst::ClockTime {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(VIDEO_TIMESCALE);
    gst::ClockTime::from_nseconds(u64::try_from(nanos).unwrap_or(u64::MAX / 2).min(u64::MAX / 2))
        + gst::ClockTime::from_mseconds(LEAD_MS)
}

fn damaged_media(why: &str) -> Error {
    Error::Unsupported(format!("no picture can be made of this: {why}"))
}

/// The best frame so far, and when it is shown.
struct Chosen {
    wanted: gst::ClockTime,
    best: Mutex<Option<(u64, gst::Sample)>>,
}

impl Chosen {
    fn lock_sample(&self) -> MutexGuard<'_, Option<(u64, gst::Sample)>> {
        self.best.lock_ignoring_poison()
    }
}

impl Drain for Chosen {
    fn take_sample(&self, sample: &gst::Sample) -> Flow {
        let time = running_time(sample).unwrap_or_default();
        let mut best = self.lock_sample();
        if best.is_none() || time <= self.wanted.nseconds() {
            *best = Some((time, sample.clone()));
        }
        Ok(())
    }

    fn end_stream(&self) -> Flow {
        Ok(())
    }
}
