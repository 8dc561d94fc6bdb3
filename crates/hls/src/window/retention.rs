//! Listed and kept segments, as a function of the segments that are whole in every rendition.
//!
//! Both starts depend on the newest segments only, never on when they were computed: a window that was rebuilt from a
//! snapshot agrees with the one that the snapshot was taken of.

use headwater_media::{MediaSequence, MediaTime};

use super::{LiveWindow, is_discontinuity};

/// RFC 8216bis §6.2.2: a live playlist is at least three target durations long.
const MIN_TARGET_DURATIONS: u64 = 3;
/// However short the segments are, no more than this many times the window is listed, and half as many again kept.
const SHORT_SEGMENTS: u64 = 4;
/// A window of fewer segments counts as one of this many for that: a period may end with three short ones.
const MIN_SHORT_SEGMENTS: u64 = 6;

impl LiveWindow {
    /// Whole segments in a playlist.
    pub(super) fn window_segments(&self) -> u32 {
        self.opening.window_segments.max(MIN_TARGET_DURATIONS as u32)
    }

    /// Moves the start of the playlists and drops what nobody may ask for any more.
    pub(super) fn retain(&mut self) {
        let end = self.next_uncommitted();
        let segment = MediaTime::from_millis(u64::from(self.opening.settings.segment_ms));
        let target = MediaTime::from_millis(u64::from(self.opening.settings.target_duration()) * 1_000);
        let window = u64::from(self.window_segments());
        let least = MediaTime(target.0 * MIN_TARGET_DURATIONS);
        // The longest playlist: a window, or what falls just short of the least and a segment; and the open segment.
        let longest = (segment.0 * window).max(least.0 + segment.0) + segment.0;
        // Twice that, and a segment for its own duration and one more.
        let kept = MediaTime(2 * longest + 2 * segment.0);
        let most = window.max(MIN_SHORT_SEGMENTS) * SHORT_SEGMENTS;
        self.listed_from = self.listed_from.max(self.start_of(end, least, window, most));
        let keep_from = self.start_of(end, kept, 0, most * 3 / 2).min(self.listed_from);
        self.drop_before(keep_from);
    }

    /// The latest start of a run of segments up to `end` that lasts at least `duration` and has at least `least`
    /// segments; but never one of more than `most`.
    fn start_of(&self, end: MediaSequence, duration: MediaTime, least: u64, most: u64) -> MediaSequence {
        let mut start = end;
        let mut sum = MediaTime::ZERO;
        while start > self.opening.first_sequence
            && (sum < duration || end.0 - start.0 < least)
            && end.0 - start.0 < most
        {
            start = MediaSequence(start.0 - 1);
            sum = sum + self.duration_of(start);
        }
        start
    }

    /// The duration of a sequence in the rendition where it is shortest: none where it is a gap.
    pub(crate) fn duration_of(&self, sequence: MediaSequence) -> MediaTime {
        let Some(period) = self.period_of(sequence) else { return MediaTime::ZERO };
        let durations = period.renditions.iter().map(|(rendition, _)| {
            let segment = self.tracks.get(&rendition.id).and_then(|track| track.get(&sequence));
            segment.map_or(MediaTime::ZERO, |segment| segment.duration())
        });
        durations.min().unwrap_or_default()
    }

    fn drop_before(&mut self, sequence: MediaSequence) {
        if sequence <= self.opening.first_sequence {
            return;
        }
        self.opening.discontinuity_sequence = self.discontinuities_before(sequence);
        self.opening.first_sequence = sequence;
        for track in self.tracks.values_mut() {
            let kept = track.split_off(&sequence);
            let dropped = std::mem::replace(track, kept);
            self.bytes -= dropped.values().map(|segment| segment.size()).sum::<usize>();
        }
        while self.periods.get(1).is_some_and(|second| second.first_sequence <= sequence) {
            self.periods.pop_front();
        }
        self.retain_drifts();
        let newest = self.periods.back();
        self.tracks.retain(|id, track| {
            !track.is_empty() || newest.is_some_and(|p| p.renditions.iter().any(|(r, _)| r.id == *id))
        });
        debug_assert!(self.periods.iter().skip(1).all(|period| is_discontinuity(period)));
    }
}
