//! One rung: scaler and x264.

use std::sync::Arc;

use gst::prelude::*;
use headwater_media::{Fitted, Ladder, MediaSequence};

use super::FrameRate;
use super::fan::{Branch, Lead};
use super::track::Track;
use crate::error::Result;
use crate::fault::{Fault, Flow};
use crate::outlet::Outlet;
use crate::pipeline::{Blame, Drain, Feed, Pipeline, Tail, element, only};
use crate::progress::Progress;
use crate::scale::Scale;

/// Raw pictures that wait for an encoder; they are shared by all rungs. Enough to hide the other rungs' pauses.
const ROOM: u64 = 4;
/// Frames that x264 looks ahead: half the delay of its default costs next to no quality without B-frames.
const LOOKAHEAD: i32 = 10;
/// And in the first segment of a broadcast none, as viewers wait for it.
const NO_LOOKAHEAD: i32 = 0;
/// Milliseconds of the rung's bit rate that x264 may spend at once.
const BUFFER_MS: u32 = 1_000;
/// Only requested keyframes: 100 hours at 60 frames a second.
const NO_KEYFRAMES: u32 = 21_600_000;
/// Fewer of x264's decisions than its presets take: one estimate of motion below whole pixels (`subme`) costs a quarter
/// less time than two, and only shows where much moves. What that loses is given back in bits (`ladder.crf`), of which
/// more remain than of time. `make bench-ladder` holds all this against veryfast.
const OPTIONS: &str = "scenecut=0:partitions=i8x8,i4x4:aq-mode=1:subme=1";
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
    /// The period's first segment, if it is to come out without delay.
    pub(super) first: Option<MediaSequence>,
}

pub(super) struct Encoder {
    chain: Chain,
    track: Arc<Track>,
}

/// A pipeline from raw pictures to coded ones.
pub(super) struct Chain {
    pub(super) feed: Arc<Feed>,
    pub(super) tail: Tail,
    _pipeline: Pipeline,
}

impl Encoder {
    pub(super) fn start(
        settings: &Settings<'_>,
        outlet: &Arc<Outlet>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Result<Self> {
        let Settings { place, rung, frame_rate, .. } = *settings;
        let track = Arc::new(Track::new(place, rung, frame_rate, outlet, progress, fault));
        let chain = Chain::start(settings, LOOKAHEAD, track.clone(), fault)?;
        Ok(Self { chain, track })
    }

    /// The way of pictures to this encoder; those of the first segment have one of their own.
    pub(super) fn branch(&self, settings: &Settings<'_>, fault: &Arc<Fault>) -> Result<Branch> {
        let lead = settings.first.map(|sequence| {
            let chain = Chain::start(settings, NO_LOOKAHEAD, Arc::new(self.track.opening()), fault)?;
            Ok(Lead { chain, sequence })
        });
        Ok(Branch::new(self.chain.feed.clone(), self.track.clone(), lead.transpose()?))
    }

    /// Waits until the last picture has come out.
    pub(super) fn wait(&self) -> Flow {
        self.chain.tail.wait()
    }
}

impl Chain {
    fn start(
        settings: &Settings<'_>,
        lookahead: i32,
        drain: Arc<dyn Drain>,
        fault: &Arc<Fault>,
    ) -> Result<Self> {
        let name = match lookahead {
            NO_LOOKAHEAD => format!("{} (first segment)", settings.rung.name),
            _ => settings.rung.name.to_string(),
        };
        let feed = Arc::new(Feed::new(&format!("encoder {name}'s input"), None, ROOM, fault));
        let tail = Tail::new(&format!("encoder {name}'s output"), drain, fault);
        let chain = [
            feed.element(),
            Scale::element(&format!("scaler {name}")),
            only(&picture_caps(settings.rung))?,
            x264(settings, lookahead, &name)?,
            only(&coded_caps())?,
            tail.element(),
        ];
        let pipeline = Pipeline::start(&format!("encoding {name}"), &chain, Blame::Worker, fault)?;
        Ok(Self { feed, tail, _pipeline: pipeline })
    }
}

/// The settings that were found cheapest at equal quality. x264enc takes whole rate factors only, in its option string too:
/// `quantizer` comes after it.
fn x264(settings: &Settings<'_>, lookahead: i32, name: &str) -> Result<gst::Element> {
    let encoder = element("x264enc", format!("encoder {name}"))?;
    encoder.set_property_from_str("speed-preset", &settings.ladder.preset);
    encoder.set_property_from_str("pass", "qual");
    encoder.set_property("quantizer", settings.ladder.crf.round().clamp(0.0, 50.0) as u32);
    encoder.set_property("bitrate", settings.rung.bitrate.div_ceil(1_000).max(1));
    encoder.set_property("vbv-buf-capacity", BUFFER_MS);
    encoder.set_property("bframes", 0u32);
    encoder.set_property_from_str("me", "dia");
    encoder.set_property("dct8x8", true);
    encoder.set_property("threads", 1u32);
    encoder.set_property("rc-lookahead", lookahead);
    // What is referred to most is only known by looking ahead.
    encoder.set_property("mb-tree", lookahead > NO_LOOKAHEAD);
    encoder.set_property("sync-lookahead", 0);
    encoder.set_property("key-int-max", NO_KEYFRAMES);
    encoder.set_property("aud", false);
    encoder.set_property("option-string", options(settings));
    Ok(encoder)
}

fn options(settings: &Settings<'_>) -> String {
    let trellis = u8::from(settings.rung.width * settings.rung.height <= TRELLIS_PIXELS);
    format!("trellis={trellis}:{OPTIONS}")
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
