//! Headers that real encoders sent, for tests.

use bytes::Bytes;

use crate::error::MediaError;
use crate::flv::FlvReader;
use crate::time::UnixMillis;
use crate::timeline::Timeline;

/// x264 at 1280x720, 29.97 frames a second.
pub(crate) const AVCC_720P: &str =
    "0164001fffe100186764001facd9405005bb011000003e90000ea600f183196001000668ebe3cb22c0fdf8f800";
/// x264 at 640x360 with scaling lists.
pub(crate) const AVCC_360P: &str =
    "0164001effe100196764001eacd940a02ff9701100000303e90000ea600f162d9601000768ebe3cb3002c0fdf8f800";
/// x264 at 5120x2880.
pub(crate) const AVCC_5K: &str =
    "0142c03cffe100186742c03cda0050005a6c04400000fa40003a9803c2010a8001000468ce0fc8";

/// An `AVCDecoderConfigurationRecord` from its hexadecimal digits.
pub(crate) fn avcc(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// AAC-LC, 48 kHz, stereo.
pub(crate) const STEREO: &[u8] = &[0x11, 0x90];
/// AAC-LC, 44.1 kHz, mono.
pub(crate) const MONO: &[u8] = &[0x12, 0x08];

/// A timeline behind the messages of an RTMP publisher.
pub(crate) struct FlvTimeline {
    pub(crate) reader: FlvReader,
    pub(crate) timeline: Timeline,
}

impl FlvTimeline {
    pub(crate) fn new(timeline: Timeline) -> Self {
        Self { reader: FlvReader::default(), timeline }
    }

    pub(crate) fn push_video(
        &mut self,
        now: UnixMillis,
        timestamp: u32,
        payload: Bytes,
    ) -> Result<(), MediaError> {
        let media = self.reader.video(timestamp, &payload)?;
        media.map_or(Ok(()), |media| self.timeline.push(now, media))
    }

    pub(crate) fn push_audio(
        &mut self,
        now: UnixMillis,
        timestamp: u32,
        payload: Bytes,
    ) -> Result<(), MediaError> {
        let media = self.reader.audio(timestamp, &payload)?;
        media.map_or(Ok(()), |media| self.timeline.push(now, media))
    }
}

impl std::ops::Deref for FlvTimeline {
    type Target = Timeline;
    fn deref(&self) -> &Timeline {
        &self.timeline
    }
}

impl std::ops::DerefMut for FlvTimeline {
    fn deref_mut(&mut self) -> &mut Timeline {
        &mut self.timeline
    }
}

/// The message with a video sequence header.
pub(crate) fn video_header(config: &str) -> Bytes {
    [&[0x17, 0, 0, 0, 0][..], &avcc(config)].concat().into()
}

/// The message with one picture.
pub(crate) fn picture(keyframe: bool, composition_offset: i32, payload: &[u8]) -> Bytes {
    let [_, a, b, c] = composition_offset.to_be_bytes();
    let first = if keyframe { 0x17 } else { 0x27 };
    [&[first, 1, a, b, c][..], payload].concat().into()
}

/// The message with an audio sequence header.
pub(crate) fn audio_header(config: &[u8]) -> Bytes {
    [&[0xaf, 0][..], config].concat().into()
}

/// The message with one audio frame.
pub(crate) fn sound(payload: &[u8]) -> Bytes {
    [&[0xaf, 1][..], payload].concat().into()
}
