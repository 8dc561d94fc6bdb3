//! The adaptive ladder: what an operator asks for, and what a source of a given size gets of it.

/// One rung as configured, for a landscape source: the box that the picture must fit into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The rendition's name, such as `720p`.
    pub name: crate::RenditionId,
    /// Pixels; turned for a portrait source.
    pub width: u32,
    pub height: u32,
    /// Bits a second that the encoder is held to.
    pub bitrate: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// Best first.
    pub rungs: Vec<Rung>,
    /// An x264 speed preset.
    pub preset: String,
    /// Constant rate factor of x264; the rung's bit rate is the ceiling.
    pub crf: f64,
    /// Frames a second at most.
    pub max_frame_rate: u32,
    /// Bits a second of the AAC audio.
    pub audio_bitrate: u32,
}
