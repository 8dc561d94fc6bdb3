//! Bit rates as they really are (RFC 8216bis §4.4.6.2).

use headwater_media::{MediaTime, Piece, Rendition, RenditionId, SegmentSettings};

use crate::archive::Archive;
use crate::window::LiveWindow;

/// Bits a second of one rendition, or of several played together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bitrate {
    /// At least the peak segment bit rate.
    pub(super) peak: u64,
    pub(super) average: u64,
}

impl Bitrate {
    /// As measured over everything that the window holds; what the encoder is held to until there is a segment, and
    /// as the least of the peak.
    pub(super) fn of(window: &LiveWindow, rendition: &Rendition) -> Self {
        let segments = measured(window, &rendition.id);
        Self::measured(rendition, &segments, window.opening().settings)
    }

    /// The same over everything that is stored.
    pub(super) fn stored(archive: &Archive, rendition: &Rendition) -> Self {
        let pieces = archive.segments().filter_map(|segment| segment.piece(&rendition.id));
        let size = |piece: &Piece| Some((usize::try_from(piece.size?).ok()?, piece.duration));
        Self::measured(rendition, &pieces.filter_map(size).collect::<Vec<_>>(), archive.settings())
    }

    fn measured(rendition: &Rendition, segments: &[Size], settings: SegmentSettings) -> Self {
        let declared = u64::from(rendition.declared_bitrate);
        let target = u64::from(settings.target_duration()) * 1_000_000;
        let average = average(segments, target).unwrap_or(declared);
        Self { peak: declared.max(average).max(peak(segments, target)), average }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { peak: self.peak + other.peak, average: self.average + other.average }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { peak: self.peak.max(other.peak), average: self.average.max(other.average) }
    }
}

/// Bytes and duration of a segment.
type Size = (usize, MediaTime);

fn measured(window: &LiveWindow, rendition: &RenditionId) -> Vec<Size> {
    let whole = window.kept(rendition).filter(|(_, segment)| segment.is_whole() && !segment.is_gap());
    whole.map(|(_, segment)| (segment.size(), segment.duration())).collect()
}

/// The largest rate of any run of segments that lasts between a half and one and a half target durations: so a period's
/// last segment of three frames, one of them a keyframe, doesn't count by itself.
fn peak(segments: &[Size], target: u64) -> u64 {
    let runs = (0..segments.len()).flat_map(|from| peak_from(&segments[from..], target));
    runs.max().unwrap_or(0)
}

/// The largest rate of the runs that begin with the first of these segments.
fn peak_from(segments: &[Size], target: u64) -> Option<u64> {
    let mut run = (0, MediaTime::ZERO);
    let runs = segments.iter().map(|(bytes, duration)| {
        run = (run.0 + bytes, run.1 + *duration);
        run
    });
    let within = runs.take_while(|(_, duration)| duration.0 <= target * 3 / 2);
    within.filter(|(_, duration)| duration.0 >= target / 2).filter_map(|run| rate(&[run])).max()
}

/// The rate of everything; none where that is only the short segment that a broadcast begins with, half of it a keyframe.
fn average(segments: &[Size], target: u64) -> Option<u64> {
    let duration: u64 = segments.iter().map(|(_, duration)| duration.0).sum();
    rate(segments).filter(|_| duration >= target / 2)
}

/// Rounded up; none for no time at all.
fn rate(segments: &[Size]) -> Option<u64> {
    let bits: u64 = segments.iter().map(|(bytes, _)| *bytes as u64 * 8).sum();
    let micros: u64 = segments.iter().map(|(_, duration)| duration.0).sum();
    (micros > 0).then(|| (u128::from(bits) * 1_000_000).div_ceil(u128::from(micros)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn the_peak_is_that_of_the_biggest_run_around_the_target_duration() {
        let two = MediaTime(2 * SECOND);
        assert_eq!(peak(&[(1_000, two), (3_000, two), (2_000, two)], 2 * SECOND), 12_000);
        assert_eq!(peak(&[], 2 * SECOND), 0);
    }

    #[test]
    fn a_short_segment_counts_together_with_its_neighbour() {
        let segments = [(1_000, MediaTime(2 * SECOND)), (1_000, MediaTime(SECOND / 10))];
        assert_eq!(peak(&segments, 2 * SECOND), 16_000u64 * 10 / 21 + 1);
    }

    #[test]
    fn the_first_short_segment_is_no_average() {
        let short = (1_000, MediaTime(SECOND / 4));
        assert_eq!(average(&[short], 2 * SECOND), None);
        assert_eq!(average(&[short, (1_000, MediaTime(SECOND * 3 / 4))], 2 * SECOND), Some(16_000));
    }

    #[test]
    fn rates_are_rounded_up() {
        assert_eq!(rate(&[(1, MediaTime(3 * SECOND))]), Some(3));
        assert_eq!(rate(&[]), None);
    }
}
