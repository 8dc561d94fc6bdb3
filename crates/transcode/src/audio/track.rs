//! The rendition of the sound, from its encoder to the collector.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use headwater_hls::cmaf;
use headwater_media::aac::AudioConfig;
use headwater_media::lock::MutexExt;
use headwater_media::{
    Cutter, EncodedFrame, Grid, MediaSequence, MediaTime, Placement, Rendition, RenditionId, RenditionKind,
    SourceTime,
};

use super::Plan;
use super::clock::{BLOCK_SAMPLES, BlockNumber, CHANNELS, SAMPLE_RATE_HZ};
use crate::error::Error;
use crate::fault::{Fault, Flow};
use crate::output_collector::OutputCollector;
use crate::pipeline::Drain;
use crate::progress::{Meter, Progress};
use crate::video::Follower;

/// The name of the rendition.
const NAME: &str = "audio";

/// Whom the sound waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nobody: there are no pictures.
    Alone,
    /// It never enters a segment before the pictures do: their last segment is the last one of all.
    BehindPictures,
}

/// Numbers what the encoder gives and puts it into segments.
pub(crate) struct Track {
    state: Mutex<State>,
    place: usize,
    bitrate: u32,
    grid: Grid,
    collector: Arc<OutputCollector>,
    meter: Arc<Meter>,
    fault: Arc<Fault>,
}

struct State {
    encoder: Encoder,
    cutter: Cutter,
    /// Placement of the next block, once one was put out.
    placed: Option<Placement>,
    waiting: VecDeque<EncodedFrame>,
    limit: Limit,
    last: Option<MediaSequence>,
    is_announced: bool,
}

/// Kind of the encoder's next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoder {
    /// Frame of priming: an AAC frame is heard one frame after it is decoded. What follows is this block.
    Priming {
        then: BlockNumber,
    },
    Block(BlockNumber),
}

/// Up to which segment sound may be put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    None,
    Nothing,
    UpTo(MediaSequence),
}

impl Track {
    pub(super) fn new(
        plan: &Plan,
        collector: &Arc<OutputCollector>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Self {
        let state = State {
            encoder: Encoder::Priming { then: plan.first_block() },
            cutter: Cutter::audio(plan.grid),
            placed: None,
            waiting: VecDeque::new(),
            limit: match plan.pace {
                Pace::Alone => Limit::None,
                Pace::BehindPictures => Limit::Nothing,
            },
            last: None,
            is_announced: false,
        };
        let collector = collector.clone();
        let meter = progress.add_meter();
        let fault = fault.clone();
        let state = Mutex::new(state);
        Self { state, place: plan.place, bitrate: plan.bitrate, grid: plan.grid, collector, meter, fault }
    }

    /// Everything has come out of the encoder. What lies behind the segment `last`, where there are pictures, is
    /// thrown away.
    pub(super) fn finish_track(&self, last: Option<MediaSequence>) -> Flow {
        let mut state = self.lock_state();
        if let Some(last) = last {
            state.limit = Limit::UpTo(last);
        }
        self.emit_frames(&mut state)?;
        state.waiting.clear();
        self.collector.end_rendition(self.place)
    }

    /// The last segment that was put out.
    pub(super) fn last_sequence(&self) -> Option<MediaSequence> {
        self.lock_state().last
    }

    fn take_packet(&self, state: &mut State, data: Bytes) -> Flow {
        let block = match state.encoder {
            Encoder::Priming { then } => {
                state.encoder = Encoder::Block(then);
                return Ok(());
            }
            Encoder::Block(block) => block,
        };
        state.encoder = Encoder::Block(block.next());
        if block.start_time() < self.grid.start().into() {
            return Ok(());
        }
        let frame = state.make_frame(self.place, block, data);
        state.waiting.push_back(frame);
        self.emit_frames(state)
    }

    fn emit_frames(&self, state: &mut State) -> Flow {
        while let Some(frame) = state.next_frame() {
            let time = SourceTime(MediaTime::from_ticks(frame.time, SAMPLE_RATE_HZ).0);
            state.last = Some(frame.sequence);
            self.collector.emit_frame(frame)?;
            self.meter.count_output(time);
        }
        Ok(())
    }

    fn announce_rendition(&self, caps: &gst::CapsRef) -> Flow {
        let config = caps.structure(0).and_then(|caps| caps.get::<gst::Buffer>("codec_data").ok());
        let config = config.and_then(|config| config.map_readable().ok().map(|bytes| bytes.to_vec()));
        let config = config.ok_or_else(|| self.confusion_error("gave no configuration"))?;
        let parsed = AudioConfig::parse(&config).map_err(|error| self.confusion_error(&error.to_string()))?;
        let channels = CHANNELS as u32;
        let sample_rate = SAMPLE_RATE_HZ;
        let rendition = Rendition {
            id: rendition_id(),
            kind: RenditionKind::Audio { channels, sample_rate },
            codecs: parsed.codec(),
            declared_bitrate: self.bitrate,
        };
        self.collector.announce_rendition(
            self.place,
            rendition,
            cmaf::audio_init(&config, channels, sample_rate, SAMPLE_RATE_HZ),
        )
    }

    fn confusion_error(&self, what: &str) -> crate::fault::Stopped {
        self.fault.fail_with(Error::Packaging(format!("the audio encoder {what}")))
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

impl State {
    /// Blocks follow each other without a hole, so it is always known what follows.
    fn make_frame(&mut self, rendition: usize, block: BlockNumber, payload: Bytes) -> EncodedFrame {
        let placement = self.placed.unwrap_or_else(|| self.cutter.place(block.start_time()));
        let next = self.cutter.place(block.next().start_time());
        self.placed = Some(next);
        EncodedFrame {
            rendition,
            time: block.0 * BLOCK_SAMPLES,
            end: block.next().0 * BLOCK_SAMPLES,
            composition_offset: 0,
            keyframe: true,
            sequence: placement.sequence,
            part: placement.part,
            next: Some(next.cut),
            payload,
        }
    }

    fn next_frame(&mut self) -> Option<EncodedFrame> {
        let sequence = self.waiting.front()?.sequence;
        let is_admitted = match self.limit {
            Limit::None => true,
            Limit::Nothing => false,
            Limit::UpTo(last) => sequence <= last,
        };
        is_admitted.then(|| self.waiting.pop_front()).flatten()
    }
}

impl Follower for Track {
    fn allow_sequence(&self, sequence: MediaSequence) -> Flow {
        let mut state = self.lock_state();
        match state.limit {
            Limit::None => return Ok(()),
            Limit::UpTo(reached) if reached >= sequence => return Ok(()),
            Limit::Nothing | Limit::UpTo(_) => state.limit = Limit::UpTo(sequence),
        }
        self.emit_frames(&mut state)
    }
}

impl Drain for Track {
    fn take_sample(&self, sample: &gst::Sample) -> Flow {
        let mut state = self.lock_state();
        if !state.is_announced {
            self.announce_rendition(sample.caps().ok_or_else(|| self.confusion_error("gave no caps"))?)?;
            state.is_announced = true;
        }
        let buffer = sample.buffer_owned().and_then(|buffer| buffer.into_mapped_buffer_readable().ok());
        let data = Bytes::from_owner(buffer.ok_or_else(|| self.confusion_error("gave nothing"))?);
        self.take_packet(&mut state, data)
    }

    fn end_stream(&self) -> Flow {
        Ok(())
    }
}

fn rendition_id() -> RenditionId {
    NAME.parse().expect("a name that is allowed")
}
