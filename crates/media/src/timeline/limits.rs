//! Limits that a timeline is given, and tracks that the publisher announces.

use std::time::Duration;

use crate::avc::MAX_PICTURE_SIDE;
use crate::segmentation::SegmentSettings;

/// Longest time that one track arrives ahead of the other: more than encoders look ahead, and than careless interleaving
/// makes; as long as this, viewers wait for the later track.
pub const MAX_TRACK_DISTANCE: Duration = Duration::from_secs(5);

/// Limits of a timeline: media that it accepts, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A timestamp that is this much later than all before it begins a new period. Not more than a segment, or
    /// media sequence numbers would skip.
    pub max_gap_ms: u64,
    /// How much media is held while the other track's sequence header is awaited.
    pub hold_ms: u64,
    /// How long the picture is awaited whose header has come, while sound comes: encoders that look ahead send it later.
    pub picture_ms: u64,
    /// Bytes that each store of the timeline holds at most: frames that wait, tracks that are set aside, a group of pictures.
    /// The proxy's sum counts four of them.
    pub hold_bytes: usize,
    /// The largest picture, in pixels.
    pub max_width: u32,
    pub max_height: u32,
}

impl Limits {
    /// `max_gap_ms` in microseconds.
    pub(super) fn max_gap_us(&self) -> i64 {
        i64::try_from(self.max_gap_ms).map_or(i64::MAX, |millis| millis.saturating_mul(1_000))
    }

    /// The limits of a broadcast with these segments.
    pub fn new(settings: &SegmentSettings) -> Self {
        Self {
            max_gap_ms: u64::from(settings.segment_ms),
            // Encoders send both headers within a frame or two; an audio device may take a second to open.
            hold_ms: 1_500,
            picture_ms: 2_500,
            // 1.5 s at 40 Mb/s.
            hold_bytes: 8 << 20,
            max_width: MAX_PICTURE_SIDE,
            max_height: MAX_PICTURE_SIDE,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(&SegmentSettings::default())
    }
}

/// The tracks that the publisher's metadata promises. A promise only shortens the wait: what comes without one is
/// taken, and what never comes is not waited for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Announced {
    #[default]
    Nothing,
    VideoOnly,
    AudioOnly,
    Both,
}

impl Announced {
    /// The tracks that are announced: video, audio, both or none.
    pub fn new(video: bool, audio: bool) -> Self {
        match (video, audio) {
            (false, false) => Self::Nothing,
            (true, false) => Self::VideoOnly,
            (false, true) => Self::AudioOnly,
            (true, true) => Self::Both,
        }
    }
}
