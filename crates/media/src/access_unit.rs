//! Access units of a source: what every ingest protocol turns its messages into, and what a [`Timeline`](crate::Timeline)
//! takes. Behind this vocabulary nothing knows which protocol a publisher speaks.

use bytes::Bytes;

/// Kind of an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackKind {
    Video,
    Audio,
}

/// Codec of an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264; its configuration is an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
    H264,
    /// AAC; its configuration is an `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
    Aac,
}

impl Codec {
    /// Kind of the tracks that it codes.
    pub fn kind(self) -> TrackKind {
        match self {
            Self::H264 => TrackKind::Video,
            Self::Aac => TrackKind::Audio,
        }
    }
}

/// Number of a track within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u32);

/// Elementary stream of a period, whose configuration never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub id: TrackId,
    pub codec: Codec,
    /// Decoder configuration, in the form that the codec says.
    pub configuration: Bytes,
}

impl Track {
    /// Kind of its codec.
    pub fn kind(&self) -> TrackKind {
        self.codec.kind()
    }
}

/// Configuration of a decoder, which holds for the access units after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecConfiguration {
    pub codec: Codec,
    /// In the form that the codec says.
    pub record: Bytes,
}

/// Access unit of a source, on the source's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    pub kind: TrackKind,
    /// Whether decoding can start here. Not looked at for audio.
    pub keyframe: bool,
    /// Decoding time in microseconds, unwrapped: the timestamps of the protocol wrap, these don't. Below zero just before a
    /// wrap that the other track is behind.
    pub decoding_time_us: i64,
    /// Presentation time minus decoding time, in microseconds; 0 for audio.
    pub composition_offset_us: i64,
    /// H.264: NAL units with length prefixes as the configuration says. AAC: one raw frame.
    pub payload: Bytes,
}

/// Message of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceMedia {
    Configuration(CodecConfiguration),
    AccessUnit(AccessUnit),
}
