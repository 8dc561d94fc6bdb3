//! Enhanced RTMP v2: a FourCC instead of a codec number, packets with modifiers, several tracks in one message
//! (section "Enhanced Video", section "Enhanced Audio"). The track 0 of a multitrack message is taken, others are ignored.

use bytes::{Buf, Bytes};

use super::{AudioMessage, COMMAND_FRAME, KEYFRAME, VideoMessage, read_si24};
use crate::error::MediaError;

/// Value of the sound format that announces the enhanced header.
pub(super) const AUDIO_EX_HEADER: u8 = 9;

const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
/// Coded frames whose composition time is 0 and left out (video only).
const CODED_FRAMES_X: u8 = 3;
/// HDR and the like (video only).
const METADATA: u8 = 4;
const MOD_EX: u8 = 7;

pub(super) fn read_video(payload: &Bytes) -> Result<VideoMessage, MediaError> {
    const MULTITRACK: u8 = 6;
    let mut body = Body { rest: payload.clone(), what: "video message" };
    let first = body.take_byte()?;
    let frame_type = first >> 4 & 0x07;
    let packet = body.skip_modifiers(first & 0x0f)?;
    if frame_type == COMMAND_FRAME && packet != METADATA {
        return Ok(VideoMessage::Ignored);
    }
    let Some(track) = body.read_track(packet, MULTITRACK)? else { return Ok(VideoMessage::Ignored) };
    if &track.fourcc != b"avc1" {
        return Err(unsupported_video(track.fourcc));
    }
    read_avc(frame_type == KEYFRAME, track)
}

fn read_avc(keyframe: bool, mut track: Track) -> Result<VideoMessage, MediaError> {
    Ok(match track.packet {
        SEQUENCE_START => VideoMessage::from_header(track.body.rest),
        CODED_FRAMES => {
            let offset = read_si24(track.body.take_array()?);
            VideoMessage::from_frame(keyframe, offset, track.body.rest)
        }
        CODED_FRAMES_X => VideoMessage::from_frame(keyframe, 0, track.body.rest),
        SEQUENCE_END => VideoMessage::EndOfSequence,
        _ => VideoMessage::Ignored,
    })
}

pub(super) fn read_audio(payload: &Bytes) -> Result<AudioMessage, MediaError> {
    const MULTITRACK: u8 = 5;
    let mut body = Body { rest: payload.clone(), what: "audio message" };
    let first = body.take_byte()?;
    let packet = body.skip_modifiers(first & 0x0f)?;
    let Some(track) = body.read_track(packet, MULTITRACK)? else { return Ok(AudioMessage::Ignored) };
    if &track.fourcc != b"mp4a" {
        return Err(unsupported_audio(track.fourcc));
    }
    Ok(match track.packet {
        SEQUENCE_START => AudioMessage::from_header(track.body.rest),
        CODED_FRAMES => AudioMessage::from_frame(track.body.rest),
        _ => AudioMessage::Ignored,
    })
}

fn unsupported_video(fourcc: [u8; 4]) -> MediaError {
    MediaError::video_codec(match &fourcc {
        b"hvc1" => "HEVC",
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"vvc1" => "VVC",
        _ => return MediaError::video_codec(format!("video codec \"{}\"", fourcc.escape_ascii())),
    })
}

fn unsupported_audio(fourcc: [u8; 4]) -> MediaError {
    MediaError::audio_codec(match &fourcc {
        b"Opus" => "Opus audio",
        b"fLaC" => "FLAC audio",
        b"ac-3" => "AC-3 audio",
        b"ec-3" => "E-AC-3 audio",
        b".mp3" => "MP3 audio",
        _ => return MediaError::audio_codec(format!("audio codec \"{}\"", fourcc.escape_ascii())),
    })
}

/// The first track of a message.
struct Track {
    fourcc: [u8; 4],
    packet: u8,
    body: Body,
}

/// Rest of a message.
struct Body {
    rest: Bytes,
    what: &'static str,
}

impl Body {
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], MediaError> {
        let cut_short = MediaError::malformed_header(self.what, "its header is cut short");
        let head = self.rest.first_chunk().copied().ok_or(cut_short)?;
        self.rest.advance(N);
        Ok(head)
    }

    fn take_byte(&mut self) -> Result<u8, MediaError> {
        self.take_array::<1>().map(|[byte]| byte)
    }

    fn split_off(&mut self, length: usize) -> Result<Bytes, MediaError> {
        if length > self.rest.len() {
            return Err(MediaError::malformed_header(self.what, "it is cut short"));
        }
        Ok(self.rest.split_to(length))
    }

    /// Skips the modifiers in front of a packet (`ModEx`: nanosecond offsets and what is still to come).
    fn skip_modifiers(&mut self, mut packet: u8) -> Result<u8, MediaError> {
        while packet == MOD_EX {
            let length = match self.take_byte()? {
                255 => usize::from(u16::from_be_bytes(self.take_array()?)) + 1,
                short => usize::from(short) + 1,
            };
            self.split_off(length)?;
            packet = self.take_byte()? & 0x0f;
        }
        Ok(packet)
    }

    /// The track 0, if the message has it.
    fn read_track(mut self, packet: u8, multitrack: u8) -> Result<Option<Track>, MediaError> {
        if packet != multitrack {
            return Ok(Some(Track { fourcc: self.take_array()?, packet, body: self }));
        }
        const ONE_TRACK: u8 = 0;
        const MANY_CODECS: u8 = 2;
        let kind = self.take_byte()?;
        let layout = kind >> 4;
        let packet = kind & 0x0f;
        let common = if layout == MANY_CODECS { None } else { Some(self.take_array()?) };
        while !self.rest.is_empty() {
            let fourcc = match common {
                Some(fourcc) => fourcc,
                None => self.take_array()?,
            };
            let id = self.take_byte()?;
            let length = if layout == ONE_TRACK { self.rest.len() } else { self.take_u24()? };
            let body = Body { rest: self.split_off(length)?, what: self.what };
            if id == 0 {
                return Ok(Some(Track { fourcc, packet, body }));
            }
        }
        Ok(None)
    }

    fn take_u24(&mut self) -> Result<usize, MediaError> {
        let [a, b, c] = self.take_array()?;
        Ok(u32::from_be_bytes([0, a, b, c]) as usize)
    }
}
