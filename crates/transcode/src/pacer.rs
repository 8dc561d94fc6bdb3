//! Pacing of pictures: which ones are shown when, as a function of the decoded frames' timestamps and of nothing else.

use std::time::Duration;

use headwater_media::{Cut, Cutter, MediaSequence, MediaTime, Placement, SourceTime};

/// Duration of a picture that [`Pacer::end_time`] assumes where no two frames were ever seen.
const LONE_FRAME: Duration = Duration::from_millis(33);
/// How much later than the one before it a frame may come and still be regular, unless a part may exceed its nominal length
/// by less (`PART-TARGET`).
const JITTER_TOLERANCE: Duration = Duration::from_millis(12);
/// Sources of longer gaps (less than 6 frames a second) are never regular, nor are those of which a part does not hold two
/// frames.
const REGULAR_GAP: Duration = Duration::from_millis(167);
// A segment exceeds its whole seconds by no more than a regular gap, and its duration is rounded
// (`EXT-X-TARGETDURATION`).
const _: () = assert!(2 * (REGULAR_GAP.as_millis() + JITTER_TOLERANCE.as_millis()) < 1_000);
/// Regular gap after a single frame.
const FIRST_GAP: Duration = Duration::from_millis(100);
/// The shortest time that a picture is shown, and by how much a timestamp may be rounded down, in microseconds: protocols
/// that count milliseconds have nothing finer.
const ROUNDING_US: u64 = 1_000;

/// Picture of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) time: SourceTime,
    pub(crate) placement: Placement,
}

/// Treatment of a decoded frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Slots in which the picture before it is shown once more, first.
    pub(crate) held: Vec<Slot>,
    /// Slots in which it is shown itself.
    pub(crate) new: Vec<Slot>,
    /// It came after its time and must be forgotten. Otherwise it is the picture that may be repeated later.
    pub(crate) late: bool,
}

/// Paces the frames of one period.
///
/// It thins out what is faster than the cap, and repeats a picture that would be shown for so long that its part
/// got too long (variable frame rates, a camera that is off, frames that were lost).
///
/// Whoever starts later must agree with whoever saw everything. So nothing that is decided from a segment's start on
/// depends on what was shown before it: the cap counts anew, and whether the last picture is repeated right at the
/// start depends on the decoded frames around it, never on where the parts before were cut.
#[derive(Debug)]
pub(crate) struct Pacer {
    cutter: Cutter,
    origin: SourceTime,
    max_frame_rate: u32,
    decoded: Option<Decoded>,
    shown: Option<Shown>,
}

/// The newest frame of the decoder.
#[derive(Clone, Copy, Debug)]
struct Decoded {
    time: SourceTime,
    /// Since the one before it.
    gap: Option<Duration>,
}

/// The newest picture of the output.
#[derive(Clone, Copy, Debug)]
struct Shown {
    time: SourceTime,
    part_start: SourceTime,
    sequence: MediaSequence,
    /// Since the one before it.
    gap: Duration,
}

/// How far the output must go on with the picture that it has.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Up to the next frame, without it.
    Frame(SourceTime),
    /// Up to this time.
    Stalled(SourceTime),
}

impl Pacer {
    /// `cutter` places video; `origin` is the period's.
    pub(crate) fn new(cutter: Cutter, origin: SourceTime, max_frame_rate: u32) -> Self {
        Self { cutter, origin, max_frame_rate: max_frame_rate.max(1), decoded: None, shown: None }
    }

    /// The decoder gives a picture that is to be shown at `time`.
    pub(crate) fn take_frame(&mut self, time: SourceTime) -> Pace {
        let Some(decoded) = self.decoded else {
            return Pace { new: self.begin_period(time), ..Pace::default() };
        };
        if time <= decoded.time || self.shown.is_some_and(|shown| time <= shown.time) {
            return Pace { late: true, ..Pace::default() };
        }
        let held = self.repeat_picture(Until::Frame(time));
        self.decoded = Some(Decoded { time, gap: Some(time.since(decoded.time)) });
        let new =
            if self.is_too_soon(time) { Vec::new() } else { self.show_picture(time).into_iter().collect() };
        Pace { held, new, late: false }
    }

