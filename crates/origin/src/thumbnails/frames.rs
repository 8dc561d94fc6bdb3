//! The frame on the screen at a moment: all moments within a frame are one picture.

use headwater_hls::cmaf::read;
use headwater_media::VIDEO_TIMESCALE;

/// The times at which the frames of media are shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    /// The decode time of the first one, which moments count from. All times are in ticks of the track.
    start: u64,
    /// Sorted.
    shown: Vec<u64>,
}

impl Frames {
    /// The frames of chunks that follow each other; none where there is no whole frame, or it can't be told.
    pub(crate) fn of<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let samples: Result<Vec<_>, _> = chunks.into_iter().map(read::samples).collect();
        let samples = samples.ok()?.concat();
        let start = samples.first()?.decode_time;
        let shown = |sample: &read::Placed| {
            sample.decode_time.saturating_add_signed(sample.composition_offset.into())
        };
        let mut shown: Vec<_> = samples.iter().map(shown).collect();
        shown.sort_unstable();
        Some(Self { start, shown })
    }

    /// The time at which the frame is shown that is on the screen so many microseconds after the first one, as the child
    /// that makes the picture finds it.
    pub(super) fn at(&self, offset: u64) -> u64 {
        let ticks = offset.saturating_mul(u64::from(VIDEO_TIMESCALE)) / 1_000_000;
        let wanted = self.start.saturating_add(ticks);
        let later = self.shown.partition_point(|shown| *shown <= wanted);
        self.shown.get(later.saturating_sub(1)).copied().unwrap_or(wanted)
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> u32 {
        u32::try_from(size_of::<Self>() + self.shown.len() * size_of::<u64>()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_hls::cmaf::{Sample, chunk};

    use super::*;

    /// Frames of 40 ms, of which the second of four is shown last.
    fn part(from: u64) -> Bytes {
        let sample = |number: u64, shown: u64| Sample {
            decode_time: (from + number) * 3_600,
            duration: 3_600,
            composition_offset: (shown * 3_600) as i32 - (number * 3_600) as i32,
            keyframe: number == 0,
            data: Bytes::from_static(b"frame"),
        };
        chunk(0, &[sample(0, 0), sample(1, 3), sample(2, 1), sample(3, 2)])
    }

    #[test]
    fn all_moments_of_a_frame_are_one() {
        let one = part(100);
        let two = part(104);
        let frames = Frames::of([&one[..], &two[..]]).unwrap();
        for offset in 0..320_000 {
            assert_eq!(frames.at(offset), (100 + offset / 40_000) * 3_600, "{offset} µs");
        }
        assert_eq!(frames.at(u64::MAX), 107 * 3_600);
    }

    #[test]
    fn what_is_no_media_has_no_frames() {
        assert_eq!((Frames::of([&b"<segment>"[..]]), Frames::of([])), (None, None));
    }
}
