//! The sound of a period: decoded, put on the line of 48 kHz samples, encoded once.

mod clock;
mod downmix;
mod line;
mod speakers;
mod track;

use std::sync::Arc;

use bytes::Bytes;
use gst::prelude::*;
use headwater_media::aac::AudioConfig;
use headwater_media::{Grid, MediaSequence, MediaTime, SourceTime, Tag};

use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::outlet::Outlet;
use crate::pipeline::{Blame, Feed, Pipeline, Tail, element, only};
use crate::progress::Progress;
use crate::stall;
use clock::{BlockNumber, CHANNELS, RATE};
use line::Line;
use speakers::Layout;
pub(crate) use track::{Pace, Track};

/// AAC frames that wait for the decoder, and blocks that wait for the encoder: a second and a half.
const ROOM: u64 = 64;

/// The configuration of a period that has no sound of its own (AAC-LC, 48 kHz, stereo): silence stands in for it.
pub(crate) const SILENCE: Bytes = Bytes::from_static(&[0x11, 0x90]);

/// The audio side of a period. Dropped, it stops as it is declared: the decoder before the encoder that it feeds.
pub(crate) struct Audio {
    feed: Feed,
    decoded: Tail,
    encoded: Tail,
    _decoder: Pipeline,
    _encoder: Pipeline,
    line: Arc<Line>,
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
    pub(crate) fn track(
        &self,
        outlet: &Arc<Outlet>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Arc<Track> {
        Arc::new(Track::new(self, outlet, progress, fault))
    }

    /// The block before the first one that is put out: the encoder warms up with it.
    fn first_block(&self) -> BlockNumber {
        BlockNumber::at(self.grid.start()).previous()
    }
}

impl Audio {
    pub(crate) fn start(plan: &Plan, track: Arc<Track>, fault: &Arc<Fault>) -> Result<Self> {
        let blocks = Arc::new(Feed::new("audio encoder's input", Some(&raw_caps()), ROOM, fault));
        let encoded = Tail::new("audio encoder's output", track.clone(), fault);
        let encoder = element("avenc_aac", "audio encoder")?;
        encoder.set_property("bitrate", i32::try_from(plan.bitrate).unwrap_or(i32::MAX));
        // It would code the middle and the difference in every band, also where one side is silent: what is on that
        // side alone comes out on both.
        encoder.set_property("aac-ms", false);
        let chain = [
            blocks.element(),
            element("audioconvert", "audio arrangement")?,
            encoder,
            only(&gst::Caps::builder("audio/mpeg").field("stream-format", "raw").build())?,
            encoded.element(),
        ];
        let encoder = Pipeline::start("audio encoding", &chain, Blame::Worker, fault)?;
        let config =
            AudioConfig::parse(&plan.config).map_err(|error| Error::Unsupported(error.to_string()))?;
        let feed = Feed::new("audio input", Some(&source_caps(&plan.config, &config)), ROOM, fault);
        let layout = Layout::new(config.channel_map);
        let line = Arc::new(Line::new(layout, plan.first_block(), blocks, fault));
        let decoded = Tail::new("audio decoder's output", line.clone(), fault);
        let decoder = element("avdec_aac", "audio decoder")?;
        stall::watch(&decoder, line.clone())?;
        let chain = [
            feed.element(),
            decoder,
            element("audioconvert", "audio converter")?,
            element("audioresample", "audio resampler")?,
            only(&decoded_caps())?,
            decoded.element(),
        ];
        let decoder = Pipeline::start("audio decoding", &chain, Blame::Source, fault)?;
        Ok(Self { feed, decoded, encoded, _decoder: decoder, _encoder: encoder, line, track })
    }

    /// Waits while the decoder has enough to do.
    pub(crate) fn tag(&self, tag: Tag) -> Flow {
        let mut buffer = gst::Buffer::from_slice(tag.payload);
        buffer.make_mut().set_pts(gst::ClockTime::from_useconds(tag.time.0));
        self.feed.push(buffer)
    }

    /// No sound has come; silence goes on up to `until`.
    pub(crate) fn stalled(&self, until: SourceTime) {
        self.feed.send(stall::event(until));
    }

    /// Lets everything come out, with silence up to `end` at least and nothing behind the segment `last`.
    pub(crate) fn finish(&self, end: Option<(MediaTime, MediaSequence)>) -> Flow {
        self.feed.end()?;
        self.decoded.wait()?;
        self.line.finish(end.map(|(time, _)| time))?;
        self.encoded.wait()?;
        self.track.finish(end.map(|(_, last)| last))
    }

    /// The last segment that was put out.
    pub(crate) fn last(&self) -> Option<MediaSequence> {
        self.track.last()
    }
}

fn source_caps(config: &Bytes, parsed: &AudioConfig) -> gst::Caps {
    gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .field("framed", true)
        .field("rate", i32::try_from(parsed.sample_rate).unwrap_or(RATE as i32))
        .field("channels", i32::from(parsed.channels))
        .field("codec_data", gst::Buffer::from_slice(config.clone()))
        .build()
}

/// Of sound as the decoder gives it: with all of its channels.
fn decoded_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", RATE as i32)
        .build()
}

fn raw_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", RATE as i32)
        .field("channels", CHANNELS as i32)
        .field("channel-mask", gst::Bitmask::new(3))
        .build()
}
