//! The media of the simulated encoders: each tag says which one it is.

use bytes::Bytes;

/// Bytes of a tag that say so.
pub const LENGTH: usize = 8;
const BOX_HEADER: usize = 8;
/// From one tag of a track to the next.
pub const FRAME_MS: u64 = 100;
/// Frames from one keyframe to the next.
pub const KEYFRAME_INTERVAL: u32 = 10;

/// Configuration record of x264 for 1280x720 (ISO/IEC 14496-15 §5.3.3.1).
const AVC: &[u8] = &[
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x18, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
    0xbb, 0x01, 0x10, 0x00, 0x00, 0x3e, 0x90, 0x00, 0x0e, 0xa6, 0x00, 0xf1, 0x83, 0x19, 0x60, 0x01, 0x00,
    0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

/// Number of a tag of one connection of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// Which connection it was sent on.
    pub take: u32,
    /// From 0, in each track.
    pub index: u32,
}

impl Number {
    fn bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&self.take.to_be_bytes());
        bytes[4..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }

    pub fn time_ms(self) -> u32 {
        self.index * FRAME_MS as u32
    }

    /// The body of the RTMP message with this picture, with `padding` bytes of it.
    pub fn picture(self, padding: usize) -> Bytes {
        let first = if self.index.is_multiple_of(KEYFRAME_INTERVAL) { 0x17 } else { 0x27 };
        [&[first, 1, 0, 0, 0][..], &self.bytes(), &vec![0; padding]].concat().into()
    }

    pub fn sound(self) -> Bytes {
        [&[0xaf, 1][..], &self.bytes()].concat().into()
    }
}

/// The numbers that a part is made of: its `mdat`, behind its `moof`.
pub fn numbers(part: &[u8]) -> impl Iterator<Item = Number> {
    let moof = part.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    part.get(moof + BOX_HEADER..).unwrap_or_default().chunks_exact(LENGTH).map(number)
}

/// The number that a frame is made of.
pub fn number(frame: &[u8]) -> Number {
    let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    Number { take: word(&frame[..4]), index: word(&frame[4..LENGTH]) }
}

pub fn video_header() -> Bytes {
    [&[0x17, 0, 0, 0, 0][..], AVC].concat().into()
}

/// AAC-LC, 48 kHz, stereo.
pub fn audio_header() -> Bytes {
    Bytes::from_static(&[0xaf, 0, 0x11, 0x90])
}
