//! Boundaries of segments and parts: a function of source timestamps and settings, of nothing else.
//!
//! The grid of a period starts at its origin. Its first cell is about one part long, as most players show nothing until
//! a segment is whole; every other one has the nominal length. A segment holds the frames presented in its cell. Whoever
//! starts in the middle of a period (another server, after the first one died) needs only to know which sequence number
//! one boundary has.

use crate::ids::{MediaSequence, PartIndex};
use crate::time::{MediaTime, SourceTime};

/// How long segments and parts are. The same for all renditions of a broadcast, and for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSettings {
    /// Nominal length of a segment in milliseconds; whole seconds.
    pub segment_ms: u32,
    /// Nominal length of a part in milliseconds.
    pub part_ms: u32,
}

impl Default for SegmentSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl SegmentSettings {
    /// Segments of two seconds, and six parts in each.
    pub const DEFAULT: Self = Self { segment_ms: 2_000, part_ms: 334 };
    /// Longest segment that can be configured, in milliseconds.
    pub const MAX_SEGMENT_MS: u32 = 10_000;
    /// Shortest part that can be configured, in milliseconds.
    pub const MIN_PART_MS: u32 = 100;
    /// Samples a second of the sound of every rendition.
    pub const AUDIO_RATE_HZ: u32 = 48_000;
    /// Samples of an AAC frame of it.
    pub const AUDIO_FRAME_SAMPLES: u32 = 1_024;

    /// `EXT-X-TARGETDURATION` in seconds: a segment exceeds its nominal length by less than one frame, and durations
    /// are rounded to whole seconds for the comparison (RFC 8216bis §4.4.3.1).
    pub fn target_duration(&self) -> u32 {
        self.segment_ms.div_ceil(1_000)
    }

    /// `PART-TARGET`: no part is longer, and with parts of the default length every part but a segment's last reaches 85 % of
    /// it at the usual frame rates (RFC 8216bis §4.4.4.9). It is 5 % above the nominal length, for timestamps of whole
    /// milliseconds, or as long as the AAC frames that begin within the nominal length, where that is more.
    pub fn part_target(&self) -> MediaTime {
        let nominal_ms = u64::from(self.part_ms);
        let rate = u64::from(Self::AUDIO_RATE_HZ);
        let frame = u64::from(Self::AUDIO_FRAME_SAMPLES) * 1_000;
        let frames_ms = ((nominal_ms * rate).div_ceil(frame) * frame).div_ceil(rate);
        MediaTime::from_millis((nominal_ms * 105 / 100).max(frames_ms))
    }

    /// The cell of a period's grid that a time lies in, counted from the period's origin.
    pub fn cell(&self, since_origin: MediaTime) -> u64 {
        match since_origin.0.checked_sub(self.lead_length().0) {
            None => 0,
            Some(rest) => 1 + rest / self.segment_length().0,
        }
    }

    /// Start of a cell, counted from the period's origin.
    pub fn cell_start(&self, cell: u64) -> MediaTime {
        match cell.checked_sub(1) {
            None => MediaTime::ZERO,
            Some(whole) => self.lead_length() + MediaTime(whole * self.segment_length().0),
        }
    }

    /// Length of a period's first cell: as many frames as fit into one part at the usual frame rates end within the last
    /// twenty-fifth of its nominal length.
    fn lead_length(&self) -> MediaTime {
        MediaTime::from_millis(u64::from(self.part_ms) * 24 / 25)
    }

    fn segment_length(&self) -> MediaTime {
        MediaTime::from_millis(u64::from(self.segment_ms.max(1)))
    }

    /// The longest time that one picture is shown before it is repeated, so that no part is ever empty.
    pub fn longest_frame_ms(&self) -> u64 {
        u64::from(self.part_ms)
    }
}

/// The segment boundaries of one period, and the number of the segment where this producer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    origin: SourceTime,
    settings: SegmentSettings,
    start: SourceTime,
    first: MediaSequence,
}

impl Grid {
    /// A whole period, whose first segment has the number `first`.
    pub fn new(origin: SourceTime, first: MediaSequence, settings: SegmentSettings) -> Self {
        Self { origin, settings, start: origin, first }
    }

    /// The rest of a period from the boundary `start` on, where the segment `first` begins.
    pub fn resumed(
        origin: SourceTime,
        start: SourceTime,
        first: MediaSequence,
        settings: SegmentSettings,
    ) -> Self {
        Self { origin, settings, start, first }
    }

