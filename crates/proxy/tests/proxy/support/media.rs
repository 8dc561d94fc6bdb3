//! Messages of an encoder.

use bytes::Bytes;
use headwater_media::{Period, TrackId};
use headwater_wire::v2::Tag;

/// Configuration record of x264 for 1280x720 (ISO/IEC 14496-15 §5.3.3.1).
pub const AVC: &[u8] = &[
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x18, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
    0xbb, 0x01, 0x10, 0x00, 0x00, 0x3e, 0x90, 0x00, 0x0e, 0xa6, 0x00, 0xf1, 0x83, 0x19, 0x60, 0x01, 0x00,
    0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];
/// AAC-LC, 48 kHz, stereo.
pub const AAC: &[u8] = &[0x11, 0x90];

pub fn video_header() -> Bytes {
    [&[0x17, 0, 0, 0, 0], AVC].concat().into()
}

pub fn audio_header() -> Bytes {
    [&[0xaf, 0], AAC].concat().into()
}

pub fn keyframe(payload: &[u8]) -> Bytes {
    [&[0x17, 1, 0, 0, 0], payload].concat().into()
}

/// A picture that is shown 40 ms after it is decoded.
pub fn picture(payload: &[u8]) -> Bytes {
    [&[0x27, 1, 0, 0, 40], payload].concat().into()
}

pub fn sound(payload: &[u8]) -> Bytes {
    [&[0xaf, 1], payload].concat().into()
}

/// A sequence header of HEVC (Enhanced RTMP v2, section "Enhanced Video").
pub fn hevc_header() -> Bytes {
    Bytes::from_static(b"\x90hvc1\x01\x01")
}

/// Kind of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    VideoKeyframe,
    Video,
    Audio,
}

pub fn kind(tag: &Tag) -> Kind {
    match (TrackId(tag.track) == Period::AUDIO_TRACK, tag.keyframe) {
        (true, _) => Kind::Audio,
        (false, true) => Kind::VideoKeyframe,
        (false, false) => Kind::Video,
    }
}
