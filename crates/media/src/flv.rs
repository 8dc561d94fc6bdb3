//! RTMP audio and video messages: the bodies of FLV tags (FLV 10.1 §E.4, Enhanced RTMP v2). Payloads are slices of
//! the message, never copies.

mod enhanced;
mod legacy;
mod reader;
mod unwrap;

pub use reader::FlvReader;

use bytes::Bytes;

use crate::error::MediaError;

/// Contents of a video message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoMessage {
    /// `AVCDecoderConfigurationRecord`.
    SequenceHeader(Bytes),
    Frame {
        keyframe: bool,
        /// Presentation minus decoding time in milliseconds.
        composition_offset: i32,
        /// NAL units with length prefixes.
        payload: Bytes,
    },
    EndOfSequence,
    /// Message without a picture: commands, metadata, empty messages, further tracks.
    Ignored,
}

/// Contents of an audio message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioMessage {
    /// `AudioSpecificConfig`.
    SequenceHeader(Bytes),
    /// Raw AAC frame.
    Frame(Bytes),
    /// Message without sound: empty messages (an empty sequence header is a known fault of encoders), further tracks.
    Ignored,
}

impl VideoMessage {
    /// Parses the payload of an RTMP message of type 9.
    ///
    /// # Errors
    /// A codec other than H.264, or a header that is cut short.
    pub fn parse(payload: &Bytes) -> Result<Self, MediaError> {
        match payload.first() {
            None => Ok(Self::Ignored),
            Some(first) if first & 0x80 != 0 => enhanced::read_video(payload),
            Some(first) => legacy::read_video(*first, payload),
        }
    }

    fn from_header(config: Bytes) -> Self {
        if config.is_empty() { Self::Ignored } else { Self::SequenceHeader(config) }
    }

    fn from_frame(keyframe: bool, composition_offset: i32, payload: Bytes) -> Self {
        if payload.is_empty() { Self::Ignored } else { Self::Frame { keyframe, composition_offset, payload } }
    }
}

impl AudioMessage {
    /// Parses the payload of an RTMP message of type 8.
    ///
    /// # Errors
    /// A codec other than AAC, or a header that is cut short.
    pub fn parse(payload: &Bytes) -> Result<Self, MediaError> {
        match payload.first() {
            None => Ok(Self::Ignored),
            Some(first) if first >> 4 == enhanced::AUDIO_EX_HEADER => enhanced::read_audio(payload),
            Some(first) => legacy::read_audio(*first, payload),
        }
    }

    fn from_header(config: Bytes) -> Self {
        if config.is_empty() { Self::Ignored } else { Self::SequenceHeader(config) }
    }

    fn from_frame(payload: Bytes) -> Self {
        if payload.is_empty() { Self::Ignored } else { Self::Frame(payload) }
    }
}

/// Frame type 5: a command to the player (seek), not a picture.
const COMMAND_FRAME: u8 = 5;
const KEYFRAME: u8 = 1;

/// A signed 24-bit number, big endian (`SI24`).
fn read_si24(bytes: [u8; 3]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]) >> 8
}

#[cfg(test)]
mod tests;