    /// Frames presented before this time are not part of the output.
    pub fn start(&self) -> SourceTime {
        self.start
    }

    /// Settings that the grid was made with.
    pub fn settings(&self) -> SegmentSettings {
        self.settings
    }

    /// Whether viewers may have the beginning of this segment from another producer. They go on with a later part of it
    /// then, which can't refer to pictures that they have not got.
    pub fn may_be_begun(&self, sequence: MediaSequence) -> bool {
        self.start > self.origin && sequence == self.first
    }

    /// The number of the segment that holds a frame presented at `time`.
    pub fn sequence(&self, time: MediaTime) -> MediaSequence {
        MediaSequence(self.first.0 + self.cell(time) - self.cell(self.start.into()))
    }

    /// Start of the segment with this number on the grid.
    pub fn boundary(&self, sequence: MediaSequence) -> MediaTime {
        let cell = self.cell(self.start.into()) + (sequence.0 - self.first.0);
        MediaTime::from(self.origin) + self.settings.cell_start(cell)
    }

    /// The first boundary after `time`.
    pub fn next_boundary(&self, time: MediaTime) -> MediaTime {
        MediaTime::from(self.origin) + self.settings.cell_start(self.cell(time) + 1)
    }

    /// Whether a segment may begin at `time`.
    pub fn is_boundary(&self, time: MediaTime) -> bool {
        time == MediaTime::from(self.origin) + self.settings.cell_start(self.cell(time))
    }

    /// The cell of the period's grid that `time` lies in.
    pub fn cell(&self, time: MediaTime) -> u64 {
        self.settings.cell(time.saturating_sub(self.origin.into()))
    }
}

/// Whether a frame begins something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Segment,
    Part,
    None,
}

/// Segment and part that a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub sequence: MediaSequence,
    pub part: PartIndex,
    pub cut: Cut,
}

/// Places the frames of one track, given in presentation order.
#[derive(Clone, Debug)]
pub struct Cutter {
    grid: Grid,
    track: TrackRule,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    time: MediaTime,
    part_start: MediaTime,
    placement: Placement,
}

/// How a track's parts are cut inside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrackRule {
    /// As many whole frames as fit into the nominal length. A frame is expected to last as long as the one before
    /// it did: its real end is not known yet when the decision is due.
    Video,
    /// Frames of constant length: a part ends with the first frame that reaches the next multiple of the nominal length.
    Audio,
}

impl Cutter {
    /// A cutter of pictures.
    pub fn video(grid: Grid) -> Self {
        Self { grid, track: TrackRule::Video, last: None }
    }

    /// A cutter of audio frames.
    pub fn audio(grid: Grid) -> Self {
        Self { grid, track: TrackRule::Audio, last: None }
    }

    /// The grid that the cutter goes by.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Places the frame presented at `time`, which is later than all frames before it.
    pub fn place(&mut self, time: MediaTime) -> Placement {
        let sequence = self.grid.sequence(time);
        let (placement, part_start) = match self.last {
            Some(last) if last.placement.sequence == sequence => self.place_within(last, time),
            _ => (Placement { sequence, part: PartIndex(0), cut: Cut::Segment }, time),
        };
        self.last = Some(Last { time, part_start, placement });
        placement
    }

    fn place_within(&self, last: Last, time: MediaTime) -> (Placement, MediaTime) {
        let Placement { sequence, part, .. } = last.placement;
        if self.starts_part(last, time) {
            (Placement { sequence, part: part.next(), cut: Cut::Part }, time)
        } else {
            (Placement { sequence, part, cut: Cut::None }, last.part_start)
        }
    }

