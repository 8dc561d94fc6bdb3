//! The pictures of a period: decoded once, paced, and given to one encoder per rendition.

mod black;
mod colours;
mod deinterlace;
mod encoder;
mod frame_fan_out;
mod parameters;
mod rate;
mod track;

use std::sync::Arc;

use bytes::Bytes;
use gst::prelude::*;
use headwater_media::{
    AvcConfig, Cutter, Fitted, Grid, Ladder, MediaSequence, MediaTime, SourceTime, Sps, Tag,
};

use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::output_collector::OutputCollector;
use crate::pacer::Pacer;
use crate::pipeline::{Blame, Pipeline, PipelineInput, Tail, make_element};
use crate::progress::Progress;
use crate::stall_event;

use encoder::{Encoder, Settings};
pub(crate) use frame_fan_out::Follower;
use frame_fan_out::{Branch, FrameFanOut};
pub(crate) use rate::FrameRate;

/// Access units that wait for the decoder. Half a second, so that a publisher's burst is taken in while memory and
/// the time to flush stay small.
const QUEUE_BUFFERS: u64 = 16;

/// The video side of a period. Dropped, it stops as it is declared: the decoder before the encoders that it feeds.
pub(crate) struct Video {
    input: PipelineInput,
    tail: Tail,
    _decoder: Pipeline,
    fan_out: Arc<FrameFanOut>,
    encoders: Vec<Encoder>,
}

/// Source of a period's pictures.
pub(crate) enum Source {
    /// The publisher, whose `AVCDecoderConfigurationRecord` this is.
    H264(Bytes),
    /// Nowhere: the publisher sends sound only, in a broadcast that had pictures before. One black picture goes on for
    /// as long as the sound does.
    Black,
}

/// Source and settings of a period's video.
pub(crate) struct Plan<'a> {
    pub(crate) source: Source,
    pub(crate) grid: Grid,
    pub(crate) origin: SourceTime,
    pub(crate) frame_rate: FrameRate,
    /// Fitted to the source.
    pub(crate) rungs: Vec<Fitted>,
    pub(crate) ladder: &'a Ladder,
}

impl Video {
    pub(crate) fn start_pipelines(
        plan: &Plan<'_>,
        collector: &Arc<OutputCollector>,
        follower: Option<Arc<dyn Follower>>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Result<Self> {
        let make = |(place, rung): (usize, &Fitted)| {
            let settings = Settings { place, rung, ladder: plan.ladder, frame_rate: plan.frame_rate };
            Encoder::start_pipeline(&settings, collector, progress, fault)
        };
        let encoders = plan.rungs.iter().enumerate().map(make).collect::<Result<Vec<_>>>()?;
        let branches = encoders.iter().map(Encoder::make_branch).collect::<Vec<Branch>>();
        let pacer = Pacer::new(Cutter::video(plan.grid), plan.origin, plan.ladder.max_frame_rate);
        let fan_out = Arc::new(FrameFanOut::new(pacer, plan.frame_rate, branches, follower, progress, fault));
        let size = plan.rungs.first().map_or((2, 2), |rung| (rung.width, rung.height));
        let (caps, decoder, behind) = match &plan.source {
            Source::H264(config) => (
                decoder_caps(config),
                make_decoder()?,
                deinterlace::deinterlacing_chain(&read_picture(config)?)?,
            ),
            Source::Black => (
                black::black_caps(size, plan.frame_rate)?,
                make_element("identity", "black picture")?,
                Vec::new(),
            ),
        };
        let input = PipelineInput::new("video input", Some(&caps), QUEUE_BUFFERS, fault);
        let tail = Tail::new("video decoder's output", fan_out.clone(), fault);
        tail.accept_padding();
        stall_event::watch_decoder(&decoder, fan_out.clone())?;
        let chain: Vec<_> = [input.source_element(), decoder]
            .into_iter()
            .chain(behind)
            .chain([tail.sink_element()])
            .collect();
        let decoder = Pipeline::start_chain("video decoding", &chain, Blame::Source, fault)?;
        let video = Self { input, tail, _decoder: decoder, fan_out, encoders };
        if matches!(plan.source, Source::Black) {
            // A failure is found by whoever comes with the first tag.
            let _ = video.input.push_buffer(black::black_picture(size, plan.origin));
        }
        Ok(video)
    }

    /// Waits while the decoder has enough to do.
    pub(crate) fn push_tag(&self, tag: Tag) -> Flow {
        let time = tag.time;
        let shown = tag.presentation_time();
        let keyframe = tag.is_keyframe();
        let mut buffer = gst::Buffer::from_slice(tag.payload);
        let unit = buffer.make_mut();
        unit.set_dts(gst::ClockTime::from_useconds(time.0));
        unit.set_pts(gst::ClockTime::from_useconds(shown.0));
        if !keyframe {
            unit.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        self.input.push_buffer(buffer)
    }

    /// No picture has come; the last one goes on up to `until`.
    pub(crate) fn report_stall(&self, until: SourceTime) {
        self.input.send_event(stall_event::make_event(until));
    }

    /// Lets everything come out.
    pub(crate) fn finish_track(&self) -> Flow {
        self.input.end_stream()?;
        self.tail.wait_for_end()?;
        self.encoders.iter().try_for_each(Encoder::wait_for_end)
    }

    /// End of the last picture, and the last segment that has one.
    pub(crate) fn end_position(&self) -> Option<(MediaTime, MediaSequence)> {
        self.fan_out.end_position()
    }
}

pub(crate) fn make_decoder() -> Result<gst::Element> {
    let decoder = make_element("avdec_h264", "video decoder")?;
    // Frame threads cost 200 ms and bring nothing where there are several streams.
    decoder.set_property("max-threads", 1);
    decoder.set_property("output-corrupt", false);
    decoder.set_property("qos", false);
    Ok(decoder)
}

/// Parameter set of the picture in the publisher's configuration record.
pub(crate) fn read_picture(record: &Bytes) -> Result<Sps> {
    let picture = AvcConfig::parse(record).and_then(|config| config.picture());
    picture.map_err(|error| Error::Unsupported(error.to_string()))
}

/// Source times as the encoders see them: from 1000 h on. GStreamer 1.22's x264enc moves what is earlier there by
/// itself, but only once its first frame has come out: of two requests for keyframes before and after that, it takes
/// the first for one in 1000 hours, and refuses the second.
const ENCODER_EPOCH_US: u64 = 1_000 * 3_600 * 1_000_000;

fn encoder_time(time: SourceTime) -> gst::ClockTime {
    gst::ClockTime::from_useconds(time.0 + ENCODER_EPOCH_US)
}

fn source_time(encoder_nanos: u64) -> SourceTime {
    SourceTime(((encoder_nanos + 500) / 1_000).saturating_sub(ENCODER_EPOCH_US))
}

pub(crate) fn decoder_caps(config: &Bytes) -> gst::Caps {
    gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("codec_data", gst::Buffer::from_slice(config.clone()))
        .build()
}
