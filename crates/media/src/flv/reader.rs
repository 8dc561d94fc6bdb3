//! Reading of one RTMP publisher's messages as access units.

use bytes::Bytes;

use super::unwrap::Unwrapper;
use super::{AudioMessage, VideoMessage};
use crate::access_unit::{AccessUnit, Codec, CodecConfiguration, SourceMedia, TrackKind};
use crate::error::MediaError;

/// Reader of the audio and video messages of one RTMP publisher: parses them, and unwraps their timestamps, which are
/// milliseconds of 32 bits (or of 24, with encoders that know no extended timestamps), to microseconds of 64 bits.
#[derive(Debug, Default)]
pub struct FlvReader {
    video: Unwrapper,
    audio: Unwrapper,
    /// Frames before it can't be decoded and are left out.
    has_video_header: bool,
    has_audio_header: bool,
}

impl FlvReader {
    /// Reads the payload of an RTMP message of type 9; none where it holds nothing to show.
    ///
    /// # Errors
    /// Media that can't be taken. The text is meant for the broadcaster.
    pub fn video(&mut self, timestamp: u32, payload: &Bytes) -> Result<Option<SourceMedia>, MediaError> {
        Ok(match VideoMessage::parse(payload)? {
            VideoMessage::SequenceHeader(record) => {
                self.has_video_header = true;
                Some(SourceMedia::Configuration(CodecConfiguration { codec: Codec::H264, record }))
            }
            VideoMessage::Frame { keyframe, composition_offset, payload } if self.has_video_header => {
                Some(SourceMedia::AccessUnit(AccessUnit {
                    kind: TrackKind::Video,
                    keyframe,
                    decoding_time_us: 1_000 * self.video.unwrap_beside(&self.audio, timestamp),
                    composition_offset_us: 1_000 * i64::from(composition_offset),
                    payload,
                }))
            }
            VideoMessage::Frame { .. } | VideoMessage::EndOfSequence | VideoMessage::Ignored => None,
        })
    }

    /// Reads the payload of an RTMP message of type 8; none where it holds nothing to hear.
    ///
    /// # Errors
    /// As for [`video`](Self::video).
    pub fn audio(&mut self, timestamp: u32, payload: &Bytes) -> Result<Option<SourceMedia>, MediaError> {
        Ok(match AudioMessage::parse(payload)? {
            AudioMessage::SequenceHeader(record) => {
                self.has_audio_header = true;
                Some(SourceMedia::Configuration(CodecConfiguration { codec: Codec::Aac, record }))
            }
            AudioMessage::Frame(payload) if self.has_audio_header => {
                Some(SourceMedia::AccessUnit(AccessUnit {
                    kind: TrackKind::Audio,
                    keyframe: true,
                    decoding_time_us: 1_000 * self.audio.unwrap_beside(&self.video, timestamp),
                    composition_offset_us: 0,
                    payload,
                }))
            }
            AudioMessage::Frame(_) | AudioMessage::Ignored => None,
        })
    }
}
