//! The sound of a period: decoded, put on the line of 48 kHz samples, encoded once.

mod clock;
mod downmix;
mod feeder;
mod speakers;
mod track;

use std::sync::Arc;

use bytes::Bytes;
use gst::prelude::*;
use headwater_media::aac::AudioConfig;
use headwater_media::{Grid, MediaSequence, MediaTime, SourceTime, Tag};

use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::output_collector::OutputCollector;
use crate::pipeline::{Blame, Pipeline, PipelineInput, Tail, caps_filter, make_element};
use crate::progress::Progress;
use crate::stall_event;
use clock::{BlockNumber, CHANNELS, SAMPLE_RATE_HZ};
use feeder::AudioFeeder;
use speakers::Layout;
pub(crate) use track::{Pace, Track};

/// AAC frames that wait for the decoder, and blocks that wait for the encoder: a second and a half.
const QUEUE_BUFFERS: u64 = 64;

/// The configuration of a period that has no sound of its own (AAC-LC, 48 kHz, stereo): silence stands in for it.
pub(crate) const SILENCE: Bytes = Bytes::from_static(&[0x11, 0x90]);

/// The audio side of a period. Dropped, it stops as it is declared: the decoder before the encoder that it feeds.
pub(crate) struct Audio {
    input: PipelineInput,
    decoded: Tail,
    encoded: Tail,
    _decoder: Pipeline,
    _encoder: Pipeline,
    feeder: Arc<AudioFeeder>,
    track: Arc<Track>,
}

/// Source and settings of a period's sound.
pub(crate) struct Plan {
    pub(crate) config: Bytes,
    pub(crate) grid: Grid,
    /// Bits a second.
    pub(crate) bitrate: u32,
    /// Among the period's renditions.
    pub(crate) place: usize,
    pub(crate) pace: Pace,
}

impl Plan {
    pub(crate) fn make_track(
        &self,
        collector: &Arc<OutputCollector>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Arc<Track> {
        Arc::new(Track::new(self, collector, progress, fault))
    }

    /// The block before the first one that is put out: the encoder warms up with it.
    fn first_block(&self) -> BlockNumber {
        BlockNumber::containing_block(self.grid.start()).previous_block()
    }
}

impl Audio {
    pub(crate) fn start_pipelines(plan: &Plan, track: Arc<Track>, fault: &Arc<Fault>) -> Result<Self> {
        let blocks =
            Arc::new(PipelineInput::new("audio encoder's input", Some(&raw_caps()), QUEUE_BUFFERS, fault));
        let encoded = Tail::new("audio encoder's output", track.clone(), fault);
        let encoder = make_element("avenc_aac", "audio encoder")?;
        encoder.set_property("bitrate", i32::try_from(plan.bitrate).unwrap_or(i32::MAX));
        // It would code the middle and the difference in every band, also where one side is silent: what is on that
        // side alone comes out on both.
        encoder.set_property("aac-ms", false);
        let chain = [
            blocks.source_element(),
            make_element("audioconvert", "audio arrangement")?,
            encoder,
            caps_filter(&gst::Caps::builder("audio/mpeg").field("stream-format", "raw").build())?,
            encoded.sink_element(),
        ];
        let encoder = Pipeline::start_chain("audio encoding", &chain, Blame::Worker, fault)?;
        let config =
            AudioConfig::parse(&plan.config).map_err(|error| Error::Unsupported(error.to_string()))?;
        let input = PipelineInput::new(
            "audio input",
            Some(&source_caps(&plan.config, &config)),
            QUEUE_BUFFERS,
            fault,
        );
        let layout = Layout::new(config.channel_map);
        let feeder = Arc::new(AudioFeeder::new(layout, plan.first_block(), blocks, fault));
        let decoded = Tail::new("audio decoder's output", feeder.clone(), fault);
        let decoder = make_element("avdec_aac", "audio decoder")?;
        stall_event::watch_decoder(&decoder, feeder.clone())?;
        let chain = [
            input.source_element(),
            decoder,
            make_element("audioconvert", "audio converter")?,
            make_element("audioresample", "audio resampler")?,
            caps_filter(&decoded_caps())?,
            decoded.sink_element(),
        ];
        let decoder = Pipeline::start_chain("audio decoding", &chain, Blame::Source, fault)?;
        Ok(Self { input, decoded, encoded, _decoder: decoder, _encoder: encoder, feeder, track })
    }

    /// Waits while the decoder has enough to do.
    pub(crate) fn push_tag(&self, tag: Tag) -> Flow {
        let mut buffer = gst::Buffer::from_slice(tag.payload);
        buffer.make_mut().set_pts(gst::ClockTime::from_useconds(tag.time.0));
        self.input.push_buffer(buffer)
    }

    /// No sound has come; silence goes on up to `until`.
    pub(crate) fn report_stall(&self, until: SourceTime) {
        self.input.send_event(stall_event::make_event(until));
    }

    /// Lets everything come out, with silence up to `end` at least and nothing behind the segment `last`.
    pub(crate) fn finish_track(&self, end: Option<(MediaTime, MediaSequence)>) -> Flow {
        self.input.end_stream()?;
        self.decoded.wait_for_end()?;
        self.feeder.finish_blocks(end.map(|(time, _)| time))?;
        self.encoded.wait_for_end()?;
        self.track.finish_track(end.map(|(_, last)| last))
    }

    /// The last segment that was put out.
    pub(crate) fn last_sequence(&self) -> Option<MediaSequence> {
        self.track.last_sequence()
    }
}

fn source_caps(config: &Bytes, parsed: &AudioConfig) -> gst::Caps {
    gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .field("framed", true)
        .field("rate", i32::try_from(parsed.sample_rate).unwrap_or(SAMPLE_RATE_HZ as i32))
        .field("channels", i32::from(parsed.channels))
        .field("codec_data", gst::Buffer::from_slice(config.clone()))
        .build()
}

/// Of sound as the decoder gives it: with all of its channels.
fn decoded_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", SAMPLE_RATE_HZ as i32)
        .build()
}

fn raw_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", SAMPLE_RATE_HZ as i32)
        .field("channels", CHANNELS as i32)
        .field("channel-mask", gst::Bitmask::new(3))
        .build()
}
