//! Messages as Flash defined them: a codec number of four bits.

use bytes::Bytes;

use super::{AudioMessage, COMMAND_FRAME, KEYFRAME, VideoMessage, read_si24};
use crate::error::MediaError;

const AVC: u8 = 7;
const AAC: u8 = 10;

pub(super) fn read_video(first: u8, payload: &Bytes) -> Result<VideoMessage, MediaError> {
    let frame_type = first >> 4;
    let codec = first & 0x0f;
    if frame_type == COMMAND_FRAME {
        return Ok(VideoMessage::Ignored);
    }
    if codec != AVC {
        return Err(unsupported_video(codec));
    }
    let cut_short = MediaError::malformed_header("video message", "its header is cut short");
    match (payload.get(1), payload.get(2..5)) {
        // Some encoders leave the composition time out of the end of sequence.
        (Some(2), _) => Ok(VideoMessage::EndOfSequence),
        (Some(0), Some(_)) => Ok(VideoMessage::from_header(payload.slice(5..))),
        (Some(1), Some(&[a, b, c])) => {
            Ok(VideoMessage::from_frame(frame_type == KEYFRAME, read_si24([a, b, c]), payload.slice(5..)))
        }
        (Some(0 | 1) | None, _) => Err(cut_short),
        (Some(_), _) => Ok(VideoMessage::Ignored),
    }
}

pub(super) fn read_audio(first: u8, payload: &Bytes) -> Result<AudioMessage, MediaError> {
    let codec = first >> 4;
    if codec != AAC {
        return Err(unsupported_audio(codec));
    }
    match payload.get(1) {
        None => Ok(AudioMessage::Ignored),
        Some(0) => Ok(AudioMessage::from_header(payload.slice(2..))),
        Some(1) => Ok(AudioMessage::from_frame(payload.slice(2..))),
        Some(_) => Ok(AudioMessage::Ignored),
    }
}

/// FLV 10.1 §E.4.3.1; 8 and above were given out by others.
fn unsupported_video(codec: u8) -> MediaError {
    MediaError::video_codec(match codec {
        1 => "JPEG video",
        2 => "Sorenson H.263",
        3 => "Screen video",
        4 => "VP6",
        5 => "VP6 with alpha channel",
        6 => "Screen video 2",
        8 => "H.263",
        9 => "MPEG-4 Part 2 video",
        12 => "HEVC",
        13 => "AV1",
        14 => "VVC",
        other => return MediaError::video_codec(format!("video codec number {other}")),
    })
}

/// FLV 10.1 §E.4.2.1; 13 is used by some for Opus.
fn unsupported_audio(codec: u8) -> MediaError {
    MediaError::audio_codec(match codec {
        0 | 3 => "PCM audio",
        1 => "ADPCM audio",
        2 | 14 => "MP3 audio",
        4..=6 => "Nellymoser audio",
        7 | 8 => "G.711 audio",
        11 => "Speex audio",
        13 => "Opus audio",
        other => return MediaError::audio_codec(format!("audio codec number {other}")),
    })
}
