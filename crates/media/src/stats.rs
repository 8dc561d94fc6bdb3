//! Statistics of a publisher: its source as it arrives at a server, and the encoder that works on it.

mod history;
mod meter;
mod warnings;

use std::time::Duration;

pub use history::{HealthHistory, HealthSample};
pub use meter::SourceMeter;
pub use warnings::{Expectations, HealthWarning, WarningKind, are_keyframes_rare};

/// Statistics of one publisher's source and encoder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublisherStats {
    pub source: SourceStats,
    /// Encoder; none before it has put out media.
    pub encoder: Option<EncoderStats>,
}

/// Statistics of a source, by the timestamps of its access units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceStats {
    /// Video track; none in a period without one.
    pub video: Option<VideoStats>,
    /// Audio track; none in a period without one.
    pub audio: Option<AudioStats>,
}

/// Statistics of a source's video track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoStats {
    /// Codec string (RFC 6381 §3.3), such as `avc1.64001f`; empty where the decoder configuration can't be read.
    pub codecs: String,
    /// Width of the picture in pixels; 0 where the decoder configuration can't be read.
    pub width: u32,
    /// Height of the picture in pixels, as the width.
    pub height: u32,
    /// Bits a second; 0 before the second picture.
    pub bitrate: u64,
    /// Pictures a second; 0 before the second one.
    pub frame_rate: f64,
    /// Time between the last two keyframes, or since the last one where that is longer; none while neither is known.
    pub keyframe_interval: Option<Duration>,
}

/// Statistics of a source's audio track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioStats {
    /// Codec string (RFC 6381 §3.3), such as `mp4a.40.2`; empty where the decoder configuration can't be read.
    pub codecs: String,
    /// Bits a second; 0 before the second frame.
    pub bitrate: u64,
}

/// Statistics of the encoder of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderStats {
    /// Seconds of media that came out in a second. About 1 for a live source that the encoder keeps up with.
    pub speed: f64,
    /// Distance between the newest media that went in and the newest that came out.
    pub delay: Duration,
    /// Share of the time in which media had to wait for the encoder, from 0 to 1. Near 1 the encoder has no reserve; with
    /// a speed below 1 it falls behind.
    pub saturation: f64,
}
