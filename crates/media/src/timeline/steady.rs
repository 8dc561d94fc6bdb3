//! Bounds how often a publisher may begin a new period ([`PeriodBudget`]). A clock that jumps all the time is kept going
//! instead: the jump is taken out of its timestamps.

use std::time::Duration;

use super::budget::PeriodBudget;
use super::clock::{MAX_STEP_BACK_US, MIN_STEP_US};
use crate::access_unit::TrackKind;

/// Periods that may begin at once, however long none has: an encoder that is being set up changes its mind a few times.
const BURST_PERIODS: u32 = 4;
/// Between two frames of a track of which only one was seen.
const USUAL_STEP_US: i64 = 20_000;

/// Position of a track's clock, in front of the timeline's.
#[derive(Debug)]
pub(super) struct Steady {
    max_gap_us: i64,
    /// Budget in time of media.
    budget: PeriodBudget,
    video: Course,
    audio: Course,
    rebased: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// Microseconds added to the publisher's timestamps.
    shift: i64,
    last: Option<i64>,
    step: i64,
    /// Microseconds that it has gone on in all.
    run_us: u64,
}

impl Steady {
    pub(super) fn new(max_gap_us: i64) -> Self {
        Self {
            max_gap_us,
            budget: PeriodBudget::new(BURST_PERIODS),
            video: Course::default(),
            audio: Course::default(),
            rebased: 0,
        }
    }

    /// A timestamp without the jumps that come too often.
    pub(super) fn read_timestamp(&mut self, track: TrackKind, timestamp: i64) -> i64 {
        let (mut own, other) = match track {
            TrackKind::Video => (self.video, self.audio),
            TrackKind::Audio => (self.audio, self.video),
        };
        let time = self.place_timestamp(&mut own, other, timestamp);
        let run_us = own.run_us.max(other.run_us);
        own.go_on(time, self.max_gap_us);
        self.budget.pass_time(Duration::from_micros(own.run_us.saturating_sub(run_us)));
        *match track {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        } = own;
        time
    }

    fn place_timestamp(&mut self, own: &mut Course, other: Course, timestamp: i64) -> i64 {
        let time = timestamp + own.shift;
        let Some(last) = own.last else {
            own.shift = other.shift;
            return timestamp + other.shift;
        };
        // On its own course, or on the other track's, which has jumped before.
        if own.is_followed_by(time, self.max_gap_us) || other.is_followed_by(time, self.max_gap_us) {
            return time;
        }
        let together = timestamp + other.shift;
        if own.is_followed_by(together, self.max_gap_us) {
            own.shift = other.shift;
            return together;
        }
        if self.may_begin() {
            return time;
        }
        self.rebased += 1;
        let next = last + own.step.max(MIN_STEP_US);
        own.shift = next - timestamp;
        next
    }

    /// Whether a period may begin now; it has begun then.
    pub(super) fn may_begin(&mut self) -> bool {
        let may_begin = self.budget.time_to_wait().is_zero();
        if may_begin {
            self.budget.count_period();
        }
        may_begin
    }

    /// Jumps that were taken out.
    pub(super) fn rebased_jumps(&self) -> u64 {
        self.rebased
    }
}

impl Course {
    fn is_followed_by(&self, time: i64, max_gap_us: i64) -> bool {
        let Some(last) = self.last else { return false };
        (-MAX_STEP_BACK_US..max_gap_us).contains(&(time - last))
    }

    fn go_on(&mut self, time: i64, max_gap_us: i64) {
        let passed = self.last.map(|last| time - last);
        self.step = match passed.filter(|passed| (1..max_gap_us).contains(passed)) {
            Some(passed) => {
                self.run_us += passed.unsigned_abs();
                passed
            }
            None if passed.is_none() => USUAL_STEP_US,
            None => self.step,
        };
        self.last = Some(time);
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::PERIOD_INTERVAL;
    use super::*;
    use crate::access_unit::TrackKind::{Audio, Video};

    /// Reads a timestamp in milliseconds.
    fn read(steady: &mut Steady, track: TrackKind, millis: i64) -> i64 {
        let time = steady.read_timestamp(track, millis * 1_000);
        assert_eq!(time % 1_000, 0);
        time / 1_000
    }

    #[test]
    fn a_few_jumps_pass_and_more_of_them_once_media_has_passed() {
        let mut steady = Steady::new(2_000_000);
        let passed =
            (0..20).map(|nth| nth * 1_000_000).filter(|time| read(&mut steady, Video, *time) == *time);
        assert_eq!(passed.count(), 1 + BURST_PERIODS as usize);
        let at = (steady.video.last.unwrap_or_default() - steady.video.shift) / 1_000;
        for time in (0..2 * PERIOD_INTERVAL.as_millis() as i64 + 40).step_by(40) {
            read(&mut steady, Video, at + time);
        }
        let before = steady.rebased_jumps();
        for time in (0..20).map(|nth| 50_000_000 + nth * 1_000_000) {
            read(&mut steady, Video, time);
        }
        assert_eq!(steady.rebased_jumps() - before, 18);
    }

    #[test]
    fn sound_and_pictures_stay_together_however_often_they_jump() {
        let mut steady = Steady::new(2_000_000);
        for nth in 0u32..2_000 {
            // Every eight frames the clock is another one.
            let clock = i64::from((nth / 8).wrapping_mul(2_654_435_761));
            let time = i64::from(nth) * 40;
            let video = read(&mut steady, Video, clock + time);
            let audio = read(&mut steady, Audio, clock + time + 7);
            assert_eq!(audio - video, 7, "{nth}");
        }
        assert!(steady.rebased_jumps() > 200);
        assert!(steady.video.run_us > 70_000_000, "no time is lost: {}", steady.video.run_us);
    }

    #[test]
    fn what_the_other_track_left_behind_is_no_jump() {
        let mut steady = Steady::new(2_000_000);
        steady.budget = PeriodBudget::new(1);
        for (track, time) in
            [(Video, 90_000), (Audio, 90_010), (Video, 0), (Audio, 90_030), (Audio, 20), (Video, 40)]
        {
            assert_eq!(read(&mut steady, track, time), time);
        }
        assert_eq!((steady.rebased_jumps(), steady.may_begin()), (0, false));
    }
}
