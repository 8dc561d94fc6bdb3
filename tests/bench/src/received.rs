//! Count of the media that a sink has received: the same count on every way, so that the ways can be compared.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use headwater_media::{Period, TrackId};
use headwater_rtmp::Event;
use headwater_wire::v2;

/// An FLV body of AVC is a frame behind so many bytes (FLV 10.1 §E.4.3.1).
const VIDEO_HEADER: u64 = 5;
/// And one of AAC (FLV 10.1 §E.4.2.1).
const AUDIO_HEADER: u64 = 2;

/// Frames as FLV bodies; sequence headers are not counted.
#[derive(Debug, Default)]
pub struct Received {
    publishers: AtomicU64,
    tags: AtomicU64,
    bytes: AtomicU64,
}

/// Publisher that is counted until it is dropped.
pub struct OnAir<'a>(&'a Received);

impl Received {
    pub fn publisher(&self) -> OnAir<'_> {
        self.publishers.fetch_add(1, Relaxed);
        OnAir(self)
    }

    pub fn publishers(&self) -> u64 {
        self.publishers.load(Relaxed)
    }

    /// Frames, and bytes of them.
    pub fn so_far(&self) -> (u64, u64) {
        (self.tags.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Without its FLV header.
    pub fn tag(&self, tag: &v2::Tag) {
        let header = if TrackId(tag.track) == Period::AUDIO_TRACK { AUDIO_HEADER } else { VIDEO_HEADER };
        self.add(tag.payload.len() as u64 + header);
    }

    /// With it; its second byte is 0 for a sequence header.
    pub fn event(&self, event: &Event) {
        if let Event::Video { payload, .. } | Event::Audio { payload, .. } = event
            && payload.get(1).is_some_and(|kind| *kind == 1)
        {
            self.add(payload.len() as u64);
        }
    }

    fn add(&self, bytes: u64) {
        self.tags.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
}

impl Drop for OnAir<'_> {
    fn drop(&mut self) {
        self.0.publishers.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn frames_are_counted_and_sequence_headers_are_not() {
        let received = Received::default();
        let video =
            |payload: &'static [u8]| Event::Video { timestamp: 0, payload: Bytes::from_static(payload) };
        received.event(&video(&[0x17, 0, 0, 0, 0, 1]));
        received.event(&video(&[0x17, 1, 0, 0, 0, 1, 2]));
        received.event(&Event::Audio { timestamp: 0, payload: Bytes::from_static(&[0xaf, 1, 9]) });
        received.event(&Event::Unpublish);
        assert_eq!(received.so_far(), (2, 10));
    }
}
