//! Rendition of the pictures, from its encoder to the collector.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use headwater_hls::cmaf;
use headwater_media::lock::MutexExt;
use headwater_media::{
    AvcConfig, EncodedFrame, Fitted, MediaTime, Rendition, RenditionKind, SourceTime, VIDEO_TIMESCALE,
};

use super::parameters::Parameters;
use super::{FrameRate, source_time};
use crate::error::Error;
use crate::fault::{Fault, Flow};
use crate::output_collector::OutputCollector;
use crate::pacer::Slot;
use crate::pipeline::{Drain, running_time};
use crate::progress::{Meter, Progress};

/// Meets what an encoder gives with what was expected of it.
pub(super) struct Track {
    state: Mutex<State>,
    place: usize,
    rung: Fitted,
    frame_rate: FrameRate,
    collector: Arc<OutputCollector>,
    progress: Arc<Progress>,
    meter: Arc<Meter>,
    fault: Arc<Fault>,
}

struct State {
    /// Slots that went into the encoder and are not on their way out, in order.
    expected: VecDeque<Slot>,
    /// Frames that came out, and wait until it is known what follows them.
    coded: VecDeque<Coded>,
    end: End,
    /// Of all pictures; none before the first one.
    parameters: Option<Parameters>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// End of the input; the last picture ends here.
    At(Option<MediaTime>),
}

struct Coded {
    time: SourceTime,
    keyframe: bool,
    data: Bytes,
}

impl Track {
    pub(super) fn new(
        place: usize,
        rung: &Fitted,
        frame_rate: FrameRate,
        collector: &Arc<OutputCollector>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Self {
        let state =
            State { expected: VecDeque::new(), coded: VecDeque::new(), end: End::Open, parameters: None };
        Self {
            state: Mutex::new(state),
            place,
            rung: rung.clone(),
            frame_rate,
            collector: collector.clone(),
            progress: progress.clone(),
            meter: progress.add_meter(),
            fault: fault.clone(),
        }
    }

    /// The encoder is about to be given this picture.
    pub(super) fn expect_slot(&self, slot: Slot) {
        self.lock_state().expected.push_back(slot);
    }

    /// The encoder was given its last picture, which ends there.
    pub(super) fn close_input(&self, end: Option<MediaTime>) -> Flow {
        let mut state = self.lock_state();
        state.end = End::At(end);
        self.emit_frames(&mut state)
    }

    /// Puts out all pictures of which it is known what follows them: thanks to the encoder's lookahead that is as
    /// soon as they come out.
    fn emit_frames(&self, state: &mut State) -> Flow {
        while !state.coded.is_empty() {
            let next = state.expected.get(1).copied();
            if next.is_none() && state.end == End::Open {
                return Ok(());
            }
            let (Some(slot), Some(coded)) = (state.expected.pop_front(), state.coded.pop_front()) else {
                return Err(self.confusion_error("gave a picture that nobody asked for"));
            };
            if slot.time != coded.time {
                return Err(self.confusion_error("lost a picture"));
            }
            self.collector.emit_frame(self.make_frame(slot, coded, next, state.end))?;
            self.meter.count_output(slot.time);
            self.progress.count_encoded();
        }
        Ok(())
    }

    fn make_frame(&self, slot: Slot, coded: Coded, next: Option<Slot>, end: End) -> EncodedFrame {
        let ticks = |time: SourceTime| MediaTime::from(time).ticks(VIDEO_TIMESCALE);
        let end = match (next, end) {
            (Some(next), _) => ticks(next.time),
            (None, End::At(Some(end))) => end.ticks(VIDEO_TIMESCALE),
            (None, _) => ticks(slot.time),
        };
        EncodedFrame {
            rendition: self.place,
            time: ticks(slot.time),
            end,
            composition_offset: 0,
            keyframe: coded.keyframe,
            sequence: slot.placement.sequence,
            part: slot.placement.part,
            next: next.map(|next| next.placement.cut),
            payload: coded.data,
        }
    }

    fn announce_rendition(&self, caps: &gst::CapsRef) -> Flow<Parameters> {
        let record = caps.structure(0).and_then(|caps| caps.get::<gst::Buffer>("codec_data").ok());
        let record =
            record.and_then(|record| record.map_readable().ok().map(|bytes| Bytes::copy_from_slice(&bytes)));
        let record = record.ok_or_else(|| self.confusion_error("gave no configuration"))?;
        let config = AvcConfig::parse(&record).map_err(|error| self.confusion_error(&error.to_string()))?;
        let Fitted { name, width, height, bitrate } = self.rung.clone();
        let rendition = Rendition {
            id: name,
            kind: RenditionKind::Video { width, height, frame_rate: self.frame_rate.as_f64() },
            codecs: config.codec(),
            declared_bitrate: bitrate,
        };
        let init = cmaf::video_init(&record, width, height, headwater_media::VIDEO_TIMESCALE);
        self.collector.announce_rendition(self.place, rendition, init)?;
        Ok(Parameters::from_config(config))
    }

    fn confusion_error(&self, what: &str) -> crate::fault::Stopped {
        self.fault.fail_with(Error::Packaging(format!("the encoder {} {what}", self.rung.name)))
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

impl Drain for Track {
    fn take_sample(&self, sample: &gst::Sample) -> Flow {
        let mut state = self.lock_state();
        let mut coded = read_coded(sample).ok_or_else(|| self.confusion_error("gave no picture"))?;
        let parameters = match &mut state.parameters {
            Some(parameters) => parameters,
            none => none.insert(
                self.announce_rendition(sample.caps().ok_or_else(|| self.confusion_error("gave no caps"))?)?,
            ),
        };
        coded.data =
            parameters.taken_out(coded.data).map_err(|error| self.confusion_error(&error.to_string()))?;
        state.coded.push_back(coded);
        self.emit_frames(&mut state)
    }

    fn end_stream(&self) -> Flow {
        if !self.lock_state().expected.is_empty() {
            return Err(self.confusion_error("kept pictures for itself"));
        }
        self.collector.end_rendition(self.place)
    }
}

fn read_coded(sample: &gst::Sample) -> Option<Coded> {
    let time = source_time(running_time(sample)?);
    let buffer = sample.buffer_owned()?;
    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let data = Bytes::from_owner(buffer.into_mapped_buffer_readable().ok()?);
    Some(Coded { time, keyframe, data })
}