    /// No frame has come for so long that the picture must go on without one: up to and including `until`.
    pub(crate) fn repeat_until(&mut self, until: SourceTime) -> Vec<Slot> {
        self.repeat_picture(Until::Stalled(until))
    }

    /// Whether a player may begin to decode with this picture.
    pub(crate) fn is_entry(&self, placement: Placement) -> bool {
        match placement.cut {
            Cut::Segment => true,
            Cut::Part => self.cutter.grid().may_be_begun(placement.sequence),
            Cut::None => false,
        }
    }

    /// End of the last picture of the period.
    pub(crate) fn end_time(&self) -> Option<MediaTime> {
        self.shown.map(|shown| {
            let shortest = Duration::from_micros(ROUNDING_US);
            let latest = self.part_limit(shown).max(shown.time + shortest);
            (shown.time + shown.gap.max(shortest)).min(latest).into()
        })
    }

    /// The newest segment that has a picture.
    pub(crate) fn last_sequence(&self) -> Option<MediaSequence> {
        self.shown.map(|shown| shown.sequence)
    }

    /// The period's first picture. Where the beginning was lost, the first one that could be decoded stands in for
    /// it, so that no segment is missing.
    fn begin_period(&mut self, time: SourceTime) -> Vec<Slot> {
        let grid = *self.cutter.grid();
        let missing = time >= grid.start() && grid.sequence(time.into()) > grid.sequence(grid.start().into());
        self.decoded = Some(Decoded { time: grid.start().min(time), gap: None });
        let mut slots = Vec::new();
        if missing {
            slots.extend(self.show_picture(grid.start()));
            slots.extend(self.repeat_picture(Until::Frame(time)));
        }
        self.decoded = Some(Decoded { time, gap: None });
        slots.extend(self.show_picture(time));
        slots
    }

    fn repeat_picture(&mut self, until: Until) -> Vec<Slot> {
        let mut slots = Vec::new();
        while let Some(next) = self.next_repeat(until) {
            slots.extend(self.show_picture(next));
        }
        slots
    }

    /// Time at which the picture must be repeated next: where its part is full, and where a segment begins without a frame.
    fn next_repeat(&self, until: Until) -> Option<SourceTime> {
        let decoded = self.decoded?;
        let start = self.cutter.grid().start();
        let full = self.shown.map(|shown| (self.part_end(shown), self.part_limit(shown)));
        let segment = self.shown.map_or(start, |shown| self.segment_after(shown.time));
        let is_full = full.filter(|(end, _)| *end < segment).filter(|(end, limit)| match until {
            Until::Frame(next) => next > *limit,
            Until::Stalled(until) => until >= *end,
        });
        let needs_start = match until {
            Until::Frame(next) => next > segment && !self.is_regular(decoded, next),
            Until::Stalled(until) => until >= segment,
        };
        is_full.map(|(end, _)| end).or(needs_start.then_some(segment))
    }

    fn show_picture(&mut self, time: SourceTime) -> Option<Slot> {
        if time < self.cutter.grid().start() {
            return None;
        }
        let placement = self.cutter.place(time.into());
        let last = self.shown.filter(|_| placement.cut == Cut::None);
        self.shown = Some(Shown {
            time,
            part_start: last.map_or(time, |last| last.part_start),
            sequence: placement.sequence,
            gap: self.shown.map_or(LONE_FRAME, |last| time.since(last.time)),
        });
        Some(Slot { time, placement })
    }

    /// Whether the newest picture is in the same cell of the capped frame rate.
    fn is_too_soon(&self, time: SourceTime) -> bool {
        self.shown.is_some_and(|shown| self.cell_of(shown.time) == self.cell_of(time))
    }

    /// Most timestamps are whole milliseconds, some encoders round them down: one more keeps a frame in the cell that it
    /// was meant for when the source's frame rate is the cap itself. A new segment is a new cell.
    fn cell_of(&self, time: SourceTime) -> (u64, u64) {
        let since = time.0.saturating_sub(self.origin.0) + ROUNDING_US;
        (self.cutter.grid().cell(time.into()), since * u64::from(self.max_frame_rate) / 1_000_000)
    }