    fn starts_part(&self, last: Last, time: MediaTime) -> bool {
        let nominal = MediaTime::from_millis(u64::from(self.grid.settings.part_ms));
        match self.track {
            TrackRule::Video => time + (time - last.time) - last.part_start > nominal,
            TrackRule::Audio => {
                let boundary = self.grid.boundary(last.placement.sequence);
                let multiple = |t: MediaTime| t.saturating_sub(boundary).0 / nominal.0;
                multiple(time) > multiple(last.time)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn video_times(fps: f64, seconds: u64, origin: u64) -> Vec<MediaTime> {
        let frames = (fps * seconds as f64) as u64;
        (0..frames)
            .map(|n| MediaTime::from_millis(origin + (n as f64 * 1000.0 / fps).round() as u64))
            .collect()
    }

    fn parts(times: &[MediaTime], mut cutter: Cutter) -> Vec<(Placement, MediaTime)> {
        let placed: Vec<_> = times.iter().map(|t| (cutter.place(*t), *t)).collect();
        let starts: Vec<_> = placed.into_iter().filter(|(p, _)| p.cut != Cut::None).collect();
        let ends = starts.iter().skip(1).map(|(_, t)| *t);
        starts.iter().zip(ends).map(|((p, start), end)| (*p, end - *start)).collect()
    }

    #[test]
    fn parts_keep_to_the_target_at_every_usual_frame_rate() {
        let settings = SegmentSettings::default();
        for fps in [10.0, 12.0, 15.0, 20.0, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0] {
            let grid = Grid::new(SourceTime::from_millis(40), MediaSequence(5), settings);
            let parts = parts(&video_times(fps, 20, 40), Cutter::video(grid));
            for pair in parts.windows(2) {
                let (_, duration) = pair[0];
                let last_of_segment = pair[1].0.cut == Cut::Segment;
                assert!(duration <= settings.part_target(), "{fps}: {duration}");
                assert!(
                    last_of_segment || duration.0 * 100 >= settings.part_target().0 * 85,
                    "{fps}: {duration}"
                );
            }
        }
    }

    fn audio_parts(settings: SegmentSettings) -> Vec<(Placement, MediaTime)> {
        let times: Vec<_> = (0..4_000).map(|n| MediaTime::from_ticks(n * 1024, 48_000)).collect();
        parts(&times, Cutter::audio(Grid::new(SourceTime::from_millis(0), MediaSequence(0), settings)))
    }

    #[test]
    fn audio_parts_keep_to_the_target() {
        let settings = SegmentSettings::default();
        for pair in audio_parts(settings).windows(2) {
            let (_, duration) = pair[0];
            assert!(
                pair[1].0.cut == Cut::Segment || duration.0 * 100 >= settings.part_target().0 * 85,
                "{duration}"
            );
        }
    }

    #[test]
    fn no_audio_part_is_longer_than_the_target_whatever_its_nominal_length() {
        for part_ms in (SegmentSettings::MIN_PART_MS..=2_000).step_by(7) {
            let settings = SegmentSettings { segment_ms: 4_000, part_ms };
            let longest = audio_parts(settings).into_iter().map(|(_, duration)| duration).max();
            assert!(longest <= Some(settings.part_target()), "{part_ms} ms: {longest:?}");
        }
        let default = SegmentSettings::default().part_target();
        assert_eq!(default, MediaTime::from_millis(350), "players hold the default's distance");
    }

    proptest! {
        /// DESIGN: two producers given the same frames, one of them starting later, agree from there on.
        #[test]
        fn a_later_start_gives_the_same_placements(
            origin in 0u64..5_000_000_000, gaps in prop::collection::vec(1u64..334, 50..400), from in 0usize..400,
        ) {
            let settings = SegmentSettings::default();
            let mut time = origin;
            let times: Vec<_> = std::iter::once(0).chain(gaps).map(|g| { time += g; MediaTime::from_millis(time) }).collect();
            let mut whole = Cutter::video(Grid::new(SourceTime::from_millis(origin), MediaSequence(100), settings));
            let all: Vec<_> = times.iter().map(|t| whole.place(*t)).collect();
            if let Some(at) = (from.min(all.len() - 1)..all.len()).find(|i| all[*i].cut == Cut::Segment) {
                let start = SourceTime::from_millis(whole.grid().boundary(all[at].sequence).as_millis());
                let grid = Grid::resumed(SourceTime::from_millis(origin), start, all[at].sequence, settings);
                let mut late = Cutter::video(grid);
                let rest: Vec<_> = times[at..].iter().map(|t| late.place(*t)).collect();
                prop_assert_eq!(&rest[..], &all[at..]);
            }
        }

        #[test]
        fn numbers_never_skip_while_no_frame_lasts_longer_than_a_segment(
            gaps in prop::collection::vec(1u64..2_000, 2..200),
        ) {
            let mut cutter = Cutter::video(Grid::new(SourceTime::from_millis(0), MediaSequence(0), SegmentSettings::default()));
            let mut time = 0;
            let mut last = cutter.place(MediaTime(0)).sequence;
            for gap in gaps {
                time += gap;
                let next = cutter.place(MediaTime::from_millis(time)).sequence;
                prop_assert!(next == last || next == last.next());
                last = next;
            }
        }
    }
}
