//! Errors of a publisher's media, in words that help its sender.

use std::borrow::Cow;

/// Why media can't be taken. The text is meant for the broadcaster.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaError {
    #[error("{codec} is not supported: choose {instead} in your encoder's output settings")]
    UnsupportedCodec {
        codec: Cow<'static, str>,
        /// Supported codec in its place: `H.264` or `AAC`.
        instead: &'static str,
    },
    #[error(
        "a picture of {width}x{height} is too large: choose an output resolution of at most \
         {max_width}x{max_height} in your encoder"
    )]
    PictureTooLarge { width: u32, height: u32, max_width: u32, max_height: u32 },
    #[error("the sound has more than {max} channels: choose stereo in your encoder's audio settings")]
    TooManyChannels { max: u8 },
    #[error(
        "no keyframe came in {seconds} s of video, and nothing can be shown without one: set a keyframe interval of 2 s \
         in your encoder, and no intra refresh"
    )]
    NoKeyframe { seconds: u64 },
    #[error("the encoder sent a damaged {what}: {why}")]
    Malformed { what: &'static str, why: &'static str },
}

impl MediaError {
    pub(crate) fn video_codec(codec: impl Into<Cow<'static, str>>) -> Self {
        Self::UnsupportedCodec { codec: codec.into(), instead: "H.264" }
    }

    pub(crate) fn audio_codec(codec: impl Into<Cow<'static, str>>) -> Self {
        Self::UnsupportedCodec { codec: codec.into(), instead: "AAC" }
    }

    pub(crate) fn malformed_header(what: &'static str, why: &'static str) -> Self {
        Self::Malformed { what, why }
    }
}
