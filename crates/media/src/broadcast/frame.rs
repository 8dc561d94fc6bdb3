//! Encoded frames of a broadcast's renditions, before they are packaged.

use bytes::Bytes;

use crate::ids::{MediaSequence, PartIndex};
use crate::segmentation::Cut;

/// Encoded frame of a rendition. Times are in ticks of the rendition's timescale (90,000 a second for pictures, the sample
/// rate for sound), on the source timeline of the period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    /// Position of its rendition among those of the period.
    pub rendition: usize,
    /// Decoding time.
    pub time: u64,
    /// Decoding time of the next frame.
    pub end: u64,
    /// Presentation time minus `time`; 0 where there are no B-frames.
    pub composition_offset: i32,
    /// Can be decoded without any other frame; not looked at for sound.
    pub keyframe: bool,
    /// Segment that a [`crate::Cutter`] has placed it in.
    pub sequence: MediaSequence,
    /// Part of the segment.
    pub part: PartIndex,
    /// Boundary that the frame after this one begins, where it is known: then the part leaves with its last frame and not
    /// one frame later.
    pub next: Option<Cut>,
    /// NAL units with length prefixes, or one raw AAC frame.
    pub payload: Bytes,
}
