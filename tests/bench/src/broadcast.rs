//! Broadcast that the stub has on air: one rendition, whose parts hold bytes that no compression shrinks.

use bytes::Bytes;
use headwater_hls::cmaf::{Sample, chunk};
use headwater_hls::{LiveObject, Object};
use headwater_media::{
    BroadcastId, Epoch, MediaEvent, MediaSequence, MediaTime, Opening, PartIndex, PeriodNumber, PeriodStart,
    Rendition, RenditionId, RenditionKind, SegmentSettings, UnixMillis,
};

pub const RENDITION: &str = "720p";
/// Number of the first segment.
pub const FIRST: u64 = 1_000;
/// Of the live window.
pub const SEGMENTS: u32 = 10;
/// Frames of a part, and their duration in the 90 kHz of the media: 30 a second.
const FRAMES: usize = 6;
const FRAME_DURATION: u32 = 3_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// Identity of the broadcast of every stream.
pub fn broadcast_id() -> BroadcastId {
    BroadcastId::new(UnixMillis(1_800_000_000_000), &[7; 10])
}

/// File name of a piece of its live media.
pub fn live_file(object: Object) -> String {
    LiveObject { broadcast: broadcast_id().tag(), object }.to_string()
}

/// How a broadcast is cut.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub settings: SegmentSettings,
    /// Parts of a segment.
    pub parts: u32,
    pub part_bytes: usize,
}

impl Shape {
    pub fn opening(&self, broadcast: BroadcastId, epoch: Epoch) -> Opening {
        Opening {
            broadcast,
            epoch,
            settings: self.settings,
            window_segments: SEGMENTS,
            first_sequence: MediaSequence(FIRST),
            discontinuity_sequence: 0,
        }
    }

    /// The nth part of all that come, with the end of its segment where it is the last one.
    pub fn part(&self, id: &RenditionId, nth: u64) -> Vec<MediaEvent> {
        let (sequence, index) = self.name(nth);
        let micros = |ms: u32| u64::from(ms) * 1_000;
        // A period's first cell is a short one, and not played.
        let cell = self.settings.cell_start(1 + sequence - FIRST);
        let start = cell.0 + u64::from(index) * micros(self.settings.part_ms);
        let is_last = index + 1 == self.parts;
        let rest = self.settings.segment_ms - index * self.settings.part_ms;
        let part = MediaEvent::Part {
            rendition: id.clone(),
            sequence: MediaSequence(sequence),
            index: PartIndex(index),
            start: MediaTime(start),
            duration: MediaTime(micros(if is_last { rest } else { self.settings.part_ms })),
            independent: index == 0,
            bytes: chunk_of_noise(nth, self.part_bytes),
        };
        let end = MediaEvent::SegmentEnd { rendition: id.clone(), sequence: MediaSequence(sequence) };
        std::iter::once(part).chain(is_last.then_some(end)).collect()
    }

    /// The numbers of a part's segment and of itself therein.
    pub fn name(&self, nth: u64) -> (u64, u32) {
        (FIRST + nth / u64::from(self.parts), (nth % u64::from(self.parts)) as u32)
    }

    /// The other way round.
    pub fn number(&self, sequence: u64, index: u32) -> Option<u64> {
        Some(sequence.checked_sub(FIRST)? * u64::from(self.parts) + u64::from(index))
    }

    /// Parts of a whole window.
    pub fn window(&self) -> u64 {
        u64::from(self.parts * SEGMENTS)
    }
}

pub fn period(id: &RenditionId) -> MediaEvent {
    let rendition = Rendition {
        id: id.clone(),
        kind: RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 },
        codecs: "avc1.64001f".into(),
        declared_bitrate: 4_500_000,
    };
    MediaEvent::PeriodStart(PeriodStart {
        number: PeriodNumber(0),
        first_sequence: MediaSequence(FIRST),
        origin: MediaTime::ZERO,
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions: vec![(rendition, noise(u64::MAX, 800))],
        ladder: None,
    })
}

/// CMAF chunk of frames that hold so many random bytes. An origin reads the boxes of what it answers with.
fn chunk_of_noise(nth: u64, length: usize) -> Bytes {
    let data = noise(nth, length);
    let frame = length.div_ceil(FRAMES);
    let samples: Vec<_> = (0..FRAMES)
        .map(|at| Sample {
            decode_time: (nth * FRAMES as u64 + at as u64) * u64::from(FRAME_DURATION),
            duration: FRAME_DURATION,
            composition_offset: 0,
            keyframe: at == 0,
            data: data.slice((at * frame).min(length)..((at + 1) * frame).min(length)),
        })
        .collect();
    chunk(nth as u32, &samples)
}

/// Random by xorshift, the same at every run.
pub fn noise(nth: u64, length: usize) -> Bytes {
    let mut state = SEED ^ nth.wrapping_mul(SEED).rotate_left(17) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.flat_map(u64::to_le_bytes).take(length).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use headwater_hls::LiveWindow;

    use super::*;

    #[test]
    fn a_window_takes_it() {
        let shape = Shape { settings: SegmentSettings::default(), parts: 6, part_bytes: 10 };
        let id = RENDITION.parse().unwrap();
        let mut window = LiveWindow::new(shape.opening(broadcast_id(), Epoch(1)));
        window.apply(&period(&id)).unwrap();
        for nth in 0..2 * shape.window() + 1 {
            for event in shape.part(&id, nth) {
                window.apply(&event).unwrap();
            }
        }
        let (sequence, index) = shape.name(2 * shape.window());
        assert_eq!(window.next_part(&id), Some((MediaSequence(sequence), PartIndex(index + 1))));
        assert_eq!(window.segment(&id, MediaSequence(sequence - 1)).unwrap().parts().len(), 6);
    }

    #[test]
    fn parts_differ() {
        assert_ne!(noise(1, 64), noise(2, 64));
        assert_eq!(noise(1, 64), noise(1, 64));
    }
}