    /// Whether `next` follows when a frame was due: then the part before it is not too long, wherever it was cut. That part
    /// begins with a frame, whose follower the cutter has expected within it, or with a picture that was repeated less than
    /// a gap before the last frame.
    fn is_regular(&self, decoded: Decoded, next: SourceTime) -> bool {
        let settings = self.cutter.grid().settings();
        let longest = Duration::from_millis(settings.longest_frame_ms());
        let target = Duration::from_millis(settings.part_target().as_millis());
        let tolerance = JITTER_TOLERANCE.min(target.saturating_sub(longest));
        let expected = decoded.gap.unwrap_or(FIRST_GAP);
        expected <= REGULAR_GAP.min(longest / 2) && next.since(decoded.time) <= expected + tolerance
    }

    fn segment_after(&self, time: SourceTime) -> SourceTime {
        SourceTime(self.cutter.grid().next_boundary(time.into()).0)
    }

    fn part_end(&self, shown: Shown) -> SourceTime {
        shown.part_start + Duration::from_millis(self.cutter.grid().settings().longest_frame_ms())
    }

    fn part_limit(&self, shown: Shown) -> SourceTime {
        shown.part_start + Duration::from_millis(self.cutter.grid().settings().part_target().as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_media::{Grid, SegmentSettings};
    use proptest::prelude::*;

    const ORIGIN: u64 = 40;

    fn pacer(start: u64, first: u64, max_frame_rate: u32) -> Pacer {
        pacer_of(SegmentSettings::default(), start, first, max_frame_rate)
    }

    fn pacer_of(settings: SegmentSettings, start: u64, first: u64, max_frame_rate: u32) -> Pacer {
        let origin = SourceTime::from_millis(ORIGIN);
        let grid = Grid::resumed(origin, SourceTime::from_millis(start), MediaSequence(first), settings);
        Pacer::new(Cutter::video(grid), origin, max_frame_rate)
    }

    fn all(pacer: &mut Pacer, times: impl IntoIterator<Item = u64>) -> Vec<Slot> {
        let paced = times.into_iter().map(|time| pacer.take_frame(SourceTime::from_millis(time)));
        paced.flat_map(|pace| pace.held.into_iter().chain(pace.new)).collect()
    }

    fn times(slots: &[Slot]) -> Vec<u64> {
        slots.iter().map(|slot| slot.time.as_millis()).collect()
    }

    fn source(fps: u64, count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(move |n| ORIGIN + (n * 1_000 + fps / 2) / fps)
    }

    #[test]
    fn a_regular_source_passes_untouched() {
        for fps in [24, 25, 30, 50, 60] {
            assert_eq!(
                times(&all(&mut pacer(ORIGIN, 0, 60), source(fps, 600))),
                source(fps, 600).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn the_cap_halves_a_source_of_twice_the_rate() {
        let rounded_down = (0..600).map(|n| ORIGIN + n * 1_000 / 60);
        for source in [source(60, 600).collect::<Vec<_>>(), rounded_down.collect()] {
            let shown = times(&all(&mut pacer(ORIGIN, 0, 30), source.iter().copied()));
            assert_eq!(shown.len(), 300);
            assert!(shown.windows(2).all(|pair| (32..=35).contains(&(pair[1] - pair[0]))));
        }
    }

    #[test]
    fn a_slow_source_is_repeated_so_that_no_part_is_empty() {
        let slots = all(&mut pacer(ORIGIN, 0, 60), [40, 540, 1_040]);
        assert_eq!(times(&slots), [40, 360, 540, 874, 1_040]);
    }

    #[test]
    fn a_stall_repeats_the_last_picture_and_late_frames_are_forgotten() {
        let mut pacer = pacer(ORIGIN, 0, 60);
        all(&mut pacer, [40]);
        assert_eq!(times(&pacer.repeat_until(SourceTime::from_millis(1_042))), [360, 694, 1_028]);
        assert!(pacer.take_frame(SourceTime::from_millis(1_000)).late);
        assert_eq!(times(&all(&mut pacer, [1_100])), [1_100]);
        assert_eq!(pacer.end_time(), Some(MediaTime::from_millis(1_172)));
    }

    #[test]
    fn a_lost_beginning_is_filled_with_the_first_picture() {
        let pace = pacer(ORIGIN, 7, 60).take_frame(SourceTime::from_millis(4_500));
        let numbers: Vec<_> = pace
            .new
            .iter()
            .filter(|s| s.placement.cut == Cut::Segment)
            .map(|s| s.placement.sequence.0)
            .collect();
        assert_eq!((pace.new[0].time.as_millis(), pace.held.len()), (ORIGIN, 0));
        assert_eq!(numbers, [7, 8, 9, 10]);
    }

    #[test]
    fn nothing_is_shown_before_the_start() {
        let mut pacer = pacer(2_040, 1, 60);
        assert_eq!(times(&all(&mut pacer, [1_000, 1_900, 2_039, 2_041])), [2_041]);
        assert_eq!(pacer.last_sequence(), Some(MediaSequence(1)));
    }

    /// Times of a source that is mostly regular, sometimes not at all.
    fn any_source() -> impl Strategy<Value = Vec<u64>> {
        let gap = prop_oneof![6 => 30u64..37, 1 => 1u64..200, 1 => 150u64..4_500];
        prop::collection::vec(gap, 100..400).prop_map(|gaps| {
            let times = gaps.into_iter().scan(ORIGIN, |time, gap| Some(std::mem::replace(time, *time + gap)));
            times.collect()
        })
    }

    /// Times of a source whose frames come at nearly the same distance.
    fn steady_source() -> impl Strategy<Value = Vec<u64>> {
        let jitter = prop::collection::vec(0u64..13, 100..200);
        (16u64..180, jitter).prop_map(|(gap, jitter)| {
            let times = jitter
                .into_iter()
                .scan(ORIGIN, |time, jitter| Some(std::mem::replace(time, *time + gap + jitter)));
            times.collect()
        })
    }

    proptest! {
        #[test]
        fn no_part_of_any_length_is_longer_than_its_target(source in steady_source(), part_ms in 100u32..1_000) {
            let settings = SegmentSettings { segment_ms: 2_000, part_ms };
            let slots = all(&mut pacer_of(settings, ORIGIN, 50, 240), source);
            let starts: Vec<_> = slots.iter().filter(|slot| slot.placement.cut != Cut::None).collect();
            for pair in starts.windows(2) {
                let length = pair[1].time.as_millis() - pair[0].time.as_millis();
                prop_assert!(length <= settings.part_target().as_millis(), "{} at {:?}", length, pair[0].time);
            }
        }

        #[test]
        fn a_later_start_agrees(source in any_source(), cap in 20u32..120, before in 2usize..40, segment in 1u64..4) {
            let start = ORIGIN + SegmentSettings::default().cell_start(segment).as_millis();
            let first = source.iter().position(|time| *time >= start).unwrap_or(source.len());
            let from = first.saturating_sub(before);
            let whole = all(&mut pacer(ORIGIN, 50, cap), source.iter().copied());
            let late = all(&mut pacer(start, 50 + segment, cap), source[from..].iter().copied());
            let rest: Vec<_> = whole.iter().copied().filter(|slot| slot.time.as_millis() >= start).collect();
            prop_assert_eq!(late, rest);
        }

        #[test]
        fn no_part_is_too_long_and_no_segment_is_missing(source in any_source(), cap in 20u32..120) {
            let slots = all(&mut pacer(ORIGIN, 50, cap), source);
            let starts: Vec<_> = slots.iter().filter(|slot| slot.placement.cut != Cut::None).collect();
            for pair in starts.windows(2) {
                // The cap may add a frame of it to the jitter.
                prop_assert!(pair[1].time.as_millis() - pair[0].time.as_millis() <= 350 + 1_000 / u64::from(cap));
                prop_assert!(pair[1].placement.sequence.0 - pair[0].placement.sequence.0 <= 1);
            }
        }
    }
}
