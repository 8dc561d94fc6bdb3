//! Encoder of a rung: scaler and x264.

use std::sync::Arc;

use gst::prelude::*;
use headwater_media::{Fitted, Ladder};

use super::FrameRate;
use super::frame_fan_out::Branch;
use super::track::Track;
use crate::error::Result;
use crate::fault::{Fault, Flow};
use crate::output_collector::OutputCollector;
use crate::pipeline::{Blame, Pipeline, PipelineInput, Tail, caps_filter, make_element};
use crate::progress::Progress;
use crate::scale::Scale;

/// Raw pictures that wait for an encoder; they are shared by all rungs. Enough to hide the other rungs' pauses.
const QUEUE_BUFFERS: u64 = 4;
/// Frames that x264 looks ahead: half the delay of its default costs next to no quality without B-frames.
const LOOKAHEAD_FRAMES: i32 = 10;
/// Milliseconds of the rung's bit rate that x264 may spend at once.
const BUFFER_MS: u32 = 1_000;
/// Only requested keyframes: 100 hours at 60 frames a second.
const NO_KEYFRAMES: u32 = 21_600_000;
/// Fewer of x264's decisions than its presets take: one estimate of motion below whole pixels (`subme`) costs a quarter
/// less time than two, and only shows where much moves. What that loses is given back in bits (`ladder.crf`), of which
/// more remain than of time. `make bench-ladder` holds all this against veryfast.
const X264_OPTIONS: &str = "scenecut=0:partitions=i8x8,i4x4:aq-mode=1:subme=1";
/// Pixels up to which rounding is weighed against bits (`trellis`). At equal bits that is worth 1 to 3 points of VMAF,
/// for a third more of the encoder's time. Where much moves, a 360p picture needs it to be as good as veryfast's; larger
/// ones don't.
const TRELLIS_PIXELS: u32 = 300_000;

pub(super) struct Settings<'a> {
    /// Among the period's renditions.
    pub(super) place: usize,
    pub(super) rung: &'a Fitted,
    /// Valid.
    pub(super) ladder: &'a Ladder,
    /// Of the pictures that it gets.
    pub(super) frame_rate: FrameRate,
}

pub(super) struct Encoder {
    input: Arc<PipelineInput>,
    tail: Tail,
    track: Arc<Track>,
    _pipeline: Pipeline,
}

impl Encoder {
    pub(super) fn start_pipeline(
        settings: &Settings<'_>,
        collector: &Arc<OutputCollector>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Result<Self> {
        let Settings { place, rung, frame_rate, .. } = *settings;
        let name = &rung.name;
        let track = Arc::new(Track::new(place, rung, frame_rate, collector, progress, fault));
        let input =
            Arc::new(PipelineInput::new(&format!("encoder {name}'s input"), None, QUEUE_BUFFERS, fault));
        let tail = Tail::new(&format!("encoder {name}'s output"), track.clone(), fault);
        let chain = [
            input.source_element(),
            Scale::make_element(&format!("scaler {name}")),
            caps_filter(&picture_caps(rung))?,
            make_x264(settings)?,
            caps_filter(&coded_caps())?,
            tail.sink_element(),
        ];
        let pipeline = Pipeline::start_chain(&format!("encoding {name}"), &chain, Blame::Worker, fault)?;
        Ok(Self { input, tail, track, _pipeline: pipeline })
    }

    pub(super) fn make_branch(&self) -> Branch {
        Branch { input: self.input.clone(), track: self.track.clone() }
    }

    /// Waits until the last picture has come out.
    pub(super) fn wait_for_end(&self) -> Flow {
        self.tail.wait_for_end()
    }
}

/// The settings that were found cheapest at equal quality. x264enc takes whole rate factors only, in its option string too:
/// `quantizer` comes after it.
fn make_x264(settings: &Settings<'_>) -> Result<gst::Element> {
    let encoder = make_element("x264enc", format!("encoder {}", settings.rung.name))?;
    encoder.set_property_from_str("speed-preset", &settings.ladder.preset);
    encoder.set_property_from_str("pass", "qual");
    encoder.set_property("quantizer", settings.ladder.crf.round().clamp(0.0, 50.0) as u32);
    encoder.set_property("bitrate", settings.rung.bitrate.div_ceil(1_000).max(1));
    encoder.set_property("vbv-buf-capacity", BUFFER_MS);
    encoder.set_property("bframes", 0u32);
    encoder.set_property_from_str("me", "dia");
    encoder.set_property("dct8x8", true);
    encoder.set_property("threads", 1u32);
    encoder.set_property("rc-lookahead", LOOKAHEAD_FRAMES);
    encoder.set_property("sync-lookahead", 0);
    encoder.set_property("key-int-max", NO_KEYFRAMES);
    encoder.set_property("aud", false);
    encoder.set_property("option-string", x264_options(settings));
    Ok(encoder)
}

fn x264_options(settings: &Settings<'_>) -> String {
    let trellis = u8::from(settings.rung.width * settings.rung.height <= TRELLIS_PIXELS);
    format!("trellis={trellis}:{X264_OPTIONS}")
}

fn picture_caps(rung: &Fitted) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::I420)
        .width(rung.width as i32)
        .height(rung.height as i32)
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        .build()
}

fn coded_caps() -> gst::Caps {
    gst::Caps::builder("video/x-h264")
        .field("profile", "high")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .build()
}
